/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What the files of this room share: the machine's insides. */
#ifndef VMM_MACHINE_INTERNAL_H
#define VMM_MACHINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include <vmm/machine.h>

#define VMM_MACHINE_VCPUS_MAX 1024

/* A vCPU in its machine: the context of its thread's callbacks. */
struct machine_vcpu {
    struct vmm_machine *machine;
    struct vmm_vcpu *vcpu;
    _Atomic uint64_t exits[VMM_EXIT_TYPES]; /* written by its thread only */
};

struct vmm_machine {
    char name[64];
    struct vmm_vm *vm;
    struct vmm_bus *pio;
    struct vmm_bus *mmio;
    struct vmm_loop *loop;

    struct machine_vcpu **vcpus;
    size_t vcpu_count;

    int (*hook)(void *context, struct vmm_vcpu *vcpu, struct vmm_exit *exit);
    void *hook_context;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t all_finished;
    bool started;
    size_t alive; /* vCPU threads that have not finished */
    struct vmm_stop stop;
    int stopped_fd;
};

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
