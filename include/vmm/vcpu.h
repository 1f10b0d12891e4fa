/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A vCPU: its state, one run to a typed exit, and a thread that keeps running.
 */
#ifndef VMM_VCPU_H
#define VMM_VCPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/export.h>
#include <vmm/kvm.h>

struct kvm_cpuid2;
struct kvm_regs;
struct kvm_sregs;
struct kvm_msr_entry;
struct vmm_vcpu;

/* Why KVM_RUN came back. */
enum vmm_exit_type {
    VMM_EXIT_NONE,         /* interrupted by a kick or signal: nothing to do */
    VMM_EXIT_PIO_READ,     /* io: fill data */
    VMM_EXIT_PIO_WRITE,    /* io: take data */
    VMM_EXIT_MMIO_READ,    /* mmio: fill data */
    VMM_EXIT_MMIO_WRITE,   /* mmio: take data */
    VMM_EXIT_HALT,         /* HLT and no in-kernel irqchip */
    VMM_EXIT_SHUTDOWN,     /* triple fault */
    VMM_EXIT_SYSTEM_EVENT, /* system_event */
    VMM_EXIT_FAIL_ENTRY,   /* fail_entry: the CPU refused the state */
    VMM_EXIT_INTERNAL_ERROR, /* internal: KVM gave up */
    VMM_EXIT_DEBUG,          /* debug */
    VMM_EXIT_MSR_READ,       /* msr: set data, or fail */
    VMM_EXIT_MSR_WRITE,      /* msr: take data, or fail */
    VMM_EXIT_HYPERCALL,      /* hypercall */
    VMM_EXIT_IRQ_WINDOW,
    VMM_EXIT_UNKNOWN, /* number: KVM's exit_reason */
    VMM_EXIT_TYPES
};

/* One exit.  Pointers are into the vCPU's kvm_run page: valid until the next
 * run; data of reads and MSRs is written in place. */
struct vmm_exit {
    enum vmm_exit_type type;
    uint32_t number; /* KVM_EXIT_* */
    union {
        struct {
            uint16_t port;
            uint8_t size;   /* bytes an access: 1, 2, 4 */
            uint32_t count; /* accesses (string I/O) */
            uint8_t *data;  /* size * count bytes */
        } io;
        struct {
            uint64_t gpa;
            uint8_t size; /* 1..8 */
            uint8_t *data;
        } mmio;
        struct {
            uint32_t type; /* KVM_SYSTEM_EVENT_* */
        } system_event;
        struct {
            uint64_t reason;
            uint32_t cpu;
        } fail_entry;
        struct {
            uint32_t suberror;  /* KVM_INTERNAL_ERROR_* */
            uint8_t byte_count; /* instruction bytes, 0 when KVM has none */
            uint8_t bytes[15];
        } internal;
        struct {
            uint32_t exception;
            uint64_t pc, dr6, dr7;
        } debug;
        struct {
            uint32_t index;
            uint32_t reason;
            uint64_t *data;
            uint8_t *error; /* set to 1 to inject #GP */
        } msr;
        struct {
            uint64_t nr;
            uint64_t *args; /* 6 */
            uint64_t *ret;
        } hypercall;
    } u;
};

/* "pio_read", "halt", ...: the names scripts see. */
VMM_API const char *vmm_exit_name(enum vmm_exit_type type);

/* KVM_CREATE_VCPU.  id is also the APIC id, 0..4095.  vm must outlive it. */
VMM_API int vmm_vcpu_new(struct vmm_vm *vm, uint32_t id, struct vmm_vcpu **vcpu,
                         struct vmm_error *err);
/* Stops and joins its thread first; called from that thread it frees nothing.
 * vcpu may be NULL. */
VMM_API void vmm_vcpu_free(struct vmm_vcpu *vcpu);
VMM_API uint32_t vmm_vcpu_id(const struct vmm_vcpu *vcpu);
VMM_API int vmm_vcpu_fd(const struct vmm_vcpu *vcpu);

/*
 * KVM_RUN once.  0 with *exit filled, or -errno: -EBUSY while its thread runs
 * (unless the caller is that thread) or another caller runs it.  A paused
 * thread that is told to resume meanwhile waits.
 */
VMM_API int vmm_vcpu_run_once(struct vmm_vcpu *vcpu, struct vmm_exit *exit,
                              struct vmm_error *err);
/*
 * Re-enter with immediate_exit so that KVM completes the pending PIO/MMIO:
 * needed before state is read or saved after such an exit.  -EAGAIN when the
 * instruction then made another access (one that crosses pages, a string):
 * vmm_vcpu_run_once gives that exit next; handle it and try again.
 */
VMM_API int vmm_vcpu_complete_io(struct vmm_vcpu *vcpu, struct vmm_error *err);

/*
 * All state, as the kernel's structures, by name: "regs", "sregs", "sregs2"
 * (with the PDPTRs), "fpu", "xsave", "xcrs", "lapic", "debugregs", "mp_state",
 * "vcpu_events", "tsc_khz" (uint32_t), "tsc_offset" (uint64_t: the guest's TSC
 * less the host's, scaled; -ENOTSUP before Linux 5.16, and of another value
 * where KVM cannot move a TSC), "cpuid" (struct
 * kvm_cpuid2 with entries), "nested" (of the guest's own guest; -ENOTSUP where
 * KVM nests none).
 * *size in: room in bytes, out: bytes used (-ENOBUFS sets what is needed).
 * The vCPU must be paused (-EBUSY when its thread runs).
 */
VMM_API int vmm_vcpu_get_state(struct vmm_vcpu *vcpu, const char *name,
                               void *buffer, size_t *size,
                               struct vmm_error *err);
VMM_API int vmm_vcpu_set_state(struct vmm_vcpu *vcpu, const char *name,
                               const void *buffer, size_t size,
                               struct vmm_error *err);
/* Typed shorthands for the two everybody needs. */
VMM_API int vmm_vcpu_get_regs(struct vmm_vcpu *vcpu, struct kvm_regs *regs,
                              struct vmm_error *err);
VMM_API int vmm_vcpu_set_regs(struct vmm_vcpu *vcpu,
                              const struct kvm_regs *regs,
                              struct vmm_error *err);
VMM_API int vmm_vcpu_get_sregs(struct vmm_vcpu *vcpu, struct kvm_sregs *sregs,
                               struct vmm_error *err);
VMM_API int vmm_vcpu_set_sregs(struct vmm_vcpu *vcpu,
                               const struct kvm_sregs *sregs,
                               struct vmm_error *err);
/* MSRs by index; all of count or an error that names the refused one. */
VMM_API int vmm_vcpu_get_msrs(struct vmm_vcpu *vcpu,
                              struct kvm_msr_entry *entries, size_t count,
                              struct vmm_error *err);
VMM_API int vmm_vcpu_set_msrs(struct vmm_vcpu *vcpu,
                              const struct kvm_msr_entry *entries, size_t count,
                              struct vmm_error *err);
VMM_API int vmm_vcpu_set_cpuid(struct vmm_vcpu *vcpu,
                               const struct kvm_cpuid2 *cpuid,
                               struct vmm_error *err);
/* KVM_TRANSLATE: guest virtual to physical; -EFAULT when not mapped. */
VMM_API int vmm_vcpu_translate(struct vmm_vcpu *vcpu, uint64_t gva,
                               vmm_gpa_t *gpa, struct vmm_error *err);

/* ---- debug ------------------------------------------------------------ */

enum vmm_hardware_break_kind {
    VMM_HARDWARE_NONE,
    VMM_HARDWARE_EXECUTE, /* len 1; the exit comes before the instruction */
    VMM_HARDWARE_WRITE,   /* the exit comes after it */
    VMM_HARDWARE_ACCESS,  /* reads and writes */
};

#define VMM_HARDWARE_BREAKS 4

/* What KVM_SET_GUEST_DEBUG makes exit, as VMM_EXIT_DEBUG. */
struct vmm_vcpu_debug {
    bool software;    /* INT3 (exception 3) */
    bool hardware;    /* every #DB, those of `at` and the guest's own */
    bool single_step; /* after one instruction (exception 1, DR6.BS) */
    bool block_irqs;  /* no interrupt gets in, where KVM can do that */
    /* Raise this in the guest: an exit that was the guest's own. */
    bool inject_breakpoint; /* #BP */
    bool inject_debug;      /* #DB */
    struct {
        enum vmm_hardware_break_kind kind;
        uint64_t gva;
        uint8_t len;           /* 1, 2, 4, 8; gva is a multiple of it */
    } at[VMM_HARDWARE_BREAKS]; /* with hardware; the guest's own debug registers
                                  do nothing meanwhile */
};

/* Set it, until it is set anew.  The vCPU must be paused or held, or the caller
 * its own thread; else -EBUSY.  Before each single step set it again: the
 * instruction may have changed the trap flag. */
VMM_API int vmm_vcpu_set_debug(struct vmm_vcpu *vcpu,
                               const struct vmm_vcpu_debug *debug,
                               struct vmm_error *err);
/* Where it is: the linear address of its next instruction, and RSP.  Also of a
 * vCPU that is held. */
VMM_API int vmm_vcpu_place(struct vmm_vcpu *vcpu, uint64_t *rip, uint64_t *rsp,
                           struct vmm_error *err);
/* vmm_vcpu_run_once that gives VMM_EXIT_NONE after limit_ns. */
VMM_API int vmm_vcpu_run_limited(struct vmm_vcpu *vcpu, struct vmm_exit *exit,
                                 int64_t limit_ns, struct vmm_error *err);

/* KVM_NMI.  A running vCPU gets it at its next entry, for which it is
 * kicked. */
VMM_API int vmm_vcpu_nmi(struct vmm_vcpu *vcpu, struct vmm_error *err);

/* ---- the thread ------------------------------------------------------- */

/*
 * The life of a vCPU thread:
 *
 *   (none) --start--> PAUSED <--pause / resume--> RUNNING
 *                        \                          |
 *                         +-------stop / handler----+--> STOPPING -> FINISHED
 */
enum vmm_vcpu_thread_state {
    VMM_VCPU_NO_THREAD,
    VMM_VCPU_PAUSED,
    VMM_VCPU_RUNNING,
    VMM_VCPU_STOPPING, /* told to end, has not yet */
    VMM_VCPU_FINISHED, /* will not run again; not joined yet */
};

/*
 * Called on the vCPU thread for each exit but VMM_EXIT_NONE.  Return 0 to go
 * on, anything else to finish the thread.
 */
typedef int (*vmm_vcpu_exit_fn)(void *context, struct vmm_vcpu *vcpu,
                                struct vmm_exit *exit);

/* What else happens on the vCPU thread. */
enum vmm_vcpu_event {
    VMM_VCPU_KICKED,  /* kept from the guest for a moment, by a request */
    VMM_VCPU_RESUMED, /* about to enter the guest, first or after a wait */
    VMM_VCPU_SETTLED, /* RUNNING no more: PAUSED */
};

struct vmm_vcpu_thread_config {
    vmm_vcpu_exit_fn on_exit;
    /* KVM_RUN itself failed (negative errno, text in err): last call of the
     * thread.  May not be NULL. */
    void (*on_error)(void *context, struct vmm_vcpu *vcpu,
                     const struct vmm_error *err);
    /* The thread's last act, whatever ended it; may be NULL. */
    void (*on_finished)(void *context, struct vmm_vcpu *vcpu);
    /* Told on the vCPU thread, maybe with the vCPU's lock held: returns soon,
     * calls nothing of this header.  May be NULL. */
    void (*on_event)(void *context, struct vmm_vcpu *vcpu,
                     enum vmm_vcpu_event event);
    void *context;
    int kick_signal; /* 0: SIGURG; its handler is installed once a process */
};

/* Start the thread, PAUSED, all signals blocked but the kick. */
VMM_API int vmm_vcpu_start(struct vmm_vcpu *vcpu,
                           const struct vmm_vcpu_thread_config *config,
                           struct vmm_error *err);
VMM_API enum vmm_vcpu_thread_state
vmm_vcpu_thread_state(const struct vmm_vcpu *vcpu);

/* Ask; return at once.  Any thread, also the vCPU's own (served after its
 * handler has returned).  No effect in states where it has no meaning.  At its
 * resume the guest is told that it was paused (KVM_KVMCLOCK_CTRL), so that its
 * watchdogs do not bark. */
VMM_API void vmm_vcpu_request_pause(struct vmm_vcpu *vcpu);
VMM_API void vmm_vcpu_request_resume(struct vmm_vcpu *vcpu);
VMM_API void vmm_vcpu_request_stop(struct vmm_vcpu *vcpu);
/* Make KVM_RUN come back once without changing the state.  With no thread
 * that runs: a vmm_vcpu_run_once under way, or the next one, gives
 * VMM_EXIT_NONE at once (by SIGURG, which its caller may block otherwise). */
VMM_API void vmm_vcpu_kick(struct vmm_vcpu *vcpu);

/*
 * Hold a vCPU out of the guest for a moment, beside pause and resume, which
 * neither end a hold nor are ended by it.  Holds count.  The request returns at
 * once; any thread but the vCPU's own.  One that follows the end of another at
 * once lets the vCPU into the guest for one entry first.
 */
VMM_API void vmm_vcpu_request_hold(struct vmm_vcpu *vcpu);
VMM_API void vmm_vcpu_end_hold(struct vmm_vcpu *vcpu);
/*
 * Wait until a held vCPU is out of the guest: there it stays until the hold
 * ends.  It may be in its exit handler.  -ETIMEDOUT (timeout_ns < 0 waits
 * for ever).  From its own thread: 0.
 */
VMM_API int vmm_vcpu_wait_held(struct vmm_vcpu *vcpu, int64_t timeout_ns);

/*
 * Wait until the thread is neither RUNNING nor STOPPING.  timeout_ns < 0 waits
 * for ever.  -ETIMEDOUT; -EDEADLK from the vCPU's own thread.
 */
VMM_API int vmm_vcpu_wait_stopped(struct vmm_vcpu *vcpu, int64_t timeout_ns);
/* The same after request_pause; -ECANCELED when it goes on instead, for
 * somebody has asked it to resume. */
VMM_API int vmm_vcpu_wait_paused(struct vmm_vcpu *vcpu, int64_t timeout_ns);
/* request_stop and pthread_join; idempotent; a vmm_vcpu_run_once under way is
 * kicked and waited for.  -EDEADLK from its own thread. */
VMM_API int vmm_vcpu_join(struct vmm_vcpu *vcpu);
/* True when called on this vCPU's own thread. */
VMM_API bool vmm_vcpu_is_self(const struct vmm_vcpu *vcpu);

#endif
