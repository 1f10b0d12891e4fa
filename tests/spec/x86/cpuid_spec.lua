-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The CPUID policy: what becomes of the leaves that KVM supports.

local cpuid = require "vmm.x86.cpuid"

local INDEXED = 1

local function vendor_leaf(name, most)
    local ebx, edx, ecx = string.unpack("<I4I4I4", name)
    return { function_ = 0, index = 0, flags = 0, eax = most, ebx = ebx, ecx = ecx, edx = edx }
end

-- What a host might support: a list to build from, leaf by leaf.
local function supported(vendor)
    local list = { vendor_leaf(vendor, 0x1f) }
    local function add(leaf, index, eax, ebx, ecx, edx)
        list[#list + 1] = {
            function_ = leaf,
            index = index or 0,
            flags = index and INDEXED or 0,
            eax = eax or 0,
            ebx = ebx or 0,
            ecx = ecx or 0,
            edx = edx or 0,
        }
    end
    -- host APIC id 7, 16 ids a package, CLFLUSH 8; monitor, vmx, fma, xsave, osxsave, avx on
    add(1, nil, 0x000906ea, 0x07100800, 0x1c001028, 0x0f8bfbff)
    add(4, 0, 0xfc004121, 0x01c0003f, 0x3f, 0)
    add(4, 1, 0xfc004143, 0x00c0003f, 0x3ff, 0)
    add(4, 2, 0xfc1fc163, 0x02c0003f, 0x1fff, 4)
    add(4, 3)
    add(6, nil, 0)
    add(7, 0, 0, 0x00010020, 0, 0) -- avx2, avx512f
    add(0xd, 0, 0x207, 0x240, 0xa88)
    add(0xd, 1, 0xf)
    add(0xa, nil, 0x07300404, 0, 0, 0x603)
    add(0xb, 0, 1, 2, 0x100, 7)
    add(0xb, 1, 4, 16, 0x201, 7)
    add(0x12, 0, 1)
    add(0x1f, 0, 1, 2, 0x100, 7)
    add(0x40000000, nil, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d)
    add(0x40000001, nil, 0x01000009)
    add(0x80000000, nil, 0x8000001f)
    add(0x80000001, nil, 0, 0, 0x00400004, 0x20100800) -- topoext, svm
    add(0x80000008, nil, 0x3030, 0, 0x700f, 0)
    add(0x8000000a, nil, 1, 8)
    add(0x8000001d, 0, 0x0001c121, 0x01c0003f, 0x3f)
    add(0x8000001d, 1, 0x0003c163, 0x03c0003f, 0x3fff)
    add(0x8000001e, nil, 7, 0x107, 0x301)
    add(0x8000001f, nil, 3)
    return list
end

local function build(options)
    options.supported = options.supported or supported(options.vendor or "GenuineIntel")
    options.vendor = nil
    options.id = options.id or 0
    options.vcpus = options.vcpus or 1
    local list, message, code = cpuid.build(options)
    if not list then return nil, message, code end
    return function(leaf, index)
        local found
        for _, entry in ipairs(list) do
            if entry.function_ == leaf and entry.index == (index or 0) then
                assert(not found, ("two entries for leaf 0x%x"):format(leaf))
                found = entry
            end
        end
        return found
    end
end

local function bit(value, number)
    return value >> number & 1
end

describe("APIC ids and topology", function()
    it("give each vCPU its own id in leaves 1, 0xB and 0x1F", function()
        for id = 0, 3 do
            local leaf = build { id = id, vcpus = 4 }
            assert.equal(id, leaf(1).ebx >> 24)
            for _, number in ipairs { 0xb, 0x1f } do
                for index = 0, 2 do
                    assert.equal(id, leaf(number, index).edx)
                end
            end
        end
    end)

    it("are one package of single-threaded cores", function()
        local leaf = build { vcpus = 3 }
        assert.equal(4, leaf(1).ebx >> 16 & 0xff)
        assert.equal(1, bit(leaf(1).edx, 28))
        local smt, core, none = leaf(0xb, 0), leaf(0xb, 1), leaf(0xb, 2)
        assert.same({ 0, 1, 0x100 }, { smt.eax, smt.ebx, smt.ecx })
        assert.same({ 2, 3, 0x201 }, { core.eax, core.ebx, core.ecx })
        assert.same({ 0, 0, 2 }, { none.eax, none.ebx, none.ecx })
    end)

    it("have no HTT bit for one vCPU", function()
        local leaf = build {}
        assert.equal(0, bit(leaf(1).edx, 28))
        assert.equal(0, leaf(0xb, 1).eax)
    end)

    it("fit more CPUs than 8 bits count", function()
        local leaf = build { id = 299, vcpus = 300 }
        assert.equal(299 & 0xff, leaf(1).ebx >> 24)
        assert.equal(255, leaf(1).ebx >> 16 & 0xff)
        assert.same({ 9, 300, 299 }, { leaf(0xb, 1).eax, leaf(0xb, 1).ebx, leaf(0xb, 1).edx })
    end)

    it("keep the other fields of leaf 1", function()
        local leaf = build { id = 1, vcpus = 2 }
        assert.equal(0x000906ea, leaf(1).eax)
        assert.equal(0x0800, leaf(1).ebx & 0xffff)
    end)

    it("share the last cache among all, the others with nobody", function()
        local leaf = build { vcpus = 4 }
        local function ids(entry)
            return { entry.eax >> 14 & 0xfff, entry.eax >> 26 }
        end
        assert.same({ 0, 3 }, ids(leaf(4, 0)))
        assert.same({ 0, 3 }, ids(leaf(4, 1)))
        assert.same({ 3, 3 }, ids(leaf(4, 2)))
        assert.equal(0, leaf(4, 3).eax)
    end)

    it("add leaf 0xB where the host has none", function()
        local list = supported "GenuineIntel"
        list[1].eax = 7
        for i = #list, 1, -1 do
            if list[i].function_ == 0xb then table.remove(list, i) end
        end
        local leaf = build { supported = list, id = 1, vcpus = 2 }
        assert.equal(0xb, leaf(0).eax)
        assert.equal(1, leaf(0xb, 1).edx)
        assert.is_nil(leaf(0x1f))
    end)
end)

describe("AMD's topology", function()
    it("counts cores in leaf 0x80000008 and sets cmp_legacy", function()
        local leaf = build { vendor = "AuthenticAMD", id = 2, vcpus = 3 }
        assert.equal(0x2002, leaf(0x80000008).ecx)
        assert.equal(1, bit(leaf(0x80000001).ecx, 1))
    end)

    it("gives each vCPU a core of its own in leaf 0x8000001E", function()
        local entry = build { vendor = "AuthenticAMD", id = 2, vcpus = 4 }(0x8000001e)
        assert.same({ 2, 2, 0 }, { entry.eax, entry.ebx, entry.ecx })
    end)

    it("keeps topoext only with its leaf", function()
        local leaf = build { vendor = "AuthenticAMD" }
        assert.equal(1, bit(leaf(0x80000001).ecx, 22))
        local list = supported "AuthenticAMD"
        for i = #list, 1, -1 do
            if list[i].function_ == 0x8000001e then table.remove(list, i) end
        end
        assert.equal(0, bit(build({ supported = list })(0x80000001).ecx, 22))
    end)

    it("shares the third cache level of leaf 0x8000001D", function()
        local leaf = build { vendor = "AuthenticAMD", vcpus = 2 }
        assert.equal(0, leaf(0x8000001d, 0).eax >> 14 & 0xfff)
        assert.equal(1, leaf(0x8000001d, 1).eax >> 14 & 0xfff)
    end)

    it("leaves Intel's core counts alone", function()
        assert.equal(0x700f, build({ vcpus = 2 })(0x80000008).ecx)
    end)
end)

describe("features", function()
    it("show a hypervisor with an APIC timer that never stops", function()
        local leaf = build {}
        assert.equal(1, bit(leaf(1).ecx, 31))
        assert.equal(1, bit(leaf(6).eax, 2))
    end)

    it("show the TSC deadline timer only when KVM has it", function()
        assert.equal(0, bit(build({})(1).ecx, 24))
        assert.equal(1, bit(build({ tsc_deadline = true })(1).ecx, 24))
    end)

    it("hide monitor, nested virtualization, SGX and memory encryption", function()
        local leaf = build {}
        assert.same({ 0, 0, 0 }, {
            bit(leaf(1).ecx, 3),
            bit(leaf(1).ecx, 5),
            bit(leaf(0x80000001).ecx, 2),
        })
        assert.same({ 0, 0, 0 }, { leaf(0x12).eax, leaf(0x8000000a).eax, leaf(0x8000001f).eax })
    end)

    it("show nested virtualization on request", function()
        local leaf = build { nested = true }
        assert.same({ 1, 1, 1 }, {
            bit(leaf(1).ecx, 5),
            bit(leaf(0x80000001).ecx, 2),
            leaf(0x8000000a).eax,
        })
    end)

    it("hide the performance counters unless asked for", function()
        assert.equal(0, build({})(0xa).eax)
        assert.equal(0x07300404, build({ pmu = true })(0xa).eax)
    end)

    it("can be taken away by name", function()
        local leaf = build { features = { "-avx512f" } }
        assert.equal(0x20, leaf(7).ebx)
        assert.equal(1, bit(leaf(1).ecx, 28))
    end)

    it("go with what they need", function()
        local leaf = build { features = { "-avx" } }
        assert.same({ 0, 0, 0 }, { leaf(7).ebx, bit(leaf(1).ecx, 12), bit(leaf(1).ecx, 28) })
        assert.same({ 0x207, 0xf }, { leaf(0xd, 0).eax, leaf(0xd, 1).eax })
        leaf = build { features = { "-xsave" } }
        assert.same({ 0, 0 }, { leaf(7).ebx, bit(leaf(1).ecx, 28) })
        assert.same({ 0, 0 }, { leaf(0xd, 0).eax, leaf(0xd, 1).eax })
    end)

    it("can be shown again by name when KVM supports them", function()
        assert.equal(1, bit(build({ features = { "+monitor" } })(1).ecx, 3))
    end)

    local refused = {
        { "+sse4a", 'CPU feature "+sse4a": not supported by KVM on this host', "ENOTSUP" },
        { "-avx513", 'CPU feature "-avx513": no feature is named avx513', "EINVAL" },
        { "avx", 'CPU feature "avx": must begin with + or -', "EINVAL" },
    }
    for _, case in ipairs(refused) do
        it("refuse " .. case[1], function()
            local none, message, code = build { features = { case[1] } }
            assert.is_nil(none)
            assert.equal(case[2], message)
            assert.equal(case[3], code)
        end)
    end
end)

describe("frequencies", function()
    it("are in the hypervisor's leaf, and its range says so", function()
        local leaf = build { tsc_khz = 2893437, vendor = "AuthenticAMD" }
        assert.equal(0x40000010, leaf(0x40000000).eax)
        assert.same({ 2893437, 1000000 }, { leaf(0x40000010).eax, leaf(0x40000010).ebx })
        assert.equal(0x4b4d564b, leaf(0x40000000).ebx)
        assert.is_nil(leaf(0x15))
    end)

    it("are on Intel in leaf 0x15 too, near enough and within Linux's 32 bits", function()
        for _, khz in ipairs { 1000000, 2100000, 2893437, 2999998, 3300003, 4294967 } do
            local entry = build({ tsc_khz = khz })(0x15)
            assert.equal(1000000000, entry.ecx)
            assert.is_true(1000000 * entry.ebx < 1 << 32)
            local told = 1000000 * entry.ebx / entry.eax
            assert.is_true(math.abs(told / khz - 1) < 150e-6, ("%d: %f"):format(khz, told))
        end
    end)

    it("are on Intel in leaf 0x16 in MHz", function()
        local leaf = build { tsc_khz = 2893437 }
        assert.same({ 2893, 2893, 0 }, { leaf(0x16).eax, leaf(0x16).ebx, leaf(0x16).ecx })
        assert.is_true(leaf(0).eax >= 0x16)
    end)

    it("are not told when they are not known", function()
        local leaf = build {}
        assert.is_nil(leaf(0x40000010))
        assert.equal(0x40000001, leaf(0x40000000).eax)
    end)
end)

describe("overrides", function()
    it("have the last word on registers of a leaf", function()
        local leaf = build { tsc_khz = 2000000, overrides = { [0x40000010] = { eax = 1 } } }
        assert.same({ 1, 1000000 }, { leaf(0x40000010).eax, leaf(0x40000010).ebx })
    end)

    it("reach a subleaf and make one that is not there", function()
        local leaf = build { overrides = { [4] = { [1] = { ecx = 5 }, [9] = { eax = 6 } } } }
        assert.equal(5, leaf(4, 1).ecx)
        assert.equal(0x3f, leaf(4, 0).ecx)
        assert.equal(6, leaf(4, 9).eax)
        assert.equal(INDEXED, leaf(4, 9).flags)
    end)
end)

describe("the result", function()
    it("leaves the supported list as it was", function()
        local list, fresh = supported "GenuineIntel", supported "GenuineIntel"
        build { supported = list, id = 1, vcpus = 4, tsc_khz = 2000000, features = { "-avx" } }
        assert.same(fresh, list)
    end)

    it("fits 32 bits everywhere", function()
        for _, entry in ipairs(assert(cpuid.build {
            supported = supported "AuthenticAMD",
            id = 4095,
            vcpus = 4096,
            tsc_khz = 4200000,
            tsc_deadline = true,
        })) do
            for _, register in ipairs { "eax", "ebx", "ecx", "edx" } do
                local value = entry[register]
                assert.is_true(value >= 0 and value < 1 << 32, register)
            end
        end
    end)
end)
