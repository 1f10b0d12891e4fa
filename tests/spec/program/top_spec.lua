-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- --metrics, --trace and the live view, as a user has them.

local json = require "vmm.json"
local program = require "tests.spec.support.program"
local prometheus = require "tests.spec.support.prometheus"

local HELLO = "path=.build/guest/hello.elf"
local ENDLESS = "path=.build/guest/spin.bin,flow=flat"

local function read(path)
    local file <close> = assert(io.open(path))
    return file:read "a"
end

-- A new directory for fn(path), gone afterwards.
local function in_directory(fn)
    local path = assert(program.shell "mktemp -d"):match "%S+"
    local ok, message = pcall(fn, path)
    os.execute("rm -rf " .. path)
    assert(ok, message)
end

-- What boots something.
local kvm <const> = io.open "/dev/kvm"
local it_here = kvm and it or pending
if kvm then kvm:close() end

describe("--metrics", function()
    it_here("leaves the figures of the whole run", function()
        in_directory(function(path)
            local output, code = program.shell(("$vmm --console file=/dev/null --metrics "
                .. "path=%s/m --kernel %s"):format(path, HELLO))
            assert.same({ "", 0 }, { output, code })
            local of = assert(json.decode(read(path .. "/m")))
            assert.equal("vm", of.vm)
            assert.equal("reboot", of.stopped.reason)
            local writes = of.vcpus[1].exits.pio_write
            assert.is_true(writes > 10)
            assert.equal(writes, of.vcpus[1].handling.pio_write.count)
            assert.equal("m\n", (program.shell("ls " .. path)))
        end)
    end)

    it_here("writes Prometheus' text when asked", function()
        in_directory(function(path)
            assert.equal("", (program.shell(("$vmm --console file=/dev/null --metrics "
                .. "path=%s/m,format=prometheus --kernel %s"):format(path, HELLO))))
            local families = prometheus.parse(read(path .. "/m"))
            assert.is_true(prometheus.value(families, "vmm_vcpu_exits_total",
                { reason = "pio_write" }) > 10)
        end)
    end)

    it_here("is an option of vmm.vm in scripts, whose VM may be closed while it runs", function()
        in_directory(function(path)
            local script = [[
                local vmm = require "vmm"
                local config = arg.config
                config.console = "capture"
                local vm <close> = assert(vmm.vm(config))
                assert(vm:start())
            ]]
            assert.equal("", (program.run(script, ("--metrics path=%s/m --trace path=%s/t "
                .. "--kernel %s"):format(path, path, ENDLESS))))
            assert.equal("closed", assert(json.decode(read(path .. "/m"))).stopped.reason)
            assert.truthy(json.decode(read(path .. "/t")).traceEvents)
        end)
    end)

    it_here("that cannot be written is told before anything runs", function()
        for option, file in pairs { metrics = "/nonexistent/m", trace = "/nonexistent/t" } do
            local output, code = program.shell(("$vmm --%s path=%s --kernel %s")
                :format(option, file, HELLO))
            assert.equal(("vmm-reference: cannot write %s: No such file or directory\n")
                :format(file), output)
            assert.equal(1, code)
        end
    end)
end)

describe("--trace", function()
    it_here("is there also when the metrics cannot be written at the end", function()
        in_directory(function(path)
            local output, code = program.shell(([[
                $vmm --console file=/dev/null -e 'os.execute "rm %s/m; mkdir %s/m"' \
                    --metrics path=%s/m --trace path=%s/t --kernel %s
            ]]):format(path, path, path, path, HELLO))
            assert.matches("cannot write [^\n]*/m: Is a directory", output)
            assert.equal(1, code)
            assert.truthy(json.decode(read(path .. "/t")).traceEvents)
        end)
    end)

    it_here("leaves the last exits of the run", function()
        in_directory(function(path)
            assert.equal("", (program.shell(("$vmm --console file=/dev/null --trace "
                .. "path=%s/t,events=5 --kernel %s"):format(path, HELLO))))
            local of = assert(json.decode(read(path .. "/t")))
            local last
            local slices = 0
            for _, event in ipairs(of.traceEvents) do
                if event.ph == "X" then slices, last = slices + 1, event end
            end
            assert.is_true(slices > 0 and slices <= 5, slices)
            assert.equal("pio_write i8042", last.name)
            assert.is_true(of.otherData.lost_events.vcpu0 > 0)
        end)
    end)
end)

describe("top", function()
    it_here("shows a running machine until it ends", function()
        in_directory(function(path)
            local output, code = program.shell(([[
                $vmm --name box --console capture --metrics path=%s/m,every=0.1 --timeout 1.5 \
                    --kernel %s 2>%s/errors &
                until [ -s %s/m ]; do kill -0 $! || exit 9; done
                $vmm top %s/m
            ]]):format(path, ENDLESS, path, path, path))
            assert.equal(0, code, output)
            local frames = select(2, output:gsub("box: up ", ""))
            assert.is_true(frames >= 3, output)
            assert.truthy(output:find("ended: closed", 1, true), output)
        end)
    end)

    it("ends after as many frames as asked", function()
        in_directory(function(path)
            local of = json.encode {
                vm = "old", time = 1.0, uptime = 1.0, measuring = false, memory_bytes = 1,
                resident_bytes = 1, console = { input_bytes = 0, output_bytes = 0 },
                lua_handlers = { calls = 0, ran = 0.0 }, vcpus = json.array {},
            }
            local file = assert(io.open(path .. "/m", "w"))
            file:write(of)
            file:close()
            local output, code = program.shell("$vmm top -n 1 " .. path .. "/m")
            assert.equal(0, code, output)
            assert.equal(1, select(2, output:gsub("old: up 1.0 s", "")))
        end)
    end)

    for command, message in pairs {
        ["top"] = "top: which FILE? that of --metrics path=FILE; vmm-reference top --help",
        ["top a b"] = "top: one FILE, not a and b",
        ["top -x"] = "top: unknown option -x; vmm-reference top --help",
        ["top -n none a"] = "top: -n needs a number of frames, 1 or more",
        ["top /nonexistent"] = "top: /nonexistent: No such file or directory",
        ["top Makefile"] = "top: Makefile: JSON at byte 1: not a value; the machine writes it by"
            .. " --metrics path=Makefile,format=json",
        ["top /dev/fd/3 3<<<'[1]'"] = "top: /dev/fd/3 has no metrics of a machine in it",
    } do
        it("answers " .. command .. " by one line", function()
            local output, code = program.shell("$vmm " .. command)
            assert.equal("vmm-reference: " .. message .. "\n", output)
            assert.is_true(code == 1 or code == 2, code)
        end)
    end
end)
