-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Where a console may go: one of several forms, some with a value.
--
-- A form is a table with name, help, perhaps metavar (then it has a value) and
-- features (those that must be built in for it).

local features = require "vmm.features"
local text = require "vmm.text"

local place = {}

local function find(forms, name)
    for _, form in ipairs(forms) do
        if form.name == name then
            return form
        end
    end
    return nil
end

--- "stdio, capture, file=FILE"
function place.list(forms)
    local list = {}
    for i, form in ipairs(forms) do
        list[i] = form.metavar and form.name .. "=" .. form.metavar or form.name
    end
    return table.concat(list, ", ")
end

local function names(forms)
    local list = {}
    for i, form in ipairs(forms) do
        list[i] = form.name
    end
    return list
end

--- One of the forms, from its name and, after a "=", a value.
-- @return "name" or { name = value }; or nil, what is wrong, and the form that
--  it is about, if not all
function place.form(forms, name, value)
    local form = find(forms, name)
    if not form then
        return nil, string.format("%s is not known%s allowed: %s",
            text.show(name), text.suggest(name, names(forms)),
            place.list(forms))
    end
    local lacking = features.lacking(form.features)
    if lacking then
        return nil, lacking, name
    elseif not form.metavar then
        if value then
            return nil, string.format("%s takes no value, given %s", name,
                text.show(value))
        end
        return name
    elseif value == nil or value == "" then
        return nil, string.format("%s needs a value: %s=%s", name, name,
            form.metavar)
    elseif type(value) ~= "string" then
        return nil, text.show(value) .. " is not a string", name
    elseif value:find("\0", 1, true) then
        return nil, text.show(value) .. " has a NUL character", name
    end
    return { [name] = value }
end

--- A form in a script: "stdio", "file=P", { file = "P" } or a function.
-- @return as place.form
function place.read(forms, given)
    if type(given) == "function" then
        return given
    elseif type(given) == "string" then
        local name, value = given:match "^([%w_]+)=(.*)$"
        return place.form(forms, name or given, value)
    elseif type(given) ~= "table" then
        return nil, string.format(
            "%s is not a string, a table or a function; allowed: %s",
            text.show(given), place.list(forms))
    end
    local name, value = next(given)
    if name == nil or next(given, name) ~= nil then
        return nil, "give one of: " .. place.list(forms)
    end
    return place.form(forms, name, value)
end

-- ---- ports: names with places ---------------------------------------------------

local PORTS_MAX = 30
local NAME = "^[%w._-]+$"

--- "agent:unix=PATH,log" as { { name = "agent", to = "unix=PATH" }, { name = "log" } }
function place.split_ports(given)
    local list = {}
    for entry in (given .. ","):gmatch "([^,]*)," do
        local name, to = entry:match "^([^:]*):(.*)$"
        list[#list + 1] = { name = name or entry, to = to }
    end
    return list
end

--- One port: "name", { name =, to = }.
-- @return { name =, to = }, or nil and what is wrong
local function read_port(forms, given)
    if type(given) == "string" then
        given = { name = given }
    elseif type(given) ~= "table" then
        return nil, text.show(given) .. " is not a name or { name =, to = }"
    end
    for key in pairs(given) do
        if key ~= "name" and key ~= "to" then
            return nil, string.format("unknown parameter %s; valid: name, to",
                text.show(key))
        end
    end
    local name = given.name
    if type(name) ~= "string" or not name:match(NAME) or #name > 64 then
        return nil, text.show(name)
            .. " is not a name: 1 to 64 letters, digits and . _ -"
    end
    local to, message = place.read(forms, given.to or "capture")
    if to == nil then
        return nil, name .. ": " .. message
    end
    return { name = name, to = to }
end

--- A list of ports.
-- @return a new list of { name =, to = }, or nil and what is wrong
function place.read_ports(forms, given)
    if type(given) ~= "table" then
        return nil, text.show(given) .. " is not a list of ports"
    elseif #given > PORTS_MAX then
        return nil, string.format("%d ports; up to %d are possible", #given,
            PORTS_MAX)
    end
    local list, seen = {}, {}
    for i, entry in ipairs(given) do
        local port, message = read_port(forms, entry)
        if not port then
            return nil, message
        elseif seen[port.name] then
            return nil, text.show(port.name) .. " is given twice"
        end
        seen[port.name] = true
        list[i] = port
    end
    return list
end

return place
