-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A shell script on a pseudo-terminal, typed at and read from; made by util-linux's script.

local process = require "vmm.process"

local pty = {}
pty.__index = pty

-- Can a session be had here, and the program run guests in it?
function pty.available()
    return process.which "script" and process.which "stty" and process.is_readable "/dev/kvm"
end

local function write_file(path, text)
    local file <close> = assert(io.open(path, "w"))
    file:write(text)
end

-- The session's last words. It stays until they have been read: `script` drops what is still on
-- its way 10 ms after bash has ended.
local END = "[end of the session]"

-- Starts bash with the text of a script on a new terminal; it ends after `seconds` (60) at the
-- latest, which the next expect reports.
function pty.open(text, seconds)
    local directory = os.tmpname()
    os.remove(directory)
    local keys, ended = directory .. "/keys", directory .. "/end"
    assert(os.execute(("mkdir %s && mkfifo %s %s"):format(directory, keys, ended)))
    write_file(directory .. "/script", table.concat({
        'echo "tty=$(tty)."', text, ('printf "%s"; read <%s'):format(END, ended), "",
    }, "\n"))
    local self = setmetatable({ directory = directory, seen = "" }, pty)
    self.output = assert(io.popen(
        ("timeout -k 1 %d script -qefc 'bash %s/script' /dev/null <%s/keys 2>&1"):format(
            seconds or 60, directory, directory)))
    self.started = os.time()
    self.output:setvbuf "no"
    self.keys = assert(io.open(directory .. "/keys", "w"))
    self.keys:setvbuf "no"
    self.path = self:expect "^tty=(%S+)%.\r\n"
    return self
end

-- Types.
function pty:send(keys)
    assert(self.keys:write(keys))
end

-- Reads on until a Lua pattern has shown in what came since the last match; returns its
-- captures.
function pty:expect(pattern)
    local results
    repeat
        results = table.pack(self.seen:find(pattern))
        if not results[1] then
            local char = self.output:read(1)
            if not char then
                local _, how, code = self.output:close()
                self.output = nil
                error(("the session ended (%s %d) after %d s without %q; it showed:\n%s"):format(
                    how, code, os.time() - self.started, pattern, self.seen), 2)
            end
            self.seen = self.seen .. char
        end
    until results[1]
    self.seen = self.seen:sub(results[2] + 1)
    return table.unpack(results, 3, results.n)
end

-- Waits until a word shows among the terminal's settings, as stty -a names them.
function pty:await_setting(word)
    local shown = ("stty -F %s -a | grep -q -w -e %s"):format(self.path, word)
    if not os.execute(("timeout 10 sh -c 'until %s; do :; done'"):format(shown)) then
        error(("the terminal's settings do not become %s"):format(word), 2)
    end
end

-- Reads to the end; all that came since the last match, without carriage returns.
function pty:finish()
    local rest = self:expect("^(.*)" .. END:gsub("%p", "%%%0"))
    write_file(self.directory .. "/end", "\n")
    self.output:read "a"
    return (rest:gsub("\r", ""))
end

function pty:__close()
    self.keys:close()
    if self.output then self.output:close() end
    os.execute("rm -r " .. self.directory)
end

return pty
