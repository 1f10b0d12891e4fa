-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- gdb's remote protocol, packet by packet, on a VM that is none.

local client = require "tests.spec.support.gdb_client"
local fake_vm = require "tests.spec.support.fake_vm"
local gdb = require "vmm.gdb"
local packet = require "vmm.gdb.packet"
local registers = require "vmm.gdb.registers"
local process = require "vmm.process"
local vmm = require "vmm"

-- A little-endian number of so many bytes, in hex.
local function hex(value, bytes)
    return packet.to_hex(("<i8"):pack(value):sub(1, bytes))
end

describe("a packet", function()
    local function all(...)
        local parser, found = packet.parser(), {}
        for _, bytes in ipairs { ... } do
            parser:feed(bytes)
            repeat
                local kind, payload = parser:next()
                if kind then found[#found + 1] = kind .. (payload and ":" .. payload or "") end
            until not kind or kind == "overflow"
        end
        return found
    end

    it("is told from acknowledgements, interrupts and noise", function()
        assert.same({ "ack", "packet:OK", "interrupt", "nak", "packet:" },
            all "+$OK#9ajunk\3-\n$#00")
    end)

    it("may come byte by byte", function()
        assert.same({ "packet:OK", "packet:g" }, all("$", "O", "K", "#", "9", "a", "$g#", "67"))
    end)

    it("with a wrong or senseless checksum is bad, and the next one is not", function()
        assert.same({ "bad", "bad", "packet:OK" }, all "$OK#9b$OK#zz$OK#9a")
    end)

    it("costs as much behind many bytes as behind few", function()
        local parser = packet.parser()
        local bytes = ("+"):rep(1 << 16) .. "$OK#9a"
        parser:feed(bytes)
        collectgarbage()
        collectgarbage "stop"
        local before, acks = collectgarbage "count", 0
        while parser:next() == "ack" do acks = acks + 1 end
        local taken = collectgarbage "count" - before
        collectgarbage "restart"
        assert.equal(1 << 16, acks)
        assert.is_true(taken < 1024, taken)
    end)

    it("that has no end in sight is an overflow", function()
        assert.same({ "overflow" }, all("$" .. ("x"):rep(packet.MAX_BYTES + 1)))
        assert.same({ "overflow" }, all("$" .. ("x"):rep(packet.MAX_BYTES + 1) .. "#00"))
        local longest = ("x"):rep(packet.MAX_BYTES)
        assert.same({ "packet:" .. longest }, all(packet.frame(longest)))
    end)

    it("carries any byte by its escapes", function()
        local bytes = {}
        for i = 0, 255 do
            bytes[#bytes + 1] = string.char(i)
        end
        bytes = table.concat(bytes)
        assert.equal(bytes, packet.unescape(packet.escape(bytes)))
        assert.same({ "packet:" .. packet.escape(bytes) }, all(packet.frame(packet.escape(bytes))))
        assert.is_nil(packet.unescape "ab}")
    end)

    it("is filled with as many escaped bytes as fit", function()
        assert.same({ "ab}]", 3 }, { packet.escape_some("ab}cd", 4) })
        assert.same({ "ab", 2 }, { packet.escape_some("ab}cd", 3) })
        assert.same({ "", 0 }, { packet.escape_some("", 3) })
        assert.same({ "}\3", 1 }, { packet.escape_some("###", 3) })
    end)

    it("has numbers of at most 64 bits, in hex", function()
        for text, number in pairs {
            ["0"] = 0, ["0000000000000000000001f"] = 31, ffffffffffffffff = -1,
            ffffffff81000000 = 0xffffffff81000000,
        } do
            assert.equal(number, packet.number(text), text)
        end
        for _, text in ipairs { "", "x", "1ffffffffffffffff", "-1", "1 " } do
            assert.is_nil(packet.number(text), text)
        end
        assert.is_nil(packet.number(nil))
    end)
end)

describe("gdb's stub", function()
    local directory, path, vm, server

    before_each(function()
        directory = assert(process.temporary_directory "vmm-gdb")
        path = directory .. "/gdb.sock"
        vm = fake_vm.new(2)
        server = assert(gdb.serve(vm, { unix = path }))
    end)

    after_each(function()
        server:close()
        process.remove(directory)
    end)

    local function attach()
        local debugger = client.connect { unix = path }
        debugger:no_acks()
        return debugger
    end

    -- Runs poll till it says true.
    local function eventually(poll)
        local deadline = vmm.now() + 10
        while not poll() do
            assert.is_true(vmm.now() < deadline)
            vmm.step(0.1)
        end
    end

    it("pauses the VM when a debugger comes, and lets it go on when it detaches", function()
        local debugger <close> = attach()
        assert.matches("^T05.*thread:1;$", debugger:ask "?")
        assert.same({ "pause" }, vm.calls)
        assert.equal("OK", debugger:ask "D")
        assert.equal("end", debugger:receive())
        assert.same({ "pause", "resume" }, vm.calls)
    end)

    it("lets the VM go on when the connection is lost, without what the debugger set", function()
        local debugger = attach()
        assert.equal("OK", debugger:ask "Z0,2000,1")
        debugger:close()
        eventually(function() return vm.calls[#vm.calls] == "resume" end)
        assert.is_nil(next(vm.points))
    end)

    it("leaves a VM paused that was so before, unless the debugger lets it go", function()
        vm:pause()
        local debugger = attach()
        debugger:close()
        local second <close> = attach()
        assert.same({ "pause" }, vm.calls)
        assert.equal("OK", second:ask "D;1")
        assert.equal("end", second:receive())
        assert.same({ "pause", "resume" }, vm.calls)
    end)

    it("serves one debugger at a time, the next one when it has left", function()
        local first, second = attach(), client.connect { unix = path }
        second:send "qC"
        assert.equal("QC1", first:ask "qC")
        assert.same({ nil, "timeout", "timeout" }, { second.socket:read(nil, 0.05) })
        first:close()
        assert.equal("QC1", second:receive())
        second:close()
    end)

    it("acknowledges packets, asks for bad ones again, repeats what was lost", function()
        local debugger <close> = client.connect { unix = path }
        debugger:raw "$qC#00"
        assert.equal("nak", debugger:event())
        debugger:raw(packet.frame "qC")
        assert.equal("ack", debugger:event())
        assert.same({ "packet", "QC1" }, { debugger:event() })
        debugger:raw "-"
        assert.same({ "packet", "QC1" }, { debugger:event() })
        debugger:raw("+" .. packet.frame "QStartNoAckMode")
        assert.equal("ack", debugger:event())
        assert.same({ "packet", "OK" }, { debugger:event() })
        debugger:raw("+" .. packet.frame "qC")
        assert.same({ "packet", "QC1" }, { debugger:event() })
    end)

    it("hangs up on a packet without an end", function()
        local debugger <close> = attach()
        debugger:raw("$" .. ("x"):rep(1 << 16))
        assert.equal("end", debugger:receive())
        local second <close> = attach()
        assert.equal("QC1", second:ask "qC")
    end)

    it("says what it can do, and nothing of what it does not know", function()
        local debugger <close> = attach()
        local features = debugger:ask "qSupported:multiprocess+;swbreak+;xmlRegisters=i386"
        assert.equal("PacketSize=4000;QStartNoAckMode+;qXfer:features:read+;vContSupported+;"
            .. "swbreak+;hwbreak+", features)
        for _, unknown in ipairs { "vMustReplyEmpty", "qOffsets", "qSymbol::", "!", "Z9,0,1",
            "Z3,2000,4", "qXfer:memory-map:read::0,fff", "\xff", "" } do
            assert.equal("", debugger:ask(unknown), unknown)
        end
        assert.equal("1", debugger:ask "qAttached")
        assert.equal("vCont;c;C;s;S;t", debugger:ask "vCont?")
    end)

    it("describes its registers as gdb wants amd64's, in pieces of any size", function()
        local debugger <close> = attach()
        local whole = debugger:ask "qXfer:features:read:target.xml:0,3fff"
        assert.equal("l", whole:sub(1, 1))
        local pieces, offset = {}, 0
        repeat
            local piece = debugger:ask(("qXfer:features:read:target.xml:%x,3fb"):format(offset))
            pieces[#pieces + 1] = packet.unescape(piece:sub(2))
            offset = offset + #pieces[#pieces]
        until piece:sub(1, 1) == "l"
        local xml = table.concat(pieces)
        assert.equal(packet.unescape(whole:sub(2)), xml)
        for _, name in ipairs { "rax", "rip", "eflags", "st7", "fop", "xmm15", "mxcsr", "fs_base",
            "cr3", "efer" } do
            assert.matches(('<reg name="%s"'):format(name), xml, 1, true)
        end
        assert.matches('name="rip" bitsize="64" type="code_ptr" regnum="16"', xml, 1, true)
        assert.equal("E00", debugger:ask "qXfer:features:read:other.xml:0,fff")
    end)

    it("reads and writes one register", function()
        local debugger <close> = attach()
        assert.equal(hex(0x1122334455667788, 8), debugger:ask "p0")
        assert.equal(hex(0x2000, 8), debugger:ask "p10")
        assert.equal("OK", debugger:ask("P0=" .. hex(-2, 8)))
        assert.equal(-2, vm.vcpus[1].regs.rax)
        for _, wrong in ipairs { "p", "pfff", "p-1", "pxyz", "P0", "P0=", "P0=12", "P0=zz",
            "Pfff=00", "P12=00000000" } do -- 0x12: cs
            assert.equal("E01", debugger:ask(wrong), wrong)
        end
    end)

    it("reads and writes floating-point and vector registers where XSAVE has them", function()
        local debugger <close> = attach()
        local function number_of(name)
            local xml = packet.unescape(debugger:ask "qXfer:features:read:target.xml:0,3fff")
            return tonumber(xml:match(('name="%s"[^>]*regnum="(%%d+)"'):format(name)))
        end
        local value = ("00112233445566778899aabbccddeeff")
        local xmm1 = number_of "xmm1"
        assert.equal("OK", debugger:ask(("P%x=%s"):format(xmm1, value)))
        assert.equal(value, debugger:ask(("p%x"):format(xmm1)))
        local area = vm.vcpus[1].states.xsave
        assert.equal(value, packet.to_hex(area:sub(160 + 16 + 1, 160 + 32)))
        assert.equal(2, (("<I8"):unpack(area, 513))) -- the SSE component is there
        assert.equal("OK", debugger:ask(("P%x=%s"):format(number_of "ftag", "fcff0000")))
        assert.equal("fcff0000", debugger:ask(("p%x"):format(number_of "ftag")))
        assert.equal(1, vm.vcpus[1].states.xsave:byte(5))
    end)

    it("refuses a value that KVM refuses, and stays", function()
        local debugger <close> = attach()
        local number
        for index, register in ipairs(registers.list(vm.vcpus[1])) do
            if register.name == "cr0" then number = index - 1 end
        end
        assert.equal("E16", debugger:ask(("P%x=ffffffffffffffff"):format(number)))
        assert.equal("QC1", debugger:ask "qC")
    end)

    it("reads all registers, and writes back but what has changed", function()
        local debugger <close> = attach()
        local all = debugger:ask "g"
        assert.equal(hex(0x1122334455667788, 8), all:sub(1, 16))
        local sregs = vm.vcpus[1].sregs
        assert.equal("OK", debugger:ask("G" .. hex(7, 8) .. all:sub(17)))
        assert.equal(7, vm.vcpus[1].regs.rax)
        assert.equal(sregs, vm.vcpus[1].sregs)
        assert.equal("E01", debugger:ask("G" .. all:sub(3)))
        assert.equal("E01", debugger:ask("G" .. ("z"):rep(#all)))
    end)

    it("has a thread for each vCPU", function()
        local debugger <close> = attach()
        assert.equal("m1,2", debugger:ask "qfThreadInfo")
        assert.equal("l", debugger:ask "qsThreadInfo")
        assert.equal("vCPU 0", packet.from_hex(debugger:ask "qThreadExtraInfo,1"))
        assert.equal("vCPU 1, halted", packet.from_hex(debugger:ask "qThreadExtraInfo,2"))
        assert.equal("OK", debugger:ask "Hg2")
        assert.equal(hex(0x1122334455667789, 8), debugger:ask "p0")
        assert.equal("QC2", debugger:ask "qC")
        debugger:ask "m2000,1"
        assert.equal(2, vm.read_of)
        assert.equal("OK", debugger:ask "Hc-1")
        assert.equal("OK", debugger:ask "T2")
        for _, wrong in ipairs { "T3", "Hg3", "Hg", "Hx1", "T", "T-1", "qThreadExtraInfo,9" } do
            assert.equal("E01", debugger:ask(wrong), wrong)
        end
    end)

    it("reads and writes memory, up to a hole", function()
        local debugger <close> = attach()
        assert.equal("OK", debugger:ask "M2000,4:01020304")
        assert.equal("OK", debugger:ask "X2004,3:\5}\3}\4") -- 5, '#', '$'
        assert.equal("0102030405" .. packet.to_hex "#$", debugger:ask "m2000,7")
        assert.equal("00000000", debugger:ask "m10ffc,100") -- the last bytes of it
        assert.equal("OK", debugger:ask "X2000,0:")
        assert.equal("E0e", debugger:ask "m11000,4")
        assert.equal("E0e", debugger:ask "M11000,1:00")
        assert.equal("E0e", debugger:ask "mffffffffffffffff,1")
        for _, wrong in ipairs { "m", "m2000", "m2000,", "mxx,4", "m2000,ffffffffffffffff",
            "m2000,4001", "M2000,4:0102", "M2000,1:zz", "M2000,1", "X2000,1:}", "X2000,2:a",
            "m12345678123456789,1" } do
            assert.equal("E01", debugger:ask(wrong), wrong)
        end
    end)

    it("runs the guest till a breakpoint, and says which vCPU is at it", function()
        local debugger <close> = attach()
        debugger:ask "qSupported:swbreak+;hwbreak+"
        assert.equal("OK", debugger:ask "Z0,2345,1")
        assert.equal("OK", debugger:ask "Z0,2345,1") -- no mistake
        assert.same({ "pause", "break 0x2345" }, vm.calls)
        debugger:send "vCont;c"
        eventually(function() return vm.calls[3] == "resume" end)
        vm:hit(2, 0x2345)
        local reply = debugger:receive()
        assert.matches("^T05swbreak:;.*thread:2;$", reply)
        assert.matches("10:" .. hex(0x2345, 8), reply, 1, true)
        assert.equal("QC2", debugger:ask "qC")
        assert.equal("OK", debugger:ask "z0,2345,1")
        assert.equal("OK", debugger:ask "z0,2345,1")
        assert.is_nil(next(vm.points))
    end)

    -- When the guest goes on.
    local function both_come_to_a_breakpoint(debugger)
        debugger:ask "Z0,2345,1"
        vm.on_resume = function()
            vm:hit(1, 0x2345)
            vm:hit(2, 0x2345)
        end
    end

    it("tells of two vCPUs that have come to breakpoints one after the other", function()
        local debugger <close> = attach()
        both_come_to_a_breakpoint(debugger)
        assert.matches("thread:1;$", debugger:ask "vCont;c")
        debugger:ask "z0,2345,1"
        assert.matches("thread:1;$", debugger:ask "vCont;s:1")
        debugger:ask "Z0,2345,1"
        assert.matches("thread:2;$", debugger:ask "vCont;c")
        assert.same({ "pause", "break 0x2345", "resume", "step 1", "break 0x2345" }, vm.calls)
        debugger:send "vCont;c"
        eventually(function() return vm.calls[6] == "resume" end)
    end)

    it("forgets that a vCPU is at a breakpoint that is no more", function()
        local debugger <close> = attach()
        both_come_to_a_breakpoint(debugger)
        debugger:ask "vCont;c"
        debugger:ask "z0,2345,1"
        debugger:send "vCont;c"
        eventually(function() return vm.calls[4] == "resume" end)
    end)

    it("shows what a breakpoint covers", function()
        vm.hidden = function(gpa, bytes)
            return gpa == 0x102000 and "\x55" .. bytes:sub(2)
        end
        local debugger <close> = attach()
        assert.equal("5500", debugger:ask "m2000,2")
    end)

    it("uses a debug register where INT3 does not get to the host", function()
        vm.no_software = true
        local debugger <close> = attach()
        assert.equal("OK", debugger:ask "Z0,2345,1")
        assert.same({ "pause", "break 0x2345 hardware" }, vm.calls)
    end)

    it("sets hardware breakpoints and watchpoints, and tells their hits", function()
        local debugger <close> = attach()
        debugger:ask "qSupported:hwbreak+"
        assert.equal("OK", debugger:ask "Z1,2345,1")
        assert.equal("OK", debugger:ask "Z2,3000,8")
        assert.equal("OK", debugger:ask "Z4,4000,4")
        assert.same({ "pause", "break 0x2345 hardware", "watch 0x3000 8 w", "watch 0x4000 4 rw" },
            vm.calls)
        for address, word in pairs { [0x2345] = "hwbreak:", [0x3000] = "watch:3000",
            [0x4000] = "awatch:4000" } do
            vm.on_resume = function() vm:hit(1, address) end
            assert.matches("^T05" .. word .. ";.*thread:1;$", debugger:ask "vCont;c")
        end
        assert.equal("E16", debugger:ask "Z2,3001,8")
        assert.equal("E16", debugger:ask "Z2,3000,3")
        for _, wrong in ipairs { "Z0", "Z0,1", "Z0,x,1", "z1,2,", "Z0,11112222333344445,1" } do
            assert.equal("E01", debugger:ask(wrong), wrong)
        end
    end)

    it("does not say swbreak to a debugger that does not know the word", function()
        local debugger <close> = attach()
        debugger:ask "Z0,2345,1"
        vm.on_resume = function() vm:hit(1, 0x2345) end
        assert.matches("^T0506:", debugger:ask "c")
    end)

    it("stops the guest at Ctrl-C", function()
        local debugger <close> = attach()
        debugger:send "vCont;c:-1"
        eventually(function() return vm.calls[2] == "resume" end)
        debugger:raw "\3"
        assert.matches("^T02.*thread:1;$", debugger:receive())
        assert.same({ "pause", "resume", "pause" }, vm.calls)
    end)

    it("says nothing to a Ctrl-C that comes when the guest stands already", function()
        local debugger <close> = attach()
        debugger:raw "\3"
        assert.equal("QC1", debugger:ask "qC")
    end)

    it("steps the vCPU that is meant, while the others stand still", function()
        local debugger <close> = attach()
        assert.matches("^T05.*thread:2;$", debugger:ask "vCont;s:2;c")
        assert.equal(0x2002, vm.vcpus[2].regs.rip)
        assert.equal(0x2000, vm.vcpus[1].regs.rip)
        assert.matches("thread:2;$", debugger:ask "s") -- where it is now
        assert.matches("thread:1;$", debugger:ask "vCont;S05:1")
        assert.same({ "pause", "step 2", "step 2", "step 1" }, vm.calls)
    end)

    it("says so when the host cannot step", function()
        vm.cannot_step = "this KVM does not single-step"
        local debugger <close> = attach()
        local words = debugger:ask "vCont;s:1"
        assert.equal("vCPU 0 was not stepped: this KVM does not single-step\n",
            packet.from_hex(words:sub(2)))
        assert.matches("^T05", debugger:receive())
    end)

    it("refuses to let some vCPUs run while others stand, and what makes no sense", function()
        local debugger <close> = attach()
        assert.equal("E5f", debugger:ask "vCont;c:1")
        for _, wrong in ipairs { "vCont", "vCont;", "vCont;x", "vCont;c:9", "vCont;C", "vCont;c05",
            "czz" } do
            assert.equal("E01", debugger:ask(wrong), wrong)
        end
        assert.matches("^T05", debugger:ask "vCont;t")
        assert.same({ "pause" }, vm.calls)
    end)

    for reason, reply in pairs { poweroff = "W00", reboot = "W00", panic = "X06",
        triple_fault = "X0b", error = "X06" } do
        it("tells the guest's end: " .. reason, function()
            local debugger <close> = attach()
            debugger:send "vCont;c"
            eventually(function() return vm.calls[2] == "resume" end)
            vm:finish { reason = reason, text = "be\27cause" }
            assert.equal("the guest has ended: " .. reason .. ": be cause\n",
                packet.from_hex(debugger:receive():sub(2)))
            assert.equal(reply, debugger:receive())
            assert.equal(reply, debugger:ask "vCont;c")
            debugger:close()
            eventually(function() return server.closed end)
        end)
    end

    it("ends with its VM when no debugger is there", function()
        vm:finish { reason = "poweroff", text = "" }
        assert.is_true(server.closed)
        assert.is_nil(process.stat1(path))
    end)

    it("hangs up when it is closed, and lets the guest go on without breakpoints", function()
        local debugger <close> = attach()
        debugger:ask "Z0,2345,1"
        server:close()
        assert.equal("end", debugger:receive())
        assert.is_nil(next(vm.points))
        assert.same({ "pause", "break 0x2345", "resume" }, vm.calls)
        assert.same({}, vm.subscriptions)
    end)

    it("kills the VM when told to", function()
        local debugger <close> = attach()
        assert.equal("OK", debugger:ask "vKill;1")
        assert.equal("end", debugger:receive())
        assert.same({ "pause", "stop closed" }, vm.calls)
    end)

    it("starts a VM that has not been started when the debugger lets it go on", function()
        vm.started = nil
        for _, vcpu in ipairs(vm.vcpus) do vcpu.state = "none" end
        local debugger <close> = attach()
        assert.matches("^T05", debugger:ask "?")
        assert.same({}, vm.calls)
        debugger:ask "vCont;s:1"
        debugger:send "vCont;c"
        eventually(function() return #vm.calls == 3 end)
        assert.same({ "start paused", "step 1", "resume" }, vm.calls)
    end)

    it("holds the VM again that a script has let go on under it", function()
        local debugger <close> = attach()
        vm:resume()
        debugger:ask "g"
        assert.same({ "pause", "resume", "pause" }, vm.calls)
    end)

    -- The output of a monitor command.
    local function monitor(debugger, line)
        local parts = {}
        local reply = debugger:ask("qRcmd," .. packet.to_hex(line))
        while reply:sub(1, 1) == "O" and reply ~= "OK" do
            parts[#parts + 1] = packet.from_hex(reply:sub(2))
            reply = debugger:receive()
        end
        assert.equal("OK", reply)
        return table.concat(parts)
    end

    it("has monitor commands", function()
        local debugger <close> = attach()
        assert.matches("lua EXPR .*not allowed here", monitor(debugger, "help"))
        assert.equal(monitor(debugger, "help"), monitor(debugger, ""))
        local regs = monitor(debugger, "regs")
        assert.matches("cr3       0x1000\n", regs, 1, true)
        assert.matches("cs        0x0000 base 0x0 limit 0xffffffff type 11 dpl 0\n", regs, 1, true)
        assert.equal("pio_write        3\n", monitor(debugger, "exits"))
        assert.matches("software_breakpoints   false: INT3 is not delivered\n",
            monitor(debugger, "support"), 1, true)
        assert.equal(" do_one+0x1/0x20\n", monitor(debugger, "backtrace"))
        debugger:ask "Hg2"
        assert.equal("no kernel is known\n", monitor(debugger, "backtrace"))
        assert.equal('there is no monitor command "reset"; monitor help lists them\n',
            monitor(debugger, "reset now"))
        assert.equal("E01", debugger:ask "qRcmd,7")
    end)

    it("writes the guest's symbols to the file that was given, if any", function()
        local without <close> = attach()
        assert.equal("no file is given for them: vm:gdb{ symbols = FILE }\n",
            monitor(without, "symbols"))
        server:close()
        for file, words in pairs {
            ["a.elf"] = "the guest's symbols are in a.elf\n",
            none = "the guest's symbols are not known: no kernel\n",
        } do
            vm.calls = {}
            local other <close> = assert(gdb.serve(vm, { unix = path, symbols = file }))
            local debugger <close> = attach()
            assert.equal(words, monitor(debugger, "symbols"))
            assert.equal("symbols " .. file, vm.calls[#vm.calls])
            other:close()
        end
    end)

    it("tells the script when a debugger has left", function()
        assert.same({ nil, "timeout", "timeout" }, { server:wait(0) })
        attach():close()
        assert.is_true(server:wait(10))
        assert.same({ nil, "timeout", "timeout" }, { server:wait(0) })
        server:close()
        assert.same({ nil, "the server is closed", "closed" }, { server:wait(10) })
    end)

    it("evaluates Lua only where that is allowed", function()
        local debugger = attach()
        assert.matches("not allowed", monitor(debugger, "lua os.exit(9)"))
        debugger:close()
        server:close()
        server = assert(gdb.serve(vm, { unix = path, lua = true }))
        debugger = attach()
        assert.equal("2\tnil\n", monitor(debugger, "lua #vm.vcpus, nil"))
        assert.equal("", monitor(debugger, "lua vm.name = 'x'"))
        assert.equal("x\n", monitor(debugger, "lua vm.name"))
        assert.matches("monitor:1: oh", monitor(debugger, "lua error 'oh'"))
        assert.matches("unexpected symbol", monitor(debugger, "lua )"))
        debugger:close()
    end)

    it("survives packets that make no sense at all", function()
        local debugger <close> = attach()
        math.randomseed(7)
        for letter in ("?gGpPmMXZzHTqQv\0\xff"):gmatch "." do
            for _ = 1, 20 do
                local bytes = {}
                for i = 1, math.random(0, 12) do
                    bytes[i] = string.char(math.random(0, 255))
                end
                debugger:ask(letter .. packet.escape(table.concat(bytes)))
            end
        end
        assert.matches("^QC%d$", debugger:ask "qC")
    end)

    it("says what is wrong with its options", function()
        for _, case in ipairs {
            { {}, "give one of: unix, tcp" },
            { { unix = path, symbols = 5 }, "vm:gdb: symbols must be a string, not 5" },
            { { unix = path, lua = "yes" }, 'vm:gdb: lua must be a boolean, not "yes"' },
            { { unix = path, port = 1 }, "unknown option \"port\"" },
        } do
            local ok, message = pcall(gdb.serve, vm, case[1])
            assert.is_false(ok)
            assert.matches(case[2], message, 1, true)
        end
        local again, _, code = gdb.serve(vm, { unix = path })
        assert.same({ nil, "EADDRINUSE" }, { again, code })
    end)
end)
