-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Where a file lies, seen from another: links in a report that may be moved with what it shows.

local process = require "vmm.process"

local paths = {}

-- A path without "." and "..", from the root on.
local function absolute(path, directory)
    if path:sub(1, 1) ~= "/" then path = directory .. "/" .. path end
    local parts = {}
    for part in path:gmatch "[^/]+" do
        if part == ".." then
            parts[#parts] = nil
        elseif part ~= "." then
            parts[#parts + 1] = part
        end
    end
    return parts
end

local function relative(parts, from)
    local same = 0
    while same < #from and same < #parts - 1 and parts[same + 1] == from[same + 1] do
        same = same + 1
    end
    local words = {}
    for _ = same + 1, #from do
        words[#words + 1] = ".."
    end
    return table.concat(table.move(parts, same + 1, #parts, #words + 1, words), "/")
end

-- For a report at a path: beside(run file) gives { relative = function(path) }, where path is what
-- the run file says, from its folder on, and the result is seen from the report's folder.
function paths.of_report(report)
    local here = process.current_directory()
    local folder = absolute(report, here)
    folder[#folder] = nil
    return {
        beside = function(run_file)
            local base = "/" .. table.concat(absolute(run_file, here), "/")
            base = base:match "^(.*)/" or ""
            return {
                relative = function(path)
                    return relative(absolute(path, base), folder)
                end,
            }
        end,
    }
end

-- A relative path as a link's target.
function paths.url(path)
    path = path:gsub("[^%w%-._~/]", function(char)
        return ("%%%02X"):format(char:byte())
    end)
    return path
end

return paths
