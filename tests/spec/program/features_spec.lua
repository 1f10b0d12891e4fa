-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Builds by make FEATURES=...: all, the least, and all but each block in turn. What is left out is
-- really gone, what is left works, and using what is gone gets one line.

local host = require "tests.spec.support.host"
local process = require "vmm.process"

local it_with_kvm = host.with_kvm(it, pending)

local DIRECTORY = ".build/features"

-- Lua that uses a block; false: nothing a script could call.
local USES = {
    serial = "vmm.serial {}",
    i8042 = "vmm.i8042 {}",
    rtc = "vmm.rtc {}",
    pvpanic = "vmm.pvpanic {}",
    debug_port = "vmm.debug_port {}",
    acpi = "vmm.acpi_power {}",
    mptable = "vmm.mptable",
    tap = "vmm.kvm():create_vm():tap {}",
    doorbell = "vmm.kvm():create_vm():doorbell {}",
    elf = "vmm.load.elf()",
    bzimage = "vmm.load.unpack()",
    pty = 'vmm.vm { console = "pty" }',
    unix = 'vmm.vm { console = "unix=/nowhere" }',
    disassemble = "vmm.kvm():create_vm():disassemble(0, 1)",
    virtio = "vmm.virtio_rng {}",
    pci = "vmm.pci_host {}",
    socket = "vmm.listen { tcp = 0 }",
    line_editor = 'require("vmm.core").line_editor(1)',
    metrics = "vmm.kvm():create_vm():metrics()",
    debug = "vmm.kvm():create_vm():debug_support()",
    symbols = 'vmm.kvm():create_vm():symbol "jiffies"',
    gdb = 'vmm.kvm():create_vm():gdb { unix = "/nowhere" }',
    guests = 'require "vmm.guests"',
    lab = 'require "vmm.lab"',
    scenario = 'require "vmm.scenario"',
    user_net = "vmm.net_user {}",
    vhost_user = "vmm.vhost_user {}",
}
for _, format in ipairs { "gzip", "xz", "bzip2", "lz4", "zstd" } do
    local code = "vmm.load.unpack(vmm.load.open 'tests/fuzz/corpus/bzimage/%s')"
    USES[format] = code:format(format)
end

local function shell(command, ...)
    local output, partial, code = process.capture(
        { "sh", "-c", command, "sh", ... }, { stderr = "merge" })
    return output or partial, code or 0
end

-- make says this and that of what it compiles, indented.
local function make(features, directory, target)
    return shell([[env -u MAKEFLAGS make -s FEATURES="$1" F="$2" "$3" 2>&1 | grep -v '^  '; :]],
        features, directory, target)
end

-- The program built with some features; its path.
local function build(name, features)
    local directory = DIRECTORY .. "/" .. name
    local program = directory .. "/release/vmm-reference"
    assert.equal("", make(features, directory, program))
    return program
end

-- Boots a tiny guest, where there is KVM; where there is none, a test of that name is skipped.
local function smoke(program)
    if not host.has_kvm then return end
    assert.equal("PASS\n", (shell([[
        timeout 60 "$1" tests/support/smoke.lua .build/guest/hello.bin]], program)))
end

-- What `make features` lists: { name =, libraries = {...}, sources = {...}, scripts = {...} }.
local blocks = {}
for line in shell("env -u MAKEFLAGS make -s features"):gmatch "[^\n]+" do
    local block = { name = line:match "^[%w_]+", libraries = {}, sources = {}, scripts = {} }
    for word in line:gmatch "%S+" do
        local list = word:find "^%-l" and block.libraries or word:find "%.c$" and block.sources
            or word:find "%.lua$" and block.scripts
        if list then
            list[#list + 1] = word
        end
    end
    blocks[#blocks + 1] = block
end

local function object(source)
    return ".build/release/" .. source:gsub("%.c$", ".o")
end

-- Which of the functions of a block's C files a program has.
local function symbols_left(program, block)
    if #block.sources == 0 then return "" end
    local objects = {}
    for _, source in ipairs(block.sources) do
        objects[#objects + 1] = object(source)
    end
    return (shell([[
        program=$1; shift
        theirs=$(nm -g --defined-only "$@" | awk 'NF == 3 { print $3 }')
        test -n "$theirs" || echo "no symbols in $*"
        nm --defined-only "$program" | awk '{ print $3 }' | grep -Fx "$theirs"; :]],
        program, table.unpack(objects)))
end

-- Which of the shared libraries and Lua files of a block a program has, and which of the
-- libraries that its C files open by name.
local function files_left(program, block)
    local left = {}
    local linked = shell([[ldd "$1"]], program)
    for _, library in ipairs(block.libraries) do
        local name = "lib" .. library:sub(3) .. ".so"
        left[#left + 1] = linked:find(name, 1, true) and name
    end
    local file <close> = assert(io.open(program, "rb"))
    local bytes = file:read "a"
    for _, script in ipairs(block.scripts) do
        left[#left + 1] = bytes:find(script .. "\0", 1, true) and script
    end
    for _, source in ipairs(block.sources) do
        local text <close> = assert(io.open(source))
        for name in text:read("a"):gmatch '"(lib[%w_]+%.so[%d.]*)"' do
            left[#left + 1] = bytes:find(name, 1, true) and name
        end
    end
    return left
end

-- What a program says to code that uses a block.
local function use(program, code)
    return (shell([[timeout 20 "$1" -e "print(pcall(function() return $2 end))"]], program, code))
end

describe("make FEATURES", function()
    it("builds all by default, and vmm.features tells", function()
        local program = build("all", "all")
        smoke(program)
        local names = {}
        for _, block in ipairs(blocks) do
            names[#names + 1] = block.name
        end
        table.sort(names)
        assert.equal(table.concat(names, " ") .. "\n", (shell([["$1" -e '
            local names = {}
            for name, built in pairs(require("vmm").features) do
                names[#names + 1] = built and name or nil
            end
            table.sort(names)
            print(table.concat(names, " "))']], program)))
    end)

    it("builds what boots a flat guest, with the serial port alone", function()
        local program = build("minimal", "serial")
        smoke(program)
        assert.equal("features:      serial\n",
            (shell([["$1" --version | grep features]], program)))
        for _, block in ipairs(blocks) do
            if block.name ~= "serial" then
                assert.equal("", symbols_left(program, block))
                assert.same({}, files_left(program, block))
            end
        end
        if host.has_kvm then
            assert.equal("Hello from real mode\n",
                (shell([["$1" examples/01-flat.lua]], program)))
        end
    end)

    if not host.has_kvm then
        it_with_kvm "boots a tiny guest with each choice, and calls what is left out"
    end

    it("builds the library from the chosen blocks, too", function()
        local directory = DIRECTORY .. "/minimal"
        assert.equal("", make("serial", directory, directory .. "/release/libvmm.so.0"))
        assert.equal("vmm_serial_new\n", (shell([[
            nm -D --defined-only "$1" | awk '{ print $3 }' |
            grep -E '^vmm_(serial|rtc|i8042|elf|bzimage|pvpanic)_(new|load)$']],
            directory .. "/release/libvmm.so.0")))
    end)

    for _, block in ipairs(blocks) do
        it("leaves out " .. block.name, function()
            local program = build("without-" .. block.name, "-" .. block.name)
            smoke(program)
            assert.equal("", symbols_left(program, block))
            assert.same({}, files_left(program, block))
            local code = USES[block.name]
            assert.is_not_nil(code, "no code in this file uses " .. block.name)
            if code and (host.has_kvm or not code:find("kvm()", 1, true)) then
                assert.matches(('this build has no "%s" (make FEATURES=...)'):format(block.name),
                    use(program, code), 1, true)
            end
        end)
    end

    for _, case in ipairs {
        { "metrics", "--metrics path=/nowhere", "--metrics" },
        { "metrics", "--trace path=/nowhere", "--trace" },
        { "metrics", "top /nowhere", "top" },
        { "gdb", "--gdb tcp=0", "--gdb" },
        { "pty", "--console pty", "--console pty" },
    } do
        it(("without %s refuses %s in one line"):format(case[1], case[3]), function()
            local program = build("without-" .. case[1], "-" .. case[1])
            local said, code = shell(('"$1" %s'):format(case[2]), program)
            assert.equal(('vmm-reference: %s: this build has no "%s" (make FEATURES=...)\n'):format(
                case[3], case[1]), said)
            assert.equal(2, code)
        end)
    end

    it("finds each of them in the whole program, by the same means", function()
        local program = build("all", "all")
        for _, block in ipairs(blocks) do
            local left = #files_left(program, block)
            assert.is_true(symbols_left(program, block) ~= "" or left > 0, block.name)
            assert.is_true(left >= #block.libraries + #block.scripts, block.name)
        end
    end)

    it("compiles again what another choice concerns", function()
        build("change", "serial")
        assert.matches("^false", use(build("change", "rtc"), "vmm.serial {} or error()"))
        assert.matches("^true", use(build("change", "serial rtc"), "vmm.serial {} and vmm.rtc {}"))
    end)

    it("refuses a name that no block has, with the valid ones", function()
        assert.matches("FEATURES: unknown sereal; valid: all serial i8042 ",
            make("sereal", DIRECTORY .. "/none", "help"), 1, true)
    end)

    it("refuses a block without what it needs", function()
        assert.matches("FEATURES: gzip needs bzimage",
            make("serial gzip", DIRECTORY .. "/none", "help"), 1, true)
    end)
end)

describe("the command line of a build without", function()
    it("a console's kind, says so", function()
        local output, code = shell([["$1" --kernel path=x --console pty]],
            build("without-pty", "-pty"))
        assert.equal('vmm-reference: --console pty: this build has no "pty" (make FEATURES=...)\n',
            output)
        assert.equal(2, code)
    end)

    it("the lab, says so", function()
        local output, code = shell([["$1" lab --help]], build("without-lab", "-lab"))
        assert.equal('vmm-reference: lab: this build has no "lab" (make FEATURES=...)\n', output)
        assert.equal(2, code)
    end)

    it_with_kvm("ELF kernels, says so", function()
        local output, code = shell([["$1" --kernel path=.build/guest/hello.elf]],
            build("without-elf", "-elf"))
        assert.equal('vmm-reference: flow linux64: this build has no "elf" (make FEATURES=...)\n',
            output)
        assert.equal(1, code)
    end)
end)
