-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The option `block`: as a table, on the command line, and what it adds to a kernel's.

local block = require "vmm.virtio_block"
local config = require "vmm.config"
local faults = require "vmm.virtio_block_fault"
local parse = require "vmm.cli.parse"
local vmm = require "vmm"

local DEFAULTS = { path = "a.img", readonly = false, direct = false, queues = 1, io_uring = true,
    bandwidth = 0, iops = 0, burst = 1, format = "raw" }

describe("the command line of a kernel without an initrd", function()
    local function with(text, readonly, kernel)
        kernel = kernel or {}
        kernel.cmdline = text
        return block.cmdline(kernel, { { readonly = readonly } })
    end

    it("names the first disk as its root", function()
        assert.equal("quiet root=/dev/vda rw", with("quiet"))
        assert.equal("quiet root=/dev/vda ro", with("quiet", true))
        assert.equal("root=/dev/vda rw", with(""))
    end)

    it("has it before what is for init", function()
        assert.equal("quiet root=/dev/vda rw -- -v", with("quiet -- -v"))
        assert.equal("root=/dev/vda rw -- -v", with("-- -v"))
    end)

    it("keeps a root of its own", function()
        assert.equal("root=/dev/vdb1 ro", with("root=/dev/vdb1 ro"))
        assert.equal("quiet root=LABEL=x", with("quiet root=LABEL=x"))
        assert.equal("noroot=1 root=/dev/vda rw", with("noroot=1"))
    end)

    it("is left alone with an initrd, or no disk", function()
        assert.equal("quiet", with("quiet", false, { initrd = "x" }))
        assert.equal("quiet", block.cmdline({ cmdline = "quiet" }, {}))
        assert.equal("quiet", block.cmdline({ cmdline = "quiet" }, nil))
    end)
end)

describe("block", function()
    it("is a list of tables, with defaults", function()
        local checked = assert(config.check { block = { { path = "a.img" },
            { path = "b.img", readonly = true, serial = "x", num_queues = 4 } } })
        assert.same({ DEFAULTS, { path = "b.img", readonly = true, serial = "x", direct = false,
            queues = 4, io_uring = true, bandwidth = 0, iops = 0, burst = 1,
            format = "raw" } }, checked.block)
        assert.same(checked, config.check(checked))
    end)

    it("says which one is wrong", function()
        for message, given in pairs {
            ["block[2]: give one of: path=FILE, socket=PATH"] = { { path = "a" }, {} },
            ["block[1]: \"a.img\" is not a table"] = { "a.img" },
            ["block[1].queues: 17 is out of range; allowed: 1 to 16"] =
                { { path = "a", queues = 17 } },
            ["block[1].burst: -1 is out of range; allowed: 0 to 3600"] =
                { { path = "a", burst = -1 } },
        } do
            assert.same({ nil, message }, { config.check { block = given } })
        end
        for _, given in ipairs { "a.img", { path = "a.img" } } do
            local checked, message = config.check { block = given }
            assert.is_nil(checked)
            assert.matches("^block: .* is not a list of tables; valid in each: path, ", message)
        end
    end)

    it("takes disks made of functions among the others", function()
        local disk = vmm.block { read = print, size = 512 }
        local checked = assert(config.check { block = { { path = "a.img" }, disk } })
        assert.equal(disk, checked.block[2])
        assert.same(checked, config.check(checked))
    end)

    it("is given once for each disk on the command line", function()
        local command = assert(parse { "--kernel", "path=k", "--block", "path=a.img",
            "--blk=path=b,ro.img,readonly=true,iops=100,bandwidth=0x100000,burst=0.5" })
        assert.same({ DEFAULTS, { path = "b,ro.img", readonly = true, direct = false, queues = 1,
            io_uring = true, bandwidth = 1 << 20, iops = 100, burst = 0.5, format = "raw" } },
            command.config.block)
    end)
end)

describe("vmm.block", function()
    it("says what it takes", function()
        for message, given in pairs {
            ["vmm.block: read must be a function, not nil"] = { size = 512 },
            ["vmm.block: read must be a function, not 5"] = { read = 5, size = 512 },
            ["vmm.block: size must be an integer, not nil"] = { read = print },
            ["vmm.block: size must be a multiple of 512 bytes, not 1000"] =
                { read = print, size = 1000 },
            ["vmm.block: write must be a function, for readonly is false, not nil"] =
                { read = print, size = 512, readonly = false },
        } do
            local ok, raised = pcall(vmm.block, given)
            assert.is_false(ok)
            assert.matches(message, raised, 1, true)
        end
        local ok, raised = pcall(function() vmm.block { raed = print } end)
        assert.is_false(ok)
        assert.matches("virtio_block_spec%.lua:%d+: vmm%.block: unknown option \"raed\", did you "
            .. "mean \"read\"%? valid: read, write, ", raised)
    end)

    it("is read-only without a function that writes", function()
        assert.is_true(vmm.block({ read = print, size = 512 }).options.readonly)
        assert.is_false(vmm.block({ read = print, write = print, size = 512 }).options.readonly)
        assert.is_true(vmm.block({ read = print, write = print, size = 512,
            readonly = true }).options.readonly)
    end)
end)

describe("functions that decide about a disk's requests", function()
    -- A disk with so many questions, which tells of them when it is asked.
    local function disk_with(questions, fn)
        local decided, told = 0, false
        local disk = { vm = { closed = false }, predicates = { { matched = 0, hit = 0, fn = fn } } }
        function disk.block_question()
            if questions == 0 then return nil end
            questions = questions - 1
            return questions, "read", 0, 1
        end
        function disk.block_decide() decided = decided + 1 end
        function disk.block_ask() told = questions > 0 end
        return disk, function() return decided, told end
    end

    it("are told again of those that no turn had time for", function()
        local disk, state = disk_with(300, function() end)
        faults.answer(disk)
        assert.same({ 256, true }, { state() })
        faults.answer(disk)
        assert.same({ 300, true }, { state() })
    end)

    it("are done when one of them closes the machine", function()
        local disk, state
        disk, state = disk_with(3, function() disk.vm.closed = true end)
        faults.answer(disk)
        assert.same({ 0, false }, { state() })
    end)
end)
