-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The port by which a guest says that it has panicked: how the VM ends, and what is told.

local bare = require "tests.spec.support.bare"
local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

local HLT, SPIN, OUT_43 = bare.HLT, bare.SPIN, bare.OUT_43
local append, result_of, run = bare.append, bare.result_of, bare.run

describe("pvpanic", function()
    -- mov dx, 0x505; in al, dx; out 0x43, al
    local READ = "\xba\x05\x05\xec" .. OUT_43

    local function machine(code)
        local vm = tiny.bare(code)
        assert(vm:attach(vmm.pvpanic { vm = vm }, { pio = 0x505 }))
        return vm, result_of(vm)
    end

    it("ends the VM with reason panic when the guest writes bit 0", function()
        local vm <close>, result = machine(READ .. "\xb0\x01\xee" .. SPIN)
        local told
        vm:on("panic", function(stop)
            told = stop
        end)
        local stop = run(vm)
        assert.equal("panic", stop.reason)
        assert.equal("the guest told pvpanic that it has panicked", stop.text)
        assert.same(stop, told)
        assert.same({ 3 }, result)
    end)

    it("tells crashloaded for bit 1, before the end, and goes on", function()
        local vm <close> = machine("\xba\x05\x05\xb0\x02\xee" .. HLT)
        local seen = {}
        vm:on("stop", append(seen, "stop"))
        vm:on("crashloaded", append(seen, "crashloaded"))
        assert.equal("halt", run(vm).reason)
        assert.same({ "crashloaded", "stop" }, seen)
    end)

    it("tells crashloaded while the guest runs", function()
        local vm <close> = machine("\xba\x05\x05\xb0\x02\xee" .. SPIN)
        local seen = {}
        vm:on("crashloaded", append(seen, "crashloaded"))
        assert(vm:start())
        local deadline = vmm.now() + 10
        while not seen[1] and vmm.now() < deadline do
            vmm.step(0.1)
        end
        assert.same({ "crashloaded" }, seen)
        assert.is_nil(vm:stopped())
    end)

    it("is in a whole machine, where the console's line says more", function()
        local path = os.tmpname()
        local file <close> = assert(io.open(path, "wb"))
        file:write("\xbe\x17\x7c", -- mov si, the text
            "\xac\x84\xc0\x74\x06", -- lodsb; test al, al; jz behind the loop
            "\xba\xf8\x03\xee\xeb\xf5", -- mov dx, COM1; out dx, al; jmp to lodsb
            "\xba\x05\x05\xb0\x01\xee", -- mov dx, 0x505; mov al, 1; out dx, al
            HLT, "\xeb\xfd",
            "Kernel panic - not syncing: a test\r\n\0")
        file:close()
        local vm <close> = assert(vmm.vm {
            console = "capture",
            memory = { size_mib = 16 },
            kernel = { path = path, flow = "flat", mode = 16 },
        })
        os.remove(path)
        local stop = run(vm)
        assert.equal("panic", stop.reason)
        assert.equal("Kernel panic - not syncing: a test", stop.text)
    end)
end)
