-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Tiny guests on this host's KVM: each image form and mode boots, each device answers.

local tiny = require "tests.spec.support.tiny"

local function passes(name, options)
    local stop, output = tiny.run(name, options)
    assert.matches("PASS\n", output)
    assert.equal("reboot", stop.reason)
    return output
end

describe("a tiny guest", function()
    it("says hello as an ELF file", function()
        assert.matches("Hello from a guest\n", passes "hello")
    end)

    it("says hello as a bzImage", function()
        passes("hello", { form = "bzimage", memory = { size_mib = 32 } })
    end)

    it("says hello as a flat binary in 64-bit mode", function()
        passes("hello", { form = "bin", kernel = { flow = "flat" } })
    end)

    it("is entered by PVH with its command line", function()
        local output = passes("pvh", { kernel = { flow = "pvh", cmdline = "one two" } })
        assert.matches("one two", output, 1, true)
    end)

    it("finds its command line, RSDP and memory map in the zero page", function()
        local output = passes("boot_params", { kernel = { cmdline = "first second" } })
        assert.matches("cmdline first second\n", output, 1, true)
        assert.matches("rsdp 0*e0000\n", output)
        assert.matches("e820 0*0 0*9fc00 0*1\n", output)
        assert.matches("e820 0*100000 0*f00000 0*1\n", output)
    end)

    it("reads all-ones where no device is", function()
        passes "unclaimed"
    end)

    it("does string I/O with a fixed port and advancing data", function()
        local stop, output = tiny.run "string_io"
        assert.matches("PASS\n", output)
        assert.equal("reboot", stop.reason)
    end)

    it("drives the UART in loopback", function()
        passes "loopback"
    end)

    it("starts its other vCPUs by INIT and SIPI", function()
        for _, num in ipairs { 1, 2, 4 } do
            local output = passes("smp", { vcpus = { num = num } })
            assert.matches(("cpus 0*%x\n"):format(num), output)
        end
    end)

    it("reads the time of the host from the RTC", function()
        local before = os.time()
        local output = passes "rtc"
        local y, mo, d, h, mi, s = output:match "rtc (%d+)%-(%d+)%-(%d+) (%d+):(%d+):(%d+)"
        local at = os.time {
            year = y, month = mo, day = d, hour = h, min = mi, sec = s, isdst = false,
        }
        local utc_offset = os.time(os.date("*t", before)) - os.time(os.date("!*t", before))
        assert.is_true(math.abs(at + utc_offset - before) <= 5,
            ("guest %d, host %d"):format(at + utc_offset, before))
    end)

    it("reads its memory size from CMOS", function()
        assert.matches("memory 0*1000000 0*0\n", (passes "rtc"))
    end)
end)

describe("a guest's end", function()
    it("is a reboot when it pulses the i8042's reset", function()
        assert.equal("reboot", (tiny.run "reboot").reason)
    end)

    it("is a poweroff when it writes the ACPI sleep control register", function()
        assert.equal("poweroff", (tiny.run "poweroff").reason)
    end)

    it("is a triple fault when it has one", function()
        local stop = tiny.run "triple_fault"
        assert.same({ reason = "triple_fault", text = "vCPU 0 had a triple fault" }, stop)
    end)

    it("is an error that shows the instruction KVM could not emulate", function()
        local stop = tiny.run "emulation_failure"
        assert.equal("error", stop.reason)
        assert.matches("vCPU 0: KVM could not emulate an instruction at rip 0x100005 "
            .. "(64-bit, ring 0), bytes f0 48 0f c7 0e", stop.text, 1, true)
    end)

    it("shows the instruction disassembled where capstone is installed", function()
        local stop = tiny.run "emulation_failure"
        assert.matches("(lock cmpxchg16b xmmword ptr [rsi])", stop.text, 1, true)
    end)
end)
