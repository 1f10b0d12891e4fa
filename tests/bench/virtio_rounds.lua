-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The rounds of virtio.lua, on this host or in the lab: both guests are up all the time, and
-- each figure is taken from one and then from the other.
-- Arguments: rounds; kernel modules to load, with ":" between, or "none"; a vmlinux, an initramfs,
-- the image of tools, the program stream; parts.

package.path = arg[0]:match("^(.*)/") .. "/?.lua;" .. package.path

local compare = require "compare"
local figures = require "virtio_figures"
local guests = require "virtio_guests"
local process = require "vmm.process"
local vmm = require "vmm"

local rounds, modules, kernel, initrd, tools, stream = table.unpack(arg, 1, 6)
local parts = table.move(arg, 7, #arg, 1, {})
rounds = math.tointeger(rounds)

local DISK_MIB = 192
local PORTS = { iperf = 5201, stream = 5202, vsock = 5203 }

-- ---- the host --------------------------------------------------------------------------------

local scratch = assert(process.temporary_directory "vmm-bench")
local pids = {}

local function sh(script, ...)
    local output, partial, code = process.capture({ "sh", "-ec", script, "sh", ... },
        { stderr = "merge" })
    assert(output, ("%s: exit code %s: %s"):format(script, tostring(code), partial))
    return (output:gsub("\n$", ""))
end

local function serve(...)
    pids[#pids + 1] = sh([["$@" >/dev/null 2>&1 </dev/null & echo $!]], ...)
end

-- What a lab lacks. Its images are in ext4 on a RAM disk, for a RAM file system has no direct I/O.
local function prepare_lab()
    for module in modules:gmatch "[^:]+" do
        sh([[insmod "$@"]], module, table.unpack(module:find "/brd%.ko"
            and { "rd_nr=1", "rd_size=" .. 3 * DISK_MIB * 1024 } or {}))
    end
    -- Not busybox's mke2fs, which its shell prefers to what PATH has.
    sh([[/sbin/mke2fs -q -t ext4 -O ^has_journal /dev/ram0 && mount /dev/ram0 "$1"]], scratch)
end

local function is_loaded(module)
    return process.is_readable("/sys/module/" .. module .. "/refcnt")
end

local function machine(index, name)
    local path = scratch .. "/" .. name
    sh([[dd if=/dev/urandom of="$1" bs=1M count=$2 2>&1]], path .. ".img", tostring(DISK_MIB))
    return {
        kernel = kernel, initrd = initrd, tools = tools, console = path .. ".console",
        disk = path .. ".img", direct = os.getenv "VMM_BENCH_CACHE" ~= "1",
        tap = "bench" .. index, mac_tap = "52:54:00:00:01:0" .. index,
        mac_user = "52:54:00:00:02:0" .. index,
        host_ip = ("192.168.8%d.1"):format(index), guest_ip = ("192.168.8%d.2"):format(index),
        cid = 2 + index, vsock = path .. ".vsock", vhost_vsock = is_loaded "vhost_vsock",
        iperf_port = PORTS.iperf, stream_port = PORTS.stream, vsock_port = PORTS.vsock,
    }
end

local function start(name, command, of)
    local guest = guests.start(name, command(of), of, of.console .. ".log")
    sh([[ip addr add "$1/24" dev "$2"; ip link set "$2" up]], of.host_ip, of.tap)
    return guest
end

-- ---- figures ---------------------------------------------------------------------------------

-- CPU seconds of the lab so far: virtio.lua answers. 0 on hardware.
local function cpu()
    if modules == "none" then return 0 end
    io.stdout:write "@cpu\n"
    io.stdout:flush()
    return tonumber(io.read "l")
end

-- Each command is run once a round: what it said and took is kept in done.
local function run_once(guest, command, done)
    local key = guest.name .. command
    if not done[key] then
        local begin, begin_cpu = vmm.now(), cpu()
        local output = guest:run(command)
        done[key] = { output = output, seconds = vmm.now() - begin, cpu = cpu() - begin_cpu }
    end
    return done[key]
end

local function value_of(figure, guest, done)
    local result = run_once(guest, figure.command(guest.machine), done)
    if figure.read then return figure.read(result.output), result end
    local base = figure.base and run_once(guest, figure.base(guest.machine), done).cpu or 0
    return (result.cpu - base) / figure.ops * 1000, result
end

local function take(guest, figure, done)
    local value, result = value_of(figure, guest, done)
    io.stderr:write(("virtio: %s: %s: %s %s (%.1f s)\n"):format(guest.name, figure.title,
        value or "no figure in " .. result.output, figure.unit, result.seconds))
    return value
end

-- How much better ours is.
local function ratio(figure, ours, theirs)
    return figure.less and theirs / ours or ours / theirs
end

local function spread(list, format)
    if #list == 0 then return ("%25s"):format "-" end
    table.sort(list)
    return format:format(compare.median(list), list[1], list[#list])
end

local function print_figure(figure)
    local format = figure.ops and "%9.2f %7.2f-%7.2f" or "%9.0f %7.0f-%7.0f"
    print(("  %-28s %-7s %s   %s   %s"):format(figure.title, figure.unit,
        spread(figure.ours, format), spread(figure.theirs, format),
        spread(figure.ratios, "%5.2f %5.2f-%5.2f")))
end

local function compare_figure(figure, round, ours, theirs, done)
    local first, second = ours, theirs
    if round % 2 == 0 then first, second = theirs, ours end
    local values = {}
    for _, guest in ipairs { first, second } do
        if guest == ours or not figure.vsock or theirs.machine.vhost_vsock then
            values[guest] = take(guest, figure, done)
        end
    end
    table.insert(figure.ours, values[ours])
    table.insert(figure.theirs, values[theirs])
    if values[ours] and values[theirs] then
        table.insert(figure.ratios, ratio(figure, values[ours], values[theirs]))
    end
end

local function measure(ours, theirs)
    local list = {}
    for _, part in ipairs(parts) do
        for _, figure in ipairs(figures[part]) do
            figure.ours, figure.theirs, figure.ratios = {}, {}, {}
            -- On hardware nobody measures the CPU time of it all.
            if figure.read or modules ~= "none" then list[#list + 1] = figure end
        end
    end
    for round = 1, rounds do
        io.stderr:write(("virtio: round %d of %d\n"):format(round, rounds))
        local done = {}
        for _, figure in ipairs(list) do
            if round == 1 or not figure.once then
                compare_figure(figure, round, ours, theirs, done)
            end
        end
    end
    print(("  %-36s %-27s   %-27s   %s"):format("median, least-most", "       ours",
        "       QEMU microvm", "ratio (> 1: ours is better)"))
    for _, figure in ipairs(list) do print_figure(figure) end
    if not theirs.machine.vhost_vsock then
        print "  QEMU has no vsock here: the host's kernel has not loaded vhost_vsock."
    end
    print ""
end

-- ---- all of it -------------------------------------------------------------------------------

local function run()
    if modules ~= "none" then prepare_lab() end
    local of_ours, of_theirs = machine(1, "ours"), machine(2, "qemu")
    local ours <close> = start("ours", guests.ours, of_ours)
    local theirs <close> = start("QEMU", guests.qemu, of_theirs)
    serve("iperf3", "-s", "-p", tostring(PORTS.iperf))
    serve(stream, "serve", "tcp:0.0.0.0:" .. PORTS.stream)
    serve(stream, "serve", ("unix:%s_%d"):format(of_ours.vsock, PORTS.vsock))
    if of_theirs.vhost_vsock then serve(stream, "serve", "vsock:-1:" .. PORTS.vsock) end
    print(("virtio-mmio devices (%d interleaved rounds)"):format(rounds))
    for _, guest in ipairs { ours, theirs } do
        print(("  %-6s %s"):format(guest.name, table.concat(guest.command, " ")))
    end
    print ""
    measure(ours, theirs)
end

local ok, message = xpcall(run, debug.traceback)
for _, pid in ipairs(pids) do process.run { "kill", "-9", pid } end
if modules ~= "none" then process.capture { "umount", "-l", scratch } end
process.remove(scratch)
if not ok then
    io.stderr:write(message, "\n")
    os.exit(1)
end
