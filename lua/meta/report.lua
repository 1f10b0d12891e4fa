---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Reports of recorded test runs: vmm.report.

---An attempt at a test that does not count, for a later one does.
---@class vmm.report.earlier
---@field status "pass"|"fail"|"error"|"skip"
---@field message? string
---@field duration? number  seconds
---@field file? string  the run file it is in

---@class vmm.report.test
---@field id string
---@field spec string  the file it is in
---@field name string
---@field status "pass"|"fail"|"error"|"skip"
---@field message? string  why it failed, or was skipped; 4 KiB at the most
---@field duration number  seconds
---@field started? number  seconds since 1970
---@field unfinished boolean  its run stopped first
---@field tries integer  attempts, this one included
---@field earlier vmm.report.earlier[]

---@class vmm.report.counts
---@field all integer
---@field pass integer
---@field fail integer
---@field error integer
---@field skip integer
---@field retried integer
---@field unfinished integer
---@field duration number  of all tests, seconds

---@class vmm.report.suite
---@field name string  a spec file
---@field tests vmm.report.test[]
---@field counts vmm.report.counts

---@class vmm.report.run
---@field suites vmm.report.suite[]  by name
---@field tests vmm.report.test[]  of all suites
---@field counts vmm.report.counts
---@field started? number  seconds since 1970
---@field ended? number
---@field incomplete boolean  a shard is missing, or a run file has no end and was not run again
---@field problems string[]  what is to be said of the run files

---@class vmm
local vmm = {}

vmm.report = {}

---Writes the report of run files, which are shards of one run or parts of it that were run again.
---What it is, its name says: .html, .xml (JUnit), .tap, .jsonl (one run file of all); another raises.
---@param path string
---@param run_files string[]|string  paths
---@return true? ok, string? message, string? code
function vmm.report.write(path, run_files) end
---What run files tell, without their events. Code "EINVAL": a file is no run file.
---@param run_files string[]
---@return vmm.report.run? run, string? message, string? code
function vmm.report.read(run_files) end
---Writes a run that was read, in one of four formats.
---@param path string
---@param format "html"|"junit"|"tap"|"jsonl"
---@param run vmm.report.run
---@return true? ok, string? message, string? code
function vmm.report.render(path, format, run) end
---"3 passed, 1 failed, 0 skipped".
---@param run vmm.report.run
---@return string
function vmm.report.closing(run) end
---Has no test failed, and is none missing?
---@param run vmm.report.run
---@return boolean
function vmm.report.passed(run) end
