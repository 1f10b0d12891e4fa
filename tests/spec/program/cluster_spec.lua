-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- examples/cluster: a suite as shards of a Slurm job array, on a Slurm of this machine's own.

local process = require "vmm.process"
local slurm = require "tests.spec.support.slurm"
local vmm = require "vmm"

-- Each file has a test that is done at once, and one that is held until the file "go" is there.
local SPEC = [[
local vmm = require "vmm"
local directory = os.getenv "CLUSTER_TEST"

local function is_there(name)
    local file <close> = io.open(directory .. "/" .. name)
    return file ~= nil
end

describe("part NUMBER", function()
    it("is done at once", function()
        assert.truthy(directory)
    end)

    it("is done when it may go", function()
        local name = ("/held-%s-%s"):format(os.getenv "SLURM_ARRAY_TASK_ID",
            os.getenv "SLURM_RESTART_COUNT" or 0)
        assert(io.open(directory .. name, "w")):close()
        local deadline = vmm.now() + 250
        while not is_there "go" and vmm.now() < deadline do
            vmm.sleep(0.05)
        end
        assert.is_true(is_there "go")
    end)
end)
]]

local FILES, SHARDS = 9, 3

local function read(path)
    local file <close> = assert(io.open(path))
    return file:read "a"
end

local function write(path, text)
    local file <close> = assert(io.open(path, "w"))
    assert(file:write(text))
end

local impossible = slurm.impossible()
local it_here = impossible and function(name)
    it(name, function()
        pending(impossible)
    end)
end or it

describe("a suite under Slurm", function()
    local cluster, directory
    setup(function()
        if impossible then return end
        cluster = slurm.start()
        directory = cluster.directory .. "/suite"
        assert(process.make_directory(directory .. "/specs"))
        for i = 1, FILES do
            write(("%s/specs/part%d_spec.lua"):format(directory, i), (SPEC:gsub("NUMBER", i)))
        end
    end)
    teardown(function()
        if cluster then cluster:close() end
    end)

    -- Starts submit.sh; returns when each shard is in a test that is held.
    local function submit(...)
        process.run { "sh", "-c", 'rm -f "$1"/held-* "$1"/go', "sh", directory }
        cluster:start("submit", { "sh", "-c", 'cd "$1" && exec "$2"/examples/cluster/submit.sh '
            .. SHARDS .. " out specs", "sh", directory, process.current_directory() },
            { "VMM=" .. vmm.executable, "CLUSTER_TEST=" .. directory, ... })
        for shard = 1, SHARDS do
            cluster:await(("shard %d is held"):format(shard), function()
                return process.stat1(("%s/held-%d-0"):format(directory, shard))
            end)
        end
    end

    -- The shards' attempts, as their logs have them: { { "1" }, { "1", "2" }, ... }.
    local function attempts()
        local result = {}
        for shard = 1, SHARDS do
            result[shard] = {}
            local log = read(("%s/out/shard-%d.log"):format(directory, shard))
            for attempt in log:gmatch "attempt (%d+)," do
                table.insert(result[shard], attempt)
            end
        end
        return result
    end

    -- How often each test is in the JUnit report.
    local function reported()
        local counts = {}
        for test in read(directory .. "/out/report.xml"):gmatch "<testcase [^>]*" do
            local name = test:match ' name="([^"]*)"'
            counts[name] = (counts[name] or 0) + 1
        end
        return counts
    end

    it_here("loses nothing but a shard's retry when its node is lost", function()
        submit()
        local task = cluster:lose "b"
        local lost = assert(tonumber(task:match "_(%d+)$"))
        write(directory .. "/go", "")
        local code, output = cluster:finish "submit"
        assert.equal(0, code, output)
        assert.matches(("\n%d passed, 0 failed, 0 skipped\n"):format(2 * FILES), output, 1, true)
        local once = {}
        for i = 1, FILES do
            once[("part %d is done at once"):format(i)] = 1
            once[("part %d is done when it may go"):format(i)] = 1
        end
        assert.same(once, reported())
        local expected = { { "1" }, { "1" }, { "1" } }
        expected[lost] = { "1", "2" }
        assert.same(expected, attempts())
        assert.truthy(read(directory .. "/out/report.html"):find("part 9", 1, true))
    end)

    it_here("starts a shard again so often and no more, and says which one is missing", function()
        cluster:start_node "b"
        cluster:await_nodes()
        submit "VMM_SHARD_RETRIES=0"
        local lost = cluster:lose("b"):match "_(%d+)$"
        write(directory .. "/go", "")
        local code, output = cluster:finish "submit"
        assert.equal(1, code, output)
        assert.matches(("shard %s/%d did not end"):format(lost, SHARDS), output, 1, true)
        assert.matches("lost 1 times; no more than 0 retries",
            read(("%s/out/shard-%s.log"):format(directory, lost)), 1, true)
        for name, count in pairs(reported()) do
            assert.equal(1, count, name)
        end
    end)
end)
