/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Breakpoints, watchpoints and single steps of a machine's vCPUs. */
#ifndef VMM_DEBUG_H
#define VMM_DEBUG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/export.h>
#include <vmm/kvm.h>
#include <vmm/machine.h>
#include <vmm/memory.h>
#include <vmm/vcpu.h>

enum vmm_break_kind {
    VMM_BREAK_SOFTWARE, /* a byte in guest memory; any number */
    /* Four of these at a time: */
    VMM_BREAK_HARDWARE,
    VMM_WATCH_WRITE,
    VMM_WATCH_ACCESS, /* reads and writes */
    /* While there is one of these every vCPU is single-stepped, a thousand
     * times slower: tells a change of the value.  An interrupt's handler is one
     * step; what one vCPU writes another one may be the first to notice. */
    VMM_WATCH_STEPPED,
};

struct vmm_break_config {
    enum vmm_break_kind kind;
    uint64_t gva;
    uint8_t len; /* of a watchpoint: 1, 2, 4, 8; gva is a multiple of it */
    /* Index of the vCPU whose page tables say where gva is; on a vCPU's own
     * thread that one is asked. */
    size_t vcpu;
    /* Of a software breakpoint: IN AL, imm8 in place of INT3, which KVM on some
     * hosts is not told of.  Works in the guest's ring 0, where the byte behind
     * is no port of KVM's own interrupt controllers.  The same for all. */
    bool by_port;
};

/* What a vCPU has come to. */
struct vmm_break_hit {
    uint64_t id; /* of the breakpoint or watchpoint */
    enum vmm_break_kind kind;
    uint64_t gva;
    size_t vcpu;  /* index */
    uint64_t rip; /* linear: of the breakpoint; else after the access */
    bool has_values;
    uint64_t old_value, new_value; /* of what is watched */
};

enum vmm_break_answer {
    VMM_BREAK_GO_ON,
    VMM_BREAK_STOP,  /* the handler has asked for a pause of the machine */
    VMM_BREAK_LATER, /* ask again when the vCPU runs next (breakpoints only:
                        what is watched has happened) */
};

/*
 * Called on the vCPU's thread, no lock held, once for each hit.  It may read
 * and write the vCPU's registers, add and remove breakpoints (also the one that
 * was hit), and ask for a pause or a stop of the machine.
 */
typedef enum vmm_break_answer (*vmm_break_fn)(void *context,
                                              struct vmm_vcpu *vcpu,
                                              const struct vmm_break_hit *hit);

/* Set before there is a breakpoint.  Without one all hits go on. */
VMM_API void vmm_machine_on_break(struct vmm_machine *machine, vmm_break_fn fn,
                                  void *context);

/*
 * Add a breakpoint or watchpoint at any time; all vCPUs are held for a moment.
 * *id names it from then on, never another one.  -EFAULT: gva is not mapped, or
 * not to RAM; -ENOSPC: four hardware ones are in use; -EINVAL: len; -ETIMEDOUT:
 * a vCPU did not come out of its handler; -ENOTSUP: by_port does not work
 * there.
 */
VMM_API int vmm_machine_add_break(struct vmm_machine *machine,
                                  const struct vmm_break_config *config,
                                  uint64_t *id, struct vmm_error *err);
/* Remove it, from any thread; waits for nobody.  A hit that a vCPU has come to
 * already may be told after it.  -ENOENT. */
VMM_API int vmm_machine_remove_break(struct vmm_machine *machine, uint64_t id);

/* In a copy of guest memory at gpa put back what breakpoints cover. */
VMM_API void vmm_machine_hide_breaks(struct vmm_machine *machine, vmm_gpa_t gpa,
                                     void *bytes, size_t len);

/*
 * Single-step one vCPU, by index, of a paused machine on the calling thread;
 * the others stand still, interrupts wait, devices serve what it asks of them,
 * breakpoints on the way are passed untold.  A system call counts as an
 * instruction that leads into the kernel, an exception's handler as part of the
 * instruction.  *steps says how many were made, also on failure.
 * -EBUSY: it runs, or the machine has been resumed meanwhile, which ends this
 * first; -ETIMEDOUT; -ECANCELED: the machine was stopped.
 */
VMM_API int vmm_machine_step(struct vmm_machine *machine, size_t vcpu,
                             uint64_t count, int64_t timeout_ns,
                             uint64_t *steps, struct vmm_error *err);

/* ---- what this host's KVM delivers ---------------------------------------
 */

enum vmm_debug_feature {
    VMM_DEBUG_SOFTWARE_BREAKPOINTS,
    VMM_DEBUG_HARDWARE_BREAKPOINTS,
    VMM_DEBUG_WATCHPOINTS,
    VMM_DEBUG_SINGLE_STEP,
    VMM_DEBUG_FEATURES
};

struct vmm_debug_support {
    bool works[VMM_DEBUG_FEATURES];
    bool by_port; /* software breakpoints need that */
    /* Why not, or with what limits; "" when there is nothing to say. */
    char reasons[VMM_DEBUG_FEATURES][160];
};

/* Try each in a VM of its own of some instructions; takes milliseconds.  The
 * result is the same as long as the kernel runs. */
VMM_API int vmm_debug_probe(struct vmm_kvm *kvm,
                            struct vmm_debug_support *support,
                            struct vmm_error *err);

#endif
