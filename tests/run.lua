-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The test runner: lint, unit programs (plain and with sanitizers), fuzz targets, specs of handlers
-- with sanitizers and all specs on this host, Linux specs in the lab where this host cannot run
-- them, one line of counts at the end.
--
-- usage: tests/run.lua [--lab] [--here] [SPEC...]
--   --lab   run the specs that need KVM in the lab even where this host could
--   --here  run everything on this host
--   SPEC    run only these spec files or directories: no lint, no unit programs, no minimum

package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
local guests = require "vmm.guests"
local process = require "vmm.process"

-- Fewer tests than this have not been the whole of them: on a host with KVM, and without, where
-- programs of the host and what needs sanitizers beside KVM are skipped by name.
local MINIMUM, MINIMUM_WITHOUT_KVM = 6800, 6200

-- Seconds that nothing here should come near; a test has its own, shorter limit.
local UNIT_LIMIT, FUZZ_LIMIT, SPEC_LIMIT = 300, 1800, 1800
local FUZZ_SECONDS = os.getenv "FUZZ_SECONDS" or "20"

-- Specs below these directories boot Linux; below the other one they need only /dev/kvm.
local LINUX, SCENARIOS, KVM = "tests/spec/linux", "examples/scenarios", "tests/spec/kvm"

-- Specs of KVM in which the script's thread and vCPU threads meet.
local SANITIZED = {
    "collect", "debug", "doorbell", "example_devices", "exit_hooks", "gdb", "handlers", "hooks",
    "lua_device_change", "lua_device", "metrics", "pause", "pvpanic", "registers", "tap", "trace",
}

local counts = { pass = 0, fail = 0, skip = 0 }
local skipped, failed = {}, {}

local function record(kind, where, name, reason)
    counts[kind] = counts[kind] + 1
    local list = kind == "skip" and skipped or kind == "fail" and failed
    if list then
        list[#list + 1] = ("%s: %s: %s"):format(where, name, reason)
    end
end

local function say(...)
    print(string.format(...))
    io.stdout:flush()
end

-- A program whose tests come as lines of the Test Anything Protocol, group by group.
local function tap(name, argv, limit)
    local command = table.move(argv, 1, #argv, 5,
        { "env", "CMOCKA_MESSAGE_OUTPUT=TAP", "timeout", tostring(limit) })
    local output, partial, code = process.capture(command, { stderr = "merge" })
    local passes, failures, seen = counts.pass, counts.fail, 0
    local text = output or partial
    for line in text:gmatch("[^\n]+") do
        local wrong, test = line:match("^(n?o?t? ?)ok %d+ %-? ?(.*)$")
        if test then
            seen = seen + 1
            local skip = test:match("^# SKIP (.*)$")
            record(skip and "skip" or wrong ~= "" and "fail" or "pass", name, skip or test,
                skip and "not on this host" or "see above")
        end
    end
    local planned
    for count in ("\n" .. text):gmatch("\n1%.%.(%d+)") do
        planned = (planned or 0) + tonumber(count)
    end
    local whole = seen > 0 and seen == planned
    if counts.fail == failures and (code or not whole) then
        record("fail", name, "the program", ("exit code %d after %d of %s tests")
            :format(code or 0, seen, planned or "unknown"))
    end
    if counts.fail > failures then
        io.stdout:write(text)
    end
    say("  %-7s %s: %d passed", counts.fail > failures and "FAIL" or "ok", name,
        counts.pass - passes)
end

-- TSan runs what has threads, which make knows.
local function unit_sources(variant)
    if variant ~= "tsan" then return process.find("tests/unit", "test_*.c") end
    local list = {}
    local output = assert(process.capture { "env", "-u", "MAKEFLAGS", "make", "-s", "threaded" })
    for source in output:gmatch("%S+") do
        list[#list + 1] = source
    end
    return list
end

-- The C unit tests of one variant of the build: release, asan (with UBSan), tsan.
local function unit(variant)
    say("unit programs, %s", variant)
    for _, source in ipairs(unit_sources(variant)) do
        local program = (".build/" .. variant .. "/" .. source):sub(1, -3)
        tap(variant .. " " .. program:match("[^/]+$"), { program }, UNIT_LIMIT)
    end
end

local function fuzz()
    say("fuzz targets, %s s each", FUZZ_SECONDS)
    local argv = { "tests/fuzz/run.sh", FUZZ_SECONDS }
    for _, source in ipairs(process.find("tests/fuzz", "fuzz_*.c")) do
        argv[#argv + 1] = (".build/fuzz/" .. source):sub(1, -3)
    end
    tap("fuzz", argv, FUZZ_LIMIT)
end

-- What tests/support/results.lua wrote: an array of { kind, spec, name, reason }, and why there
-- is not more, if busted did not get to its end.
local function read_results(path, code)
    local file = io.open(path, "r")
    local list, whole, failures = {}, false, 0
    for line in (file and file:read("a") or ""):gmatch("[^\n]+") do
        local result = { line:match("^(%a+)\t([^\t]*)\t([^\t]*)\t([^\t]*)$") }
        list[#list + 1] = result[1] and result
        failures = failures + (result[1] == "fail" and 1 or 0)
        whole = whole or line == "end"
    end
    if file then
        file:close()
    end
    if not whole or code ~= 0 and failures == 0 then
        return list, ("ended early with exit code %d"):format(code)
    end
    return list
end

local function record_all(list, where, problem)
    for _, result in ipairs(list) do
        record(table.unpack(result))
    end
    if problem then
        record("fail", where, "busted", problem)
    end
end

local function busted_words(specs)
    return table.move(specs, 1, #specs, 4, {
        "/usr/bin/busted", "--output=tests/support/results.lua", "--pattern=_spec",
    })
end

-- program: which build of ours; where: how the results name it.
local function run_specs(program, specs, results, where)
    say("%s", where)
    local argv = {
        "env", "VMM_TEST_RESULTS=" .. results, "timeout", "--foreground", "-k", "5",
        tostring(SPEC_LIMIT),
        program,
    }
    local words = busted_words(specs)
    local code = process.run(table.move(words, 1, #words, #argv + 1, argv), { input = false })
    local list, problem = read_results(results, code)
    record_all(list, where, problem)
end

local function run_here(specs, scratch)
    run_specs(process.executable(), specs, scratch .. "/here", "specs on this host")
end

-- What runs Lua on vCPU threads, with sanitizers. A report is an exit code of the program's.
local function run_sanitized(scratch)
    local specs = {}
    for _, name in ipairs(SANITIZED) do
        specs[#specs + 1] = ("%s/%s_spec.lua"):format(KVM, name)
    end
    for _, variant in ipairs { "asan", "tsan" } do
        local program = (".build/%s/vmm-reference"):format(variant)
        run_specs(program, specs, scratch .. "/" .. variant, "specs of handlers, " .. variant)
    end
end

local function below(path, directory)
    return path:sub(1, #directory + 1) == directory .. "/"
end

-- How long a spec of Linux takes is how often it boots: of those that boot by a loop, or otherwise
-- than their text shows.
local BOOTS = {
    boot = 10, commands = 2, disk = 8, ["end"] = 8, examples = 9, guide = 3, failure = 7,
    guest_recipes = 9, virtio_balloon = 6, virtio_block = 7, virtio_console = 5, virtio_net = 7,
    virtio_vsock = 7,
}

-- And of scenarios, one if nothing is said; systemd counts for five.
local SCENARIO_BOOTS = { ancestor = 18, boot_time = 4, login = 5, matrix = 16, network = 2 }

local function expected_boots(spec)
    if below(spec, SCENARIOS) then return SCENARIO_BOOTS[spec:match "([^/]+)%.lua$"] or 1 end
    local known = BOOTS[spec:match "([^/]+)_spec%.lua$"]
    if known and below(spec, LINUX) then return known end
    local file <close> = assert(io.open(spec))
    return select(2, file:read("a"):gsub("linux%.boot", ""))
end

-- How many files of tiny guests a lab runs: they take a few seconds each.
local TINY_TOGETHER = 8

-- What each lab runs: one spec file; of scenarios that boot little, and of tiny guests, several,
-- for a lab itself takes as long to start as two guests. The longest come first: they would keep
-- all waiting.
local function share_labs(specs)
    local labs, shared, tiny = {}, nil, nil
    for _, spec in ipairs(specs) do
        local boots = expected_boots(spec)
        if below(spec, SCENARIOS) and boots < 10 then
            shared = shared or { boots = 0 }
            table.insert(shared, spec)
            shared.boots = shared.boots + boots
        elseif below(spec, KVM) then
            if not tiny or #tiny == TINY_TOGETHER then
                tiny = { boots = TINY_TOGETHER }
                labs[#labs + 1] = tiny
            end
            table.insert(tiny, spec)
        else
            labs[#labs + 1] = { boots = boots, spec }
        end
    end
    labs[#labs + 1] = shared
    table.sort(labs, function(a, b) return a.boots > b.boots end)
    return labs
end

-- As many labs at a time as there are CPUs: a lab has one.
local function run_in_lab(specs, scratch)
    say("specs in the lab: Linux under emulated AMD SVM")
    local words = {}
    local labs = share_labs(specs)
    for index, lab in ipairs(labs) do
        local directory = ("%s/lab-%d"):format(scratch, index)
        assert(process.make_directory(directory))
        words[#words + 1] = directory
        words[#words + 1] = table.concat(lab, ",")
    end
    local each = { process.executable(), "tests/support/in_lab.lua" }
    process.run({ "sh", "-c", ('printf "%%s\\n" "$@" | xargs -P "$(nproc)" -n 2 %s')
        :format(process.command(each)), "labs", table.unpack(words) })
    for index, lab in ipairs(labs) do
        local directory = ("%s/lab-%d"):format(scratch, index)
        local file <close> = io.open(directory .. "/problem", "r")
        local list = read_results(directory .. "/results", 0)
        record_all(list, table.concat(lab, ", "), file and file:read("l"))
    end
end

-- All spec files below the paths given, in order.
local function spec_files(paths)
    local result = {}
    for _, path in ipairs(paths) do
        local about = process.stat1(path)
        if not about then
            io.stderr:write(("tests/run.lua: %s: no such file or directory\n"):format(path))
            os.exit(2)
        elseif about.kind == "file" then
            result[#result + 1] = path
        else
            local pattern = below(path .. "/", SCENARIOS) and "*.lua" or "*_spec.lua"
            table.move(process.find(path, pattern), 1, 1 << 20, #result + 1, result)
        end
    end
    return result
end

-- Can this host run Linux guests, and any guests at all?
local function host_abilities()
    local file = io.open("/proc/cpuinfo", "r")
    local flags = file and file:read("a"):match("\nflags%s*:([^\n]*)") or ""
    if file then
        file:close()
    end
    local kvm = io.open("/dev/kvm", "r+b")
    local hardware = flags:find("%f[%w]vmx%f[%W]") or flags:find("%f[%w]svm%f[%W]")
    return kvm and hardware, kvm and kvm:close()
end

-- Share the specs out: those to run here, those to run in the lab.
local function share_out(files, where)
    local linux_here, kvm_here = host_abilities()
    local here, there = {}, {}
    for _, path in ipairs(files) do
        local linux = below(path, LINUX) or below(path, SCENARIOS)
        local needs_lab = linux and not linux_here
            or below(path, KVM) and not kvm_here
            or where == "lab" and (linux or below(path, KVM))
        local list = needs_lab and where ~= "here" and there or here
        list[#list + 1] = path
    end
    return here, there
end

local function parse(words)
    local where, specs = nil, {}
    for _, word in ipairs(words) do
        if word == "--lab" or word == "--here" then
            where = word:sub(3)
        elseif word:sub(1, 1) == "-" then
            io.stderr:write(("tests/run.lua: unknown option %s\n"):format(word))
            os.exit(2)
        else
            specs[#specs + 1] = word
        end
    end
    return where, specs
end

local function report(whole)
    local ran = counts.pass + counts.fail
    local _, kvm = host_abilities()
    local minimum = kvm and MINIMUM or MINIMUM_WITHOUT_KVM
    if whole and ran < minimum then
        record("fail", "tests/run.lua", "number of tests",
            ("%d ran, at least %d expected"):format(ran, minimum))
    end
    for _, line in ipairs(skipped) do
        say("  SKIPPED %s", line)
    end
    for _, line in ipairs(failed) do
        say("  FAILED  %s", line)
    end
    say("%d passed, %d failed, %d skipped", counts.pass, counts.fail, counts.skip)
    return counts.fail == 0
end

local where, chosen = parse(arg)
local whole = #chosen == 0
local scratch = assert(process.temporary_directory("vmm-tests"))
if whole then
    say("lint")
    tap("lint", { "tests/lint/lint.sh" }, SPEC_LIMIT)
    for _, variant in ipairs { "release", "asan", "tsan" } do
        unit(variant)
    end
    fuzz()
    local _, kvm = host_abilities()
    if kvm then run_sanitized(scratch) end
end
local here, there = share_out(spec_files(whole and { "tests/spec", SCENARIOS } or chosen), where)
-- Fetched first, so that a missing kernel is one clear line.
if whole or #there > 0 then
    for flavor in pairs(guests.flavors) do
        local kernel, message = guests.kernel(flavor)
        if not kernel then
            record("fail", "guests", flavor, message)
        end
    end
end
if #here > 0 then
    run_here(here, scratch)
end
if #there > 0 then
    run_in_lab(there, scratch)
end
process.remove(scratch)
os.exit(report(whole))
