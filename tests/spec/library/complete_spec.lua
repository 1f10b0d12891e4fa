-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What Tab at the prompt finds, and what it does not do to find it.

local complete = require "vmm.prompt.complete"
local core = require "vmm.core"

local function names(text, globals)
    return table.concat((complete.find(text, globals)), " ")
end

local globals = {
    vm = { vcpus = { { regs = { rax = 1, rbx = 2, rip = 3 } } }, version = 2, _hidden = 1 },
    value = 1,
    words = { ["two words"] = { inner = 1 }, two = 2 },
    text = "x",
    object = setmetatable({ own = 1 }, { __index = { method = print, base = 2 } }),
}

describe("Tab", function()
    for text, expected in pairs {
        ["v"] = "value vm",
        ["val"] = "value",
        ["print(val"] = "value",
        ["x = {val"] = "value",
        ["a..val"] = "value",
        ["whi"] = "while",
        ["re"] = "repeat return",
        ["vm."] = "vcpus version",
        ["vm.v"] = "vcpus version",
        ["vm._"] = "_hidden",
        ["vm.vcpus[1].regs.r"] = "rax rbx rip",
        ["1 + vm.vcpus[ 1 ].regs.ri"] = "rip",
        ["words['two words'].i"] = "inner",
        ['words["tw'] = "two two words",
        ["words['two "] = "two words",
        ["object."] = "base method own",
        ["object:"] = "method",
        ["text:up"] = "upper",
        -- nothing there
        ["nothing."] = "",
        ["vm.nothing.x"] = "",
        ["vm.vcpus[2].r"] = "",
        ["vm.vcpus[i].r"] = "",
        ["value.x"] = "",
        ["1.v"] = "",
        ["12v"] = "",
        ["vm:v"] = "",
    } do
        it(("after %s finds: %s"):format(text, expected), function()
            assert.equal(expected, names(text, globals))
        end)
    end

    it("calls no function of what is typed", function()
        local called = false
        local function f()
            called = true
            return { field = 1 }
        end
        local tried = setmetatable({ f = f, t = setmetatable({}, { __index = f }) },
            { __index = f })
        for _, text in ipairs { "f().fi", "f{}.fi", "f''.fi", "t:f().fi", "t.x.fi", "x.fi" } do
            assert.equal("", names(text, tried))
        end
        assert.is_false(called)
    end)

    it("finds what a module loads later", function()
        assert.equal("acpi acpi_events acpi_power", names("vmm.ac", { vmm = require "vmm" }))
    end)

    it("is bounded where tables lead to each other", function()
        local a, b = { one = 1 }, { two = 2 }
        setmetatable(a, { __index = b })
        setmetatable(b, { __index = a })
        assert.equal("one two", names("a.", { a = a }))
        assert.equal("", names("a.x.y", { a = a }))
    end)

    it("inserts what all names have in common, then lists them", function()
        local insert, list = complete.answer("vm.v", { vm = { vcpu_a = 1, vcpu_b = 1 } }, 80)
        assert.same({ "cpu_", "" }, { insert, list })
        insert, list = complete.answer("vm.vcpu_", { vm = { vcpu_a = 1, vcpu_b = 1 } }, 80)
        assert.same({ "", "vcpu_a  vcpu_b\n" }, { insert, list })
    end)

    it("ends the key that it completes", function()
        local t = { ["two words"] = 1 }
        assert.same({ 'o words"]', "" }, { complete.answer('t["tw', { t = t }, 80) })
    end)

    it("indents on a blank line", function()
        assert.same({ "    ", "" }, { complete.answer("  ", globals, 80) })
    end)

    it("does nothing where nothing is known", function()
        assert.same({ "", "" }, { complete.answer("nothing.x", globals, 80) })
    end)
end)

describe("a list of names", function()
    it("is in columns, read from top to bottom", function()
        assert.equal("a    ccc\nbb   dd\n", complete.columns({ "a", "bb", "ccc", "dd" }, 10))
    end)

    it("is one column in a narrow window", function()
        assert.equal("aaaaaa\nb\n", complete.columns({ "aaaaaa", "b" }, 3))
    end)

    it("is bounded", function()
        local many = {}
        for i = 1, 1000 do
            many[i] = ("n%03d"):format(i)
        end
        assert.matches("\n%.%.%. 800 more\n$", complete.columns(many, 80))
    end)
end)

local describe_kvm = io.open "/dev/kvm" and describe or pending

describe_kvm("Tab after an object of the core", function()
    local kvm = assert(core.kvm())

    it("finds properties, methods and what a script has set", function()
        local vm <close> = assert(kvm:create_vm { name = "vm" })
        vm.vcpus = {}
        assert.equal("vcpus", names("vm.vc", { vm = vm }))
        assert.equal("closed name vcpus", names("vm.", { vm = vm }))
        assert.equal("pause", names("vm:pau", { vm = vm }))
        assert.equal("pause", names("vm.pau", { vm = vm }))
        require "vmm.vm"
        assert.equal("pause", names("vm:pau", { vm = vm })) -- and not what it is made of
        assert.equal("", names("vm:clo_", { vm = vm }))
    end)

    it("asks nothing of a closed VM", function()
        local vm = assert(kvm:create_vm { name = "vm" })
        local vcpu = assert(vm:create_vcpu(0))
        vm:close()
        assert.equal("closed name", names("vm.", { vm = vm }))
        assert.equal("", names("vm.name.x", { vm = vm }))
        assert.equal("rip", names("vcpu.regs.ri", { vcpu = vcpu }))
        assert.equal("base", names("vcpu.sregs.cs.ba", { vcpu = vcpu }))
    end)

    it("knows the registers of a vCPU that cannot be asked", function()
        for _, state in ipairs { "regs", "sregs", "sregs.cs", "sregs.gdt" } do
            local vm = assert(kvm:create_vm { name = "vm" })
            local vcpu = assert(vm:create_vcpu(0))
            local asked = names("vcpu." .. state .. ".", { vcpu = vcpu })
            vm:close()
            assert.equal(asked, names("vcpu." .. state .. ".", { vcpu = vcpu }))
        end
    end)
end)
