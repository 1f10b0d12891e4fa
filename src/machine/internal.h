/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What the files of this room share: the machine's insides. */
#ifndef VMM_MACHINE_INTERNAL_H
#define VMM_MACHINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <vmm/machine.h>

#include "machine/meter.h"
#include "machine/trace.h"

#define VMM_MACHINE_VCPUS_MAX 1024

/* A vCPU in its machine: the context of its thread's callbacks. */
struct machine_vcpu {
    struct vmm_machine *machine;
    struct vmm_vcpu *vcpu;
    _Atomic uint64_t exits[VMM_EXIT_TYPES]; /* written by its thread only */

    /* MACHINE_MEASURES, MACHINE_TRACES: all that an exit looks at while both
     * are off.  Once set, what they need is there until the machine is freed.
     */
    atomic_uint probes;
    struct meter *_Atomic meter;
    struct trace_ring *_Atomic ring;
    uint64_t trace_start; /* the ring's head when the trace was started */

    _Atomic uint64_t kicks;
    _Atomic uint64_t pauses;
    _Atomic uint64_t cpu_ns; /* of its thread, once that has ended */
    atomic_int cpu_clock;    /* of its thread while it runs, else 0 */
    atomic_int stats_fd;     /* KVM's statistics, or -1 */

    /* Debugging (debug.h); guarded by the lock of struct machine_debug. */
    bool debug_stepping; /* one instruction at a time, for now */
    bool debug_told;     /* the breakpoint at debug_told_rip has been told,
                            and is to be stepped over */
    uint64_t debug_told_rip, debug_told_rsp;
    struct vmm_vcpu_debug debug_applied; /* what KVM knows */
};

#define MACHINE_MEASURES 1u
#define MACHINE_TRACES   2u

struct machine_debug;

struct vmm_machine {
    char name[64];
    struct vmm_vm *vm;
    struct vmm_bus *pio;
    struct vmm_bus *mmio;
    atomic_bool debug_ports; /* reads of ports may be breakpoints */
    struct vmm_loop *loop;

    struct machine_vcpu **vcpus;
    size_t vcpu_count;

    int (*hook)(void *context, struct vmm_vcpu *vcpu, struct vmm_exit *exit);
    void *hook_context;
    struct machine_debug *debug;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t all_finished;
    bool started;
    atomic_bool measures; /* changed under the lock */
    bool traces;
    uint64_t trace_limit; /* events a vCPU of the trace, the last one or now */
    int stats_fd;         /* KVM's statistics of the VM, or -1 */
    _Atomic uint64_t started_ns;
    _Atomic uint64_t ended_ns; /* 0: some vCPU thread has not finished */
    size_t alive;              /* vCPU threads that have not finished */
    struct vmm_stop stop;
    int stopped_fd;
};

/* The vCPU whose thread this is, or NULL. */
struct vmm_vcpu *machine_self(const struct vmm_machine *machine);

/* metrics.c.  A new vCPU, and its end: its thread has been joined. */
void machine_probes_init(struct machine_vcpu *slot);
void machine_probes_fini(struct machine_vcpu *slot);
/* Before the start: vCPUs that were added since are probed as the others. */
int machine_probes_start(struct vmm_machine *machine, struct vmm_error *err);
/* On the vCPU's thread: dispatch an exit, timed and recorded. */
int machine_probe_exit(struct machine_vcpu *slot, struct vmm_vcpu *vcpu,
                       struct vmm_exit *exit, unsigned probes);
/* On the vCPU's thread: what vmm_vcpu_thread_config.on_event tells. */
void machine_probe_event(struct machine_vcpu *slot, enum vmm_vcpu_event event);
/* The vCPU's thread ends. */
void machine_probe_finished(struct machine_vcpu *slot);

/* Breakpoints of a machine; freed once no vCPU runs. */
int machine_debug_init(struct vmm_machine *machine);
void machine_debug_fini(struct vmm_machine *machine);
/* Every vCPU is there, and none runs yet. */
int machine_debug_start(struct vmm_machine *machine, struct vmm_error *err);
/* The machine is about to resume: registers may have been changed.  True: it is
 * being stepped, and resumes at the end of that, unless it is paused before. */
bool machine_debug_resume(struct vmm_machine *machine);
void machine_debug_pause(struct vmm_machine *machine);
/* A debug exit, an emulation failure, or a read of a port: 0, 1, or NOBODY when
 * it is none of ours. */
#define MACHINE_NOBODY 2
int machine_debug_exit(struct vmm_machine *machine, struct vmm_vcpu *vcpu,
                       struct vmm_exit *exit);

/* Describe an exit that ends the VM, for the user: one line, with what the
 * host can say (mode, RIP, bytes, disassembly, the way out). */
void machine_describe_failure(struct vmm_machine *machine,
                              struct vmm_vcpu *vcpu,
                              const struct vmm_exit *exit, char *text,
                              size_t text_bytes);

/* Disassemble one instruction with capstone, when it is there: "int3", or "".
 * bits: 16, 32 or 64. */
void machine_disassemble(const uint8_t *bytes, size_t count, uint64_t rip,
                         int bits, char *text, size_t text_bytes);

#endif
