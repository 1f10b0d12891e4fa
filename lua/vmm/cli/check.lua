-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- --check: everything that can be said of a command line without running it.

local script = require "vmm.cli.script"

local check = {}

--- Can a file be read?
-- @return true, or nil and a message
local function readable(place, path)
    local file <close>, message = io.open(path, "rb")
    local ok = file
    if file then
        ok, message = file:read(1)
        ok = ok or message == nil
        message = message and path .. ": " .. message
    end
    if not ok then
        return nil, place .. ": " .. message
    end
    return true
end

local function check_files(kernel)
    for _, name in ipairs { "path", "initrd" } do
        if kernel and kernel[name] then
            local ok, message = readable("--kernel " .. name, kernel[name])
            if not ok then
                return nil, message
            end
        end
    end
    return true
end

local function check_code(command)
    for _, source in ipairs(command.given.e or {}) do
        local ok, message = load(source, "=(command line)")
        if not ok then
            return nil, "-e: " .. message
        end
    end
    if command.script then
        return script.load(command)
    end
    return true
end

--- Check.  @return exit code, and a message when something is wrong
function check.run(command, on)
    local ok, message = check_files(command.config.kernel)
    if ok then
        ok, message = check_code(command)
    end
    if not ok then
        return 1, message
    end
    on.write("the command line is valid\n")
    return 0
end

return check
