---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Devices, taps and doorbells in Lua, and interrupt lines.

---@class vmm.lua_device
---@field name? string
---@field pio? { [1]: integer, [2]: integer }   base, length
---@field mmio? { [1]: integer, [2]: integer }
---@field read? fun(dev: vmm.lua_device, offset: integer, size: integer): integer?
---@field write? fun(dev: vmm.lua_device, offset: integer, size: integer, value: integer)
---@field reset? fun(dev: vmm.lua_device)  to the power-on state
---@field irq? integer|vmm.irq  a gsi becomes its line: dev.irq:pulse()
local lua_device = {}
---Takes it off its bus; idempotent, and nothing once the VM is closed.  When it returns, no handler
---of the device runs, but in a handler: there others may be under way.
---@return true? ok, string? message, string? code
function lua_device:remove() end
---Has another device take its range; no access finds it empty.  This one is removed by that.
---@param options vmm.lua_device  without pio and mmio
---@return vmm.lua_device? device, string? message, string? code
function lua_device:replace(options) end
---Moves it, as a guest moves a BAR.  Code "ENOENT" when it has been removed, "EBUSY" as vm:device.
---@param base integer
---@return true? ok, string? message, string? code
function lua_device:move(base) end

---@class vmm.tap
---@field name? string
---@field pio? { [1]: integer, [2]: integer }   base, length
---@field mmio? { [1]: integer, [2]: integer }
---@field read? fun(tap: vmm.tap, offset: integer, size: integer, value: integer): integer?
---@field write? fun(tap: vmm.tap, offset: integer, size: integer, value: integer): integer|false|nil
local tap = {}
---As a device's remove.
---@return true? ok, string? message, string? code
function tap:remove() end

---The VM keeps it, until it is removed.
---@class vmm.doorbell
local doorbell = {}
---Idempotent; the function runs no more.  Also by <close>.
---@return true
function doorbell:remove() end

---@class vmm.irq
local irq = {}
function irq:assert() end
function irq:deassert() end
---assert, then deassert
function irq:pulse() end
