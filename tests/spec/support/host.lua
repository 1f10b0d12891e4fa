-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What this host can do, for specs of programs, which do not run in the lab.

local process = require "vmm.process"

local host = {}

-- Can guests run here?
host.has_kvm = process.is_readable "/dev/kvm" and true or false

host.NO_KVM = "there is no /dev/kvm here"

-- busted's it, for tests that are skipped, by name, where no guest can run.
function host.with_kvm(it, pending)
    return host.has_kvm and it or function(name)
        pending(("%s (%s)"):format(name, host.NO_KVM))
    end
end

return host
