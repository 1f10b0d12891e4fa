-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The guide for users of pexpect, in examples/README.md: its Lua, run as it stands there.

local TITLE = "\n## From pexpect and QEMU\n"

-- The sections of the guide, as { title =, lua = or nil }.
local function sections()
    local file <close> = assert(io.open "examples/README.md")
    local text = file:read "a" .. "\n## "
    local _, first = assert(text:find(TITLE, 1, true))
    local guide = text:sub(first, text:find("\n## ", first, true) - 1) .. "\n### "
    local list, at = {}, guide:find("\n### ", 1, true)
    while at do
        local stop = guide:find("\n### ", at + 1, true)
        local section = guide:sub(at + 5, (stop or at) - 1)
        if stop then
            list[#list + 1] = {
                title = section:match "^[^\n]*", lua = section:match "```lua\n(.-)```",
            }
        end
        at = stop
    end
    return list
end

-- As getty and login do; a name that is empty is asked for again. In a file, for what is typed at
-- the console shows there, too.
local GETTY = [[
user=
while [ -z "$user" ]; do
    printf 'host login: '
    read -r user
done
printf 'Password: '
read -r password
printf '%s/%s\n# ' "$user" "$password"
read -r command
]]

-- What a section finds when it begins.
local PREPARE = {
    ["6. Log in"] = function(vm)
        vm:put { data = GETTY, to = "/tmp/getty" }
        vm.console:send_line "sh /tmp/getty"
    end,
    ["7. Run a command, check its status"] = function(vm)
        vm.console:send_line ""
        vm.console:expect "guest# "
    end,
}

describe("the guide for users of pexpect", function()
    it("has the usual idioms, each with its Lua", function()
        local without = {}
        for number, section in ipairs(sections()) do
            assert.equal(number, tonumber(section.title:match "^%d+"))
            if not section.lua then without[#without + 1] = section.title end
        end
        assert.equal(12, #sections())
        assert.same({ "10. Take over by hand" }, without)
    end)

    it("runs from the top to the bottom", function()
        local parts, printed = {}, {}
        local now
        for _, section in ipairs(sections()) do
            if section.lua then
                parts[#parts + 1] = ("begin(%q, vm)\n%s"):format(section.title, section.lua)
            end
        end
        local globals = setmetatable({
            begin = function(title, vm)
                now = title
                if PREPARE[title] then PREPARE[title](vm) end
            end,
            print = function(...)
                printed[now] = (printed[now] or "") .. table.concat({ ... }, " ") .. "\n"
            end,
        }, { __index = _G })
        local guide = assert(load(table.concat(parts, "\n"), "=guide", "t", globals))
        local ok, message = xpcall(guide, function(err)
            return ("%s: %s"):format(now, debug.traceback(tostring(err)))
        end)
        assert.is_true(ok, message)
        assert.equal("12. Wait for its end: a reboot, a panic", now)
        assert.matches("uname %-r.*6\n$", printed["2. Expect a pattern, use what it matched"])
        assert.matches("root/secret", printed["9. Keep a log"], 1, true)
    end)
end)
