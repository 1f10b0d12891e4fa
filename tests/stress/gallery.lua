-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Runs the gallery of scenarios again and again while something else keeps every CPU busy, and
-- counts: what fails once in twenty times is found so, not by CI's single run.
--
-- usage: ./vmm-reference tests/stress/gallery.lua [ROUNDS [SCENARIO...]]   (20, and all of them)
-- VMM_STRESS_LOAD: busy processes beside it (as many as there are CPUs; 0: none)

package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
local process = require "vmm.process"
local vmm = require "vmm"

local rounds = math.tointeger(tonumber(arg[1] or 20))
if not rounds or rounds < 1 then
    io.stderr:write "usage: ./vmm-reference tests/stress/gallery.lua [ROUNDS [SCENARIO...]]\n"
    os.exit(2)
end
local scenarios = table.move(arg, 2, #arg, 1, {})
if not scenarios[1] then scenarios[1] = "examples/scenarios" end
local load = os.getenv "VMM_STRESS_LOAD" or process.line { "nproc" }

-- Busy processes, at the priority of all else, for as long as a command runs.
local BESIDE = [[
load=$1
shift
busy=
while [ "$load" -gt 0 ]; do
    setpriv --pdeathsig KILL sh -c 'while :; do :; done' &
    busy="$busy $!"
    load=$((load - 1))
done
"$@"
code=$?
[ -z "$busy" ] || kill $busy
exit $code]]

local function round()
    local argv = { "sh", "-c", BESIDE, "sh", load, process.executable(), "tests/run.lua",
        table.unpack(scenarios) }
    local output, partial = process.capture(argv, { stderr = "merge" })
    local text = output or partial
    local passed, failed, skipped = text:match "(%d+) passed, (%d+) failed, (%d+) skipped%s*$"
    return output ~= nil and passed ~= nil, tonumber(passed or 0), tonumber(failed or 1),
        tonumber(skipped or 0), text
end

local sum = { 0, 0, 0 }
for number = 1, rounds do
    local start = vmm.now()
    local ok, passed, failed, skipped, text = round()
    sum = { sum[1] + passed, sum[2] + failed, sum[3] + skipped }
    print(("round %d of %d: %d passed, %d failed, %d skipped (%.0f s)"):format(number, rounds,
        passed, failed, skipped, vmm.now() - start))
    if not ok then io.write(text) end
    io.flush()
end
print(("%d passed, %d failed, %d skipped"):format(table.unpack(sum)))
os.exit(sum[2] == 0)
