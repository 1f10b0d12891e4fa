-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The event trace: what is recorded, what is lost, and the file for Perfetto.

local bare = require "tests.spec.support.bare"
local json = require "vmm.json"
local process = require "vmm.process"
local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

-- mov dx, 0x500; mov al, 5; out dx, al; in al, dx; hlt
local SHORT = "\xba\x00\x05\xb0\x05\xee\xec\xf4"
-- mov dx, 0x500; mov cx, 100; 1: mov al, cl; out dx, al; loop 1b; hlt
local LOOP = "\xba\x00\x05\xb9\x64\x00\x88\xc8\xee\xe2\xfb\xf4"
-- mov dx, 0x500; 1: out dx, al; jmp 1b
local ENDLESS = "\xba\x00\x05\xee\xeb\xfd"

local function make(code)
    local vm = tiny.bare(code)
    assert(vm:attach(vmm.debug_port { name = "probe", value = 0x21 }, { pio = 0x500 }))
    return vm
end

local function exits(events)
    local list = {}
    for _, event in ipairs(events) do
        if event.kind == "exit" then list[#list + 1] = event end
    end
    return list
end

local function written(trace)
    local path = os.tmpname()
    assert(trace:write(path))
    local file <close> = assert(io.open(path))
    local text = file:read "a"
    os.remove(path)
    return text
end

describe("a trace", function()
    it("has every exit with what it accessed", function()
        local vm <close> = make(SHORT)
        local trace = assert(vm:trace { events = 100 })
        local before = vmm.now()
        bare.run(vm)
        local list = exits((assert(trace:events())))
        assert.equal(3, #list)
        assert.same({ "pio_write", "pio", 0x500, 1, 1, 5, "probe" }, { list[1].type,
            list[1].access, list[1].address, list[1].size, list[1].count, list[1].value,
            list[1].device })
        assert.same({ "pio_read", 0x21 }, { list[2].type, list[2].value })
        assert.equal("halt", list[3].type)
        assert.is_true(list[1].time_ns >= before * 1e9 - 1000)
        assert.is_true(list[1].time_ns + list[1].duration_ns <= list[2].time_ns)
    end)

    it("keeps the last events and counts those that are lost", function()
        local vm <close> = make(LOOP)
        local trace = assert(vm:trace { events = 10 })
        bare.run(vm)
        local list, lost = trace:events()
        assert.equal(10, #list)
        assert.equal("halt", list[10].type)
        assert.equal(1, list[9].value)
        assert.equal(9, list[1].value)
        local all = vm:metrics().vcpus[1]
        assert.is_true(lost >= 101 - 10)
        assert.is_true(lost <= 101 - 10 + 1 + all.kicks) -- and the resume, and kicks
    end)

    it("has pauses and resumes", function()
        local vm <close> = make(ENDLESS)
        local function await_exits()
            local from, deadline = vm:exit_counts().pio_write or 0, vmm.now() + 10
            repeat
                assert(vmm.now() < deadline, "the guest does not go on")
            until (vm:exit_counts().pio_write or 0) > from
        end
        assert(vm:start())
        await_exits() -- the first turn is a resume, too
        local trace = assert(vm:trace { events = 1 << 20 })
        assert(vm:pause(10))
        vm:resume()
        await_exits()
        assert(vm:pause(10))
        local counts = { exit = 0, kick = 0, pause = 0, resume = 0 }
        for _, event in ipairs((assert(trace:events()))) do
            counts[event.kind] = counts[event.kind] + 1
        end
        assert.equal(2, counts.pause)
        assert.equal(1, counts.resume)
    end)

    it("is read and written while it runs", function()
        local vm <close> = make(ENDLESS)
        local trace = assert(vm:trace { events = 64 })
        assert(vm:start())
        for _ = 1, 20 do
            local last = 0
            for _, event in ipairs((assert(trace:events()))) do
                assert.is_true(event.time_ns >= last)
                last = event.time_ns
            end
            assert(json.decode(written(trace)))
        end
    end)

    it("records no more once it is stopped, and the next one starts empty", function()
        local vm <close> = make(ENDLESS)
        local first = assert(vm:trace { events = 1000 })
        local refused, message, code = vm:trace()
        assert.same({ nil, "a trace is running: stop that one first", "EBUSY" },
            { refused, message, code })
        assert(vm:start())
        first:stop()
        first:stop()
        assert(vm:pause(10))
        local before = #first:events()
        vm:resume()
        assert(vm:pause(10))
        assert.equal(before, #first:events())
        local second = assert(vm:trace { events = 100000 })
        assert.same({}, (second:events()))
        assert.same({ nil, "a later trace has replaced this one", "ESTALE" },
            { first:events() })
        first:stop()
        vm:resume()
        assert(vm:pause(10))
        assert.is_true(#second:events() > 0)
    end)

    it("makes a file that Perfetto loads: JSON of slices, instants and names", function()
        local vm <close> = make(SHORT)
        local trace = assert(vm:trace {})
        trace:mark 'before "all"\n'
        bare.run(vm)
        local text = written(trace)
        local events = assert(json.decode(text)).traceEvents
        local by_phase = { M = {}, X = {}, i = {} }
        for _, event in ipairs(events) do
            table.insert(by_phase[event.ph], event)
            assert.equal("integer", math.type(event.pid))
            assert.equal("integer", math.type(event.tid))
            assert.is_true(event.ph == "M" or event.ts > 0)
        end
        assert.equal("VM bare", by_phase.M[1].args.name)
        assert.equal("vCPU 0", by_phase.M[3].args.name)
        assert.equal(3, #by_phase.X)
        assert.same({ "pio_write probe", "exit", "0x500", "0x5" }, { by_phase.X[1].name,
            by_phase.X[1].cat, by_phase.X[1].args.address, by_phase.X[1].args.value })
        assert.is_true(by_phase.X[1].dur > 0)
        local mark = by_phase.i[#by_phase.i]
        assert.same({ 'before "all"\n', "p" }, { mark.name, mark.s })
        if process.capture { "python3", "--version" } then
            local path = os.tmpname()
            assert(trace:write(path))
            local output, _, failed = process.capture({ "python3", "-c",
                "import json,sys; print(len(json.load(open(sys.argv[1]))['traceEvents']))", path })
            os.remove(path)
            assert.is_nil(failed)
            assert.equal(#events, tonumber(output))
        end
    end)

    it("says what cannot be written, and that its VM is closed", function()
        local vm = make(SHORT)
        local trace = assert(vm:trace {})
        local ok, message, code = trace:write "/nonexistent/trace"
        assert.is_nil(ok)
        assert.equal("cannot write /nonexistent/trace: No such file or directory", message)
        assert.equal("EIO", code)
        ok, message = trace:write "/dev/full"
        assert.is_nil(ok)
        assert.equal("cannot write /dev/full: No space left on device", message)
        vm:close()
        assert.same({ nil, "the trace's VM is closed", "closed" }, { trace:write "/dev/null" })
        trace:stop()
    end)

    it("refuses options that it does not have", function()
        local vm <close> = make(SHORT)
        assert.error_matches(function() vm:trace { event = 1 } end,
            'vm:trace: unknown option "event", did you mean "events"%? valid: events')
        assert.error_matches(function() vm:trace { events = 0 } end,
            "vm:trace: events must be an integer from 1 to 1048576, not 0")
    end)
end)
