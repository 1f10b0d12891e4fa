-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A guest's sockets for scripts: vm:vsock_connect, vm:vsock_listen.

local argument = require "vmm.argument"
local core = require "vmm.core"
local socket = require "vmm.socket"

local methods = core.classes["vmm.vm"]

local MAX_PORT = 0xfffffffe
local ANSWER_BYTES = 32 -- "OK <port>\n" has fewer

local function path_of(vm, what)
    local vsock = vm.vsock
    if not vsock then
        error(("vm:%s: the machine has no vsock device: vmm.vm{ vsock = { path = ... } }")
            :format(what), 3)
    end
    return vsock.path
end

local function check_port(what, port)
    argument.check(math.type(port) == "integer" and port >= 0 and port <= MAX_PORT,
        ("vm:%s: port"):format(what), ("an integer from 0 to %d"):format(MAX_PORT), port, 4)
end

-- Byte by byte: what follows the line is the caller's.
local function read_line(connection, deadline)
    local line = ""
    while #line < ANSWER_BYTES do
        local byte, message, code = connection:read(1, deadline and deadline - core.now())
        if not byte then return nil, message, code end
        if byte == "\n" then return line end
        if byte == "" then return nil, nil, "ECONNREFUSED" end
        line = line .. byte
    end
    return line
end

-- Connects to a program in the guest that listens on a port of its CID; a socket, or nil, message,
-- code: "ECONNREFUSED" when nobody listens, "timeout". It waits until the guest has a driver.
-- options: timeout (seconds).
function methods:vsock_connect(port, options)
    local path = path_of(self, "vsock_connect")
    check_port("vsock_connect", port)
    argument.options("vm:vsock_connect", options, { "timeout" })
    local timeout = options and options.timeout
    local deadline = timeout and core.now() + timeout
    local connection, message, code = socket.connect { unix = path, timeout = timeout }
    if not connection then return nil, message, code end
    local ok, line
    ok, message, code = connection:write(("CONNECT %d\n"):format(port))
    if ok then
        line, message, code = read_line(connection, deadline)
    end
    if line and line:find "^OK %d+$" then return connection end
    connection:close()
    if code == "ECONNREFUSED" or code == "ECONNRESET" or code == "EPIPE" then
        return nil, ("nobody listens on port %d of the guest"):format(port), "ECONNREFUSED"
    end
    return nil, message or "not the answer of a vsock device: " .. line, code or "EPROTO"
end

-- Listens for the guest's connections to CID 2 and a port; a socket whose accept gives them, or
-- nil, message, code.
function methods:vsock_listen(port)
    local path = path_of(self, "vsock_listen")
    check_port("vsock_listen", port)
    return socket.listen { unix = ("%s_%d"):format(path, port) }
end

return methods
