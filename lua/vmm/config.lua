-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Validation of the table given to vmm.vm{...}, which has the names, ranges and
-- defaults of the command line.
--
--   config.check{ memory = { size_mib = 512 }, kernel = { path = "vmlinuz" } }
--
-- returns a new, complete table:
--   name     string
--   memory   { size_mib =, shared =, huge_pages = }
--   vcpus    { num = }
--   kernel   nil, or { path =, cmdline =, initrd =, himem_start =, flow =,
--            mode =, unpack =, slide = }; initrd, flow, mode and unpack may be
--            nil, himem_start when flow is "flat"
--   console  "stdio", "capture", "pty", { file = path }, { unix = path } or a
--            function(bytes); when not given: "capture"
--   serial2  nil, or as console, but "stdio"
--   block    nil, or a list of { path =, readonly =, serial =, direct =,
--            queues =, io_uring =, bandwidth =, iops =, burst =, format =,
--            socket = }, and of what vmm.block returns; serial may be nil, one
--            of path and socket is
--   virtio_console  nil, or { to = as console, ports = { { name =, to = }, ... },
--            cols =, rows = }; cols and rows may be nil
--   rng      nil, or { rate = bytes a second, 0: no limit }
--   net      nil, or a list of { user =, tap =, link =, forward =,
--            restrict =, queues =, mac =, mtu =, pcap =, rx_bandwidth =, tx_bandwidth =,
--            rx_packets =, tx_packets =, burst =, backend = { send = function } }; what
--            vmm.link returns stands for { link = its name }
--   vsock    nil, or { cid =, path = }
--   balloon  nil, or { mib =, deflate_on_oom =, reporting = }
--   share    nil, or a list of { path =, socket =, tag =, readonly =, sandbox = };
--            one of path and socket, and sandbox, are nil
--   transport  "mmio" or "pci"
--   metrics  nil, or { path =, format =, every = }
--   trace    nil, or { path =, events = }
--   setup    nil, or a function(vm, parts)
-- Checking what it returned gives the same again.

local features = require "vmm.features"
local options = require "vmm.options"
local parameter = require "vmm.parameter"
local place = require "vmm.place"
local text = require "vmm.text"

local config = {}

--- How a message names an option of vmm.vm{...} and one of its parameters.
local function in_table(option, name)
    return option.name .. (name and "." .. name or "")
end

local function unknown(where, what, key, names)
    return nil, string.format("%sunknown %s %s%s valid: %s",
        where and where .. ": " or "", what, text.show(key),
        text.suggest(key, names), table.concat(names, ", "))
end

--- The refusal of a parameter that an option does not have: nil, message.
function config.unknown_param(option, key, where)
    return unknown(where(option), "parameter", key,
        options.names(option.params))
end

--- The parameters that a script may give.
local function names_of(option)
    local names = options.names(option.params)
    for _, name in ipairs(options.names(option.of_scripts or {})) do
        names[#names + 1] = name
    end
    return names
end

--- Which parameter is meant, or nil and a message.
local function find_param(option, key, seen, where, of_script)
    local param = options.find(option.params, key)
        or of_script and options.find(option.of_scripts or {}, key)
    if not param then
        return config.unknown_param(option, key, where)
    end
    local former = seen[param]
    if former == key then
        return nil, string.format("%s: %s is given twice", where(option),
            text.show(key))
    elseif former then
        return nil, string.format(
            "%s: %s and %s are the same parameter; give one", where(option),
            text.show(former), text.show(key))
    end
    seen[param] = key
    return param
end

--- Does a value lack a default, for another parameter's sake?
local function chosen_elsewhere(param, values)
    local unless = param.default_unless
    return unless and values[unless[1]] == unless[2]
end

--- Add the defaults; complain about what is missing and what does not go
--- together.
local function complete(option, values, where)
    for _, param in ipairs(option.params) do
        local needs = param.only_with
        if needs and values[param.name] ~= nil
            and values[needs[1]] ~= needs[2] then
            return nil, string.format("%s: only with %s=%s",
                where(option, param.name), needs[1], needs[2])
        end
        if values[param.name] == nil then
            if param.required then
                return nil, string.format("%s: %s=%s is missing",
                    where(option), param.name, param.metavar)
            end
            if not chosen_elsewhere(param, values) then
                values[param.name] = param.default
            end
        end
    end
    return values
end

--- Read the parameters of one option.
-- @param given  list of { key, value }; a value of nil means the default
-- @param read   parameter.from_text or parameter.from_value
-- @param where  function(option, name) that names the place in a message
-- @return values by name, complete with defaults, or nil and a message
function config.section(option, given, read, where)
    local values, seen = {}, {}
    for _, pair in ipairs(given) do
        local key, raw = pair[1], pair[2]
        local param, message = find_param(option, key, seen, where,
            read == parameter.from_value)
        if not param then
            return nil, message
        end
        if raw ~= nil then
            values[param.name], message = read(param, raw)
            if message then
                return nil, where(option, key) .. ": " .. message
            end
        end
    end
    local result, message = complete(option, values, where)
    local mistake = result and option.check
        and require(option.check).mistake(result)
    if mistake then
        return nil, where(option) .. ": " .. mistake
    end
    return result, message
end

--- The pairs of a table in a fixed order, so that messages are too.
local function sorted(given)
    local list = {}
    for key, value in pairs(given) do
        list[#list + 1] = { key, value }
    end
    table.sort(list, function(a, b)
        return tostring(a[1]) < tostring(b[1])
    end)
    return list
end

--- One of several forms, from `name` and, after a "=", `value`.
-- @return "name" or { name = value }, or nil and a message
function config.form(option, name, value, where)
    local result, message, form = place.form(option.forms, name, value)
    return result, message and where(option, form) .. ": " .. message
end

--- A form in a script: "stdio", "file=P", { file = "P" } or a function.
local function form_of_value(option, given)
    local result, message, form = place.read(option.forms, given)
    return result, message and in_table(option, form) .. ": " .. message
end

--- A list of tables, each as one mention on the command line.
local function list_of_value(option, given)
    if type(given) ~= "table" or (next(given) ~= nil and #given == 0) then
        return nil, string.format("%s: %s is not a list of tables; valid in each: %s",
            option.name, text.show(given),
            table.concat(names_of(option), ", "))
    end
    local list = {}
    for index, item in ipairs(given) do
        local function where_in(_, name)
            return in_table({ name = ("%s[%d]"):format(option.name, index) }, name)
        end
        if type(item) ~= "table" then
            return nil, where_in() .. ": " .. text.show(item) .. " is not a table"
        end
        local params, message
        if option.stands_for then
            params, message = require(option.stands_for).params(item)
            item, message = params or item, message and where_in() .. ": " .. message
        end
        if message then
            return nil, message
        elseif option.objects and require(option.objects).is(item) then
            list[index] = item
        else
            list[index], message = config.section(option, sorted(item),
                parameter.from_value, where_in)
        end
        if message then
            return nil, message
        end
    end
    return list
end

local function read_option(option, given)
    if option.repeatable and option.params then
        return list_of_value(option, given)
    elseif option.forms then
        return form_of_value(option, given)
    elseif option.params then
        if type(given) ~= "table" then
            return nil, string.format("%s: %s is not a table; valid: %s",
                option.name, text.show(given),
                table.concat(options.names(option.params), ", "))
        end
        return config.section(option, sorted(given), parameter.from_value,
            in_table)
    end
    local value, message = parameter.from_value(option, given)
    return value, message and option.name .. ": " .. message
end

local function find_option(key, seen)
    local option = options.find(options.list, key)
        or options.find(options.of_scripts, key)
    if not option or not option.machine then
        return unknown(nil, "option", key,
            options.names(options.of_machine()))
    elseif features.lacking(option.features) then
        return nil, key .. ": " .. features.lacking(option.features)
    elseif seen[option] then
        return nil, string.format(
            "%s and %s are the same option; give one", seen[option], key)
    end
    seen[option] = key
    return option
end

--- Is there nothing of an option unless it is given?
local function is_demanding(option)
    if option.optional then
        return true
    end
    for _, param in ipairs(option.params) do
        if param.required then
            return true
        end
    end
    return false
end

--- Fill in what was not given.
function config.complete(values)
    for _, option in ipairs(options.of_machine()) do
        if values[option.name] == nil then
            if option.type then
                values[option.name] = option.default
            elseif option.optional then
                values[option.name] = nil
            elseif option.forms then
                values[option.name] = "capture"
            elseif not is_demanding(option) then
                values[option.name] = config.section(option, {},
                    parameter.from_value, in_table)
            end
        end
    end
    return values
end

--- Check a table as given to vmm.vm{...}.
-- @return a complete copy (see the top of this file), or nil and a message
function config.check(given)
    if type(given) ~= "table" then
        return nil, text.show(given) .. " is not a table of options; valid: "
            .. table.concat(options.names(options.of_machine()), ", ")
    end
    local values, seen = {}, {}
    for _, pair in ipairs(sorted(given)) do
        local option, message = find_option(pair[1], seen)
        if not option then
            return nil, message
        end
        values[option.name], message = read_option(option, pair[2])
        if message then
            return nil, message
        end
    end
    return config.complete(values)
end

return config
