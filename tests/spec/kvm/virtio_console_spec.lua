-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The virtio console's object: what it is made of, and whose life it shares.

local core = require "vmm.core"
local holdings = require "tests.spec.support.holdings"
local vmm = require "vmm"

-- A VM without vCPUs; also the text of a program that is run beside this one.
local BARE = [[
    local vmm = require "vmm"
    local vm = assert(assert(vmm.kvm()):create_vm {})
    assert(vm:map(assert(vmm.memory { ranges = { { 0, 0x100000 } } })))
    assert(vm:create_irqchip())
]]
local bare = load(BARE .. " return vm")

local function collect()
    collectgarbage()
    collectgarbage()
end

-- A VM with a virtio console of two ports, on the bus or not.
local function build(attached)
    local vm = bare()
    local hvc = assert(vm:create_console { capture = 1024 })
    local agent = assert(vm:create_console { capture = 1024 })
    local device = assert(vmm.virtio_console {
        vm = vm, ports = { { console = hvc }, { console = agent, name = "agent" } },
        cols = 80, rows = 25,
    })
    if attached then
        assert(vm:attach(assert(vmm.virtio_mmio { virtio = device, gsi = 5 }),
            { mmio = 0xd0000000 }))
    end
    return vm, device, hvc
end

describe("a virtio console", function()
    it("is refused ports that it cannot have", function()
        local vm <close>, _, hvc = build(false)
        local fresh = assert(vm:create_console { capture = 1024 })
        local other <close> = bare()
        for mistake, ports in pairs {
            ["1 to 31 ports, not 0"] = {},
            ["a console has a device already"] = { { console = hvc } },
            ["table expected"] = { fresh },
        } do
            assert.error_matches(function()
                vmm.virtio_console { vm = vm, ports = ports }
            end, mistake)
        end
        assert.error_matches(function()
            vmm.virtio_console { vm = other, ports = { { console = fresh } } }
        end, "a console is of another VM")
    end)

    it("is one for vmm.virtio_console_resize, an entropy device is none", function()
        local vm <close>, device = build(false)
        assert.is_true(vmm.virtio_console_resize(device, 132, 50))
        assert.error_matches(function()
            vmm.virtio_console_resize(vmm.virtio_rng { vm = vm }, 132, 50)
        end, "it is not a console")
        assert.error_matches(function()
            vmm.virtio_console_resize(device, 0, 50)
        end, "1 to 65535")
    end)

    it("takes input for a guest that is not there, up to its bound", function()
        local vm <close>, _, hvc = build(true) -- luacheck: ignore vm
        assert.equal(65536, hvc:input(("x"):rep(1 << 20)))
    end)

    for name, attached in pairs { ["on the bus"] = true, ["without a transport"] = false } do
        it("goes with its VM, closed or dropped, " .. name, function()
            build(attached):close()
            collect()
            local before = holdings()
            for i = 1, 10 do
                local vm, _, hvc = build(attached)
                hvc:input "typed"
                if i % 2 == 0 then vm:close() end
                vm, hvc = nil, nil -- luacheck: ignore
                collect()
            end
            collect()
            assert.same(before, holdings())
        end)

        it("may be left to the end of the program " .. name, function()
            local path = os.tmpname()
            local file = assert(io.open(path, "w"))
            assert(file:write(BARE .. [[
                console = assert(vm:create_console { capture = 1024 })
                device = assert(vmm.virtio_console { vm = vm, ports = { { console = console } } })
                if ]] .. tostring(attached) .. [[ then
                    assert(vm:attach(vmm.virtio_mmio { virtio = device, gsi = 5 },
                        { mmio = 0xd0000000 }))
                end
                console:input "typed"
                kept = vm
            ]]))
            file:close()
            assert.is_true(os.execute(core.executable .. " " .. path))
            os.remove(path)
        end)
    end
end)
