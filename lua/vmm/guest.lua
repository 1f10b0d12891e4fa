-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Guests by name: the kernel and what it boots into, prepared when first needed and kept.

local guests = require "vmm.guests"

local guest = {}

local Guest = { __name = "vmm.guest" }
Guest.__index = Guest

-- What vmm.vm needs to boot it: { kernel =, initrd =, cmdline =, prompt =, ... }. Raises an error
-- of one line when it cannot be had.
function Guest:prepare()
    local kernel, message = guests.kernel "cloud-amd64"
    if not kernel then error(("guest %s: %s"):format(self.name, message), 0) end
    local initrd
    initrd, message = guests.initramfs { kernel = kernel }
    if not initrd then error(("guest %s: %s"):format(self.name, message), 0) end
    return { kernel = kernel.path, initrd = initrd, prompt = "guest# " }
end

-- The guest of that name, or the one given.
function guest.get(given)
    if getmetatable(given) == Guest then return given end
    return setmetatable({ name = given }, Guest)
end

function guest.default()
    return guest.get "debian-cloud"
end

return guest
