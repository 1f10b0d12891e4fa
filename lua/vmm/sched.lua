-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The one scheduler: tasks, and waits that let other tasks and events go on.
--
-- A task is a coroutine.  A wait yields where that is possible (in a task) and pumps the loop
-- itself where it is not (the main chunk of a stock lua5.4, a callback of gsub).  Whoever pumps
-- runs every task that can go on, then sleeps in core.step until something happens.

local argument = require "vmm.argument"
local core = require "vmm.core"

local sched = {}

local Task = { __name = "vmm.task" }
Task.__index = Task

local tasks = setmetatable({}, { __mode = "k" }) -- coroutine -> task
local Wait = {} -- metatable of { task =, poll =, deadline = }
local waits = {} -- array of them, oldest first
local failed = {} -- array of the tasks whose error nobody has taken, oldest first
local main -- the task of sched.run
local foreground -- the task that the user talks to, if any
local interruption -- the error that ends all waits, once there is one

local TIMED_OUT = { nil, "timeout", "timeout", n = 3 }

-- Calls poll; a table of results when the wait is over, nil when it is not.
local function try(wait)
    if interruption and not wait.to_the_end then error(interruption, 0) end
    local raised = wait.task and wait.task.raised
    if raised then
        wait.task.raised = nil
        error(raised.error, 0)
    end
    local results = table.pack(wait.poll())
    if results[1] ~= nil then
        results[1] = results[1] or nil -- false: over, without success
        return results
    end
    if wait.deadline and core.now() >= wait.deadline then return TIMED_OUT end
end

local function finish(task, ok, ...)
    if ok then
        task.results = table.pack(...)
    else
        task.error = ...
        task.traceback = debug.traceback(task.co)
        tasks[task.co] = nil -- what its variables do when they are closed cannot yield
        coroutine.close(task.co)
        if task.error ~= interruption then failed[#failed + 1] = task end
    end
    task.done, task.ok = true, ok
end

-- Somebody takes the task's error.
local function observe(task)
    for i = #failed, 1, -1 do
        if failed[i] == task then table.remove(failed, i) end
    end
end

-- The errors that nobody has taken, in words.
local function lost_errors()
    local texts = {}
    if main.raised then texts[1] = "a callback failed: " .. tostring(main.raised.error) end
    for _, task in ipairs(failed) do
        texts[#texts + 1] = ("a task that nobody waited for failed: %s\n%s"):format(
            tostring(task.error), task.traceback)
    end
    failed = {}
    return texts
end

-- Runs a task until it waits or ends.
local function resume(task, ...)
    local results = table.pack(coroutine.resume(task.co, ...))
    local wait = results[2]
    if coroutine.status(task.co) == "dead" then
        finish(task, table.unpack(results, 1, results.n))
    elseif getmetatable(wait) == Wait then
        waits[#waits + 1] = wait
    else
        finish(task, false, "a task may not yield: use vmm.sleep, or a coroutine of your own")
    end
end

-- Resumes every task whose wait is over, until none is.  A task waits anew at the end of the
-- list, so that no task starves another.
local function run_tasks()
    local progress
    repeat
        progress = false
        for _ = 1, #waits do
            local wait = table.remove(waits, 1)
            if not wait then break end
            local ok, results = pcall(try, wait)
            if not ok then
                progress = true
                resume(wait.task, false, results)
            elseif results then
                progress = true
                resume(wait.task, true, table.unpack(results, 1, results.n))
            else
                waits[#waits + 1] = wait
            end
        end
    until not progress
end

local function earliest(deadline)
    for _, wait in ipairs(waits) do
        if wait.deadline and (not deadline or wait.deadline < deadline) then
            deadline = wait.deadline
        end
    end
    return deadline
end

-- The error of a callback is raised in the task that the user talks to, else in the main one: in
-- the wait that it is in, or the next one. Without a main task (a stock lua5.4) it is raised here,
-- so in the wait of whoever pumps.
local function settle(ok, result)
    if ok then return result end
    local task = foreground or main
    if not task then error(result, 0) end
    task.raised = task.raised or { error = result }
    core.wake()
end

-- The task that runs, nil outside of one.
function sched.current()
    return tasks[coroutine.running()]
end

-- From now on the user talks to this task (nil: to none). Returns that of before.
function sched.set_foreground(task)
    local former = foreground
    foreground = task
    return former
end

-- Raises an error in the wait that a task is in, or the next one; nil takes back what no wait has
-- raised yet.
function sched.raise(task, err)
    task.raised = err ~= nil and { error = err } or nil
    core.wake()
end

-- The same in the task that the user talks to.
function sched.break_in(err)
    if foreground then sched.raise(foreground, err) end
end

-- What can be called need not be a function.
local function invoke(fn, ...)
    return fn(...)
end

-- Calls a function of the script's that no task of its own runs, such as a hook of an event. It has
-- a coroutine, for it may be called in the poll of somebody's wait, in whose name it may not yield.
function sched.call(fn, ...)
    local co = coroutine.create(invoke)
    local ok, result = coroutine.resume(co, fn, ...)
    if coroutine.status(co) ~= "dead" then
        coroutine.close(co)
        ok, result = false, "a callback may not yield: use vmm.spawn"
    end
    return settle(ok, result)
end

-- Checks what a function that waits for tasks is given: an array of them, maybe a timeout.
local function check_tasks(what, list, timeout)
    local is_list = type(list) == "table" and getmetatable(list) ~= Task
    argument.check(is_list, what .. ": tasks", "an array of tasks", list, 4)
    for i, task in ipairs(list) do
        if getmetatable(task) ~= Task then
            error(("%s: tasks[%d] is not a task"):format(what, i), 3)
        end
    end
    if timeout ~= nil then argument.seconds(what .. ": timeout", timeout, 4) end
end

-- Sleeps until something happens, a deadline of a task or the one given at the latest; returns
-- how many functions were called.
local function sleep(deadline)
    deadline = earliest(deadline)
    return settle(pcall(core.step, deadline and math.max(0, deadline - core.now()))) or 0
end

local function pump(wait)
    while true do
        run_tasks()
        local results = try(wait)
        if results then return table.unpack(results, 1, results.n) end
        sleep(wait.deadline)
    end
end

-- One turn for a host with a loop of its own: runs the tasks that can go on, sleeps until
-- something happens, timeout seconds at the most (nil: without limit), runs tasks again. Returns
-- how many callbacks were called.
function sched.step(timeout)
    if core.in_handler() then error("a handler may not wait", 2) end
    if timeout ~= nil then argument.seconds("vmm.step: timeout", timeout) end
    run_tasks()
    local calls = sleep(timeout and core.now() + timeout)
    run_tasks()
    return calls
end

local function resumed(ok, ...)
    if not ok then error((...), 0) end
    return ...
end

-- Waits until poll() returns something else than nil, and returns that (false becomes nil);
-- after timeout seconds (nil: never) returns nil, "timeout", "timeout".  poll is called after
-- each event and must not wait.
function sched.wait(poll, timeout)
    if core.in_handler() then error("a handler may not wait", 2) end
    local task = tasks[coroutine.running()]
    local deadline = timeout and core.now() + timeout
    local wait = setmetatable({ task = task, poll = poll, deadline = deadline }, Wait)
    local results = try(wait)
    if results then return table.unpack(results, 1, results.n) end
    if task and coroutine.isyieldable() then
        return resumed(coroutine.yield(wait))
    end
    return pump(wait)
end

-- Waits for some seconds.
function sched.sleep(seconds)
    argument.seconds("vmm.sleep: seconds", seconds)
    sched.wait(function() end, seconds)
    return true
end

-- Starts fn(...) as a task; it runs when the caller waits.
function sched.spawn(fn, ...)
    argument.callable("vmm.spawn: fn", fn)
    local arguments = table.pack(...)
    local task = setmetatable({}, Task)
    task.co = coroutine.create(function()
        return fn(table.unpack(arguments, 1, arguments.n))
    end)
    tasks[task.co] = task
    waits[#waits + 1] = {
        task = task,
        poll = function()
            return true
        end,
    }
    core.wake() -- the spawner may be a handler while the script waits
    return task
end

-- Waits for a task's end; its results, or its error raised here.
function Task:wait(timeout)
    if timeout ~= nil then argument.seconds("task:wait: timeout", timeout) end
    local ended, message, code = sched.wait(function()
        return self.done
    end, timeout)
    if not ended then return nil, message, code end
    observe(self)
    if not self.ok then error(self.error, 0) end
    return table.unpack(self.results, 1, self.results.n)
end

-- Waits until one of the tasks has ended; its index in the array, then its results.
function sched.wait_any(list, timeout)
    check_tasks("vmm.wait_any", list, timeout)
    local index, message, code = sched.wait(function()
        for i, task in ipairs(list) do
            if task.done then return i end
        end
    end, timeout)
    if not index then return nil, message, code end
    return index, list[index]:wait()
end

-- Waits until all tasks have ended; an array of their first results.  The first error, by the
-- order of the array, is raised.
function sched.wait_all(list, timeout)
    check_tasks("vmm.wait_all", list, timeout)
    local ended, message, code = sched.wait(function()
        for _, task in ipairs(list) do
            if not task.done then return nil end
        end
        return true
    end, timeout)
    if not ended then return nil, message, code end
    for _, task in ipairs(list) do
        observe(task)
    end
    local results = {}
    for i, task in ipairs(list) do
        results[i] = task:wait()
    end
    return results
end

-- Lets go on what can, then takes the errors that nobody has taken so far: an array of texts. For
-- who runs one thing after the other in the main task, and wants to know whose they are.
function sched.take_lost()
    sched.step(0)
    local texts = lost_errors()
    main.raised = nil
    return texts
end

-- Runs fn(...) as the main task to its end: true and its results, or false, its error and the
-- traceback. It has failed, too, when a task has failed that nobody waited for; tasks that have
-- not ended are no failure.
function sched.run(fn, ...)
    local task = sched.spawn(fn, ...)
    main = task
    pump {
        to_the_end = true,
        poll = function()
            return task.done
        end,
    }
    observe(task)
    local lost = lost_errors()
    main = nil
    if not task.ok then
        return false, task.error, table.concat({ task.traceback, table.unpack(lost) }, "\n")
    elseif lost[1] then
        return false, table.concat(lost, "\n")
    end
    return true, table.unpack(task.results, 1, task.results.n)
end

-- The program is asked to end: every wait, now and later, raises err.
function sched.interrupt(err)
    interruption = err
end

-- That error, once there is one.
function sched.interruption()
    return interruption
end

-- After some seconds every wait, then and later, raises err.
function sched.limit(seconds, err)
    sched.spawn(function()
        sched.sleep(seconds)
        sched.interrupt(err)
    end)
end

-- A time limit as the user meant it on a fast host, for this one: VMM_TIMEOUT_SCALE times it.
function sched.scaled(seconds)
    return seconds and seconds * (tonumber(os.getenv "VMM_TIMEOUT_SCALE") or 1)
end

return sched
