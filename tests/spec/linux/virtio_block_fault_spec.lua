-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Linux on a disk that fails when it is told to, and on one whose contents Lua computes.

local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"
local vmm = require "vmm"

local MIB = 1 << 20
local SECTOR = 512

-- A disk in memory: a table of sectors.
local function memory_disk(size)
    local sectors, flushes = {}, 0
    local empty = ("\0"):rep(SECTOR)
    return {
        sectors = sectors,
        flushes = function() return flushes end,
        disk = vmm.block {
            size = size,
            serial = "lua",
            read = function(offset, length)
                local parts = {}
                for sector = offset // SECTOR, (offset + length) // SECTOR - 1 do
                    parts[#parts + 1] = sectors[sector] or empty
                end
                return table.concat(parts)
            end,
            write = function(offset, bytes)
                for at = 1, #bytes, SECTOR do
                    sectors[(offset + at - 1) // SECTOR] = bytes:sub(at, at + SECTOR - 1)
                end
            end,
            flush = function() flushes = flushes + 1 end,
            discard = function(offset, length)
                for sector = offset // SECTOR, (offset + length) // SECTOR - 1 do
                    sectors[sector] = nil
                end
            end,
        },
    }
end

-- A line of text that is computed, for each 512 bytes.
local function line(sector)
    return ("sector %d\n"):format(sector)
end

local FIRST, SECOND = 200, 300 -- a read of the one sector ends after one of the other

local function computed(size)
    local second_seen
    return vmm.block {
        size = size,
        read = function(offset, length)
            local parts = {}
            for sector = offset // SECTOR, (offset + length) // SECTOR - 1 do
                if sector == 100 then return nil, "EIO" end
                local text = line(sector)
                parts[#parts + 1] = text .. ("."):rep(SECTOR - #text)
                second_seen = second_seen or sector == SECOND
                while sector == FIRST and not second_seen do
                    vmm.sleep(0.01)
                end
            end
            return table.concat(parts)
        end,
    }
end

local vm, memory, path

setup(function()
    path = os.tmpname()
    local file <close> = assert(io.open(path, "wb"))
    file:seek("set", 8 * MIB - 1)
    assert(file:write "\0")
    assert(file:close())
    memory = memory_disk(32 * MIB)
    local kernel = assert(guests.kernel "cloud-amd64")
    vm = linux.boot {
        kernel = {
            initrd = assert(guests.initramfs {
                kernel = kernel, modules = { "virtio_mmio", "virtio_blk" }, files = {
                    ["/bin/sectors"] = { host = ".build/guest/linux/sectors", mode = 493 } } }),
            cmdline = "console=ttyS0 panic=1 pci=off quiet loglevel=0",
        },
        block = { { path = path }, memory.disk, computed(1 << 40) },
    }
end)

teardown(function()
    if vm then vm:close() end
    os.remove(path)
end)

local function run(command)
    return linux.run(vm, command)
end

-- How it goes to read or write sectors, each on its own: "ok ok error".
local function sectors(what, disk, first, count)
    return (run(("sectors %s /dev/%s %d %d"):format(what, disk, first, count))
        :gsub("Input/output error", "error"):gsub("\n", " "))
end

describe("a fault of a disk", function()
    it("makes the third write fail and no other", function()
        local fault <close> = vm.disks[1]:fault { op = "write", nth = 3, status = "ioerr" }
        assert.equal("ok ok error ok ok", sectors("write", "vda", 0, 5))
        assert.same({ 5, 1 }, { fault.matches, fault.hits })
    end)

    it("hits its sectors and its operations, until it is removed", function()
        local fault = vm.disks[1]:fault { sector = { 2, 3 }, status = "ioerr", op = { "write" } }
        assert.equal("ok ok error error ok", sectors("write", "vda", 0, 5))
        assert.equal("ok ok ok ok ok", sectors("read", "vda", 0, 5))
        fault:remove()
        assert.equal("ok ok ok ok ok", sectors("write", "vda", 0, 5))
        assert.same({ 2, 2 }, { fault.matches, fault.hits })
    end)

    it("has requests wait as long as it says", function()
        local fault <close> = vm.disks[1]:fault { op = "read", sector = { 50, 50 }, delay_ms = 300 }
        local before = vmm.now()
        assert.equal("ok", sectors("read", "vda", 50, 1))
        assert.is_true(vmm.now() - before >= 0.3)
        assert.equal(1, fault.hits)
    end)

    it("is what a function says, which sees each request", function()
        local seen = {}
        local fault <close> = vm.disks[1]:fault(function(op, sector, count)
            seen[#seen + 1] = ("%s %d %d"):format(op, sector, count)
            if op == "write" and sector == 1 then return { status = "ioerr", delay_ms = 1 } end
        end)
        assert.equal("ok error ok", sectors("write", "vda", 0, 3))
        assert.same({ "write 0 1", "write 1 1", "write 2 1" }, seen)
        assert.same({ 3, 1 }, { fault.matches, fault.hits })
    end)

    it("hits a disk made of functions as well", function()
        local fault <close> = vm.disks[2]:fault { op = "write", nth = 2, status = "ioerr" }
        assert.equal("ok error ok", sectors("write", "vdb", 0, 3))
        assert.equal(1, fault.hits)
    end)
end)

describe("a disk made of functions", function()
    it("is what they compute, wherever the guest looks", function()
        assert.equal("1", run "cat /sys/block/vdc/ro")
        assert.equal(tostring((1 << 40) // SECTOR), run "cat /sys/block/vdc/size")
        for _, sector in ipairs { 0, 12345, (1 << 40) // SECTOR - 1 } do
            assert.equal(line(sector):sub(1, -2),
                run(("dd if=/dev/vdc bs=512 count=1 skip=%d 2>/dev/null | head -1"):format(sector)))
        end
    end)

    it("is read by functions that wait, while others run", function()
        assert.equal("ok\nok", run(("sectors read /dev/vdc %d 1 & sleep 0.1; "
            .. "sectors read /dev/vdc %d 1; wait"):format(FIRST, SECOND)))
    end)

    it("fails where they say so", function()
        assert.equal("ok error ok", sectors("read", "vdc", 99, 3))
    end)

    it("holds a file system", function()
        assert.equal("lua", run "cat /sys/block/vdb/serial")
        run "mke2fs /dev/vdb >/dev/null 2>&1; mkdir -p /mnt; mount -t ext4 /dev/vdb /mnt"
        local before = memory.flushes()
        run "seq 1 20000 >/mnt/numbers; sync; umount /mnt"
        assert.is_true(memory.flushes() > before)
        local sum = run "seq 1 20000 | md5sum | cut -c-32"
        assert.equal(sum, run("mount -t ext4 /dev/vdb /mnt; echo 3 >/proc/sys/vm/drop_caches; "
            .. "md5sum </mnt/numbers | cut -c-32; umount /mnt"))
    end)

    it("forgets what the guest discards", function()
        run "dd if=/dev/urandom of=/dev/vdb bs=64k count=4 seek=256 oflag=direct 2>/dev/null"
        assert.is_not_nil(memory.sectors[256 * 128])
        run "blkdiscard -o 16777216 -l 262144 /dev/vdb"
        assert.is_nil(memory.sectors[256 * 128])
        assert.is_nil(memory.sectors[260 * 128 - 1])
    end)
end)

describe("a limit of a disk", function()
    it("is kept, and lifted while the guest waits", function()
        for _, limit in ipairs { { iops = 20 }, { iops = 0, bandwidth = 20 * SECTOR } } do
            limit.burst = 0
            vm.disks[1]:limit(limit)
            local before = vmm.now()
            run "sectors read /dev/vda 0 40 >/dev/null"
            assert.is_true(vmm.now() - before >= 39 / 20)
        end
        vm.disks[1]:limit { bandwidth = 1 }
        vm.console:send_line "dd if=/dev/vda of=/dev/null bs=64k count=8 iflag=direct; echo END"
        vm.disks[1]:limit { bandwidth = 0 }
        vm.console:expect("\nEND\r\n", { timeout = 12 })
        vm.console:expect("guest# ", { timeout = 12 })
    end)
end)

describe("an error in a function", function()
    -- The error that ends a wait meanwhile, and what the guest has seen.
    local function fail(command)
        vm.console:send_line(command .. "; echo END")
        local ok, message = pcall(vm.console.expect, vm.console, "\nEND\r\n", { timeout = 12 })
        assert.is_false(ok)
        local found = vm.console:expect("(%C+)\r\nEND\r\n", { timeout = 12 })
        vm.console:expect("guest# ", { timeout = 12 })
        return tostring(message), found[1]
    end

    it("of a fault is an error of the script, and lets the request pass", function()
        local fault <close> = vm.disks[1]:fault(function(_, sector)
            return sector == 1 and error("no such fault", 0) or { status = "nope" }
        end)
        assert.same({ "no such fault", "ok" }, { fail "sectors read /dev/vda 1 1" })
        local message, seen = fail "sectors read /dev/vda 2 1"
        assert.matches("status: \"nope\"; valid: ioerr, unsupp", message, 1, true)
        assert.equal("ok", seen)
        assert.same({ 2, 0 }, { fault.matches, fault.hits })
    end)

    it("of a disk is an I/O error for the guest and an error of the script", function()
        memory.disk.read = function() error("no such luck", 0) end
        assert.same({ "no such luck", "Input/output error" }, { fail "sectors read /dev/vdb 0 1" })
        memory.disk.read = function() return "short" end
        local message, seen = fail "sectors read /dev/vdb 0 1"
        assert.equal("vmm.block: read(0, 512) returned 5 bytes, not 512 bytes", message)
        assert.equal("Input/output error", seen)
    end)
end)
