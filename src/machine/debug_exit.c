/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A debug exit: whose it is, who is told, and how the guest goes on. */
#include <linux/kvm.h>
#include <stddef.h>

#include "machine/debug.h"

static size_t index_of(const struct vmm_machine *machine,
                       const struct vmm_vcpu *vcpu)
{
    size_t i = 0;

    while (i < machine->vcpu_count && machine->vcpus[i]->vcpu != vcpu)
        i++;
    return i;
}

int debug_linear_rip(struct vmm_vcpu *vcpu, uint64_t *linear)
{
    uint64_t rsp;

    return vmm_vcpu_place(vcpu, linear, &rsp, NULL);
}

/* ---- telling ---------------------------------------------------------------
 */

/* What one exit may have hit. */
struct hits {
    struct vmm_machine *machine;
    struct machine_vcpu *slot;
    uint64_t rip;
    bool execute; /* the instruction at rip, gpa; else what is watched */
    vmm_gpa_t gpa;
    uint64_t dr6;
};

static bool is_hit(const struct hits *hits, struct debug_point *point,
                   struct vmm_break_hit *hit)
{
    bool is_it = false;
    uint64_t value = 0;

    switch (point->kind) {
    case VMM_BREAK_SOFTWARE:
        is_it = hits->execute && point->gpa == hits->gpa;
        break;
    case VMM_BREAK_HARDWARE:
        is_it = hits->execute && point->gva == hits->rip;
        break;
    case VMM_WATCH_WRITE:
    case VMM_WATCH_ACCESS:
        is_it = !hits->execute && hits->dr6 >> point->hardware & 1;
        break;
    case VMM_WATCH_STEPPED:
        value = debug_value(hits->machine, point->gpa, point->len);
        is_it = !hits->execute && value != point->value;
        break;
    }
    if (!is_it)
        return false;
    *hit = (struct vmm_break_hit){.id = point->id,
                                  .kind = point->kind,
                                  .gva = point->gva,
                                  .rip = hits->rip,
                                  .has_values = !hits->execute,
                                  .old_value = point->value};
    if (!hits->execute)
        hit->new_value = point->value =
            debug_value(hits->machine, point->gpa, point->len);
    return true;
}

/* The next one that was hit, in the order of their ids; they may come and go
 * meanwhile. */
static bool next_hit(const struct hits *hits, struct vmm_break_hit *hit)
{
    struct machine_debug *debug = hits->machine->debug;
    uint64_t after = hit->id;
    bool found = false;

    pthread_mutex_lock(&debug->lock);
    for (size_t i = 0; i < debug->count && !found; i++)
        found =
            debug->points[i].id > after && is_hit(hits, &debug->points[i], hit);
    pthread_mutex_unlock(&debug->lock);
    return found;
}

static enum vmm_break_answer tell(const struct hits *hits)
{
    struct machine_debug *debug = hits->machine->debug;
    enum vmm_break_answer answer = VMM_BREAK_GO_ON;
    struct vmm_break_hit hit = {0};

    while (answer != VMM_BREAK_LATER && next_hit(hits, &hit)) {
        hit.vcpu = index_of(hits->machine, hits->slot->vcpu);
        if (!debug->fn)
            continue;
        enum vmm_break_answer one =
            debug->fn(debug->context, hits->slot->vcpu, &hit);
        if (one != VMM_BREAK_GO_ON)
            answer = one;
    }
    return answer;
}

void debug_tell_watches(struct vmm_machine *machine, struct machine_vcpu *slot,
                        uint64_t dr6)
{
    struct hits hits = {.machine = machine, .slot = slot, .dr6 = dr6};

    if (debug_linear_rip(slot->vcpu, &hits.rip) == 0)
        tell(&hits);
}

/* ---- what an exit was ------------------------------------------------------
 */

/* The guest's own: it gets what it would have got without us. */
static int inject(struct vmm_machine *machine, struct machine_vcpu *slot,
                  int exception, uint64_t dr6)
{
    struct vmm_vcpu_debug extra = {.inject_breakpoint =
                                       exception == EXCEPTION_BP,
                                   .inject_debug = exception == EXCEPTION_DB};
    struct kvm_debugregs registers;
    size_t size = sizeof(registers);

    if (exception == EXCEPTION_DB &&
        vmm_vcpu_get_state(slot->vcpu, "debugregs", &registers, &size, NULL) ==
            0) {
        registers.dr6 |= dr6 & (DR6_HITS | DR6_BS);
        vmm_vcpu_set_state(slot->vcpu, "debugregs", &registers,
                           sizeof(registers), NULL);
    }
    pthread_mutex_lock(&machine->debug->lock);
    debug_apply(machine, slot, &extra, NULL);
    pthread_mutex_unlock(&machine->debug->lock);
    return 0;
}

/*
 * What has been told is not told again until it is stepped over, which may take
 * several attempts, and a pause in between.  An interrupt's handler that comes
 * to the same instruction meanwhile has another RSP.
 */
static bool is_told(struct vmm_machine *machine, struct machine_vcpu *slot,
                    uint64_t rip, uint64_t rsp)
{
    pthread_mutex_lock(&machine->debug->lock);
    bool told = slot->debug_told && slot->debug_told_rip == rip &&
                slot->debug_told_rsp == rsp;
    slot->debug_told = told;
    pthread_mutex_unlock(&machine->debug->lock);
    return told;
}

static void mark_told(struct vmm_machine *machine, struct machine_vcpu *slot,
                      uint64_t rip, uint64_t rsp)
{
    pthread_mutex_lock(&machine->debug->lock);
    slot->debug_told = true;
    slot->debug_told_rip = rip;
    slot->debug_told_rsp = rsp;
    pthread_mutex_unlock(&machine->debug->lock);
}

void debug_forget_told(struct vmm_machine *machine)
{
    uint64_t rip, rsp;

    for (size_t i = 0; i < machine->vcpu_count; i++) {
        struct machine_vcpu *slot = machine->vcpus[i];

        if (slot->debug_told &&
            vmm_vcpu_place(slot->vcpu, &rip, &rsp, NULL) == 0 &&
            rip != slot->debug_told_rip)
            slot->debug_told = false;
    }
}

bool machine_debug_resume(struct vmm_machine *machine)
{
    struct machine_debug *debug = machine->debug;

    if (!atomic_load(&debug->used))
        return false;
    pthread_mutex_lock(&debug->lock);
    bool later = debug->borrows;
    if (later)
        debug->resume_asked = true;
    else
        debug_forget_told(machine);
    pthread_mutex_unlock(&debug->lock);
    return later;
}

void machine_debug_pause(struct vmm_machine *machine)
{
    if (!atomic_load(&machine->debug->used))
        return;
    pthread_mutex_lock(&machine->debug->lock);
    machine->debug->resume_asked = false;
    pthread_mutex_unlock(&machine->debug->lock);
}

/* A vCPU has come to an instruction with a breakpoint. */
static int on_execute(struct vmm_machine *machine, struct machine_vcpu *slot,
                      uint64_t rip, vmm_gpa_t gpa)
{
    struct hits hits = {.machine = machine,
                        .slot = slot,
                        .rip = rip,
                        .execute = true,
                        .gpa = gpa};
    uint64_t now, rsp;

    if (vmm_vcpu_place(slot->vcpu, &now, &rsp, NULL) < 0)
        return 0;
    if (!is_told(machine, slot, rip, rsp)) {
        enum vmm_break_answer answer = tell(&hits);
        if (answer == VMM_BREAK_LATER ||
            vmm_vcpu_place(slot->vcpu, &now, &rsp, NULL) < 0 || now != rip)
            return 0; /* comes here again, or was led elsewhere */
        mark_told(machine, slot, rip, rsp);
        if (answer == VMM_BREAK_STOP)
            return 0;
    }
    return debug_step_over(machine, slot, rip, gpa);
}

/* An INT3 of the guest's own, where KVM tells us of them. */
static int on_foreign_breakpoint(struct vmm_machine *machine,
                                 struct machine_vcpu *slot)
{
    pthread_mutex_lock(&machine->debug->lock);
    bool asked_for = slot->debug_applied.software;
    pthread_mutex_unlock(&machine->debug->lock);
    return asked_for ? inject(machine, slot, EXCEPTION_BP, 0) : MACHINE_NOBODY;
}

/* A trap flag that single steps of ours have left in a frame on the guest's
 * stack. */
static void clear_trap_flag(struct vmm_vcpu *vcpu)
{
    struct kvm_regs regs;

    if (vmm_vcpu_get_regs(vcpu, &regs, NULL) == 0) {
        regs.rflags &= ~RFLAGS_TF;
        vmm_vcpu_set_regs(vcpu, &regs, NULL);
    }
}

/*
 * KVM tells of #DB where it was asked to, so this one is of a breakpoint that
 * has been removed since.  Some hosts' debug registers have it a moment longer:
 * with RF set, the instruction is executed all the same.
 */
static void pass_late(struct vmm_vcpu *vcpu)
{
    struct kvm_regs regs;

    if (vmm_vcpu_get_regs(vcpu, &regs, NULL) == 0) {
        regs.rflags |= RFLAGS_RF;
        vmm_vcpu_set_regs(vcpu, &regs, NULL);
    }
}

/* #DB: of a debug register, of a single step, or the guest's own. */
static int on_debug(struct vmm_machine *machine, struct machine_vcpu *slot,
                    uint64_t dr6)
{
    struct machine_debug *debug = machine->debug;
    bool hit = false, execute = false;
    uint64_t rip;
    vmm_gpa_t gpa;

    pthread_mutex_lock(&debug->lock);
    const struct vmm_vcpu_debug applied = slot->debug_applied;
    if (!applied.hardware && !applied.single_step) {
        pthread_mutex_unlock(&debug->lock);
        pass_late(slot->vcpu);
        return 0;
    }
    for (unsigned i = 0; i < VMM_HARDWARE_BREAKS; i++) {
        bool this = dr6 >> i & 1 && applied.at[i].kind != VMM_HARDWARE_NONE;
        hit = hit || this;
        execute =
            execute || (this && applied.at[i].kind == VMM_HARDWARE_EXECUTE);
    }
    bool stepped = dr6 & DR6_BS && applied.single_step;
    bool left_over = dr6 & DR6_BS && !stepped && debug->was_stepped;
    if (!hit && !stepped && !left_over) {
        pthread_mutex_unlock(&debug->lock);
        return inject(machine, slot, EXCEPTION_DB, dr6);
    }
    if (left_over)
        clear_trap_flag(slot->vcpu);
    debug_apply(machine, slot, NULL, NULL);
    pthread_mutex_unlock(&debug->lock);

    debug_tell_watches(machine, slot, dr6);
    if (!execute || debug_linear_rip(slot->vcpu, &rip) < 0 ||
        vmm_vcpu_translate(slot->vcpu, rip, &gpa, NULL) < 0)
        return 0;
    return on_execute(machine, slot, rip, gpa);
}

int machine_debug_exit(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                       struct vmm_exit *exit)
{
    size_t index = index_of(machine, vcpu);
    uint64_t rip;
    vmm_gpa_t gpa;

    if (!atomic_load(&machine->debug->used) || index == machine->vcpu_count)
        return MACHINE_NOBODY;
    struct machine_vcpu *slot = machine->vcpus[index];
    if (exit->type == VMM_EXIT_DEBUG && exit->u.debug.exception == EXCEPTION_DB)
        return on_debug(machine, slot, exit->u.debug.dr6);
    if (debug_take_trap(machine, slot, exit, &rip, &gpa))
        return on_execute(machine, slot, rip, gpa);
    if (debug_take_ghost(machine, slot, exit))
        return 0;
    return exit->type == VMM_EXIT_DEBUG ? on_foreign_breakpoint(machine, slot)
                                        : MACHINE_NOBODY;
}
