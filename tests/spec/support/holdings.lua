-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What this process holds, for specs that want nothing left behind.

-- Not by io.popen: the program may list while this process has both ends of the pipe.
local function count(directory)
    local path = os.tmpname()
    assert(os.execute(("ls %s >%s"):format(directory, path)))
    local n = 0
    for _ in io.lines(path) do
        n = n + 1
    end
    os.remove(path)
    return n
end

-- What a process holds: of its own, not of the shell that lists.
local function holdings()
    local stat = io.open "/proc/self/stat"
    local pid = stat:read "n"
    stat:close() -- not when it is collected: it would be counted, or not
    local maps = 0
    for _ in io.lines "/proc/self/maps" do
        maps = maps + 1
    end
    return {
        fds = count(("/proc/%d/fd"):format(pid)),
        threads = count(("/proc/%d/task"):format(pid)),
        maps = maps,
    }
end

return holdings
