-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Debian's kernels, which we did not write, to a busybox prompt: each kernel by each way of
-- loading.

local linux = require "tests.spec.support.linux"

-- way -> function(flavor): options of kernel, and a file to remove afterwards
local WAYS = {
    { "a bzImage that unpacks itself", function(flavor)
        return { path = linux.bzimage(flavor), unpack = false }
    end },
    { "a bzImage unpacked on the host", function(flavor)
        return { path = linux.bzimage(flavor), unpack = true }
    end },
    { "a vmlinux by its 64-bit entry", function(flavor)
        local path = linux.extract(flavor)
        return { path = path, flow = "linux64" }, path
    end },
    { "a vmlinux by PVH", function(flavor)
        local path = linux.extract(flavor)
        return { path = path, flow = "pvh" }, path
    end },
}

for _, flavor in ipairs(linux.FLAVORS) do
    describe("Debian's kernel for " .. flavor, function()
        for _, way in ipairs(WAYS) do
            it("boots to a prompt as " .. way[1], function()
                local kernel, file = way[2](flavor)
                local vm <close> = linux.boot { kernel = kernel }
                if file then os.remove(file) end
                assert.equal(linux.bzimage(flavor):match "vmlinuz%-(.+)$",
                    linux.run(vm, "uname -r"))
                assert.equal("poweroff", linux.finish(vm, "poweroff -f").reason)
            end)
        end
    end)
end

describe("A kernel unpacked on the host", function()
    it("runs at the slide asked for, its relocations applied", function()
        local function text_address(slide)
            local vm <close> = linux.boot { kernel = { unpack = true, slide = slide } }
            return tonumber(linux.run(vm, "grep ' _text$' /proc/kallsyms | cut -d' ' -f1"), 16)
        end
        local slide = 0x4000000
        assert.equal(text_address(0) + slide, text_address(slide))
    end)
end)
