-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Debian's Slurm on this machine alone, without systemd: a controller and two nodes, a with
-- two CPUs and b with one, whatever the machine has: of three tasks, just one is on b.
--
-- Each daemon is in a process namespace of its own, which ends with it: so a node is lost as one
-- whose power is cut, and nothing outlives the process that runs the tests.

local process = require "vmm.process"
local vmm = require "vmm"

local slurm = {}

local Cluster = {}
Cluster.__index = Cluster

-- Seconds, for what takes one or two.
local LIMIT = 120 * (tonumber(os.getenv "VMM_TIMEOUT_SCALE") or 1)

local ALONE = { "setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child",
    "--mount-proc" }

-- Left to look for itself, slurmd wants cgroups mounted, of which it would use nothing here.
local CGROUP_CONFIG = "CgroupPlugin=cgroup/v1\n"

local CONFIG = [[
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=%d
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=DIR/munge/socket
CredType=cred/munge
StateSaveLocation=DIR/state
SlurmdSpoolDir=DIR/%%n
SlurmctldPidFile=DIR/slurmctld.pid
SlurmdPidFile=DIR/slurmd-%%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
NodeName=a NodeHostname=localhost NodeAddr=127.0.0.1 Port=%d CPUs=2
NodeName=b NodeHostname=localhost NodeAddr=127.0.0.1 Port=%d CPUs=1
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE
]]

local function read(path)
    local file <close> = io.open(path)
    return file and file:read "a"
end

local function joined(...)
    local words = {}
    for _, list in ipairs { ... } do
        table.move(list, 1, #list, #words + 1, words)
    end
    return words
end

-- Why this host cannot run it; nil if it can.
function slurm.impossible()
    for _, name in ipairs { "munged", "slurmctld", "slurmd" } do
        if not process.stat1("/usr/sbin/" .. name) then return "there is no " .. name end
    end
    local ok, output = process.capture(joined(ALONE, { "true" }), { stderr = "merge" })
    return not ok and output:gsub("\n.*", "") or nil
end

-- Three TCP ports that are free.
local function ports()
    local sockets, numbers = {}, {}
    for i = 1, 3 do
        sockets[i] = assert(vmm.listen { tcp = 0 })
        numbers[i] = sockets[i]:port()
    end
    for _, socket in ipairs(sockets) do
        socket:close()
    end
    return table.unpack(numbers)
end

local function write(path, text)
    local file <close> = assert(io.open(path, "w"))
    assert(file:write(text))
end

-- Starts a program, whose output goes to NAME.log. Its processes end when end_program says so, or
-- with this process.
function Cluster:start(name, argv, variables)
    local words = joined({ "env", "SLURM_CONF=" .. self.directory .. "/slurm.conf" },
        variables or {}, ALONE, argv)
    local pipe = assert(io.popen(("echo $$; exec %s </dev/null >%s/%s.log 2>&1")
        :format(process.command(words), process.quote(self.directory), name), "r"))
    self.programs[name] = { pipe = pipe, pid = assert(pipe:read "n") }
end

function Cluster:start_node(name)
    self:start(name, { "slurmd", "-D", "-N", name })
end

-- Ends a program with all of its processes, at once.
function Cluster:kill(name)
    local program = self.programs[name]
    self.programs[name] = nil
    if not program then return end
    process.run { "kill", "-KILL", tostring(program.pid) }
    program.pipe:close()
end

-- Waits for the end of a program; its exit code and output.
function Cluster:finish(name)
    local pid = self.programs[name].pid
    self:await(name .. " ends", function()
        local stat = read(("/proc/%d/stat"):format(pid))
        return not stat or stat:match "^.*%) (.)" == "Z"
    end)
    local _, _, code = self.programs[name].pipe:close()
    self.programs[name] = nil
    return code, read(("%s/%s.log"):format(self.directory, name))
end

-- One of Slurm's commands: its output, or nil and what it said.
function Cluster:command(...)
    return process.capture({ "env", "SLURM_CONF=" .. self.directory .. "/slurm.conf",
        "timeout", "-k", "1", "30", ... }, { stderr = "merge" })
end

-- What the daemons said last.
local function logs(self)
    local text = {}
    for _, path in ipairs(process.find(self.directory, "*.log")) do
        text[#text + 1] = ("---- %s\n%s"):format(path, (read(path) or ""):sub(-2000))
    end
    return table.concat(text, "\n")
end

-- Waits until poll returns something, which is returned.
function Cluster:await(what, poll)
    local deadline = vmm.now() + LIMIT
    repeat
        local result = poll()
        if result then return result end
        vmm.sleep(0.1)
    until vmm.now() > deadline
    error(("not within %d s: %s\n%s"):format(LIMIT, what, logs(self)), 2)
end

function Cluster:await_nodes()
    self:await("both nodes are idle", function()
        return select(2, (self:command("sinfo", "-h", "-N", "-o", "%N %t") or "")
            :gsub(" idle\n", "")) == 2
    end)
end

-- The node is gone, and who looks after the machines has told the controller so, which otherwise
-- would see it in some minutes (SlurmdTimeout). Its task waits to be started again, for two
-- minutes but for this. Returns that task.
function Cluster:lose(name)
    local task = assert(self:command("squeue", "-h", "-w", name, "-o", "%i")):match "%S+"
    self:kill(name)
    assert(self:command("scontrol", "update", "nodename=" .. name, "state=down", "reason=lost"))
    self:await(task .. " is to be started again", function()
        return (self:command("squeue", "-h", "-j", task, "-o", "%T") or ""):find "PENDING"
    end)
    assert(self:command("scontrol", "update", "jobid=" .. task, "starttime=now"))
    return task
end

-- Ends all of it.
function Cluster:close()
    for _, name in ipairs { "submit", "a", "b", "controller", "munge" } do
        self:kill(name)
    end
    process.remove(self.directory)
end

local function start_munge(self)
    local munge = self.directory .. "/munge"
    assert(process.make_directory(munge))
    -- Its clients have to get to its socket.
    assert(process.run { "chmod", "755", self.directory, munge } == 0)
    assert(process.run { "sh", "-c", 'umask 077; head -c 128 /dev/urandom >"$1"', "sh",
        munge .. "/key" } == 0)
    local words = { "munged", "--foreground" }
    for option, file in pairs { ["key-file"] = "key", socket = "socket", ["pid-file"] = "pid",
            ["log-file"] = "log", ["seed-file"] = "seed" } do
        words[#words + 1] = ("--%s=%s/%s"):format(option, munge, file)
    end
    self:start("munge", words)
    self:await("munged listens", function()
        return process.stat1(munge .. "/socket")
    end)
end

local function start_slurm(self)
    assert(process.make_directory(self.directory .. "/state"))
    write(self.directory .. "/slurm.conf",
        (CONFIG:format(ports()):gsub("DIR", (self.directory:gsub("%%", "%%%%")))))
    write(self.directory .. "/cgroup.conf", CGROUP_CONFIG)
    self:start("controller", { "slurmctld", "-D" })
    self:start_node "a"
    self:start_node "b"
    self:await_nodes()
end

-- Starts a cluster; returns when its nodes take jobs.
function slurm.start()
    local self = setmetatable({
        directory = assert(process.temporary_directory "vmm-slurm"), programs = {},
    }, Cluster)
    local ok, message = pcall(function()
        start_munge(self)
        start_slurm(self)
    end)
    if ok then return self end
    self:close()
    error(message, 0)
end

return slurm
