-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What `make install` leaves serves others: a stock lua5.4, and C programs by pkg-config.

local process = require "vmm.process"

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
        assert.equal("0.1.0\n", run [[
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

    it("runs the lab from where it is", function()
        assert.matches("usage: vmm%-reference lab", run "$prefix/bin/vmm-reference lab --help")
    end)
end)
