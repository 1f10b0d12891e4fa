-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What virtio_rounds.lua measures: commands of the guest, and how to read their output.
--
-- A figure: title, unit, command(machine) run in the guest, read(output) -> number or nil,
-- less (true: less is better), vsock (true: needs it), once (true: in the first round only).
-- Figures with the same command share the run of a round. One with ops instead of read is the lab's
-- CPU time by operation: it does not depend on who else uses the host. base(): a command whose CPU
-- time does not count.

local figures = {}

local SECONDS = tonumber(os.getenv "VMM_BENCH_SECONDS") or 2
local MIB = math.tointeger(os.getenv "VMM_BENCH_VSOCK_MIB" or "1024")
local MIB_A_ROUND = 32
local PINGS = 300

-- ---- disks ----------------------------------------------------------------------------------

-- Columns of fio's terse output, version 3, of reads; those of writes are 41 further.
local KIB, RUNTIME_MS, CLAT_MEAN_US, WRITES = 6, 9, 16, 41

local function job(name, rw, bs, more)
    return { name = name, words = ("--name=%s --stonewall --rw=%s --bs=%s %s"):format(name, rw, bs,
        more) }
end

-- Many at a time; or one, by a system call of which all is the latency.
local DEEP, SEQUENTIAL, SINGLE = "--ioengine=libaio --iodepth=32", "--ioengine=libaio --iodepth=4",
    "--ioengine=psync"
local JOBS = {
    job("read4k", "randread", "4k", DEEP), job("write4k", "randwrite", "4k", DEEP),
    job("read1m", "read", "1M", SEQUENTIAL), job("write1m", "write", "1M", SEQUENTIAL),
    job("read1", "randread", "4k", SINGLE), job("write1", "randwrite", "4k", SINGLE),
}

-- All of them by one command: emulated, fio takes seconds to start.
local function fio_command()
    local words = { "fio --filename=/disk --direct=1 --thread --minimal --terse-version=3",
        "--time_based --runtime=" .. SECONDS }
    for _, each in ipairs(JOBS) do words[#words + 1] = each.words end
    return table.concat(words, " ")
end

local function fio(title, unit, name, pick)
    local offset = name:find "write" and WRITES or 0
    return {
        title = title, unit = unit, less = unit == "us", command = fio_command,
        read = function(output)
            local columns = {}
            for column in (output:match("3;fio[^;\n]*;" .. name .. ";[^\n]*") or "")
                :gmatch "[^;]*" do
                columns[#columns + 1] = tonumber(column) or column
            end
            local function of(index) return columns[index + offset] end
            return columns[5] == 0 and pick(of) or nil
        end,
    }
end

local function iops(of) return of(KIB) / 4 / of(RUNTIME_MS) * 1e3 end
local function megabytes(of) return of(KIB) * 1024 / of(RUNTIME_MS) / 1e3 end
local function latency(of) return of(CLAT_MEAN_US) end

figures.block = {
    fio("4k random read, 32 deep", "IOPS", "read4k", iops),
    fio("4k random write, 32 deep", "IOPS", "write4k", iops),
    fio("1M sequential read, 4 deep", "MB/s", "read1m", megabytes),
    fio("1M sequential write, 4 deep", "MB/s", "write1m", megabytes),
    fio("4k random read, 1 deep", "us", "read1", latency),
    fio("4k random write, 1 deep", "us", "write1", latency),
}

-- What so many operations cost the whole lab.
local function cost(title, ops, command, base)
    return {
        title = title, unit = "CPU ms", less = true, ops = ops, command = command, base = base,
    }
end

local function dd(title, count, words)
    return cost(title, count, function()
        return ("dd %s bs=4k count=%d 2>/dev/null"):format(words, count)
    end)
end

local function fio_of(count)
    return function()
        return ("fio --filename=/disk --direct=1 --thread --minimal --name=job --rw=randread "
            .. "--bs=4k %s --number_ios=%d >/dev/null"):format(DEEP, count)
    end
end

local FEW, MANY = 32, 4032
table.move({
    cost("4k random read, 32 deep", MANY - FEW, fio_of(MANY), fio_of(FEW)),
    dd("4k read, 1 deep", 400, "if=/disk of=/dev/null iflag=direct"),
    dd("4k write, 1 deep", 400, "if=/dev/zero of=/disk oflag=direct conv=notrunc"),
}, 1, 3, #figures.block + 1, figures.block)

-- ---- networks -------------------------------------------------------------------------------

local function iperf(title, address, flags)
    return {
        title = title, unit = "Mbit/s",
        command = function(machine)
            return ("iperf3 -c %s -p %d -t %d -f m %s"):format(address(machine), machine.iperf_port,
                SECONDS, flags)
        end,
        read = function(output)
            return tonumber(output:match "([%d.]+) Mbits/sec[^\n]*receiver")
        end,
    }
end

local function pong(title, address)
    return {
        title = title, unit = "us", less = true,
        command = function(machine)
            return ("stream ping %s %d"):format(address(machine), PINGS)
        end,
        read = function(output) return tonumber(output:match "^[%d.]+$") end,
    }
end

local function tcp(address, port)
    return ("tcp:%s:%d"):format(address, port)
end

-- By MiB or by round trip.
local function stream_cost(title, verb, count, address)
    return cost(title, count, function(machine)
        return ("stream %s %s %d"):format(verb, address(machine), count)
    end)
end

local function host(machine) return machine.host_ip end
local function slirp() return "10.0.2.2" end

local function host_stream(machine) return tcp(machine.host_ip, machine.stream_port) end
local function slirp_stream(machine) return tcp("10.0.2.2", machine.stream_port) end

figures.net = {
    iperf("tap, TCP to the host", host, ""),
    iperf("tap, TCP to the guest", host, "-R"),
    pong("tap, TCP round trip", host_stream),
    iperf("user, TCP to the host", slirp, ""),
    iperf("user, TCP to the guest", slirp, "-R"),
    pong("user, TCP round trip", slirp_stream),
    stream_cost("tap, 1 MiB to the host", "send", 4, host_stream),
    stream_cost("tap, 1 MiB to the guest", "receive", 16, host_stream),
    stream_cost("tap, round trip", "ping", PINGS, host_stream),
    stream_cost("user, 1 MiB to the host", "send", 2, slirp_stream),
    stream_cost("user, 1 MiB to the guest", "receive", 4, slirp_stream),
    stream_cost("user, round trip", "ping", PINGS, slirp_stream),
}

-- ---- sockets --------------------------------------------------------------------------------

local function vsock_address(machine)
    return ("vsock:2:%d"):format(machine.vsock_port)
end

-- The receiver has compared checksums.
local function transfer(title, verb, mib, once)
    return {
        title = title:format(mib), unit = "MB/s", vsock = true, once = once,
        command = function(machine)
            return ("stream %s %s %d"):format(verb, vsock_address(machine), mib)
        end,
        read = function(output) return tonumber(output:match "^[%d.]+$") end,
    }
end

local function vsock_only(figure)
    figure.vsock = true
    return figure
end

figures.vsock = {
    transfer("vsock, %d MiB to the host", "send", MIB_A_ROUND),
    transfer("vsock, %d MiB to the guest", "receive", MIB_A_ROUND),
    vsock_only(pong("vsock, round trip", vsock_address)),
    vsock_only(stream_cost("vsock, 1 MiB to the host", "send", MIB_A_ROUND, vsock_address)),
    vsock_only(stream_cost("vsock, 1 MiB to the guest", "receive", MIB_A_ROUND, vsock_address)),
    vsock_only(stream_cost("vsock, round trip", "ping", PINGS, vsock_address)),
}
if MIB > 0 then
    table.insert(figures.vsock, transfer("vsock, %d MiB to the host", "send", MIB, true))
    table.insert(figures.vsock, transfer("vsock, %d MiB to the guest", "receive", MIB, true))
end

return figures
