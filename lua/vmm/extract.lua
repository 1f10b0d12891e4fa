-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- vmm.load.extract: the vmlinux that is packed in a bzImage, as a file.

local argument = require "vmm.argument"
local core = require "vmm.core"
local files = require "vmm.file"

local CHUNK = 1 << 20

-- vmm.load.extract(path, to) -> true, or nil, message, code.
function core.load.extract(path, to)
    argument.type("vmm.load.extract: path", path, "string")
    argument.type("vmm.load.extract: to", to, "string")
    local image <close>, message, code = core.load.open(path)
    if not image then return nil, message, code end
    local vmlinux <close>, why, kind = core.load.unpack(image)
    if not vmlinux then return nil, why, kind end
    return files.write(to, function(put)
        for at = 0, vmlinux.size - 1, CHUNK do
            put(vmlinux:read(at, math.min(CHUNK, vmlinux.size - at)))
        end
    end)
end
