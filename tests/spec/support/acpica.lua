-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- ACPI tables judged by ACPICA's tools: iasl, the disassembler, and acpiexec, the interpreter.

local acpica = {}

local function shell(format, ...)
    local pipe = assert(io.popen(format:format(...) .. " 2>&1"))
    local output = pipe:read "a"
    local ok = pipe:close()
    return output, ok
end

-- Runs fn with a new directory, removed afterwards; returns what fn does.
local function in_directory(fn)
    local directory = shell("mktemp -d"):match "^[^\n]+"
    local results = table.pack(pcall(fn, directory))
    shell("rm -r '%s'", directory)
    if not results[1] then error(results[2], 0) end
    return table.unpack(results, 2, results.n)
end

local function write(path, bytes)
    local file = assert(io.open(path, "wb"))
    assert(file:write(bytes))
    assert(file:close())
end

-- A table's ASL text, and all that iasl printed about it.
function acpica.disassemble(bytes)
    return in_directory(function(directory)
        write(directory .. "/t.dat", bytes)
        local messages = shell("iasl -p '%s/t' -d '%s/t.dat'", directory, directory)
        local file = assert(io.open(directory .. "/t.dsl"), messages)
        return file:read "a", messages, file:close()
    end)
end

-- The complaints in iasl's messages or acpiexec's output.
function acpica.complaints(messages)
    local found = {}
    for line in messages:gmatch "[^\n]+" do
        local lower = line:lower()
        if
            lower:find("warning", 1, true)
            or lower:find("error", 1, true)
            or lower:find("checksum", 1, true)
            or lower:find("failed", 1, true)
            or lower:find("ae_", 1, true)
        then
            found[#found + 1] = line
        end
    end
    return found
end

-- What acpiexec prints when it loads the tables (an array of strings) and carries out
-- commands ("evaluate \\_S5;..."). fill: what every byte of an operation region reads as (0).
function acpica.execute(tables, commands, fill)
    return in_directory(function(directory)
        local paths = {}
        for i, bytes in ipairs(tables) do
            paths[i] = ("'%s/%d.dat'"):format(directory, i)
            write(("%s/%d.dat"):format(directory, i), bytes)
        end
        return (
            shell(
                "cd '%s' && timeout 20 acpiexec -fv %d -b '%s;quit' %s </dev/null",
                directory,
                fill or 0,
                commands,
                table.concat(paths, " ")
            )
        )
    end)
end

return acpica
