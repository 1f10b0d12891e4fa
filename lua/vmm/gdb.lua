-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- vm:gdb{...}: a VM served to a debugger that speaks gdb's remote protocol.

local argument = require "vmm.argument"
local core = require "vmm.core"
local sched = require "vmm.sched"
local session = require "vmm.gdb.session"
local socket = require "vmm.socket"

local gdb = {}

local RETRY_SECONDS = 0.1 -- after a connection that could not be accepted, for want of fds

local Server = { __name = "vmm.gdb" }
Server.__index = Server

-- One debugger at a time; the next one waits in the socket's queue.
local function serve(self)
    while not self.closed do
        local connection <close>, _, code = self.listener:accept()
        if connection then
            self.connection = connection
            self.session = session.new(self.vm, connection, self.options)
            self.session:run()
            self.session, self.connection = nil, nil
            self.left = self.left + 1
            if self.ended then self:close() end
        elseif code ~= "closed" then
            sched.sleep(RETRY_SECONDS)
        end
    end
end

-- The VM has ended: a debugger that is there is told so by its session.
local function on_end(self)
    self.ended = true
    if self.vm.closed or not self.session then self:close() end
    core.wake()
end

-- vm:gdb{ unix = path } or { tcp = port } -> server, whose path or port gdb's "target remote"
-- takes; or nil, message, code. Debuggers are served, one at a time, while the script waits, until
-- server:close() or the VM's end.
--   host     for TCP: "127.0.0.1"; whoever can connect owns the guest
--   lua      true: "monitor lua" may evaluate Lua
--   symbols  the file that "monitor symbols" writes: the symbols of the guest's kernel
function gdb.serve(vm, options)
    if vm.closed then error("vm:gdb: the VM is closed", 2) end
    local place = socket.check_place("vm:gdb", options, 0, { "lua", "symbols" })
    if options.symbols ~= nil then argument.type("vm:gdb: symbols", options.symbols, "string") end
    if options.lua ~= nil then argument.type("vm:gdb: lua", options.lua, "boolean") end
    if type(vm.vcpus) ~= "table" or not vm.vcpus[1] then
        error("vm:gdb: the VM has no vCPU (in vm.vcpus)", 2)
    end
    local listener, message, code = socket.listen(place)
    if not listener then return nil, message, code end
    local self = setmetatable({
        vm = vm,
        listener = listener,
        options = { lua = options.lua, symbols = options.symbols },
        left = 0, -- debuggers, that wait has not told of
        path = options.unix,
        port = listener:port(),
    }, Server)
    self.subscription = vm:on("stop", function()
        on_end(self)
    end)
    self.task = sched.spawn(serve, self)
    return self
end

-- Ends it; idempotent. A debugger that is there loses its connection, what it set is taken away.
function Server:close()
    if self.closed then return end
    self.closed = true
    self.listener:close()
    if self.connection then self.connection:close() end
    if self.session then self.session:finish() end
    if self.subscription then self.subscription:remove() end
end

-- Waits until a debugger has left that was there since the server was made, or the last wait: true,
-- or nil, message, "timeout" or "closed".
function Server:wait(timeout)
    if timeout ~= nil then argument.seconds("server:wait: timeout", timeout) end
    return sched.wait(function()
        if self.left > 0 then
            self.left = self.left - 1
            return true
        end
        if self.closed and not self.session then return false, "the server is closed", "closed" end
    end, sched.scaled(timeout))
end

Server.__close = Server.close

function Server:__tostring()
    return ("vmm.gdb: %s%s"):format(self.path or "port " .. self.port,
        self.closed and ", closed" or self.session and ", a debugger is there" or "")
end

core.classes["vmm.vm"].gdb = gdb.serve

return gdb
