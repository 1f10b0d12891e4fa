-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Run files as a test run writes them, without a run: two guests on a network, one that panics, one
-- that is hostile, a retry, a skip; and parts from which specs make files of their own.

local json = require "vmm.json"

local sample = {}

sample.EPOCH = 1764439200.0 -- 2025-11-29 18:00:00 UTC

local Run = {}
Run.__index = Run

-- A run file in the making. first: fields of its run_start, false for none.
function sample.new(first)
    local self = setmetatable({ lines = {}, time = sample.EPOCH, steps = 0 }, Run)
    if first ~= false then
        self:emit { event = "run_start", seed = 42, shard = first and first.shard or "1/1",
            paths = { "tests/spec" }, version = "0.1.0", host = first and first.host or "builder" }
    end
    return self
end

function Run:emit(event)
    event.time = event.time or self.time
    if event.test == nil then event.test = self.test end
    self.lines[#self.lines + 1] = json.encode(event)
    return self
end

function Run:pass_time(seconds)
    self.time = self.time + seconds
    return self
end

function Run:start(file, name)
    local id = file .. ":" .. name
    self:emit { event = "test_start", id = id, file = file, name = name }
    self.test, self.steps, self.started = id, 0, self.time
    return self
end

-- more: message, traceback, attempts.
function Run:finish(status, more)
    local event = { event = "test_end", status = status, duration = self.time - self.started,
        attempts = 1 }
    for key, value in pairs(more or {}) do
        event[key] = value
    end
    self:emit(event)
    self.test = nil
    return self
end

-- An attempt fails, of a test that is tried again: its events go on, and it ends later.
function Run:retry(more)
    self:finish("fail", more)
    local line = table.remove(self.lines)
    self.lines[#self.lines + 1] = line:gsub('"event":"test_end"', '"event":"test_retry"')
    self.test = json.decode(line).test
    self.started = self.time
    return self
end

-- A test in one line.
function Run:add(file, name, status, more)
    return self:start(file, name):pass_time(0.125):finish(status, more)
end

-- A step that began some seconds ago and ends now; returns its number.
function Run:step(kind, text, duration, more)
    self.steps = self.steps + 1
    local event = { event = "step", step = self.steps, kind = kind, text = text,
        duration = duration, ok = true, time = self.time - duration }
    for key, value in pairs(more or {}) do
        event[key] = value
    end
    self:emit(event)
    return event.step
end

-- more: fields of its end that only some runs have.
function Run:stop(more)
    local counts = { pass = 0, fail = 0, error = 0, skip = 0 }
    for _, line in ipairs(self.lines) do
        local status = line:find '"event":"test_end"' and line:match '"status":"(%a+)"'
        if status then counts[status] = counts[status] + 1 end
    end
    local event = { event = "run_end", passed = counts.pass, skipped = counts.skip,
        failed = counts.fail + counts.error, duration = self.time - sample.EPOCH }
    for key, value in pairs(more or {}) do
        event[key] = value
    end
    return self:emit(event)
end

function Run:text()
    return table.concat(self.lines, "\n") .. "\n"
end

function Run:write(path)
    local file <close> = assert(io.open(path, "w"))
    assert(file:write(self:text()))
    return path
end

-- What a guest prints while it boots: seconds of its own clock, level, text.
local KERNEL = {
    { 0.0, 5, "Linux version 6.1.0-27-cloud-amd64 (gcc-12 (Debian 12.2.0-14) 12.2.0) #1 SMP" },
    { 0.0, 6, "Command line: console=ttyS0 i8042.nokbd reboot=k panic=1 loglevel=7" },
    { 0.0, 6, "BIOS-provided physical RAM map:" },
    { 0.0, 6, "BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable" },
    { 0.004, 6, "tsc: Detected 2445.402 MHz processor" },
    { 0.03, 6, "Memory: 478068K/523900K available (14342K kernel code, 2332K rwdata)" },
    { 0.09, 6, "smp: Bringing up secondary CPUs ..." },
    { 0.21, 6, "smp: Brought up 1 node, 2 CPUs" },
    { 0.23, 6, "devtmpfs: initialized" },
    { 0.41, 6, "ACPI: Interpreter enabled" },
    { 0.6, 6, "Trying to unpack rootfs image as initramfs..." },
    { 0.95, 6, "Freeing initrd memory: 5568K" },
    { 1.02, 6, "Serial: 8250/16550 driver, 4 ports, IRQ sharing enabled" },
    { 1.1, 4, "random: crng reseeded, but no entropy device was found in time" },
    { 1.3, 6, "Freeing unused kernel image (initmem) memory: 2612K" },
    { 1.31, 6, "Run /init as init process" },
    { 1.52, 6, "virtio_net virtio0 eth0: renamed from net0" },
}

local INITCALLS = {
    { "acpi_init", 0.31, 0.142 }, { "pci_subsys_init", 0.46, 0.021 },
    { "populate_rootfs", 0.6, 0.335 }, { "serial8250_init", 0.99, 0.048 },
    { "virtio_mmio_init", 1.06, 0.027 }, { "ext4_init_fs", 1.1, 0.009 },
    { "inet_init", 0.52, 0.033 }, { "crypto_algapi_init", 1.13, 0.118 },
}

-- The kernel's clock begins a quarter of a second after the VM's.
local HEAD_START = 0.25

local function kernel_lines(initcalls)
    local list = {}
    for _, line in ipairs(KERNEL) do
        list[#list + 1] = line
    end
    for _, call in ipairs(initcalls and INITCALLS or {}) do
        list[#list + 1] = { call[2], 7, ("calling  %s+0x0/0x2f @ 1"):format(call[1]) }
        list[#list + 1] = { call[2] + call[3], 7, ("initcall %s+0x0/0x2f returned 0 after %d usecs")
            :format(call[1], call[3] * 1e6) }
    end
    table.sort(list, function(a, b)
        return a[1] < b[1]
    end)
    return list
end

-- A line of a VM's console, now. more: stream, level, stamp.
function Run:line(vm, text, more)
    local event = { event = "console", vm = vm, t = self.time - self.booted[vm], text = text,
        stream = "console" }
    for key, value in pairs(more or {}) do
        event[key] = value
    end
    return self:emit(event)
end

function Run:sample(vm)
    local t = self.time - self.booted[vm]
    return self:emit { event = "sample", vm = vm, t = t,
        exits = math.floor(t < 1.4 and t * 9000 or 12600 + (t - 1.4) * 700),
        resident_bytes = math.floor((60 + 90 * math.min(t, 1.6)) * 2 ^ 20) }
end

-- A VM is made and boots within two seconds; samples on the way.
function Run:boot(vm, initcalls)
    self.booted = self.booted or {}
    local start = self.time
    self.booted[vm] = start
    self:emit { event = "vm", vm = vm, config = { kernel = "debian-cloud/vmlinuz", vcpus = 2,
        memory_mib = 512, transport = "mmio" } }
    local step = self.steps + 1
    self.steps = step
    for _, line in ipairs(kernel_lines(initcalls)) do
        self.time = math.max(self.time, start + HEAD_START + line[1])
        self:line(vm, line[3], { level = line[2], stamp = line[1], stream = "kernel" })
        self:sample(vm)
    end
    self.time = start + 1.9
    self:line(vm, "guest# ")
    self:step("wait", "the prompt of " .. vm, 1.85, { vm = vm, parent = step })
    self:sample(vm)
    self:emit { event = "step", step = step, kind = "boot", text = vm .. " boots", vm = vm,
        duration = 1.9, ok = true, time = start }
    return self
end

function Run:vm_end(vm, reason, text)
    local t = self.time - self.booted[vm]
    return self:emit { event = "vm_end", vm = vm, reason = reason, text = text or "",
        metrics = { uptime = t, resident_bytes = 203423744, memory_bytes = 536870912,
            console = { input_bytes = 42, output_bytes = 5120 },
            vcpus = {
                { id = 0, cpu = 1.04, exits = { pio_write = 9120, hlt = 801, mmio_write = 96 } },
                { id = 1, cpu = 0.31, exits = { hlt = 411 } },
            } } }
end

local NETWORK = "tests/scenarios/network_spec.lua"
local LOST = [[
b: ping -c1 -W1 10.0.0.1: exit status 1, expected 0, within 10 s (10.02 s passed)
  output: 1 packets transmitted, 0 packets received, 100% packet loss
  the VM is running: vCPU 0 at default_idle+0x10, vCPU 1 at default_idle+0x10
  last lines:
    [    9.120311] virtio_net virtio0 eth0: link becomes ready
    guest# ]]

local TRACEBACK = [[
stack traceback:
	tests/scenarios/network_spec.lua:31: in method 'wait_until_succeeds'
	tests/scenarios/network_spec.lua:31: in function <tests/scenarios/network_spec.lua:12>]]

local function network(run)
    run:start(NETWORK, "two nodes reach each other")
    run:boot("a", true):boot("b")
    run:step("run", "ping -c1 10.0.0.2", 0.031, { vm = "a" })
    run:pass_time(0.4):vm_end("a", "closed"):vm_end("b", "closed")
    run:emit { event = "artefact", vm = "a", path = "artefacts/two nodes/a.pcap", name = "a.pcap" }
    run:finish "pass"
    run:start(NETWORK, "the network survives a lost link")
    run:boot("a"):boot("b", true)
    run:pass_time(0.1):step("fault", "lan: drop every frame", 0.001)
    run:line("b", "guest# ping -c1 -W1 10.0.0.1")
    local wait = run.steps + 1
    run.steps = wait
    for try = 1, 4 do
        run:pass_time(2.5):sample "b"
        run:line("b", "1 packets transmitted, 0 packets received, 100% packet loss")
        run:step("run", ("ping -c1 -W1 10.0.0.1 (%d)"):format(try), 1.02,
            { vm = "b", parent = wait, ok = false, detail = "exit status 1" })
    end
    run:line("b", "virtio_net virtio0 eth0: link is down",
        { level = 3, stamp = 12.2, stream = "kernel" })
    run:emit { event = "step", step = wait, kind = "wait", vm = "b", duration = 10.0, ok = false,
        time = run.time - 10, text = "ping -c1 -W1 10.0.0.1 succeeds", detail = "timed out" }
    run:vm_end("a", "closed"):vm_end("b", "closed")
    run:emit { event = "artefact", vm = "b", path = "artefacts/lost link/b.pcap",
        name = "b.pcap" }
    run:emit { event = "artefact", path = "artefacts/lost link/state.txt", name = "state of b" }
    run:finish("fail", { message = LOST, traceback = TRACEBACK })
end

-- What a guest may print that wants to be more than text.
sample.HOSTILE = {
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">",
    "\27]0;owned\7\27[2J\27[31mred\27[0m </pre></div></details><h1>owned</h1>",
    "]]> &amp; &#0; <![CDATA[ \0\1\2 " .. "\u{202E}txt.exe " .. "\u{FFFE}",
    "not ok 1 - owned # TODO \\",
}

local PANIC = "tests/scenarios/panic_spec.lua"

local function panic(run)
    run:start(PANIC, 'a panic is told with "its" backtrace & <its> cause')
    run:boot("crash")
    for _, text in ipairs(sample.HOSTILE) do
        run:pass_time(0.01):line("crash", text)
    end
    for i, line in ipairs {
        { 5, "sysrq: Trigger a crash" }, { 0, "Kernel panic - not syncing: sysrq triggered crash" },
        { 4, "CPU: 0 PID: 71 Comm: sh Not tainted 6.1.0-27-cloud-amd64" },
        { 4, "Call Trace:" }, { 4, " dump_stack_lvl+0x45/0x5e" }, { 4, " panic+0x118/0x2ed" },
        { 0, "Rebooting in 1 seconds.." },
    } do
        run:pass_time(0.001):line("crash", line[2],
            { level = line[1], stamp = 3 + i / 1000, stream = "kernel" })
    end
    run:vm_end("crash", "panic", "sysrq triggered crash")
    run:finish("error", { message = "crash: panic: sysrq triggered crash", traceback = TRACEBACK })
    run:add(PANIC, "an oops of a module is a warning", "skip",
        { message = "no module for this kernel" })
end

-- The file of a run with everything in it.
function sample.full()
    local run = sample.new()
    run:emit { event = "artefact", path = "run.log", name = "log of the run" }
    network(run)
    panic(run)
    run:start("tests/scenarios/disk_spec.lua", "a disk that fails is remounted"):pass_time(0.25)
    run:retry({ message = "expected ro, got rw" }):pass_time(0.125)
    run:finish("pass", { attempts = 2 })
    for i = 1, 12 do
        run:add("tests/scenarios/matrix_spec.lua", ("boots: transport mmio, vcpus %d"):format(i),
            "pass")
    end
    return run:stop()
end

return sample
