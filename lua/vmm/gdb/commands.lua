-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What gdb's packets mean. Each command is function(session, rest of the payload) and returns the
-- reply's payload: "" where gdb is to know that there is no such command, nil for none.

local monitor = require "vmm.gdb.monitor"
local packet = require "vmm.gdb.packet"
local points = require "vmm.gdb.points"
local registers = require "vmm.gdb.registers"
local target = require "vmm.gdb.target"

local commands = {}

local PAGE = 4096
local BAD = "E01" -- a packet that makes no sense
local UNKNOWN = ""

-- By number, where gdb's user may learn something from it.
local NUMBERS = { EFAULT = 14, EBUSY = 16, EINVAL = 22, ENOSPC = 28, ENOTSUP = 95 }

local function failure(code)
    return ("E%02x"):format(NUMBERS[code] or 1)
end

-- ---- threads: vCPUs, from 1 on ---------------------------------------------------------------

-- The vCPU that a thread id means; 0: any. nil when there is none of that name; "-1" is "all".
local function thread_of(session, text)
    if text == "-1" then return "all" end
    local id = packet.number(text)
    if id == 0 then return session.thread end
    return id and session.vm.vcpus[id] and id
end

local function select_thread(session, rest)
    local operation, id = rest:match "^([gc])(.*)$"
    local thread = operation and thread_of(session, id)
    if not thread then return BAD end
    if operation == "g" and thread ~= "all" then session.thread = thread end
    return "OK"
end

local function is_alive(session, rest)
    return math.type(thread_of(session, rest)) and "OK" or BAD
end

local function list_threads(session)
    local ids = {}
    for index in ipairs(session.vm.vcpus) do
        ids[index] = ("%x"):format(index)
    end
    return "m" .. table.concat(ids, ",")
end

local function describe_thread(session, rest)
    local thread = thread_of(session, rest)
    if math.type(thread) == nil then return BAD end
    return packet.to_hex(monitor.vcpu_words(session.vm, thread))
end

-- ---- registers -------------------------------------------------------------------------------

local function view_of(session)
    return registers.view(session.vm.vcpus[session.thread])
end

local function read_all(session)
    local view, parts = view_of(session), {}
    for index, register in ipairs(session.registers) do
        parts[index] = packet.to_hex(register.read(view))
    end
    return table.concat(parts)
end

local function store(view)
    local ok, _, code = view:store()
    return ok and "OK" or failure(code)
end

-- What cannot be written keeps its value: gdb writes all to change one.
local function write_all(session, rest)
    local bytes = packet.from_hex(rest)
    if not bytes or #bytes ~= registers.size(session.registers) then return BAD end
    local view, at = view_of(session), 1
    for _, register in ipairs(session.registers) do
        local value = bytes:sub(at, at + register.bytes - 1)
        at = at + register.bytes
        if register.write and value ~= register.read(view) then register.write(view, value) end
    end
    return store(view)
end

local function register_of(session, text)
    local number = packet.number(text)
    return number and number >= 0 and session.registers[number + 1]
end

local function read_one(session, rest)
    local register = register_of(session, rest)
    return register and packet.to_hex(register.read(view_of(session))) or BAD
end

local function write_one(session, rest)
    local number, digits = rest:match "^(%x+)=(%x+)$"
    local register = register_of(session, number)
    local bytes = digits and packet.from_hex(digits)
    if not register or not register.write or not bytes or #bytes ~= register.bytes then
        return BAD
    end
    local view = view_of(session)
    register.write(view, bytes)
    return store(view)
end

-- ---- memory ----------------------------------------------------------------------------------

local function range_of(text)
    local address, len = text:match "^(%x+),(%x+)$"
    address, len = packet.number(address), packet.number(len)
    if address and len and len >= 0 and len <= packet.MAX_BYTES then return address, len end
    return nil
end

-- What a breakpoint covers is shown, not the INT3.
local function without_breakpoints(vm, thread, address, bytes)
    local gpa = vm.vcpus[thread]:translate(address)
    return gpa and vm:without_breakpoints(bytes, gpa) or bytes
end

-- Page by page: gdb takes what is there before a hole.
local function read_memory(session, rest)
    local address, len = range_of(rest)
    if not address then return BAD end
    len = math.min(len, packet.MAX_BYTES // 2)
    local parts, done, code = {}, 0, nil
    while done < len do
        local at = address + done
        local count = math.min(len - done, PAGE - at % PAGE)
        local bytes, _, why = session.vm:read_virtual(at, count, { vcpu = session.thread })
        code = why
        if not bytes then break end
        bytes = without_breakpoints(session.vm, session.thread, at, bytes)
        parts[#parts + 1] = packet.to_hex(bytes)
        done = done + count
    end
    if done == 0 and len > 0 then return failure(code) end
    return table.concat(parts)
end

local function write_memory(session, rest, decode)
    local range, data = rest:match "^([^:]*):(.*)$"
    local address, len = range_of(range or "")
    local bytes = data and decode(data)
    if not address or not bytes or #bytes ~= len then return BAD end
    if len == 0 then return "OK" end -- gdb asks whether there is such a command
    local ok, _, code = session.vm:write_virtual(address, bytes, { vcpu = session.thread })
    return ok and "OK" or failure(code)
end

local function write_hex(session, rest)
    return write_memory(session, rest, packet.from_hex)
end

local function write_binary(session, rest)
    return write_memory(session, rest, packet.unescape)
end

-- ---- breakpoints -----------------------------------------------------------------------------

local function point_of(rest)
    local kind, address, len = rest:match "^(%x),(%x+),(%x+)"
    return kind, packet.number(address), packet.number(len)
end

local function insert_point(session, rest)
    local kind, address, len = point_of(rest)
    if not kind or not address or not len then return BAD end
    if not points.known(kind) then return UNKNOWN end
    local ok, _, code = session.points:add(kind, address, len, session.thread)
    return ok and "OK" or failure(code)
end

local function remove_point(session, rest)
    local kind, address, len = point_of(rest)
    if not kind or not address or not len then return BAD end
    if not points.known(kind) then return UNKNOWN end
    session.points:remove(kind, address, len)
    return "OK"
end

-- ---- going on --------------------------------------------------------------------------------

-- What each vCPU is to do: the first action that is for it counts.
local function plan_of(session, rest)
    local plan = {}
    for text in rest:gmatch "[^;]+" do
        local action, signal, id = text:match "^([cCsSt])(%x*):?(.*)$"
        local thread = id and (id == "" and "all" or thread_of(session, id))
        if not thread or (signal ~= "") ~= (action == "C" or action == "S") then return nil end
        for index in ipairs(session.vm.vcpus) do
            if thread == "all" or thread == index then
                plan[index] = plan[index] or action:lower()
            end
        end
    end
    return next(plan) and plan
end

local function count(plan, action)
    local n = 0
    for _, planned in pairs(plan) do
        if planned == action then n = n + 1 end
    end
    return n
end

-- One vCPU is stepped while all others stand still, also those that gdb would let run. Some running
-- while others stand is not to be had.
local function vcont(session, rest)
    if rest == "?" then return "vCont;c;C;s;S;t" end
    local plan = rest:sub(1, 1) == ";" and plan_of(session, rest)
    if not plan then return BAD end
    if plan[session.thread] == "s" then return session:step(session.thread) end
    for index in ipairs(session.vm.vcpus) do
        if plan[index] == "s" then return session:step(index) end
    end
    if count(plan, "t") > 0 then return session:stop_reply() end
    if count(plan, "c") < #session.vm.vcpus then return failure "ENOTSUP" end
    return session:continue()
end

-- c, s, C and S, by which older debuggers do it; an address to go on at is no good idea.
local function go_on(action)
    return function(session, rest)
        if not rest:find "^%x*$" then return BAD end
        return action == "s" and session:step(session.thread) or session:continue()
    end
end

local function detach(session)
    session.go_on = true
    session:reply "OK"
    session:leave()
end

local function kill(session)
    if not session:ended() then session.vm:stop("closed", "killed by the debugger") end
    session:leave()
end

-- ---- questions -------------------------------------------------------------------------------

local function supported(session, rest)
    session.features = {}
    for feature in rest:gmatch "([%w-]+)%+" do
        session.features[feature] = true
    end
    return ("PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;vContSupported+;swbreak+;hwbreak+")
        :format(packet.MAX_BYTES)
end

local function transfer(session, rest)
    local name, offset, len = rest:match "^features:read:([^:]*):(%x+),(%x+)$"
    if not name then return UNKNOWN end
    offset, len = packet.number(offset), packet.number(len)
    if name ~= "target.xml" or not offset or not len or offset < 0 or len < 1 then
        return "E00"
    end
    session.xml = session.xml or target.xml(session.registers)
    local rest_of_it = session.xml:sub(offset + 1)
    local text, taken = packet.escape_some(rest_of_it, math.min(len, packet.MAX_BYTES - 1))
    return (taken < #rest_of_it and "m" or "l") .. text
end

local function no_acks(session)
    session:reply "OK"
    session.acks = false
end

local function run_monitor(session, rest)
    local line = packet.from_hex(rest)
    if not line then return BAD end
    session:say(monitor.run(session, line))
    return "OK"
end

-- ---- the table -------------------------------------------------------------------------------

local function say(text)
    return function() return text end
end

local LETTERS = {
    ["?"] = function(session) return session:stop_reply() end,
    g = read_all, G = write_all, p = read_one, P = write_one,
    m = read_memory, M = write_hex, X = write_binary,
    Z = insert_point, z = remove_point,
    c = go_on "c", C = go_on "c", s = go_on "s", S = go_on "s",
    H = select_thread, T = is_alive,
    D = detach, k = kill,
}

local WORDS = {
    qSupported = supported,
    qXfer = transfer,
    qRcmd = run_monitor,
    qC = function(session) return ("QC%x"):format(session.thread) end,
    qAttached = say "1", -- so gdb detaches at its end, and does not kill
    qfThreadInfo = list_threads,
    qsThreadInfo = say "l",
    qThreadExtraInfo = describe_thread,
    QStartNoAckMode = no_acks,
    vCont = vcont,
    vKill = function(session)
        session:reply "OK"
        kill(session)
    end,
}

-- Does what a packet says; the reply, or nil.
function commands.run(session, payload)
    local word, rest = payload:match "^([qQv]%a+)[:,;]?(.*)$"
    if word == "vCont" then rest = payload:sub(6) end
    local command = WORDS[word]
    if not word then
        command, rest = LETTERS[payload:sub(1, 1)], payload:sub(2)
    end
    if not command then return UNKNOWN end
    return command(session, rest)
end

return commands
