-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Run host programs and ask the host about files: the one place that starts processes.

local process = {}

--- Quote one word for a POSIX shell.
function process.quote(word)
    return "'" .. word:gsub("'", "'\\''") .. "'"
end

--- Turn an argument vector into a shell command.
function process.command(argv)
    local words = {}
    for index, word in ipairs(argv) do
        words[index] = process.quote(word)
    end
    return table.concat(words, " ")
end

-- An exit code as a shell gives it: 128 + n when signal n ended the program.
local function exit_code(kind, code)
    return kind == "signal" and 128 + code or code
end

--- Run argv with our own stdin, stdout and stderr; returns its exit code.
-- options: die_with_parent (it gets SIGTERM when this process ends first), input (false: an
-- empty stdin).
function process.run(argv, options)
    options = options or {}
    local command = process.command(argv)
    if options.input == false then
        command = command .. " </dev/null"
    end
    if options.die_with_parent then
        command = "exec setpriv --pdeathsig TERM " .. command
    end
    local _, kind, code = os.execute(command)
    return exit_code(kind, code)
end

--- Run argv without stdin, in the C locale, and collect what it writes.
-- options: directory (run there), stderr ("inherit", "merge", default discarded).
-- Returns its stdout on exit code 0, else nil, its stdout, the exit code.
function process.capture(argv, options)
    options = options or {}
    local command = "export LC_ALL=C; " .. process.command(argv) .. " </dev/null"
    if options.directory then
        command = "cd " .. process.quote(options.directory) .. " && { " .. command .. "; }"
    end
    if options.stderr == "merge" then
        command = "{ " .. command .. "; } 2>&1"
    elseif options.stderr ~= "inherit" then
        command = "{ " .. command .. "; } 2>/dev/null"
    end
    local pipe = assert(io.popen(command, "r"))
    local output = pipe:read("a")
    local ok, kind, code = pipe:close()
    if ok then
        return output
    end
    return nil, output, exit_code(kind, code)
end

--- The first line a program writes, nil if it fails or writes none.
function process.line(argv, options)
    local output = process.capture(argv, options)
    return output and output:match("^([^\n]+)")
end

--- Absolute path of the program that runs this code.
function process.executable()
    return require("vmm.core").executable
end

--- Is it root's?
function process.is_root()
    return process.line { "id", "-u" } == "0"
end

--- The current directory, as the user's shell names it.
function process.current_directory()
    return process.line { "pwd" }
end

--- The environment this process was started with: a table of name to value.
function process.environment()
    local result = {}
    local file = io.open("/proc/self/environ", "rb")
    if file then
        for name, value in file:read("a"):gmatch("([^=%z]+)=(%Z*)") do
            result[name] = value
        end
        file:close()
    end
    return result
end

--- Make a private directory with a new name that begins with name, in the directory given or in
-- the host's place for temporary files. Returns its path, or nil and a message.
function process.temporary_directory(name, directory)
    directory = directory or os.getenv("TMPDIR") or "/tmp"
    local output, why = process.capture({ "mktemp", "-d", directory .. "/" .. name .. ".XXXXXX" },
        { stderr = "merge" })
    if not output then
        return nil, "cannot make a temporary directory: " .. why:match("[^\n]*")
    end
    return output:match("[^\n]+")
end

--- Make a directory and its parents; returns true, or nil and a message.
function process.make_directory(path)
    local ok, output = process.capture({ "mkdir", "-p", "--", path }, { stderr = "merge" })
    return ok and true, not ok and output:gsub("\n.*", "") or nil
end

--- Remove a file or a whole directory.
function process.remove(path)
    return process.capture { "rm", "-rf", "--", path } ~= nil
end

--- Ask about many paths at once, following symbolic links.
-- Returns a table: path to { kind = "file" | "directory" | "other", mode, size, mtime, mtime_ns },
-- without those that do not exist.
function process.stat(paths)
    local result = {}
    for _, path in ipairs(paths) do
        result[path] = process.stat1(path)
    end
    return result
end

--- Can the file be read?
function process.is_readable(path)
    local file = io.open(path, "rb")
    return file ~= nil and file:close()
end

--- The path of the host program called name, searched for in PATH, or nil.
function process.which(name)
    for directory in (os.getenv("PATH") or "/usr/bin:/bin"):gmatch("[^:]+") do
        local path = directory .. "/" .. name
        if process.is_readable(path) then
            return path
        end
    end
end

--- The same about one path, or nil.
function process.stat1(path)
    return require("vmm.core").file_status(path)
end

--- List the regular files below a directory (symbolic links followed), hidden directories left out.
-- pattern: a shell pattern for the file's name, "*" for all.
function process.find(directory, pattern)
    local result = {}
    local output = process.capture { "find", "-L", directory, "-mindepth", "1",
        "-name", ".*", "-prune", "-o", "-type", "f", "-name", pattern, "-print0" }
    for path in (output or ""):gmatch("%Z+") do
        result[#result + 1] = path
    end
    table.sort(result)
    return result
end

return process
