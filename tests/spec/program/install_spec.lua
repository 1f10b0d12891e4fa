-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What `make install` leaves serves others: a stock lua5.4, and C programs by pkg-config.

local host = require "tests.spec.support.host"
local process = require "vmm.process"

local it_with_kvm = host.with_kvm(it, pending)

local LIBVMM = [[
#include <stdio.h>
#include <vmm/error.h>
#include <vmm/memory.h>
int main(void)
{
    struct vmm_memory_range range = {0, 0x10000};
    struct vmm_memory_config config = {.ranges = &range, .range_count = 1};
    struct vmm_memory *memory;
    struct vmm_error err;
    uint8_t value = 0;
    if (vmm_memory_new(&config, &memory, &err) < 0)
        return 1;
    vmm_memory_fill(memory, 0x1234, 42, 1);
    vmm_memory_load_u8(memory, 0x1234, &value);
    printf("%d\n", value);
    vmm_memory_unref(memory);
    return 0;
}
]]

local LIBVMM_LUA = [[
#include <vmm/lua.h>
int main(int argc, char **argv)
{
    return vmm_lua_main(argc, argv);
}
]]

local VERSION = [[
#include <stdio.h>
#include <vmm/version.h>
int main(void)
{
    printf("%d.%d.%d %s %d %s\n", VMM_VERSION_MAJOR, VMM_VERSION_MINOR, VMM_VERSION_PATCH,
           vmm_version(), vmm_api_version() == VMM_API_VERSION, vmm_features());
    return 0;
}
]]

-- A module that uses each door of vmm/lua.h for modules.
local MODULE = [[
#include <errno.h>
#include <lauxlib.h>
#include <vmm/devices.h>
#include <vmm/lua.h>
#include <vmm/machine.h>
#include <vmm/memory.h>
static int look(lua_State *L)
{
    struct vmm_machine *machine = vmm_lua_check_machine(L, 1);
    struct vmm_memory *memory = vmm_lua_check_memory(L, 2);
    struct vmm_irq_line line;
    vmm_lua_check_irq(L, 3, &line);
    vmm_irq_set(&line, true);
    vmm_memory_store_u8(memory, 0x10, 42);
    lua_pushstring(L, vmm_machine_name(machine));
    return 1;
}
static int bound(lua_State *L)
{
    struct vmm_device **device = vmm_lua_new_device(L, 1);
    struct vmm_error err;
    if (vmm_debug_port_new("bound", 7, device, &err))
        return vmm_lua_push_error(L, &err);
    return 1;
}
static int empty(lua_State *L)
{
    vmm_lua_new_device(L, 0);
    return 1;
}
static int refuse(lua_State *L)
{
    struct vmm_error err;
    vmm_error_clear(&err);
    vmm_error_set(&err, ENOSPC, "no room for %d", 3);
    return vmm_lua_push_error(L, &err);
}
int luaopen_doors(lua_State *L)
{
    static const luaL_Reg functions[] = {{"look", look}, {"bound", bound},
        {"empty", empty}, {"refuse", refuse}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
]]

-- The interrupt that the module asserts is seen in the first PIC's requests.
local MODULE_SCRIPT = [[
    local doors, vmm = require "doors", require "vmm"
    local kvm = assert(vmm.kvm())
    local function machine(name)
        local vm = assert(kvm:create_vm { name = name })
        local memory = assert(vmm.memory { ranges = { { 0, 0x10000 } } })
        assert(vm:map(memory) and vm:create_irqchip())
        return vm, memory
    end
    local function try(...) -- by which name Lua finds a function, varies
        print((select(2, pcall(...)):gsub(" to '.-'", "")))
    end
    local anna, memory = machine "anna"
    local bert = machine "bert"
    print(doors.look(anna, memory, anna:irq(5)), memory:u8(0x10))
    print(anna:get_state("pic_master"):byte(10) & 0x20) -- struct kvm_irqchip: irr
    print(doors.refuse())
    local device = doors.bound(anna)
    print(device, anna:attach(device, { pio = 0x80 }))
    try(bert.attach, bert, device, { pio = 0x80 })
    try(anna.attach, anna, doors.empty(), { pio = 0x81 })
    try(doors.look, anna, memory, 5)
    anna:close()
    try(doors.bound, anna)
    bert:close()
]]

-- The names in the text of a list, a line each.
local function lines(text)
    local names = {}
    for name in text:gmatch "[^\n]+" do
        names[#names + 1] = name
    end
    return names
end

local function read(path)
    local file <close> = assert(io.open(path))
    return file:read "a"
end

-- The functions that the headers declare, sorted.
local function declared()
    local names = {}
    for _, header in ipairs(process.find("include/vmm", "*.h")) do
        for name in read(header):gmatch "\nVMM_API[^;(]-([%w_]+)%(" do
            names[#names + 1] = name
        end
    end
    table.sort(names)
    return names
end

describe("what is installed", function()
    local root, prefix

    local function run(command)
        local output, partial, code = process.capture(
            { "sh", "-c", "root=$1; prefix=$2; " .. command, "sh", root, prefix },
            { stderr = "merge" })
        return output or ("exit code %d: %s"):format(code, partial)
    end

    -- Compiles a program against the installed headers and libraries; its path.
    local function compile(name, source, words)
        local file <close> = assert(io.open(("%s/%s.c"):format(root, name), "w"))
        file:write(source)
        file:close()
        local said = run(([[
            export PKG_CONFIG_PATH=$prefix/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root/stage
            cc -o $root/%s $root/%s.c %s]]):format(name, name, words))
        assert.equal("", said)
        return ("LD_LIBRARY_PATH=%s/lib %s/%s"):format(prefix, root, name)
    end

    setup(function()
        root = assert(process.temporary_directory "vmm-install")
        prefix = root .. "/stage/usr/local"
        assert.equal("", run [[
            env -u MAKEFLAGS make -s install DESTDIR=$root/stage 2>&1 | grep -v '^  '; :]])
    end)

    teardown(function()
        process.remove(root)
    end)

    it("gives a stock lua5.4 the module", function()
        assert.equal(require("vmm").version .. "\n", run [[
            LUA_PATH="$prefix/share/lua/5.4/?.lua;$prefix/share/lua/5.4/?/init.lua" \
            LUA_CPATH="$prefix/lib/lua/5.4/?.so" lua5.4 -e 'print(require("vmm").version)']])
    end)

    it("builds a C program with the shared libvmm", function()
        assert.equal("42\n",
            run(compile("shared", LIBVMM, "$(pkg-config --cflags --libs vmm)")))
    end)

    it("builds a C program with the static libvmm", function()
        local program = compile("static", LIBVMM,
            "$(pkg-config --cflags vmm) $prefix/lib/libvmm.a $(pkg-config --static --libs vmm"
            .. " | sed 's/-lvmm //')")
        assert.equal("42\n", run(program))
        assert.equal("", run "ldd $root/static | grep libvmm; :")
    end)

    it("builds a C front end with the Lua library inside", function()
        local program = compile("front", LIBVMM_LUA, "$(pkg-config --cflags --libs vmm-lua)")
        assert.equal("hello from Lua\n",
            run(program .. [[ -e 'print("hello from " .. (require("vmm") and "Lua"))']]))
    end)

    it("has no name that could collide with another's", function()
        for _, library in ipairs { "libvmm.a", "libvmm-lua.a", "libvmm.so", "libvmm-lua.so" } do
            local flags = library:find "%.so$" and "-gD" or "-g"
            assert.equal("", run(([[
                nm %s --defined-only $prefix/lib/%s | awk '$2 ~ /[A-Z]/ { print $3 }' |
                grep -v -e '^vmm_' -e '^luaopen_vmm_core$'; :]]):format(flags, library)))
        end
    end)

    it("shows what the headers declare, and no more", function()
        assert.same(declared(), lines(run [[
            nm -D --defined-only $prefix/lib/libvmm-lua.so | awk '{ print $3 }' | LC_ALL=C sort]]))
    end)

    for _, library in ipairs { "libvmm", "libvmm-lua" } do
        it("shows the symbols of tests/abi/" .. library .. ".symbols (make symbols)", function()
            assert.same(lines(read("tests/abi/" .. library .. ".symbols")), lines(run(([[
                nm -D --defined-only $prefix/lib/%s.so | awk '{ print $3 }' | LC_ALL=C sort
                ]]):format(library))))
        end)
    end

    it_with_kvm("has doors for C modules: our objects out, their devices in", function()
        compile("doors.so", MODULE, "-shared -fPIC $(pkg-config --cflags vmm-lua) "
            .. "-I/usr/include/lua5.4")
        local script <close> = assert(io.open(root .. "/doors.lua", "w"))
        script:write(MODULE_SCRIPT)
        script:close()
        assert.equal([[
anna	42
32
nil	no room for 3	ENOSPC
vmm.device: bound	true
bad argument #2 (the device was made for another VM)
bad argument #2 (the device is closed)
bad argument #3 (vmm.irq expected, got number)
bad argument #1 (the VM is closed)
]], run [[LUA_CPATH="$root/?.so;;" timeout 20 $prefix/bin/vmm-reference $root/doors.lua]])
    end)

    it("has one version: of headers, library, module, pkg-config and soname", function()
        local version = require("vmm").version
        local program = compile("version", VERSION, "$(pkg-config --cflags --libs vmm)")
        local features =
            run "PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --variable=features vmm"
        assert.equal(("%s %s 1 %s"):format(version, version, features), run(program))
        assert.equal(version .. "\n",
            run "PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --modversion vmm-lua")
        assert.equal("[libvmm.so.0]\n",
            run "readelf -d $prefix/lib/libvmm.so | awk '/SONAME/ { print $NF }'")
    end)

    it("tells pkg-config of the prefix that it is installed below", function()
        for _, where in ipairs { "/opt/one", "/opt/two" } do
            assert.equal(where .. "\n", run(("other=$root/other; mkdir -p $other; "
                .. "env -u MAKEFLAGS make -s install PREFIX=%s DESTDIR=$other >/dev/null; "
                .. "PKG_CONFIG_PATH=$other%s/lib/pkgconfig pkg-config --variable=prefix vmm-lua")
                :format(where, where)))
        end
    end)

    it("runs the lab from where it is", function()
        assert.matches("usage: vmm%-reference lab", run "$prefix/bin/vmm-reference lab --help")
    end)

    it("runs specs from where it is", function()
        local output = run [[
            cd $root && mkdir specs && cd specs && unset VMM_LUA_PATH
            echo 'it("works", function() require("vmm").sleep(0) end)' >a_spec.lua
            VMM_CACHE=$PWD $prefix/bin/vmm-reference test a_spec.lua]]
        assert.matches("  ok      a_spec.lua: 1 passed %([%d.]+ s%)\n"
            .. "1 passed, 0 failed, 0 skipped\n", output)
    end)
end)

-- Built from what is installed and from nothing else, as its reader would.
describe("an example in C", function()
    local root

    local function run(command)
        local output, partial, code = process.capture({ "sh", "-c", [[
            root=$1
            export PKG_CONFIG_PATH=$root/stage/usr/local/lib/pkgconfig
            export PKG_CONFIG_SYSROOT_DIR=$root/stage LD_LIBRARY_PATH=$root/stage/usr/local/lib
            unset MAKEFLAGS
            program=$PWD/vmm-reference guests=$PWD/.build/guest
            cd $root/examples || exit
            ]] .. command, "sh", root }, { stderr = "merge" })
        return (output or ("exit code %d: %s"):format(code, partial)):gsub("\r", "")
    end

    setup(function()
        root = assert(process.temporary_directory "vmm-examples")
        -- To pkg-config the stage is the whole system: Lua is there, too.
        assert.equal("", (process.capture({ "sh", "-c", [[
            env -u MAKEFLAGS make -s install DESTDIR=$1/stage 2>&1 | grep -v '^  '
            mkdir -p $1/stage/usr/include $1/stage/usr/lib
            ln -s /usr/include/lua5.4 $1/stage/usr/include/
            ln -s /usr/lib/x86_64-linux-gnu $1/stage/usr/lib/
            cp -r examples $1/]], "sh", root }, { stderr = "merge" })))
    end)

    teardown(function()
        process.remove(root)
    end)

    for _, compiler in ipairs { "gcc", "clang" } do
        local cc = ("%s -Wall -Wextra -Werror"):format(compiler)

        it_with_kvm("hello.c says hello from a guest, by " .. compiler, function()
            assert.equal("", run(cc .. " hello.c $(pkg-config --cflags --libs vmm) -o hello"))
            assert.equal("Hello from C\nthe guest ended: halt\n", run "timeout 20 ./hello")
            assert.equal("", run "ldd hello | grep -i lua; :")
        end)

        it_with_kvm("frontend.c boots a kernel, by " .. compiler, function()
            assert.equal("",
                run(cc .. " frontend.c $(pkg-config --cflags --libs vmm-lua) -o frontend"))
            assert.equal("Hello from a guest\nPASS\n",
                run "timeout 20 ./frontend $guests/hello.elf")
        end)

        it_with_kvm("own-vmm runs its script with its device, by " .. compiler, function()
            assert.equal("", run(([[
                cd own-vmm && make -s CC=%s CFLAGS="-Wall -Wextra -Werror" -B]]):format(compiler)))
            assert.equal("the guest counted to 42 and ended: halt\n",
                run "cd own-vmm && timeout 20 ./own-vmm boot.lua")
        end)
    end

    it_with_kvm("own-vmm's device serves the stock program as a module", function()
        assert.equal("", run "cd own-vmm && make -s abacus.so dice.so")
        assert.equal("the guest counted to 42 and ended: halt\n",
            run [[cd own-vmm && LUA_CPATH="./?.so;;" timeout 20 $program boot.lua]])
    end)
end)
