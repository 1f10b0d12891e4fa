-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Model-specific registers that firmware would have set up before it starts a kernel.

local msrs = {}

local IA32_MISC_ENABLE = 0x1a0
local MISC_ENABLE_FAST_STRING = 1 << 0
local IA32_MTRR_DEF_TYPE = 0x2ff
local MTRR_ENABLE, MTRR_WRITE_BACK = 1 << 11, 6

-- What each vCPU starts with, for vcpu:set_msrs: fast string operations on, and all memory
-- write-back by default (with MTRRs off Linux would turn the PAT off too).
function msrs.initial()
    return {
        [IA32_MISC_ENABLE] = MISC_ENABLE_FAST_STRING,
        [IA32_MTRR_DEF_TYPE] = MTRR_ENABLE | MTRR_WRITE_BACK,
    }
end

return msrs
