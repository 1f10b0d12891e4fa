-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Stream sockets for scripts: unix and TCP, listening and connected, whose waits let others go on.

local argument = require "vmm.argument"
local core = require "vmm.core"
local sched = require "vmm.sched"

local socket = {}

local READ_BYTES = 65536
local PORT_MAX = 65535
local RETRY_SECONDS = 0.01 -- a unix socket whose queue is full tells nobody when it has room

local Socket = { __name = "vmm.socket" }
Socket.__index = Socket

local function wrap(of_core)
    return setmetatable({ core = of_core, wanted = { r = 0, w = 0 } }, Socket)
end

-- ---- waits -----------------------------------------------------------------------------------

-- The fd is watched only while somebody wants to know: nothing else would take what makes it ready.
local function update_watch(self)
    if self.watch then self.watch:close() end
    self.watch = nil
    if self.closed then return end
    local mode = (self.wanted.r > 0 and "r" or "") .. (self.wanted.w > 0 and "w" or "")
    if mode ~= "" then
        self.watch = assert(core.watch(self.core:fd(), mode, function() end))
    end
end

local Interest = {}

function Interest.__close(interest)
    local self = interest.socket
    self.wanted[interest.mode] = self.wanted[interest.mode] - 1
    update_watch(self)
end

-- From now on until the result is closed, a step of the loop comes back when the socket is
-- readable ("r") or writable ("w"): for waits of one's own around try_read.
function Socket:interest(mode)
    self.wanted[mode] = self.wanted[mode] + 1
    update_watch(self)
    return setmetatable({ socket = self, mode = mode }, Interest)
end

-- Calls attempt() until it returns something else than nil, ..., "EAGAIN".
local function retry(self, mode, timeout, attempt)
    local function poll()
        if self.closed then return false, "the socket is closed", "closed" end
        local result, message, code = attempt()
        if result ~= nil then return result end
        if code ~= "EAGAIN" then return false, message, code end
    end
    local result, message, code = poll()
    if result ~= nil then return result or nil, message, code end
    local interest <close> = self:interest(mode) -- luacheck: ignore interest
    return sched.wait(poll, timeout)
end

local function check_timeout(what, timeout)
    if timeout ~= nil then argument.seconds(what .. ": timeout", timeout, 4) end
end

-- ---- what a socket does ----------------------------------------------------------------------

-- Waits for a connection; a socket, or nil, message, code ("timeout", "closed").
function Socket:accept(timeout)
    check_timeout("socket:accept", timeout)
    local accepted, message, code = retry(self, "r", timeout, function()
        local made, text, errno = self.core:accept()
        if errno == "ECONNABORTED" or errno == "EINTR" then errno = "EAGAIN" end
        return made, text, errno
    end)
    if not accepted then return nil, message, code end
    return wrap(accepted)
end

-- What is there now, at most max bytes (65536): bytes, "" at the end, or nil, message, code, which
-- is "EAGAIN" when there is nothing.
function Socket:try_read(max)
    if self.closed then return nil, "the socket is closed", "closed" end
    return self.core:read(max or READ_BYTES)
end

-- Waits for bytes, at most max (65536) of them; "" at the end, when the peer has closed.
function Socket:read(max, timeout)
    check_timeout("socket:read", timeout)
    return retry(self, "r", timeout, function()
        return self:try_read(max)
    end)
end

-- Writes all bytes, waiting for room; true. What a timeout has cut is lost to the peer in part.
function Socket:write(bytes, timeout)
    argument.type("socket:write: bytes", bytes, "string")
    check_timeout("socket:write", timeout)
    local from = 1
    local ok, message, code = retry(self, "w", timeout, function()
        while from <= #bytes do
            local count, text, errno = self.core:write(bytes, from)
            if not count then return nil, text, errno end
            from = from + count
        end
        return true
    end)
    return ok, message, code
end

-- No more is written: the peer reads the end after what was. Reading goes on.
function Socket:finish()
    if self.closed then return nil, "the socket is closed", "closed" end
    return self.core:finish()
end

-- The fd, for vmm.watch; it belongs to the socket.
function Socket:fd()
    return self.core:fd()
end

-- The local TCP port; nil for a unix socket.
function Socket:port()
    return self.core:port()
end

-- Closes it; idempotent. Whoever waits for it gets nil, message, "closed". The file of a listening
-- unix socket goes.
function Socket:close()
    if self.closed then return end
    self.closed = true
    update_watch(self)
    self.core:close()
    core.wake()
end

Socket.__close = Socket.close
Socket.__gc = Socket.close

function Socket:__tostring()
    return "vmm.socket: " .. (self.closed and "closed" or "fd " .. self.core:fd())
end

-- ---- making them -----------------------------------------------------------------------------

-- Checks { unix = path } or { tcp = port, host = address } and what else `names` says. Raises at
-- the line of who called the function that calls this; returns the place alone.
function socket.check_place(what, options, least_port, names, level)
    level = level or 4
    options = argument.options(what, options, { "unix", "tcp", "host", table.unpack(names or {}) },
        level)
    local place = { unix = options.unix, tcp = options.tcp, host = options.host }
    if (place.unix == nil) == (place.tcp == nil) then
        error(("%s: give one of: unix, tcp"):format(what), level - 1)
    end
    for _, key in ipairs { "unix", "host" } do
        if place[key] ~= nil then
            argument.type(("%s: %s"):format(what, key), place[key], "string", level)
        end
    end
    if place.tcp ~= nil then
        argument.integer(what .. ": tcp", place.tcp, least_port, PORT_MAX, level)
    end
    return place
end

-- vmm.listen{ unix = path } or { tcp = port, host = "127.0.0.1" } -> socket, or nil, message, code.
-- Port 0: one that is free. What is at the path already is replaced only if it is a socket that
-- nobody listens on any more; only this user may connect to it.
function socket.listen(options)
    local place = socket.check_place("vmm.listen", options, 0)
    local made, message, code = core.socket.listen(place)
    if not made then return nil, message, code end
    return wrap(made)
end

-- vmm.connect{ unix = path } or { tcp = port, host = "127.0.0.1", timeout = seconds } -> socket, or
-- nil, message, code. host is an IP address or "localhost".
function socket.connect(options)
    local place = socket.check_place("vmm.connect", options, 1, { "timeout" })
    local timeout = options.timeout
    local deadline = timeout and core.now() + timeout
    while true do
        local made, connected, code = core.socket.connect(place)
        if made then
            local self = wrap(made)
            if connected then return self end
            return socket.await_connected(self, deadline and deadline - core.now())
        elseif code ~= "EAGAIN" then
            return nil, connected, code
        elseif deadline and core.now() >= deadline then
            return nil, "timeout", "timeout"
        end
        sched.sleep(RETRY_SECONDS)
    end
end

-- Waits until a connection that is being made is there, or refused.
function socket.await_connected(self, timeout)
    local ready = false
    local watch <close> = assert(core.watch(self.core:fd(), "w", function()
        ready = true
    end))
    local ok, message, code = sched.wait(function()
        if ready then return true end
    end, timeout)
    if ok then
        ok, message, code = self.core:connected()
    end
    watch:close()
    if ok then return self end
    self:close()
    return nil, message, code
end

return socket
