-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- vmm.block{ read = function, ... }: a disk whose contents are what functions make of them.

local argument = require "vmm.argument"
local sched = require "vmm.sched"

local backend = {}

backend.PENDING = 1 -- of core.virtio_block's on_pending

local FUNCTIONS = { "read", "write", "flush", "discard", "write_zeroes" }
local NAMES = table.move(FUNCTIONS, 1, #FUNCTIONS, 1, { [6] = "size", [7] = "readonly",
    [8] = "serial", [9] = "queues", [10] = "bandwidth", [11] = "iops", [12] = "burst" })

local SECTOR = 512

-- What is left is told of as soon as one of those taken is finished.
local TAKEN_AT_ONCE = 256

local Backend = { __name = "vmm.block" }
Backend.__index = Backend

--- Is it what vmm.block returns?
function backend.is(value)
    return getmetatable(value) == Backend
end

--- vmm.block{...} -> what the option block takes in the place of a table.
function backend.new(given)
    argument.type("vmm.block: options", given, "table")
    argument.options("vmm.block", given, NAMES)
    local self = setmetatable({ options = { readonly = given.readonly } }, Backend)
    for _, name in ipairs(FUNCTIONS) do
        local fn = given[name]
        self[name] = fn ~= nil and argument.callable("vmm.block: " .. name, fn) or nil
    end
    argument.check(self.read, "vmm.block: read", "a function", nil)
    argument.integer("vmm.block: size", given.size, SECTOR, math.maxinteger)
    argument.check(given.size % SECTOR == 0, "vmm.block: size", "a multiple of 512 bytes",
        given.size)
    argument.check(self.write or given.readonly ~= false, "vmm.block: write",
        "a function, for readonly is false", nil)
    for _, name in ipairs { "serial", "queues", "bandwidth", "iops", "burst" } do
        self.options[name] = given[name]
    end
    self.options.readonly = given.readonly or not self.write
    self.size = given.size
    return self
end

--- What core.virtio_block is to know of it.
function Backend:features()
    return {
        size = self.size,
        flush = self.flush ~= nil,
        discard = self.discard ~= nil,
        write_zeroes = self.write_zeroes ~= nil,
    }
end

-- ---- requests --------------------------------------------------------------------------------

-- A status for the errno's name that a function has returned.
local function failed(name, result, code)
    if type(code) ~= "string" then
        error(("vmm.block: %s returned %s, and no errno's name"):format(name, tostring(result)), 0)
    end
    return (code == "ENOTSUP" or code == "EOPNOTSUPP") and "unsupp" or "ioerr"
end

-- Calls a function that returns nothing, or nil and an errno's name.
local function change(self, name, ...)
    local result, code = self[name](...)
    if result == false or code ~= nil then return failed(name, result, code) end
end

local OPS = {}

function OPS.read(self, offset, length)
    local bytes, code = self.read(offset, length)
    if not bytes then return failed("read", bytes, code) end
    if type(bytes) ~= "string" or #bytes ~= length then
        error(("vmm.block: read(%d, %d) returned %s, not %d bytes"):format(offset, length,
            type(bytes) == "string" and #bytes .. " bytes" or "a " .. type(bytes), length), 0)
    end
    return "ok", bytes
end

function OPS.write(self, offset, _, bytes)
    return change(self, "write", offset, bytes) or "ok"
end

function OPS.flush(self)
    return change(self, "flush") or "ok"
end

local function each_range(name)
    return function(self, ranges)
        for i = 1, #ranges, 2 do
            local status = change(self, name, ranges[i], ranges[i + 1])
            if status then return status end
        end
        return "ok"
    end
end

OPS.discard = each_range "discard"
OPS.write_zeroes = each_range "write_zeroes"

-- Returns a status, and the bytes of a read; nil: the driver has given it up.
local function carry_out(self, disk, id, op, durable, offset, length)
    local bytes = op == "write" and disk:block_data(id, length)
    if op == "write" and not bytes then return nil end
    local status, result = OPS[op](self, offset, length, bytes)
    if status == "ok" and durable and op ~= "read" and op ~= "flush" and self.flush then
        status = OPS.flush(self)
    end
    return status, result
end

-- One request, as a task: its function may wait.
local function perform(self, disk, id, ...)
    if disk.vm.closed then return end
    local ok, status, result = pcall(carry_out, self, disk, id, ...)
    if not disk.vm.closed and (status or not ok) then
        disk:block_finish(id, ok and status or "ioerr", ok and result or nil)
    end
    if not ok and status ~= sched.interruption() then sched.call(error, status, 0) end
end

--- Begins what the guest asks for; on the script's thread.
function Backend:serve(disk)
    for _ = 1, TAKEN_AT_ONCE do
        local id, op, durable, offset, length = disk:block_take()
        if not id then return end
        sched.spawn(perform, self, disk, id, op, durable, offset, length)
    end
end

return backend
