-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The table given to vmm.vm{...}: what is accepted, and what a mistake says.

local config = require "vmm.config"

local OPTIONS = "valid: kernel, memory, vcpus, console, serial2, name, block, virtio_console, rng,"
    .. " net, vsock, balloon, share, transport, metrics, trace, setup"
local KERNEL_KEYS =
    "valid: path, cmdline, initrd, himem_start, flow, mode, unpack,"
    .. " slide"
local MEMORY_KEYS = "valid: size_mib, shared, huge_pages"
local FORMS = "allowed: stdio, capture, pty, file=FILE, unix=PATH"

local function kernel(parameters)
    parameters.path = "k"
    return { kernel = parameters }
end

-- Each: the table, the message.
local MISTAKES = {
    { 5, "5 is not a table of options; " .. OPTIONS },
    { "vmlinuz", '"vmlinuz" is not a table of options; ' .. OPTIONS },
    { { "vmlinuz" }, "unknown option 1; " .. OPTIONS },
    { { memroy = {} }, 'unknown option "memroy", did you mean "memory"? '
        .. OPTIONS },
    { { cpus = {} }, 'unknown option "cpus", did you mean "vcpus"? '
        .. OPTIONS },
    { { cmdline = "quiet" }, 'unknown option "cmdline"; ' .. OPTIONS },
    { { help = true }, 'unknown option "help"; ' .. OPTIONS },
    { { net = { {} } },
        "net[1]: give one of: user=true, tap=NAME, link=NAME" },
    { { net = { { user = true, tap = "t" } } },
        "net[1]: give one of: user=true, tap=NAME, link=NAME" },
    { { net = { { user = true }, { tap = "t", restrict = true } } },
        "net[2]: restrict: only with user=true" },
    { { net = { { tap = "t", forward = "tcp:1-2" } } },
        "net[1]: forward: only with user=true" },
    { { net = { { user = true, forward = "tcp:80" } } },
        'net[1]: forward: "tcp:80" is not like tcp:[ADDRESS:]PORT-[ADDRESS:]PORT'
            .. " (or udp:)" },
    { { net = { { user = true, forward = "tcp:1-2,sctp:1-2" } } },
        'net[1]: forward: "sctp:1-2" is not like'
            .. " tcp:[ADDRESS:]PORT-[ADDRESS:]PORT (or udp:)" },
    { { net = { { user = true, forward = "udp:1-65536" } } },
        'net[1]: forward: "udp:1-65536" is not like'
            .. " tcp:[ADDRESS:]PORT-[ADDRESS:]PORT (or udp:)" },
    { { net = { { user = true, mtu = 65535 } } },
        "net[1]: mtu: up to 65521 with user=true" },
    { { net = { { tap = "t", mac = "01:00:5e:00:00:01" } } },
        'net[1].mac: "01:00:5e:00:00:01" has other characters; allowed:'
            .. " such as 52:54:00:12:34:56, of one station" },
    { { net = { user = true } }, "net: a table is not a list of tables; valid in"
        .. " each: user, tap, link, forward, restrict, queues, mac, mtu, pcap, rx_bandwidth,"
        .. " tx_bandwidth, rx_packets, tx_packets, burst, backend" },
    { { net = { { user = true, queues = 2 } } }, "net[1]: queues: only with tap=NAME" },
    { { net = { { tap = "t", queues = 17 } } },
        "net[1].queues: 17 is out of range; allowed: 1 to 16" },
    { { vcpu = { num = 1 }, vcpus = { num = 1 } },
        "vcpu and vcpus are the same option; give one" },
    { { serial2 = "stdio" }, 'serial2: "stdio" is not known;'
        .. " allowed: capture, pty, file=FILE, unix=PATH" },
    { { virtio_console = { to = "null" } },
        'virtio_console.to: "null" is not known; ' .. FORMS },
    { { virtio_console = { to = { file = "a", unix = "b" } } },
        "virtio_console.to: give one of: " .. FORMS:sub(10) },
    { { virtio_console = { to = { file = "" } } },
        "virtio_console.to: file needs a value: file=FILE" },
    { { virtio_console = { ports = "agent" } },
        'virtio_console.ports: "agent" is not a list of ports' },
    { { virtio_console = { ports = { "a/b" } } },
        'virtio_console.ports: "a/b" is not a name: 1 to 64 letters, digits and . _ -' },
    { { virtio_console = { ports = { "a", { name = "a" } } } },
        'virtio_console.ports: "a" is given twice' },
    { { virtio_console = { ports = { { name = "a", too = "pty" } } } },
        'virtio_console.ports: unknown parameter "too"; valid: name, to' },
    { { virtio_console = { ports = { { name = "a", to = "stdio" } } } },
        'virtio_console.ports: a: "stdio" is not known; '
            .. "allowed: capture, pty, file=FILE, unix=PATH" },
    { { virtio_console = { cols = 0 } },
        "virtio_console.cols: 0 is out of range; allowed: 1 to 65535" },
    { { setup = "hpet" }, 'setup: "hpet" is not a function' },
    { { memory = 512 }, "memory: 512 is not a table; " .. MEMORY_KEYS },
    { { memory = "size_mib=512" },
        'memory: "size_mib=512" is not a table; ' .. MEMORY_KEYS },
    { { memory = { 512 } }, "memory: unknown parameter 1; " .. MEMORY_KEYS },
    { { memory = { size = 512 } }, 'memory: unknown parameter "size",'
        .. ' did you mean "size_mib"? ' .. MEMORY_KEYS },
    { { memory = { size_mib = 0 } },
        "memory.size_mib: 0 is out of range; allowed: 1 to 67108864" },
    { { memory = { size_mib = -256 } },
        "memory.size_mib: -256 is out of range; allowed: 1 to 67108864" },
    { { memory = { size_mib = 1 << 60 } },
        "memory.size_mib: 1152921504606846976 is out of range;"
            .. " allowed: 1 to 67108864" },
    { { memory = { size_mib = 0.5 } },
        "memory.size_mib: 0.5 is not a whole number;"
            .. " allowed: 1 to 67108864" },
    { { memory = { size_mib = 0 / 0 } },
        "memory.size_mib: nan is not a whole number;"
            .. " allowed: 1 to 67108864" },
    { { memory = { size_mib = math.huge } },
        "memory.size_mib: inf is out of range; allowed: 1 to 67108864" },
    { { memory = { size_mib = "512" } },
        'memory.size_mib: "512" is not a whole number;'
            .. " allowed: 1 to 67108864" },
    { { memory = { size_mib = {} } },
        "memory.size_mib: a table is not a whole number;"
            .. " allowed: 1 to 67108864" },
    { { memory = { shared = "true" } },
        'memory.shared: "true" is not a boolean; allowed: true, false' },
    { { memory = { shared = 1 } },
        "memory.shared: 1 is not a boolean; allowed: true, false" },
    { { vcpus = { num = 255 } },
        "vcpus.num: 255 is out of range; allowed: 1 to 254" },
    { { vcpu = { num = 0 } },
        "vcpus.num: 0 is out of range; allowed: 1 to 254" },
    { { vcpus = 2 }, "vcpus: 2 is not a table; valid: num" },
    { { kernel = "vmlinuz" }, 'kernel: "vmlinuz" is not a table; '
        .. KERNEL_KEYS },
    { { kernel = {} }, "kernel: path=FILE is missing" },
    { { kernel = { path = "" } }, "kernel.path: the path is empty" },
    { { kernel = { path = 5 } }, "kernel.path: 5 is not a string" },
    { { kernel = { path = print } },
        "kernel.path: a function is not a string" },
    { { kernel = { path = "a\0b" } },
        'kernel.path: "a\\x00b" has a NUL character' },
    { kernel { cmdlin = "quiet" }, 'kernel: unknown parameter "cmdlin",'
        .. ' did you mean "cmdline"? ' .. KERNEL_KEYS },
    { kernel { cmdline = { "quiet" } },
        "kernel.cmdline: a table is not a string" },
    { kernel { cmdline = "a\0b" },
        'kernel.cmdline: "a\\x00b" has a NUL character' },
    { kernel { initrd = true }, "kernel.initrd: true is not a string" },
    { kernel { himem_start = 1, kernel_load_addr = 1 },
        'kernel: "himem_start" and "kernel_load_addr" are the same'
            .. " parameter; give one" },
    { kernel { himem_start = -1 }, "kernel.himem_start: -1 is out of range;"
        .. " allowed: 0x0 to 0xfffffffffffff" },
    { kernel { kernel_load_addr = 1 << 52 },
        "kernel.kernel_load_addr: 4503599627370496 is out of range;"
            .. " allowed: 0x0 to 0xfffffffffffff" },
    { kernel { flow = "linux" }, 'kernel.flow: "linux" is not known,'
        .. ' did you mean "linux64"? allowed: linux64, pvh, flat' },
    { kernel { flow = 64 }, "kernel.flow: 64 is not known;"
        .. " allowed: linux64, pvh, flat" },
    { kernel { flow = "flat", mode = 8 },
        "kernel.mode: 8 is not among them; allowed: 16, 32, 64" },
    { kernel { flow = "pvh", mode = 32 },
        "kernel.mode: only with flow=flat" },
    { kernel { unpack = "yes" }, 'kernel.unpack: "yes" is not a boolean;'
        .. " allowed: true, false" },
    { kernel { slide = 4096 },
        "kernel.slide: 4096 is not a multiple of 0x200000;"
            .. " allowed: 0x0 to 0x40000000 in steps of 0x200000" },
    { { console = 1 }, "console: 1 is not a string, a table or a function; "
        .. FORMS },
    { { console = true },
        "console: true is not a string, a table or a function; " .. FORMS },
    { { console = "tty" }, 'console: "tty" is not known,'
        .. ' did you mean "pty"? ' .. FORMS },
    { { console = "file" }, "console: file needs a value: file=FILE" },
    { { console = {} }, "console: give one of: stdio, capture, pty,"
        .. " file=FILE, unix=PATH" },
    { { console = { file = "a", unix = "b" } },
        "console: give one of: stdio, capture, pty, file=FILE, unix=PATH" },
    { { console = { file = 5 } }, "console.file: 5 is not a string" },
    { { console = { file = "" } }, "console: file needs a value: file=FILE" },
    { { console = { flie = "a" } }, 'console: "flie" is not known,'
        .. ' did you mean "file"? ' .. FORMS },
    { { console = { stdio = true } },
        "console: stdio takes no value, given true" },
    { { name = 5 }, "name: 5 is not a string" },
    { { name = "" }, 'name: "" has other characters;'
        .. " allowed: letters, digits and . _ -" },
    { { name = "a/b" }, 'name: "a/b" has other characters;'
        .. " allowed: letters, digits and . _ -" },
}

describe("vmm.vm{...} refuses", function()
    for index, mistake in ipairs(MISTAKES) do
        it(("mistake %d: %s"):format(index, mistake[2]), function()
            local checked, said = config.check(mistake[1])
            assert.is_nil(checked)
            assert.equal(mistake[2], said)
        end)
    end
end)

describe("vmm.vm{...} accepts", function()
    it("an empty table: all defaults and no kernel", function()
        assert.same({
            name = "vm", transport = "mmio",
            memory = { size_mib = 256, shared = false, huge_pages = false },
            vcpus = { num = 1 },
            console = "capture",
        }, config.check {})
    end)

    it("every option, and completes each", function()
        assert.same({
            name = "a-1.b_c", transport = "mmio",
            memory = { size_mib = 512, shared = true, huge_pages = false },
            vcpus = { num = 2 },
            kernel = { path = "k", cmdline = "quiet", initrd = "i",
                himem_start = 0x200000, flow = "flat", unpack = false,
                slide = 0 },
            console = { file = "log" },
        }, config.check {
            name = "a-1.b_c",
            memory = { size_mib = 512, shared = true },
            vcpu = { num = 2 },
            kernel = { path = "k", cmdline = "quiet", initrd = "i",
                kernel_load_addr = 0x200000, flow = "flat", unpack = false },
            console = "file=log",
        })
    end)

    it("a second serial port, which there is when it is given", function()
        assert.is_nil(config.check {}.serial2)
        assert.same({ unix = "/run/s" }, config.check { serial2 = "unix=/run/s" }.serial2)
    end)

    it("a flat image, whose mode chooses where it goes", function()
        local values = config.check(kernel { flow = "flat", mode = 16 })
        assert.is_nil(values.kernel.himem_start)
        values = config.check(kernel { flow = "linux64" })
        assert.equal(0x100000, values.kernel.himem_start)
    end)

    it("its own result again, unchanged", function()
        local once = assert(config.check {
            kernel = { path = "k", unpack = true },
            console = { unix = "/run/s" },
        })
        assert.same(once, config.check(once))
    end)

    it("a whole float as an integer", function()
        local size = assert(config.check { memory = { size_mib = 64.0 } })
            .memory.size_mib
        assert.equal(64, size)
        assert.equal("integer", math.type(size))
    end)

    it("an empty command line, unlike the shell's", function()
        assert.equal("", assert(config.check {
            kernel = { path = "k", cmdline = "" } }).kernel.cmdline)
    end)

    it("a function as the console", function()
        assert.equal(print, config.check { console = print }.console)
    end)

    it("a table without changing it", function()
        local given = { memory = { size_mib = 64 } }
        config.check(given)
        assert.same({ memory = { size_mib = 64 } }, given)
    end)
end)
