---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The API of sockets for scripts: vmm.listen and vmm.connect.
--
-- Waits let other tasks and events go on; a timeout (seconds, nil: none) returns
-- nil, "timeout", "timeout".

---Listens on a unix socket, or on a TCP port of the loopback interface (another host: an IP address, by
---which who listens is seen).  At a unix path a socket that nobody listens on any more is replaced, what
---else is there is "EADDRINUSE"; only this user may connect (mode 0600).  TCP port 0: one that is free.
---@param where { unix: string } | { tcp: integer, host?: string }
---@return vmm.socket? listener, string? message, string? code
function vmm.listen(where) end

---Connects to such a socket.  host: an IP address or "localhost" (127.0.0.1).
---@param where { unix: string, timeout?: number } | { tcp: integer, host?: string, timeout?: number }
---@return vmm.socket? socket, string? message, string? code
function vmm.connect(where) end

---One end of a connection, or what listens for them.
---@class vmm.socket
local socket = {}
---Waits for a connection.
---@param timeout? number
---@return vmm.socket? socket, string? message, string? code
function socket:accept(timeout) end
---Waits for bytes, at most max (65536) of them; "" when the peer has closed.
---@param max? integer
---@param timeout? number
---@return string? bytes, string? message, string? code
function socket:read(max, timeout) end
---The same without a wait: code "EAGAIN" when there is nothing.
---@param max? integer
---@return string? bytes, string? message, string? code
function socket:try_read(max) end
---For a wait of one's own around try_read: until the result is closed, steps of the loop come back when
---the socket is readable ("r") or writable ("w").
---@param mode "r"|"w"
---@return table interest  to be closed, by <close>
function socket:interest(mode) end
---Writes all bytes and waits for room.  After a timeout the peer has got a part of them.
---@param bytes string
---@param timeout? number
---@return true? ok, string? message, string? code
function socket:write(bytes, timeout) end
---No more will be written: the peer reads the end after what was (a half-close).  Reading goes on.
---@return true? ok, string? message, string? code
function socket:finish() end
---It belongs to the socket.
---@return integer fd
function socket:fd() end
---The local TCP port, nil for a unix socket.
---@return integer? port
function socket:port() end
---Idempotent; also by <close> and garbage collection.  Whoever waits for it gets nil, message, "closed".
---The file of a unix socket that listens is removed.
function socket:close() end
