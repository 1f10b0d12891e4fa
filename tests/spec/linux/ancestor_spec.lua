-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The scenarios of rust-vmm's vmm-reference that need no disk, under their names (that of memory:
-- memory_spec.lua).

local linux = require "tests.spec.support.linux"
local vmm = require "vmm"

local function images()
    return { ELF = linux.extract(), bzImage = linux.bzimage() }
end

local function each_image(test)
    for kind, path in pairs(images()) do
        test(path, kind)
        if kind == "ELF" then os.remove(path) end
    end
end

describe("vmm-reference", function()
    it("halt: a guest that halts ends well [ELF, bzImage]", function()
        each_image(function(path)
            local vm <close> = linux.boot { kernel = { path = path } }
            local stop = linux.finish(vm, "halt -f")
            assert.equal("halt", stop.reason)
        end)
    end)

    it("expect_string_timeout: times out on time and names the last console lines", function()
        local vm <close> = linux.boot()
        linux.run(vm, "echo the last words")
        local before = vmm.now()
        local found, err, code = vm.console:try_expect("never said", { timeout = 0.5 })
        local passed = vmm.now() - before
        assert.is_nil(found)
        assert.equal("timeout", code)
        local limit = err.timeout
        assert.is_true(passed >= limit and passed < limit + 5, passed .. " s")
        assert.matches('expected "never said", timed out after', tostring(err), 1, true)
        assert.matches("the last words", tostring(err), 1, true)
        assert.matches("the VM is running", tostring(err), 1, true)
    end)

    it("hello: shows the string, then reboot -f ends it at once [ELF, bzImage]", function()
        local initrd = linux.initramfs { hello = "Hello, world, from the rust-vmm reference VMM!" }
        each_image(function(path)
            local vm <close> = linux.start { kernel = { path = path, initrd = initrd } }
            vm.console:expect("Hello, world, from the rust%-vmm reference VMM!",
                { timeout = linux.BOOT_SECONDS })
            vm.console:expect("guest# ", { timeout = 12 })
            local stop, seconds = linux.finish(vm, "reboot -f")
            assert.equal("reboot", stop.reason)
            assert.is_true(seconds < linux.END_SECONDS, seconds .. " s")
        end)
    end)

    it("default command line: boots with it, and reboot -f ends it at once", function()
        each_image(function(path)
            local vm <close> = linux.boot { kernel = { path = path, cmdline = "default" } }
            assert.equal("console=ttyS0 i8042.nokbd reboot=k panic=1 pci=off",
                linux.run(vm, "cat /proc/cmdline"))
            local stop, seconds = linux.finish(vm, "reboot -f")
            assert.equal("reboot", stop.reason)
            assert.is_true(seconds < linux.END_SECONDS, seconds .. " s")
        end)
    end)

    for _, num in ipairs { 1, 2, 4 } do
        it(("num_vcpus: the guest sees %d"):format(num), function()
            local vm <close> = linux.boot { vcpus = { num = num } }
            assert.equal(tostring(num), linux.run(vm, "grep -c ^processor /proc/cpuinfo"))
        end)
    end
end)
