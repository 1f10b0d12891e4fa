-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The lab: a throwaway host with emulated AMD SVM that runs this program's command line, for
-- machines that offer no VMX/SVM themselves.

local guests = require "vmm.guests"
local host = require "vmm.lab.host"
local initramfs = require "vmm.initramfs"
local inside = require "vmm.lab.inside"
local payload = require "vmm.lab.payload"
local process = require "vmm.process"

local lab = {}

local MODULES = { "kvm-amd", "virtio_pci", "virtio_console" }
local DISK_MODULE = "virtio_blk"

local USAGE = [[
usage: vmm-reference lab [lab options --] [args...]
Run "vmm-reference args..." in a throwaway host with emulated AMD SVM (QEMU). Files named by
args are carried in, the output and the exit code out. Lab options need the "--" after them:
  --memory size_mib=N   memory of the lab (default 3072)
  --cpus N              its CPUs (default 1)
  --timeout SECONDS     end the program after that time with exit code 124 (default: none)
  --boot-timeout SECONDS  how long the lab may take to start (default 120)
  --program PATH        run this program instead of vmm-reference
  --file PATH           carry this file or directory in as well (repeatable)
  --disk FILE           give the lab this file as a disk, /dev/vda and so on (repeatable)
  --readonly-disk FILE  the same, read only: many labs may have it
  --out DIR             copy what the program leaves in /out to DIR
  --busted              carry the busted test runner and its Lua modules in (the command test has
                        them without)
]]

-- One CPU: QEMU 7.2, which is Debian 12's, translates code while another emulated CPU may be
-- patching it, and then goes on with what it read. Kernels patch themselves all the time, so with
-- more CPUs guests die of triple faults, or the lab itself hangs in an int3 that is long gone.
local DEFAULTS = { memory_mib = 3072, cpus = 1, run_limit = 0, boot_limit = 120 }

local function number(low, high)
    return function(options, key, word, value)
        local n = value and value:match("^%d+$") and tonumber(value)
        if not n or n < low or n > high then
            return nil, ("%s: %s is not a whole number from %d to %d")
                :format(word, tostring(value), low, high)
        end
        options[key] = n
        return true
    end
end

local function text(options, key, word, value)
    if not value or value == "" then
        return nil, word .. ": needs a value"
    end
    options[key] = value
    return true
end

local function memory(options, key, word, value)
    return number(256, 1 << 20)(options, key, word, value and value:gsub("^size_mib=", ""))
end

local function file(options, key, word, value)
    options[key] = options[key] or {}
    return text(options[key], #options[key] + 1, word, value)
end

local function disk(readonly)
    return function(options, key, word, value)
        options[key] = options[key] or {}
        table.insert(options[key], { path = value, readonly = readonly })
        return text({}, key, word, value)
    end
end

-- Option to { key of the options table, parser } or, without a value, { key }.
local OPTIONS = {
    ["--memory"] = { "memory_mib", memory },
    ["--cpus"] = { "cpus", number(1, 64) },
    ["--timeout"] = { "run_limit", number(1, 86400) },
    ["--boot-timeout"] = { "boot_limit", number(1, 86400) },
    ["--program"] = { "program", text },
    ["--file"] = { "files", file },
    ["--disk"] = { "disks", disk(false) },
    ["--readonly-disk"] = { "disks", disk(true) },
    ["--out"] = { "out_directory", text },
    ["--busted"] = { "busted" },
}

--- Split a lab's command line into the lab's options and the program's arguments.
-- What precedes "--" is the lab's if all of it is options of the lab; else all is the program's.
-- Returns options (args among them), or nil and a message.
function lab.parse(args)
    local options = {}
    local index, wrong = 1, nil
    while OPTIONS[args[index]] do
        local key, parser = table.unpack(OPTIONS[args[index]])
        local ok, message = true, nil
        if parser then
            ok, message = parser(options, key, args[index], args[index + 1])
            index = index + 2
        else
            options[key] = true
            index = index + 1
        end
        wrong = wrong or not ok and message or nil
    end
    if args[index] == "--" then
        options.args = table.move(args, index + 1, #args, 1, {})
    else
        options, wrong = { args = args }, nil
    end
    return not wrong and options or nil, wrong
end

-- The directory this Lua library was read from, or nil when it is embedded in the program.
local function library_directory(directory)
    local path = package.searchpath("vmm.lab", package.path)
    return path and payload.absolute(directory, path):match("^(.*)/lab%.lua$")
end

-- Environment the program sees: ours where it concerns it, and the lab's own facts.
local function environment(directory, extra)
    local result = { VMM_TIMEOUT_SCALE = "10" }
    for name, value in pairs(process.environment()) do
        if name:find("^VMM_[%w_]+$") or name:find("^LUA_[%w_]+$")
                or name == "TERM" or name == "LANG" then
            result[name] = value
        end
    end
    result.VMM_LAB, result.VMM_CACHE = "1", guests.cache()
    local library = library_directory(directory)
    if library then
        local top = library:match("^(.*)/")
        result.LUA_PATH = ("%s/?.lua;%s/?/init.lua;%s"):format(top, top, result.LUA_PATH or ";")
    end
    for name, value in pairs(extra or {}) do
        result[name] = value
    end
    return result
end

-- Debian's busted: a script, Lua modules, and C modules with their libraries.
local BUSTED = { "/usr/bin/busted", "/usr/share/lua/5.4", "/usr/lib/x86_64-linux-gnu/lua/5.4" }

-- The program's host path, or nil and a message.
local function find_program(name, directory)
    local path = not name and process.executable()
        or name:find("/", 1, true) and payload.absolute(directory, name) or process.which(name)
    if not path or not process.stat1(path) then
        return nil, ("--program %s: no such program"):format(name)
    end
    return path
end

-- Add the program and all it needs; returns its path, or nil and a message.
local function add_payload(tree, options, directory)
    local program, message = find_program(options.program, directory)
    if not program then
        return nil, message
    end
    local files = guests.files()
    for _, path in ipairs(options.files or {}) do
        files[#files + 1] = payload.absolute(directory, path)
        if not process.stat1(files[#files]) then
            return nil, ("--file %s: no such file or directory"):format(path)
        end
    end
    files[#files + 1] = library_directory(directory)
    files[#files + 1] = "/etc/ld.so.cache"
    if options.busted or options.args[1] == "test" then
        table.move(BUSTED, 1, #BUSTED, #files + 1, files)
    end
    for _, path in ipairs(files) do
        payload.add(tree, path)
    end
    payload.add_named(tree, directory, options.args)
    payload.add_program(tree, program)
    return program
end

-- Disks are where their files are, as well.
local function link_disks(tree, disks, directory)
    for index, one in ipairs(disks or {}) do
        local path = payload.absolute(directory, one.path)
        if not path:find "^/dev/" then
            tree:symlink(path, "/dev/vd" .. string.char(("a"):byte() + index - 1))
        end
    end
end

-- Compose the lab's initramfs at path; returns true, or nil and a message.
local function compose(path, options, kernel)
    local directory = process.current_directory()
    local tree = initramfs.new()
    local ok, message = tree:busybox()
    local modules = table.move(MODULES, 1, #MODULES, 1, {})
    if options.disks and options.disks[1] then
        modules[#modules + 1] = DISK_MODULE
    end
    local order = ok and tree:modules(kernel.modules, modules)
    if not order then
        return nil, message
    end
    for _, name in ipairs { "/proc", "/sys", "/dev", "/tmp", "/root", "/out", directory } do
        tree:directory(name)
    end
    tree:device("/dev/console", "c", 5, 1)
    local program
    program, message = add_payload(tree, options, directory)
    if not program then
        return nil, message
    end
    link_disks(tree, options.disks, directory)
    tree:file("/etc/passwd", "root::0:0:root:/root:/bin/sh\n")
    tree:file("/etc/group", "root:x:0:\n")
    tree:file("/etc/hosts", "127.0.0.1 localhost lab\n")
    tree:file("/init", inside.INIT, 0x1ed)
    tree:file("/lab/modules", table.concat(order, "\n") .. "\n")
    tree:file("/lab/ports", table.concat(host.ports(options), "\n") .. "\n")
    if options.terminal then
        tree:file("/lab/terminal", "")
    end
    if not options.program then
        tree:file("/lab/program", program .. "\n")
        tree:file("/lab/hold.lua", inside.HOLD)
    end
    local argv = table.move(options.args, 1, #options.args, 2, { program })
    local variables = environment(directory, options.environment)
    tree:file("/lab/run", inside.run(directory, variables, argv), 0x1ed)
    return tree:write(path)
end

-- Is the user at a terminal, with stdin and stdout?
local function at_terminal()
    return process.run { "test", "-t", "0", "-a", "-t", "1" } == 0
end

--- Run a command line in a lab.
-- options: args (array); program (default: the running one); memory_mib, cpus; boot_limit,
-- run_limit (seconds, 0: none); files (host paths to carry in); disks ({ path = of a raw image,
-- readonly = }, which are the lab's /dev/vda and so on, and at their own paths: what it has flushed
-- is there, however it ends); out_directory
-- (where what is left in /out goes); busted (true: carry the test runner in); environment
-- (variables to add); input (false: an empty stdin, and no terminal).
-- Returns the program's exit code, 124 after a time-out, 125 with its messages on stderr when the
-- lab failed, or nil and a message when there can be no lab.
function lab.run(options)
    local settings = {}
    for _, source in ipairs { DEFAULTS, options } do
        for key, value in pairs(source) do
            settings[key] = value
        end
    end
    settings.qemu = settings.qemu or process.which("qemu-system-x86_64")
    if not settings.qemu then
        return nil, "no qemu-system-x86_64 on this host; install Debian's qemu-system-x86"
    end
    for _, one in ipairs(settings.disks or {}) do
        if not process.stat1(one.path) then
            return nil, ("--disk %s: no such file"):format(one.path)
        end
    end
    local kernel, message = guests.kernel("cloud-amd64")
    if not kernel then
        return nil, message
    end
    local scratch
    scratch, message = process.temporary_directory("vmm-lab")
    if not scratch then
        return nil, message
    end
    settings.kernel, settings.initrd, settings.scratch =
        kernel.path, scratch .. "/initrd", scratch
    settings.terminal = settings.input ~= false and at_terminal()
    local ok
    ok, message = compose(settings.initrd, settings, kernel)
    if ok and settings.out_directory then
        ok, message = process.make_directory(settings.out_directory)
    end
    if not ok then
        process.remove(scratch)
        return nil, message
    end
    return process.run(host.command(settings),
        { die_with_parent = true, input = settings.input })
end

--- The command: "vmm-reference lab args..."; returns an exit code (125: the lab failed).
function lab.main(args)
    if args[1] == "--help" and #args == 1 then
        io.stdout:write(USAGE)
        return 0
    end
    local options, message = lab.parse(args)
    local code
    if options then
        code, message = lab.run(options)
    end
    if not code then
        io.stderr:write("vmm-reference: lab: ", message, "\n")
    end
    return code or options and 125 or 2
end

return lab
