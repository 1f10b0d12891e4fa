/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* One instruction at a time: over a breakpoint, or as many as asked for. */
#include <errno.h>

#include "machine/debug.h"

/* ---- one instruction -------------------------------------------------------
 */

/* #DB of the step, or #BP of a guest's own INT3 that was the instruction. */
static bool is_end(const struct vmm_exit *exit, uint64_t start)
{
    if (exit->type != VMM_EXIT_DEBUG)
        return false;
    if (exit->u.debug.exception == EXCEPTION_DB)
        return exit->u.debug.dr6 & DR6_BS;
    return exit->u.debug.pc == start;
}

static int set_stepping(struct vmm_machine *machine, struct machine_vcpu *slot,
                        bool stepping, const struct vmm_vcpu_debug *extra)
{
    pthread_mutex_lock(&machine->debug->lock);
    slot->debug_stepping = stepping;
    int rc = debug_apply(machine, slot, extra, NULL);
    pthread_mutex_unlock(&machine->debug->lock);
    return rc;
}

/* Serve an exit on the way.  An access that KVM emulates does not trap behind
 * its instruction: once it is complete the instruction may be done. */
static enum debug_step serve(struct vmm_machine *machine,
                             struct machine_vcpu *slot, struct vmm_exit *exit,
                             uint64_t start, bool *done)
{
    uint64_t now;

    if (vmm_machine_dispatch(machine, slot->vcpu, exit))
        return DEBUG_ENDED;
    *done = vmm_vcpu_complete_io(slot->vcpu, NULL) == 0 &&
            debug_linear_rip(slot->vcpu, &now) == 0 && now != start;
    return DEBUG_STEPPED;
}

/* Run until the end of the instruction that starts at start. */
static enum debug_step run_to_end(struct vmm_machine *machine,
                                  struct machine_vcpu *slot, uint64_t start,
                                  const struct debug_special *special,
                                  int64_t limit_ns, uint64_t *dr6)
{
    struct vmm_exit exit;
    struct vmm_error err;
    uint64_t rip;
    vmm_gpa_t gpa;
    bool done = false;

    while (!done) {
        int rc = vmm_vcpu_run_limited(slot->vcpu, &exit, limit_ns, &err);
        if (rc == -EBUSY)
            return DEBUG_NOT_STEPPED; /* somebody has resumed or stopped it */
        if (rc < 0) {
            vmm_machine_stop(machine, VMM_STOP_ERROR, "%s", err.text);
            return DEBUG_ENDED;
        }
        if (exit.type == VMM_EXIT_NONE)
            return DEBUG_NOT_STEPPED;
        if (is_end(&exit, start))
            done = true;
        else if (debug_take_trap(machine, slot, &exit, &rip, &gpa))
            /* Where the SYSCALL led, or a breakpoint in an exception's handler:
             * the vCPU comes there again when it runs by itself. */
            return special->kind == DEBUG_SYSCALL && rip == special->target
                       ? DEBUG_STEPPED
                       : DEBUG_NOT_STEPPED;
        else if (serve(machine, slot, &exit, start, &done) == DEBUG_ENDED)
            return DEBUG_ENDED;
    }
    if (exit.type == VMM_EXIT_DEBUG && exit.u.debug.exception == EXCEPTION_DB)
        *dr6 = exit.u.debug.dr6;
    else if (exit.type == VMM_EXIT_DEBUG && exit.u.debug.pc == start)
        set_stepping(machine, slot, true,
                     &(struct vmm_vcpu_debug){.inject_breakpoint = true});
    return DEBUG_STEPPED;
}

enum debug_step debug_single_step(struct vmm_machine *machine,
                                  struct machine_vcpu *slot, int64_t limit_ns,
                                  uint64_t *dr6)
{
    struct debug_special special;
    uint64_t start;

    *dr6 = 0;
    if (debug_linear_rip(slot->vcpu, &start) < 0)
        return DEBUG_NOT_STEPPED;
    debug_special_before(machine, slot->vcpu, &special);
    enum debug_step end = DEBUG_NOT_STEPPED;
    if (set_stepping(machine, slot, true, NULL) == 0)
        end = run_to_end(machine, slot, start, &special, limit_ns, dr6);
    debug_special_after(machine, slot->vcpu, &special, end == DEBUG_STEPPED);
    return end;
}

/* ---- over a breakpoint -----------------------------------------------------
 */

static bool take_token(struct machine_debug *debug)
{
    return !atomic_exchange(&debug->stepping, true);
}

static void drop_token(struct machine_debug *debug)
{
    atomic_store(&debug->stepping, false);
}

/* Is there something to step over, and is it an INT3? */
static bool is_broken(struct machine_debug *debug, uint64_t rip, vmm_gpa_t gpa,
                      bool *software)
{
    bool broken = false;

    pthread_mutex_lock(&debug->lock);
    *software = debug_table_has(&debug->table, gpa);
    for (size_t i = 0; i < debug->count; i++)
        broken = broken || (debug->points[i].kind == VMM_BREAK_HARDWARE &&
                            debug->points[i].gva == rip);
    pthread_mutex_unlock(&debug->lock);
    return broken || *software;
}

/* Bytes that another vCPU has lifted are not its own to cover. */
static void go_on(struct vmm_machine *machine, struct machine_vcpu *slot)
{
    pthread_mutex_lock(&machine->debug->lock);
    slot->debug_told = false;
    debug_apply(machine, slot, NULL, NULL);
    pthread_mutex_unlock(&machine->debug->lock);
}

/* Who does that has the token. */
static void end_stepping(struct vmm_machine *machine, struct machine_vcpu *slot,
                         bool done)
{
    struct machine_debug *debug = machine->debug;

    pthread_mutex_lock(&debug->lock);
    debug_table_cover_all(&debug->table, vmm_vm_memory(machine->vm));
    slot->debug_stepping = false;
    if (done)
        slot->debug_told = false;
    debug_apply(machine, slot, NULL, NULL);
    pthread_mutex_unlock(&debug->lock);
}

/* One step, after which the vCPU is past the instruction, unless that repeats
 * itself: then it comes to the breakpoint again, which has been told. */
static enum debug_step step_past(struct vmm_machine *machine,
                                 struct machine_vcpu *slot, uint64_t rip,
                                 uint64_t *dr6)
{
    enum debug_step end = debug_single_step(machine, slot, DEBUG_STEP_NS, dr6);
    uint64_t now;

    bool past = end == DEBUG_STEPPED &&
                !(debug_linear_rip(slot->vcpu, &now) == 0 && now == rip &&
                  debug_repeats(machine, slot->vcpu, rip));
    end_stepping(machine, slot, past);
    return end;
}

/*
 * All vCPUs share the byte that an INT3 covers, so none but this one runs while
 * it is lifted.  Who finds the token taken, or does not get its step done, goes
 * back to its thread, which does what others want of it, and comes to the
 * breakpoint again: nobody waits in here for who may wait for him.
 */
int debug_step_over(struct vmm_machine *machine, struct machine_vcpu *slot,
                    uint64_t rip, vmm_gpa_t gpa)
{
    struct machine_debug *debug = machine->debug;
    enum debug_step end = DEBUG_NOT_STEPPED;
    uint64_t dr6 = 0;
    bool software;

    if (!is_broken(debug, rip, gpa, &software)) {
        go_on(machine, slot);
        return 0;
    }
    if (!take_token(debug))
        return 0;
    if (!software) {
        end = step_past(machine, slot, rip, &dr6);
    } else if (debug_hold_others(machine, slot->vcpu) == 0) {
        pthread_mutex_lock(&debug->lock);
        debug_table_lift(&debug->table, vmm_vm_memory(machine->vm), gpa);
        pthread_mutex_unlock(&debug->lock);
        end = step_past(machine, slot, rip, &dr6);
        debug_release_others(machine, slot->vcpu);
    }
    drop_token(debug);
    if (end == DEBUG_STEPPED)
        debug_tell_watches(machine, slot, dr6);
    return end == DEBUG_ENDED;
}

/* ---- as many as asked for --------------------------------------------------
 */

/*
 * From begin to end it is stepped outside of its thread, which would else take
 * the exits from under the handlers that serve them.  What is asked for
 * meanwhile by a handler, of this machine or of another one, is done then.
 */
static void begin_borrowing(struct machine_debug *debug)
{
    pthread_mutex_lock(&debug->lock);
    debug->borrows = true;
    debug->resume_asked = false;
    pthread_mutex_unlock(&debug->lock);
}

static bool is_resume_asked(struct machine_debug *debug)
{
    pthread_mutex_lock(&debug->lock);
    bool asked = debug->resume_asked;
    pthread_mutex_unlock(&debug->lock);
    return asked;
}

static void end_borrowing(struct vmm_machine *machine)
{
    struct machine_debug *debug = machine->debug;

    pthread_mutex_lock(&debug->lock);
    bool resume = debug->resume_asked;
    debug->borrows = debug->resume_asked = false;
    pthread_mutex_unlock(&debug->lock);
    if (resume)
        vmm_machine_resume(machine);
}

static int check_rest(const struct vmm_vcpu *vcpu, struct vmm_error *err)
{
    enum vmm_vcpu_thread_state state = vmm_vcpu_thread_state(vcpu);

    if (state == VMM_VCPU_PAUSED || state == VMM_VCPU_NO_THREAD)
        return 0;
    return vmm_error_set(err, EBUSY, "vCPU %u is not paused",
                         vmm_vcpu_id(vcpu));
}

/* May another step be made? */
static int check_end(struct vmm_machine *machine, const struct vmm_vcpu *vcpu,
                     uint64_t deadline, struct vmm_error *err)
{
    struct vmm_stop stop;

    vmm_machine_stopped(machine, &stop);
    if (stop.reason != VMM_STOP_NONE)
        return vmm_error_set(err, ECANCELED, "the VM has ended: %s",
                             vmm_stop_reason_name(stop.reason));
    if (vmm_now_ns() >= deadline)
        return vmm_error_set(err, ETIMEDOUT, "no more time to step");
    if (is_resume_asked(machine->debug))
        return vmm_error_set(err, EBUSY, "the VM has been resumed");
    return check_rest(vcpu, err);
}

/* Before each step: a handler that the last one has called may have added some.
 */
static void lift_all(struct vmm_machine *machine)
{
    pthread_mutex_lock(&machine->debug->lock);
    debug_table_lift_all(&machine->debug->table, vmm_vm_memory(machine->vm));
    pthread_mutex_unlock(&machine->debug->lock);
}

static int step_many(struct vmm_machine *machine, struct machine_vcpu *slot,
                     uint64_t count, uint64_t deadline, uint64_t *steps,
                     struct vmm_error *err)
{
    uint64_t dr6;

    while (*steps < count) {
        int rc = check_end(machine, slot->vcpu, deadline, err);
        if (rc)
            return rc;
        lift_all(machine);
        uint64_t now = vmm_now_ns();
        int64_t left = now < deadline ? (int64_t)(deadline - now) : 0;
        enum debug_step end = debug_single_step(machine, slot, left, &dr6);

        if (end == DEBUG_STEPPED) {
            (*steps)++;
            debug_tell_watches(machine, slot, dr6);
        }
    }
    return 0;
}

int vmm_machine_step(struct vmm_machine *machine, size_t vcpu, uint64_t count,
                     int64_t timeout_ns, uint64_t *steps, struct vmm_error *err)
{
    struct machine_debug *debug = machine->debug;
    uint64_t deadline =
        timeout_ns < 0 ? INT64_MAX : vmm_now_ns() + (uint64_t)timeout_ns;

    vmm_error_clear(err);
    *steps = 0;
    if (vcpu >= machine->vcpu_count || !vmm_vm_memory(machine->vm))
        return vmm_error_set(err, EINVAL,
                             "the VM has no vCPU %zu, or no memory", vcpu + 1);
    struct machine_vcpu *slot = machine->vcpus[vcpu];
    int rc = check_rest(slot->vcpu, err);
    if (rc)
        return rc;
    atomic_store(&debug->used, true);
    if (!take_token(debug))
        return vmm_error_set(err, EBUSY, "another vCPU is being stepped");
    begin_borrowing(debug);
    rc = debug_hold_others(machine, slot->vcpu);
    if (rc == 0) {
        rc = step_many(machine, slot, count, deadline, steps, err);
        end_stepping(machine, slot, *steps > 0);
        debug_release_others(machine, slot->vcpu);
    } else {
        vmm_error_set(err, -rc, "a vCPU did not leave its handler");
    }
    drop_token(debug);
    end_borrowing(machine);
    return rc;
}
