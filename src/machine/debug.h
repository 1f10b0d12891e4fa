/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What the debug files of this room share. */
#ifndef VMM_MACHINE_DEBUG_H
#define VMM_MACHINE_DEBUG_H

#include <pthread.h>
#include <stdatomic.h>

#include <vmm/debug.h>

#include "machine/debug_table.h"
#include "machine/internal.h"

/* A breakpoint or watchpoint. */
struct debug_point {
    uint64_t id;
    enum vmm_break_kind kind;
    uint64_t gva;
    vmm_gpa_t gpa;
    uint8_t len;
    unsigned hardware; /* which of the four */
    uint64_t value;    /* what was seen there last */
};

/*
 * Everything is guarded by lock, which is taken for moments only: never while a
 * vCPU runs or is waited for, nor around a handler.
 */
struct machine_debug {
    atomic_bool used;     /* there has been a breakpoint, or a step */
    atomic_bool stepping; /* the step token: whoever lifts INT3s has it */
    vmm_break_fn fn;
    void *context;

    pthread_mutex_t lock;
    bool borrows;      /* vmm_machine_step is under way, */
    bool resume_asked; /* and the machine is to be resumed at its end */
    struct debug_point *points; /* ids ascend */
    size_t count, room;
    uint64_t last_id;
    struct debug_table table; /* of the software ones */
    unsigned hardware_users;
    bool hardware_used[VMM_HARDWARE_BREAKS];
    unsigned stepped; /* watchpoints that need every vCPU single-stepped */
    bool was_stepped; /* there were some: trap flags may lie in the guest's
                         stacks */
};

/* DR6 (Intel SDM volume 3, section 17.2.3). */
#define DR6_HITS     UINT64_C(0xf)
#define DR6_BS       (UINT64_C(1) << 14)
#define RFLAGS_TF    (UINT64_C(1) << 8)
#define RFLAGS_RF    (UINT64_C(1) << 16)
#define EXCEPTION_DB 1
#define EXCEPTION_BP 3

/* No handler may take longer while a breakpoint is added. */
#define DEBUG_HOLD_NS INT64_C(10000000000)
/* A step that waits for other vCPUs, say for a page fault's handler to flush
 * their TLBs, is given up after this, and tried again. */
#define DEBUG_STEP_NS INT64_C(100000000)

/* Tell KVM what slot's vCPU is to exit for now.  Lock held.  extra: what is to
 * be injected, or NULL. */
int debug_apply(struct vmm_machine *machine, struct machine_vcpu *slot,
                const struct vmm_vcpu_debug *extra, struct vmm_error *err);
/* Hold every vCPU but one (or none: NULL), and wait until they are held;
 * -ETIMEDOUT holds none.  No lock held. */
int debug_hold_others(struct vmm_machine *machine, struct vmm_vcpu *but);
void debug_release_others(struct vmm_machine *machine, struct vmm_vcpu *but);

/* What has been told of vCPUs that are elsewhere by now is the past.  Lock
 * held. */
void debug_forget_told(struct vmm_machine *machine);

/* The value of len bytes at gpa, 0 where there is no RAM. */
uint64_t debug_value(struct vmm_machine *machine, vmm_gpa_t gpa, uint8_t len);

/* The linear address of the next instruction. */
int debug_linear_rip(struct vmm_vcpu *vcpu, uint64_t *linear);

/*
 * Has the exit come from a trap of ours, at linear rip, physical gpa?  If so
 * the vCPU is put back to before it.  (debug_trap.c)
 */
bool debug_take_trap(struct vmm_machine *machine, struct machine_vcpu *slot,
                     const struct vmm_exit *exit, uint64_t *rip,
                     vmm_gpa_t *gpa);

/* The same for a trap that has been removed since. */
bool debug_take_ghost(struct vmm_machine *machine, struct machine_vcpu *slot,
                      const struct vmm_exit *exit);

/* How a single step ended. */
enum debug_step {
    DEBUG_STEPPED,
    DEBUG_NOT_STEPPED, /* somebody wants the vCPU, or the limit has come */
    DEBUG_ENDED,       /* the vCPU is to finish */
};

/* An instruction around which the trap flag needs care (debug_special.c). */
struct debug_special {
    enum {
        DEBUG_PLAIN,
        DEBUG_PUSHF,
        DEBUG_IRET,
        DEBUG_SYSCALL,
        DEBUG_SYSRET,
    } kind;
    uint64_t target; /* of a SYSCALL, linear */
    vmm_gpa_t gpa;   /* of the target, or of the flags in an IRET's frame */
    uint8_t flags;   /* the byte of them that has TF, as it was */
};
/* Before and after the step of the instruction at RIP, all other vCPUs being
 * held.  No lock held. */
void debug_special_before(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                          struct debug_special *special);
void debug_special_after(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                         const struct debug_special *special, bool stepped);

/* Run one instruction, everything about it prepared; *dr6 as it was at its
 * end.  Exits on the way are dispatched. */
enum debug_step debug_single_step(struct vmm_machine *machine,
                                  struct machine_vcpu *slot, int64_t limit_ns,
                                  uint64_t *dr6);
/*
 * Step over the breakpoint at the vCPU's RIP (linear rip, physical gpa), if it
 * can be now; else the vCPU comes to it again.  Returns what an exit handler
 * returns.
 */
int debug_step_over(struct vmm_machine *machine, struct machine_vcpu *slot,
                    uint64_t rip, vmm_gpa_t gpa);
/* Is the instruction at linear rip one that repeats itself?  Then a step is an
 * iteration of it. */
bool debug_repeats(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                   uint64_t rip);

/* Up to len bytes of what is at a linear address, not beyond its page, and the
 * physical address; how many: 0 when it is not mapped. */
size_t debug_fetch(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                   uint64_t linear, uint8_t *bytes, size_t len, vmm_gpa_t *gpa);
/* Tell the hits of watchpoints that DR6 names, or that values show. */
void debug_tell_watches(struct vmm_machine *machine, struct machine_vcpu *slot,
                        uint64_t dr6);

#endif
