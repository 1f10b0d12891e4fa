-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- `make bench`: the product beside its yardsticks, in interleaved rounds.
--
--   bench.lua [PART...]    parts: first exits metrics boot virtio scenario (these), footprint;
--                          block, net and vsock alone
--   VMM_BENCH_ROUNDS=N     rounds of each (10; virtio and scenario: half as many)

package.path = arg[0]:match("^(.*)/") .. "/?.lua;" .. package.path

local compare = require "compare"
local process = require "vmm.process"
local vmm = require "vmm"

local rounds = math.tointeger(os.getenv("VMM_BENCH_ROUNDS") or "10")
local self = process.executable()
local build = self:match("^(.*)/vmm%-reference$") .. "/.build"
local raw, launch, guest = build .. "/bench/raw", build .. "/bench/launch", build .. "/guest/"

-- A command that prints its own figure.
local function printing(name, ...)
    return { name = name, command = { ... } }
end

-- A command of which the time is taken until a text appears on its output.
local function until_text(text, name, ...)
    return { name = name, command = { ... }, prefix = { launch, text, "20" } }
end

local parts = {}

-- The guest sends '!' by its third instruction; the time ends when the byte is read from the
-- command's standard output.
function parts.first()
    local image, elf = guest .. "first_byte.bin", guest .. "first_byte.elf"
    compare.run {
        title = "process start to the guest's first byte",
        unit = "us",
        rounds = rounds,
        until_text("!", "raw KVM program", raw, "first", image),
        until_text("!", "building blocks", self, "tests/bench/first.lua", image),
        until_text("!", "default CLI", self, "--kernel", "path=" .. elf),
        until_text("!", "QEMU microvm", table.unpack(compare.microvm { kernel = elf })),
    }
end

-- One exit by loop turn. CPU time, for whoever else uses the host shall not count; short runs and
-- more of them, for the same reason.
local function exits(title, image)
    local count = "10000"
    local function product(name, taker)
        return printing(name, self, "tests/bench/exits.lua", image, count, taker)
    end
    compare.run {
        title = title,
        unit = "us",
        rounds = rounds * 3,
        printing("raw KVM program", raw, "exits", image, count),
        product("device in C", "c"),
        product(" with hooks and taps", "watched"), -- for others
        product("handler in Lua", "lua"),
        product("tap in Lua, C device", "tap"),
        product("vm:on, no device", "hook"),
        product("no device", "nobody"),
        product("doorbell, no exit", "doorbell"),
    }
end

function parts.exits()
    exits("CPU time of a PIO round trip", guest .. "pio_loop32.bin")
    exits("CPU time of an MMIO round trip", guest .. "mmio_loop32.bin")
end

function parts.boot()
    assert(require("boot").run {
        rounds = rounds, launch = launch, program = self, scratch = build .. "/bench",
    }, "boot: see above")
end

local function virtio(...)
    assert(require("virtio").run {
        rounds = (rounds + 1) // 2, program = self, stream = build .. "/bench/stream",
        scratch = build .. "/bench", parts = { ... },
    }, "virtio: see above")
end

function parts.virtio() virtio("net", "vsock", "block") end
function parts.block() virtio "block" end
function parts.net() virtio "net" end
function parts.vsock() virtio "vsock" end

-- Slices of 30 ms: as many of them as the other parts take time for.
function parts.metrics()
    print(("what measuring costs (%d interleaved slices)"):format(20 * rounds))
    assert(loadfile(package.searchpath("metrics", package.path)))(guest .. "pio_loop32.bin",
        20 * rounds)
end

function parts.scenario()
    assert(require("scenario").run {
        rounds = (rounds + 1) // 2, program = self, scratch = build .. "/bench",
        flood = guest .. "torrent.elf",
    }, "scenario: see above")
end

function parts.footprint()
    require("footprint").run(guest .. "hello.bin")
end

-- What these measure is the host's own KVM.
local NEED_KVM = { first = true, exits = true, metrics = true, footprint = true }

local function run(name)
    local part = assert(parts[name], "no such part: " .. name)
    local _, why = vmm.kvm()
    if NEED_KVM[name] and why then
        print(("%s is left out: %s\n"):format(name, why))
        if #arg > 0 then os.exit(1) end -- it was asked for
    else
        part()
    end
end

for _, name in ipairs(#arg > 0 and arg or { "first", "exits", "metrics", "boot", "virtio",
        "scenario" }) do
    run(name)
end
