-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Every option of vmm-reference and of vmm.vm{...}: names, ranges, defaults, help.
--
-- This table is all that parsing, validation, --help, the completion script and
-- the manual page know.  An option has exactly one of
--   params  key=value pairs on the command line, a table in vmm.vm{...}
--   forms   one of several names, some with a value after "="
--   type    one plain value
--   flag    no value
-- `optional`: what it describes is not there unless it is given, even without a required parameter.
-- `repeatable` ones may be given several times; a table has a list of them.
-- `features` lists the blocks that must be built in for it (vmm.features).
-- `objects` names a module whose is(item) says that an item of a list is one of its own and no
-- table of parameters.
-- `stands_for` names a module whose params(item) returns the table that an item stands for.
-- `check` names a module whose mistake(values) says what is wrong with
-- parameters that are right by themselves, or nil.
-- `machine` marks the options that vmm.vm{...} has as well, which has those of
-- options.of_scripts, too.  Parameters and plain
-- values are described by the fields that parameter.lua lists.

local MIB = 1024 * 1024

local options = {}

options.default_cmdline = "console=ttyS0 i8042.nokbd reboot=k panic=1 pci=off"

local kernel = {
    { name = "path", type = "path", metavar = "FILE", required = true,
      help = "the kernel: bzImage, ELF vmlinux or raw image" },
    { name = "cmdline", type = "string", metavar = "TEXT",
      default = options.default_cmdline,
      help = "kernel command line" },
    { name = "initrd", type = "path", metavar = "FILE",
      help = "initial RAM disk" },
    { name = "himem_start", aliases = { "kernel_load_addr" }, type = "integer",
      metavar = "ADDRESS", min = 0, max = (1 << 52) - 1, hex = true,
      default = MIB, default_unless = { "flow", "flat" },
      help = "lowest guest physical address the kernel may be loaded at; that"
        .. " of a flat image, for mode=16 by default 0x7c00" },
    { name = "flow", type = "choice", choices = { "linux64", "pvh", "flat" },
      metavar = "FLOW", default_text = "what the image is made for",
      help = "how the kernel is entered: linux64, pvh or flat" },
    { name = "mode", type = "integer", choices = { 16, 32, 64 },
      metavar = "BITS", default_text = "64", only_with = { "flow", "flat" },
      help = "how many bits the code of a flat image has: 16, 32 or 64" },
    { name = "unpack", type = "boolean", metavar = "true|false",
      default_text = "if its format is known",
      help = "unpack a bzImage on the host, not in the guest" },
    { name = "slide", type = "integer", metavar = "BYTES", min = 0,
      max = 1024 * MIB, multiple_of = 2 * MIB, hex = true, default = 0,
      help = "move an unpacked kernel up by this much" },
}

local memory = {
    { name = "size_mib", type = "integer", metavar = "MIB", min = 1,
      max = 64 * MIB, default = 256, help = "size of guest memory in MiB" },
    { name = "shared", type = "boolean", metavar = "true|false",
      default = false,
      help = "back it by a memfd that other processes can map" },
    { name = "huge_pages", type = "boolean", metavar = "true|false",
      default = false, help = "back it by 2 MiB pages of hugetlbfs" },
}

local vcpus = {
    -- Local APIC ids have 8 bits: 255 is broadcast, one more is the I/O APIC's.
    { name = "num", type = "integer", metavar = "N", min = 1, max = 254,
      default = 1, help = "number of virtual CPUs" },
}

local console = {
    { name = "stdio", features = { "serial" },
      help = "this terminal: Ctrl-A x quits, Ctrl-A c prompts" },
    { name = "capture", help = "keep the output for the script only" },
    { name = "pty", features = { "serial", "pty" },
      help = "a new pseudo-terminal, whose path is printed" },
    { name = "file", features = { "serial" }, metavar = "FILE",
      help = "write the output to FILE" },
    { name = "unix", features = { "serial", "unix" }, metavar = "PATH",
      help = "listen on a unix socket at PATH" },
}

local serial2 = { table.unpack(console, 2) }

-- Where a virtio console goes needs no serial port.
local virtio_places = {
    { name = "stdio" },
    { name = "capture" },
    { name = "pty", features = { "pty" } },
    { name = "file", metavar = "FILE" },
    { name = "unix", features = { "unix" }, metavar = "PATH" },
}
local port_places = { table.unpack(virtio_places, 2) }

local virtio_console = {
    { name = "to", type = "place", metavar = "PLACE", forms = virtio_places,
      default = "capture",
      help = "where hvc0 goes: stdio, capture, pty, file=FILE or unix=PATH" },
    { name = "ports", type = "ports", metavar = "NAME[:PLACE],...",
      forms = port_places, default_text = "none",
      help = "further ports, /dev/virtio-ports/NAME in the guest" },
    { name = "cols", type = "integer", metavar = "N", min = 1, max = 65535,
      default_text = "as the terminal", help = "columns of hvc0" },
    { name = "rows", type = "integer", metavar = "N", min = 1, max = 65535,
      default_text = "as the terminal", help = "rows of hvc0" },
}

local gdb = {
    { name = "unix", type = "path", metavar = "PATH", default_text = "none",
      help = "listen on a unix socket at PATH: target remote PATH" },
    { name = "tcp", type = "integer", metavar = "PORT", min = 0, max = 65535,
      default_text = "none; 0 means one that is free",
      help = "listen on a TCP port: target remote :PORT" },
    { name = "host", type = "string", metavar = "ADDRESS",
      default = "127.0.0.1",
      help = "IP address to listen on; whoever can connect owns the guest" },
    { name = "symbols", type = "path", metavar = "FILE", default_text = "none",
      help = "the file that gdb's \"monitor symbols\" writes: the symbols of the"
        .. " guest's kernel" },
    { name = "wait", type = "boolean", metavar = "true|false", default = false,
      help = "run no instruction before the debugger says so" },
}

-- How much of something a second.
local MOST_BYTES, MOST_ITEMS = 1 << 50, 1 << 30

local function rate(name, metavar, most, help)
    return { name = name, type = "integer", metavar = metavar, min = 0, max = most, default = 0,
        default_text = "0: no limit", help = help }
end

local block = {
    { name = "path", type = "path", metavar = "FILE", default_text = "none",
      help = "the disk, byte by byte: a file or a block device; never taken"
        .. " for an image of another format than what format says" },
    { name = "readonly", type = "boolean", metavar = "true|false",
      default = false, help = "the guest cannot write it; may be shared" },
    { name = "serial", type = "string", metavar = "ID", max_bytes = 20,
      default_text = "none", help = "its serial number" },
    { name = "direct", type = "boolean", metavar = "true|false",
      default = false, help = "go past the host's page cache (O_DIRECT)" },
    { name = "queues", aliases = { "num_queues" }, type = "integer",
      metavar = "N", min = 1, max = 16, default = 1,
      help = "queues that the guest's CPUs share" },
    { name = "io_uring", type = "boolean", metavar = "true|false",
      default = true, default_text = "true, where the host has it",
      help = "read and write by io_uring, not by threads" },
    { name = "format", type = "choice", default = "raw",
      choices = { "raw", "qcow2", "vmdk", "vdi", "vhdx", "vpc" },
      metavar = "FORMAT",
      help = "what the file is; all but raw are served by qemu-storage-daemon" },
    { name = "socket", type = "path", metavar = "PATH", default_text = "none",
      help = "instead of path: the socket of a daemon (vhost-user-blk) that"
        .. " runs already" },
    rate("bandwidth", "BYTES", MOST_BYTES, "bytes a second at the most"),
    rate("iops", "N", MOST_ITEMS, "requests a second at the most"),
    { name = "burst", type = "number", metavar = "SECONDS", min = 0, max = 3600,
      default = 1, help = "how many seconds' worth of bandwidth and iops may"
        .. " come at once, after a rest" },
}

local rng = {
    rate("rate", "BYTES", 0xffffffff, "bytes a second at the most"),
}

local net = {
    { name = "user", type = "boolean", metavar = "true|false", default = false,
      help = "a network of its own behind this host's, no root needed: DHCP,"
        .. " DNS, the host is 10.0.2.2 (libslirp)" },
    { name = "tap", type = "string", metavar = "NAME", default_text = "none",
      max_bytes = 15, help = "the host's tap interface NAME, made unless it exists" },
    { name = "link", type = "string", metavar = "NAME", default_text = "none",
      help = "a link to all devices of this process that name it" },
    { name = "forward", type = "string", metavar = "FORWARDS",
      default_text = "none",
      help = "of user=true: ports of the host that lead into the guest,"
        .. " tcp:[ADDRESS:]PORT-[ADDRESS:]PORT (or udp:), with commas in"
        .. " between; the host's address is 127.0.0.1 when none is given" },
    { name = "restrict", type = "boolean", metavar = "true|false",
      default = false,
      help = "of user=true: the guest reaches nothing, only forwards come in" },
    { name = "queues", type = "integer", metavar = "N", min = 1, max = 16,
      default = 1, help = "of tap: pairs of queues, of which the guest uses as many"
        .. " as it has CPUs" },
    { name = "mac", type = "string", metavar = "ADDRESS",
      default_text = "a random one",
      pattern = "^%x[02468aceACE]:%x%x:%x%x:%x%x:%x%x:%x%x$",
      pattern_help = "such as 52:54:00:12:34:56, of one station",
      help = "the guest's MAC address" },
    { name = "mtu", type = "integer", metavar = "BYTES", min = 68, max = 65535,
      default_text = "1500, and the guest is not told",
      help = "the largest packet, told to the guest" },
    { name = "pcap", type = "path", metavar = "FILE", default_text = "none",
      help = "write all frames to FILE, for tcpdump and Wireshark (up to 1 GiB)" },
    rate("rx_bandwidth", "BYTES", MOST_BYTES, "bytes a second that the guest receives at the most"),
    rate("tx_bandwidth", "BYTES", MOST_BYTES, "bytes a second that it sends at the most"),
    rate("rx_packets", "N", MOST_ITEMS, "packets a second that it receives at the most"),
    rate("tx_packets", "N", MOST_ITEMS, "packets a second that it sends at the most"),
    { name = "burst", type = "number", metavar = "SECONDS", min = 0, max = 3600,
      default = 1, help = "how many seconds' worth of them may come at once,"
        .. " after a rest" },
}

local vsock = {
    { name = "cid", type = "integer", metavar = "N", min = 3, max = 0xfffffffe,
      default = 3, help = "the guest's address" },
    { name = "path", type = "path", metavar = "PATH", required = true,
      help = "the unix socket where host programs say CONNECT <port>; the"
        .. " guest's connections go to PATH_<port>" },
}

local balloon = {
    { name = "mib", type = "integer", metavar = "MIB", min = 0, max = 16 * MIB - 1,
      default = 0, help = "how much it is to take from the guest at first" },
    { name = "deflate_on_oom", type = "boolean", metavar = "true|false",
      default = true, help = "the guest may take memory back before it kills" },
    { name = "reporting", type = "boolean", metavar = "true|false",
      default = true, help = "memory that is free in the guest is the host's" },
}

local share = {
    { name = "path", type = "path", metavar = "FOLDER", default_text = "none",
      help = "the host's folder, served by virtiofsd" },
    { name = "tag", type = "string", metavar = "NAME", max_bytes = 36, required = true,
      help = "its name in the guest: mount -t virtiofs NAME /mnt" },
    { name = "readonly", type = "boolean", metavar = "true|false",
      default = false, help = "the guest cannot write it" },
    { name = "sandbox", type = "choice", choices = { "namespace", "chroot", "none" },
      metavar = "SANDBOX", default_text = "namespace; chroot in an initramfs",
      help = "how virtiofsd is locked in: namespace, chroot or none" },
    { name = "socket", type = "path", metavar = "PATH", default_text = "none",
      help = "instead of path: the socket of a daemon (vhost-user-fs) that runs"
        .. " already" },
}

local metrics = {
    { name = "path", type = "path", metavar = "FILE", required = true,
      help = "the file, replaced each time" },
    { name = "format", type = "choice", choices = { "json", "prometheus" },
      metavar = "FORMAT", default = "json",
      help = "json, which vmm-reference top reads, or prometheus" },
    { name = "every", type = "number", metavar = "SECONDS", min = 0.1,
      max = 86400, default = 1, help = "how often" },
}

local trace = {
    { name = "path", type = "path", metavar = "FILE", required = true,
      help = "the file, for ui.perfetto.dev or chrome://tracing" },
    { name = "events", type = "integer", metavar = "N", min = 1,
      max = 1 << 20, default = 4096,
      help = "how many of each virtual CPU are kept, the last ones" },
}

options.list = {
    { name = "kernel", machine = true, params = kernel,
      help = "what to boot" },
    { name = "memory", machine = true, params = memory,
      help = "guest memory" },
    { name = "vcpus", aliases = { "vcpu" }, machine = true, params = vcpus,
      help = "virtual CPUs" },
    { name = "console", machine = true, forms = console, default = "stdio",
      help = "where the serial console goes" },
    { name = "serial2", machine = true, forms = serial2, optional = true,
      features = { "serial" },
      help = "a second serial port, ttyS1, and where it goes" },
    { name = "name", machine = true, type = "string", metavar = "NAME",
      default = "vm", pattern = "^[%w._-]+$",
      pattern_help = "letters, digits and . _ -",
      max_bytes = 32, help = "name of the machine, seen in thread names" },
    { name = "block", aliases = { "blk" }, machine = true,
      repeatable = true, optional = true, features = { "virtio" }, params = block,
      check = "vmm.virtio_block", objects = "vmm.virtio_block_backend",
      help = "a disk (virtio): /dev/vda, /dev/vdb and so on;"
        .. " repeatable" },
    { name = "virtio_console", aliases = { "virtio-console" }, machine = true,
      optional = true, features = { "virtio" }, params = virtio_console,
      help = "a paravirtual console (virtio): hvc0, and ports with names" },
    { name = "rng", machine = true, optional = true, features = { "virtio" }, params = rng,
      help = "an entropy device (virtio)" },
    { name = "net", machine = true, features = { "virtio" }, params = net,
      repeatable = true, optional = true, check = "vmm.virtio_net", stands_for = "vmm.link",
      of_scripts = { { name = "backend", type = "functions", choices = { "send" } } },
      help = "a network device (virtio), with one of user, tap and link;"
        .. " repeatable" },
    { name = "vsock", machine = true, features = { "virtio" }, params = vsock,
      help = "sockets between guest and host (virtio)" },
    { name = "balloon", machine = true, optional = true, features = { "virtio" },
      params = balloon, help = "a memory balloon (virtio)" },
    { name = "share", machine = true, features = { "vhost_user" }, params = share,
      repeatable = true, optional = true, check = "vmm.share",
      help = "a folder of the host (virtio-fs); memory is shared then; repeatable" },
    { name = "transport", machine = true, type = "choice", choices = { "mmio", "pci" },
      metavar = "TRANSPORT", default = "mmio", features = { "virtio" },
      help = "how virtio devices are connected: mmio or pci" },
    { name = "metrics", machine = true, features = { "metrics" }, params = metrics,
      help = "count and time exits, write the figures to a file" },
    { name = "trace", machine = true, features = { "metrics" }, params = trace,
      help = "record exits, write them to a file at the end" },

    { name = "gdb", features = { "gdb" }, params = gdb,
      help = "serve the machine of --kernel to gdb, by one of unix and tcp" },
    { name = "timeout", type = "number", metavar = "SECONDS", min = 0.001,
      max = 1e9, help = "stop the machine after this time, a script (or -e, -i) at"
        .. " its next wait, with exit code 124" },
    { short = "e", type = "string", metavar = "CODE", repeatable = true,
      help = "run Lua code: before the script, before the machine starts" },
    { short = "i", flag = true,
      help = "open a Lua prompt, after the script if there is one, or beside"
        .. " the machine" },
    { name = "check", flag = true,
      help = "validate the command line, start nothing" },
    { name = "version", flag = true, stop = true,
      help = "print the version and the built-in features" },
    { name = "help", short = "h", flag = true, stop = true,
      help = "print this help" },
    { name = "completion", type = "choice", choices = { "bash" },
      metavar = "SHELL", stop = true,
      help = "print a completion script for SHELL: bash" },
    { name = "man", flag = true, stop = true,
      help = "print the manual page (roff)" },
}

-- What vmm.vm{...} has beyond them: a command line cannot say it.
options.of_scripts = {
    { name = "setup", machine = true, type = "callable",
      help = "function(vm, parts): adds and leaves out devices" },
}

--- Find by name or alias in a list of options, parameters or forms.
-- @return the entry, or nil
function options.find(list, name)
    for _, entry in ipairs(list) do
        if entry.name == name then
            return entry
        end
        for _, alias in ipairs(entry.aliases or {}) do
            if alias == name then
                return entry
            end
        end
    end
    return nil
end

--- The names of a list, in its order; with aliases when asked for.
function options.names(list, with_aliases)
    local names = {}
    for _, entry in ipairs(list) do
        names[#names + 1] = entry.name
        for _, alias in ipairs(with_aliases and entry.aliases or {}) do
            names[#names + 1] = alias
        end
    end
    return names
end

--- The options that vmm.vm{...} has.
function options.of_machine()
    local list = {}
    for _, option in ipairs(options.list) do
        if option.machine then
            list[#list + 1] = option
        end
    end
    return table.move(options.of_scripts, 1, #options.of_scripts, #list + 1, list)
end

return options
