-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A page in headless Chromium, by its DevTools protocol over two pipes.

local json = require "vmm.json"
local process = require "vmm.process"

local Page = {}
Page.__index = Page

-- Seconds that nothing here should come near; after them Chromium is ended, and reads from it fail.
local LIMIT = 600

local COMMAND = "exec timeout -k 5 %d chromium --headless --no-sandbox --disable-gpu --no-first-run"
    .. " --disable-background-networking --disable-component-update --disable-dev-shm-usage"
    .. " --user-data-dir=%s --remote-debugging-pipe about:blank 3<%s 4>%s 2>%s >&2"

local function read_message(self)
    local bytes = {}
    while true do
        local byte = self.from:read(1)
        if not byte then
            local log <close> = io.open(self.log)
            error("Chromium has gone: " .. (log and log:read "a" or ""):sub(-2000), 0)
        end
        if byte == "\0" then return assert(json.decode(table.concat(bytes))) end
        bytes[#bytes + 1] = byte
    end
end

-- Calls a method of the protocol; returns its result. Events that come meanwhile are kept.
function Page:call(method, params)
    self.calls = self.calls + 1
    self.to:write(json.encode { id = self.calls, method = method, params = params or {},
        sessionId = self.session }, "\0")
    self.to:flush()
    while true do
        local message = read_message(self)
        if message.id == self.calls then
            if message.error then error(method .. ": " .. json.encode(message.error), 2) end
            return message.result
        end
        table.insert(self.events, message)
    end
end

-- The events of a kind so far, their params.
function Page:events_of(method)
    local list = {}
    for _, event in ipairs(self.events) do
        if event.method == method then list[#list + 1] = event.params end
    end
    return list
end

-- Loads a file.
function Page:open(path)
    self.events = {}
    self:call("Page.navigate", { url = "file://" .. path })
    while #self:events_of "Page.loadEventFired" == 0 do
        table.insert(self.events, read_message(self))
    end
end

-- The value of a JavaScript expression, a promise's once it is there.
function Page:evaluate(expression)
    local answer = self:call("Runtime.evaluate", { expression = expression, returnByValue = true,
        awaitPromise = true })
    if answer.exceptionDetails then
        error(json.encode(answer.exceptionDetails.exception or answer.exceptionDetails), 2)
    end
    return answer.result.value
end

-- Presses a key: one character, or "Enter", "Escape", "Tab".
function Page:press(key, modifiers)
    local codes = { Enter = 13, Escape = 27, Tab = 9 }
    local event = {
        key = key, windowsVirtualKeyCode = codes[key] or key:upper():byte(),
        modifiers = modifiers or 0,
        text = key == "Enter" and "\r" or not codes[key] and key or nil,
    }
    event.type = event.text and "keyDown" or "rawKeyDown"
    self:call("Input.dispatchKeyEvent", event)
    event.type, event.text = "keyUp", nil
    self:call("Input.dispatchKeyEvent", event)
end

function Page:type(text)
    self:call("Input.insertText", { text = text })
end

-- "light" or "dark".
function Page:prefer(scheme)
    self:call("Emulation.setEmulatedMedia", { features = {
        { name = "prefers-color-scheme", value = scheme } } })
end

function Page:resize(width, height)
    self:call("Emulation.setDeviceMetricsOverride", { width = width, height = height,
        deviceScaleFactor = 1, mobile = false })
end

function Page:allow_scripts(allowed)
    self:call("Emulation.setScriptExecutionDisabled", { value = not allowed })
end

function Page:close()
    if not self.pipe then return end
    pcall(function()
        self.session = nil
        self:call "Browser.close"
    end)
    self.to:close()
    self.from:close()
    self.pipe:close()
    self.pipe = nil
end

-- A page in a new browser, which keeps its files in a folder that exists.
local function start(folder)
    local to, from = folder .. "/to", folder .. "/from"
    assert(process.capture { "mkfifo", to, from })
    local self = setmetatable({ calls = 0, events = {}, log = folder .. "/log" }, Page)
    local quote = process.quote
    self.pipe = assert(io.popen(COMMAND:format(LIMIT, quote(folder .. "/profile"), quote(to),
        quote(from), quote(self.log)), "r"))
    self.to = assert(io.open(to, "w"))
    self.from = assert(io.open(from, "r"))
    local target = self:call("Target.createTarget", { url = "about:blank" }).targetId
    self.session = self:call("Target.attachToTarget", { targetId = target, flatten = true })
        .sessionId
    for _, domain in ipairs { "Page", "Runtime", "Log", "Network" } do
        self:call(domain .. ".enable")
    end
    return self
end

return { start = start }
