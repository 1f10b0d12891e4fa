-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What Linux 6.1 prints when something is wrong: one report of each kind, as lines with levels.
-- luacheck: ignore 613 631

local texts = {}

-- The registers and the stack that most reports have.
local REGISTERS = [[
<4>RIP: 0010:%s
<4>Code: 48 89 df 5b e9 14 50 a0 ff 66 0f 1f 44 00 00 0f 1f 44 00 00 <0f> 0b c3
<4>RSP: 0018:ffffc90000013eb0 EFLAGS: 00010246
<4>RAX: 0000000000000000 RBX: 0000000000000063 RCX: 0000000000000000
<4>FS:  00000000004c4380(0000) GS:ffff88801f200000(0000) knlGS:0000000000000000
<4>CS:  0010 DS: 0000 ES: 0000 CR0: 0000000080050033
<4>Call Trace:
<4> <TASK>
<4> %s
<4> do_syscall_64+0x5b/0xc0
<4> entry_SYSCALL_64_after_hwframe+0x64/0xce
<4>RIP: 0033:0x45f3a7
<4>RSP: 002b:00007ffd4c3f8c18 EFLAGS: 00000246 ORIG_RAX: 0000000000000001
<4> </TASK>
]]

local CPU = "<4>CPU: 1 PID: 137 Comm: sh Not tainted 6.1.0-40-cloud-amd64 #1  Debian 6.1.153-1\n"
    .. "<4>Hardware name:  , BIOS  \n"

texts.panic = [[
<6>sysrq: Trigger a crash
<0>Kernel panic - not syncing: sysrq triggered crash
]] .. CPU .. [[
<4>Call Trace:
<4> <TASK>
<4> dump_stack_lvl+0x44/0x5c
<4> panic+0x118/0x2ed
<4> sysrq_handle_crash+0x16/0x20
<4> __handle_sysrq.cold+0x48/0x121
<4> </TASK>
<0>Kernel Offset: 0x1e000000 from 0xffffffff81000000 (relocation range: 0xffffffff80000000-0xffffffffbfffffff)
<0>---[ end Kernel panic - not syncing: sysrq triggered crash ]---
]]

texts.reboot_after_panic = [[
<0>Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100
]] .. CPU .. [[
<4>Call Trace:
<4> panic+0x118/0x2ed
<0>Rebooting in 1 seconds..
]]

texts.oops = [[
<1>BUG: kernel NULL pointer dereference, address: 0000000000000008
<1>#PF: supervisor write access in kernel mode
<1>#PF: error_code(0x0002) - not-present page
<6>PGD 0 P4D 0 
<4>Oops: 0002 [#1] PREEMPT SMP NOPTI
]] .. CPU .. REGISTERS:format("__do_sys_sethostname+0x4/0x10", "__x64_sys_sethostname+0x14/0x20") .. [[
<4>Modules linked in: virtio_blk virtio_mmio
<4>CR2: 0000000000000008
<4>---[ end trace 0000000000000000 ]---
<4>RIP: 0010:__do_sys_sethostname+0x4/0x10
]]

texts.general_protection = [[
<4>general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1] PREEMPT SMP PTI
]] .. CPU .. REGISTERS:format("__list_del_entry_valid+0x2a/0xa0", "free_one+0x20/0x60") .. [[
<4>---[ end trace 0000000000000000 ]---
]]

texts.divide_error = "<4>divide error: 0000 [#1] PREEMPT SMP NOPTI\n" .. CPU
    .. REGISTERS:format("div_it+0x4/0x10", "do_it+0x20/0x60")
    .. "<4>---[ end trace 0000000000000000 ]---\n"

texts.page_fault = "<1>BUG: unable to handle page fault for address: ffffc90000400000\n"
    .. "<4>Oops: 0000 [#2] PREEMPT SMP NOPTI\n" .. CPU
    .. "<4>---[ end trace 0000000000000000 ]---\n"

texts.double_fault = "<0>traps: PANIC: double fault, error_code: 0x0\n"
    .. "<4>double fault: 0000 [#1] PREEMPT SMP NOPTI\n" .. CPU
    .. "<4>---[ end trace 0000000000000000 ]---\n"

texts.bug = [[
<4>------------[ cut here ]------------
<2>kernel BUG at mm/slub.c:4048!
<4>invalid opcode: 0000 [#1] PREEMPT SMP NOPTI
]] .. CPU .. REGISTERS:format("kfree+0x1c/0x110", "free_one+0x20/0x60") .. [[
<4>---[ end trace 0000000000000000 ]---
]]

texts.atomic = "<3>BUG: scheduling while atomic: sh/137/0x00000002\n" .. CPU
    .. "<4>Call Trace:\n<4> <TASK>\n<4> __schedule_bug.cold+0x47/0x53\n<4> </TASK>\n"

texts.warning = [[
<4>------------[ cut here ]------------
<4>refcount_t: underflow; use-after-free.
<4>WARNING: CPU: 1 PID: 137 at lib/refcount.c:28 refcount_warn_saturate+0xba/0x110
<4>Modules linked in: virtio_blk
]] .. CPU .. REGISTERS:format("refcount_warn_saturate+0xba/0x110", "put_it+0x20/0x60") .. [[
<4>---[ end trace 0000000000000000 ]---
]]

texts.lockdep = "<4>WARNING: possible circular locking dependency detected\n"
    .. "<4>6.1.0 #1 Not tainted\n<4>sh/137 is trying to acquire lock:\n"

texts.ubsan = "<3>UBSAN: array-index-out-of-bounds in drivers/x.c:12:3\n"
    .. "<3>index 5 is out of range for type 'int [4]'\n"

texts.soft_lockup = "<0>watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [sh:137]\n"
    .. "<4>Modules linked in: virtio_blk virtio_mmio\n" .. CPU
    .. REGISTERS:format("sysrq_handle_showmem+0x0/0x20", "__handle_sysrq.cold+0x48/0x121")

texts.workqueue_lockup = "<0>BUG: workqueue lockup - pool cpus=1 node=0 flags=0x0 nice=0 stuck for"
    .. " 33s!\n<4>Showing busy workqueues and worker pools:\n"

texts.hard_lockup = "<0>NMI watchdog: Watchdog detected hard LOCKUP on cpu 1\n"
    .. "<4>Modules linked in: virtio_blk\n" .. CPU
    .. REGISTERS:format("native_queued_spin_lock_slowpath+0x6e/0x1e0", "_raw_spin_lock+0x29/0x30")

texts.rcu_stall = [[
<3>rcu: INFO: rcu_preempt self-detected stall on CPU
<3>rcu: 	1-....: (5249 ticks this GP) idle=4d84/1/0x4000000000000000 softirq=1243/1243 fqs=2604
<4>	(t=5250 jiffies g=1069 q=92 ncpus=2)
]] .. CPU .. REGISTERS:format("sysrq_handle_showmem+0x0/0x20", "__handle_sysrq.cold+0x48/0x121")

texts.rcu_stall_of_another = [[
<3>rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
<3>rcu: 	1-....: (1 GPs behind) idle=4d84/1/0x4000000000000000 softirq=1243/1244 fqs=2604
<4>	(detected by 0, t=5252 jiffies, g=1069, q=92 ncpus=2)
<6>Sending NMI from CPU 0 to CPUs 1:
<4>NMI backtrace for cpu 1
]] .. CPU

texts.rcu_expedited = "<3>rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-...D } "
    .. "21 jiffies s: 313 root: 0x2/.\n<3>rcu: blocking rcu_node structures (internal RCU debug):\n"

texts.hung_task = [[
<3>INFO: task dd:141 blocked for more than 120 seconds.
<3>      Not tainted 6.1.0-40-cloud-amd64 #1 Debian 6.1.153-1
<3>"echo 0 > /proc/sys/kernel/hung_task_timeout_secs" disables this message.
<6>task:dd              state:D stack:0     pid:141   ppid:1      flags:0x00000000
<6>Call Trace:
<6> <TASK>
<6> __schedule+0x34d/0x9e0
<6> schedule+0x5a/0xd0
<6> io_schedule+0x42/0x70
<6> folio_wait_bit_common+0x13d/0x350
<6> </TASK>
]]

texts.oom = [[
<4>tail invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO), order=0, oom_score_adj=0
]] .. CPU .. [[
<4>Call Trace:
<4> <TASK>
<4> dump_stack_lvl+0x44/0x5c
<4> dump_header+0x4a/0x211
<4> </TASK>
<4>Mem-Info:
<4>active_anon:12 inactive_anon:28401 isolated_anon:0
<6>Tasks state (memory values in pages):
<6>[    137]     0   137    29105    28404   274432        0             0 tail
<6>oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task=tail,pid=137,uid=0
<3>Out of memory: Killed process 137 (tail) total-vm:116420kB, anon-rss:113612kB, file-rss:4kB, shmem-rss:0kB, UID:0 pgtables:268kB oom_score_adj:0
]]

-- The kind that each of them is of, where its name is another.
texts.KINDS = {
    reboot_after_panic = "panic", general_protection = "oops", divide_error = "oops",
    page_fault = "oops", double_fault = "oops", atomic = "bug", lockdep = "warning",
    ubsan = "warning", workqueue_lockup = "soft_lockup", rcu_stall_of_another = "rcu_stall",
    rcu_expedited = "rcu_stall",
}

-- A text as a console shows it: header "syslog" (console_msg_format=syslog), "stamp", "caller"
-- (with CONFIG_PRINTK_CALLER), "level" (syslog without CONFIG_PRINTK_TIME), or "none".
function texts.printed(text, header)
    local at = 12.345678
    return (text:gsub("<(%d)>([^\n]*)\n", function(level, line)
        at = at + 0.000012
        local stamp = ("[%12.6f]"):format(at)
        if header == "none" then return line .. "\r\n" end
        if header == "level" then return ("<%s>%s\r\n"):format(level, line) end
        if header == "stamp" then return ("%s %s\r\n"):format(stamp, line) end
        return ("<%s>%s%s %s\r\n"):format(level, stamp, header == "caller" and "[  T137]" or "", line)
    end))
end

-- Its lines, without levels.
function texts.lines(text)
    local list = {}
    for line in text:gmatch "<%d>([^\n]*)\n" do
        list[#list + 1] = line
    end
    return list
end

return texts
