/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What the files of src/kvm share and nobody else sees. */
#ifndef VMM_KVM_INTERNAL_H
#define VMM_KVM_INTERNAL_H

#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <vmm/kvm.h>
#include <vmm/vcpu.h>

/* GSIs that a line can be made for (KVM_MAX_IRQ_ROUTES is 4096; the default
 * routing has 24). */
#define VMM_GSI_COUNT 1024

/* The kernel refuses more CPUID entries than this (KVM_MAX_CPUID_ENTRIES). */
#define VMM_CPUID_ENTRIES_MAX 256
#define VMM_MSRS_MAX          4096

/* Highest vCPU id: KVM's own limit for the x2APIC ids of this API. */
#define VMM_VCPU_ID_MAX 4095

struct vmm_kvm {
    int fd;
    size_t run_bytes; /* of a vCPU's kvm_run mapping */
    pthread_mutex_t cpuid_lock;
    struct kvm_cpuid2 *supported_cpuid; /* NULL until asked for */
};

/* What an irq line's context points to. */
struct vmm_irq_pin {
    struct vmm_vm *vm;
    uint32_t gsi;
    int edge_fd; /* irqfd of an edge-triggered line or a message, or -1 */
    /* The message it is routed to, under the VM's routes_lock (msi.c). */
    bool routed;
    uint32_t message_data;
    uint64_t message_address;
};

struct vmm_vm {
    struct vmm_kvm *kvm;
    int fd;
    struct vmm_memory *memory; /* NULL until mapped */
    bool has_irqchip;
    bool has_pit;
    atomic_uint vcpu_count;
    pthread_mutex_t routes_lock;
    struct vmm_irq_pin pins[VMM_GSI_COUNT];
};

/* What interrupts KVM_RUN, where the embedder has not chosen another: nobody
 * uses it, ignoring it is its default, and unlike a real-time signal it needs
 * no room in the user's queue of pending signals, which may be full. */
#define VMM_KICK_SIGNAL SIGURG

struct vmm_vcpu {
    struct vmm_vm *vm;
    uint32_t id;
    int fd;
    struct kvm_run *run; /* shared with the kernel */
    size_t run_bytes;

    /* KVM_RUN: 0 or -errno.  A pointer so that tests of the thread need no
     * KVM. */
    int (*enter)(struct vmm_vcpu *vcpu);
    void *enter_context; /* for the tests' enter */

    /* Touched by whoever runs the vCPU only. */
    bool io_pending; /* the last exit is completed by entering again */
    bool exit_ready; /* run holds an exit that nobody has been given yet */

    /*
     * Everything below is guarded by lock, and so is each store of
     * run->immediate_exit: whoever sets a request sets immediate_exit in the
     * same critical section, and the thread clears it in the one where it
     * reads the requests, so that no kick is lost.
     */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* CLOCK_MONOTONIC */
    enum vmm_vcpu_thread_state state;
    bool pause_requested; /* RUNNING, and to be PAUSED soon */
    bool nmi_requested;
    unsigned holds;      /* see vcpu_hold.c */
    bool asleep_held;    /* its thread sleeps until nobody holds it */
    bool turn_owed;      /* woken from that, it runs before it is held again */
    atomic_bool in_turn; /* it does, and is in KVM_RUN or about to */
    atomic_bool entered; /* in KVM_RUN, so maybe in the guest; without lock */
    bool borrowed;       /* run_once is under way outside the vCPU's thread */
    pthread_t borrower;  /* valid while borrowed */
    bool joining;
    pthread_t thread; /* valid unless NO_THREAD */
    struct vmm_vcpu_thread_config config;

    /* Noted when it was last paused, or run once since (time.c). */
    uint64_t paused_clock;  /* ns of the VM's clock; 0: not known */
    uint64_t paused_offset; /* of the TSC; set back with it */
    uint32_t timer_count; /* what the local APIC's timer had left; 0: nothing */

    /* The thread's pthread_self(), 0 when there is none. */
    atomic_ulong self;
};

/* KVM_CAP_*: its short name ("IRQFD"), or NULL. */
const char *vmm_kvm_capability_name(int capability);

/*
 * Check what every VM of ours needs.  check answers as KVM_CHECK_EXTENSION
 * does.  -ENOTSUP with every missing name in the text.
 */
int vmm_kvm_check_required(int (*check)(void *context, int capability),
                           void *context, struct vmm_error *err);

/* Prepare the part of a vCPU that needs no KVM: 0 or -errno. */
int vmm_vcpu_init(struct vmm_vcpu *vcpu, uint32_t id, struct kvm_run *run,
                  int (*enter)(struct vmm_vcpu *vcpu));
/* vmm_vcpu_kick with the lock held. */
void vmm_vcpu_kick_locked(struct vmm_vcpu *vcpu);
/* Make a signal interrupt KVM_RUN and do nothing else. */
int vmm_vcpu_install_kick(int signal_number, struct vmm_error *err);
/* Its thread must have been joined. */
void vmm_vcpu_fini(struct vmm_vcpu *vcpu);

/*
 * Enter the guest once and decode the exit.  The caller is the one that runs
 * the vCPU.  0 or -errno with the text set.
 */
int vmm_vcpu_step(struct vmm_vcpu *vcpu, struct vmm_exit *exit,
                  struct vmm_error *err);
/*
 * Complete the pending access, lock held by the one that runs the vCPU.
 * -EAGAIN when that led to another exit, which the next vmm_vcpu_step gives.
 */
int vmm_vcpu_settle(struct vmm_vcpu *vcpu, struct vmm_error *err);

/* Decode vcpu->run; tells whether the exit must be completed by entering
 * again. */
bool vmm_exit_decode(struct kvm_run *run, struct vmm_exit *exit);

/*
 * Lock a vCPU for access to its state: 0 with the lock held, or -EBUSY while
 * it runs elsewhere; doing is for the text ("get regs").
 */
int vmm_vcpu_hold(struct vmm_vcpu *vcpu, const char *doing,
                  struct vmm_error *err);
/* The same for what does not mind that an access may be incomplete: allowed
 * as well while somebody holds the vCPU out of the guest. */
int vmm_vcpu_hold_held(struct vmm_vcpu *vcpu, const char *doing,
                       struct vmm_error *err);
void vmm_vcpu_release(struct vmm_vcpu *vcpu);

/* pthread_cond_wait on `changed`, until a deadline of CLOCK_MONOTONIC
 * (timeout_ns < 0 when it was made: for ever).  0 or ETIMEDOUT. */
int vmm_vcpu_await_change(struct vmm_vcpu *vcpu, int64_t timeout_ns,
                          const struct timespec *deadline);
struct timespec vmm_vcpu_deadline(int64_t timeout_ns);

/* A held vCPU's thread waits for a change, and looks whether the end of a hold
 * lets it into the guest once whoever holds it by now.  Lock held. */
void vmm_vcpu_sleep_held(struct vmm_vcpu *vcpu);
bool vmm_vcpu_take_turn(struct vmm_vcpu *vcpu);

/* Note the guest's time, on the vCPU's thread as it is paused; tell the guest
 * that it was, before it is resumed.  Lock held. */
void vmm_vcpu_note_time(struct vmm_vcpu *vcpu);
void vmm_vcpu_tell_paused(struct vmm_vcpu *vcpu);

/* -ENOBUFS with *size set when *size < needed, else 0 with *size = needed. */
int vmm_state_room(const char *name, size_t *size, size_t needed,
                   struct vmm_error *err);
/* -EINVAL unless size is expected. */
int vmm_state_size(const char *name, size_t size, size_t expected,
                   struct vmm_error *err);

#endif
