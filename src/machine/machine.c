/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A machine's parts: made, listed, freed. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "vmm_features.h"

#include "machine/internal.h"

#define PIO_LIMIT  0xffffu
#define MMIO_LIMIT ((UINT64_C(1) << 52) - 1)

static int init_sync(struct vmm_machine *machine)
{
    pthread_condattr_t monotonic;

    pthread_mutex_init(&machine->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&machine->all_finished, &monotonic);
    pthread_condattr_destroy(&monotonic);
    machine->stopped_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return machine->stopped_fd < 0 ? -errno : 0;
}

int vmm_machine_new(struct vmm_kvm *kvm, const char *name,
                    struct vmm_machine **out, struct vmm_error *err)
{
    vmm_error_clear(err);
    struct vmm_machine *machine = calloc(1, sizeof(*machine));
    if (!machine)
        return vmm_error_set(err, ENOMEM, "no memory for a machine");
    machine->stats_fd = -1;
    snprintf(machine->name, sizeof(machine->name), "%s", name ? name : "vm");

    int rc = init_sync(machine);
    if (rc) {
        vmm_error_set(err, -rc, "eventfd: %s", strerror(-rc));
        goto fail;
    }
    if (VMM_FEATURE_DEBUG)
        rc = machine_debug_init(machine);
    if (rc) {
        vmm_error_set(err, -rc, "no memory for a machine");
        goto fail;
    }
    rc = vmm_vm_new(kvm, &machine->vm, err);
    if (rc)
        goto fail;
    rc = vmm_bus_new("pio", PIO_LIMIT, &machine->pio, err);
    if (rc)
        goto fail;
    rc = vmm_bus_new("mmio", MMIO_LIMIT, &machine->mmio, err);
    if (rc)
        goto fail;
    rc = vmm_loop_new(&machine->loop, err);
    if (rc)
        goto fail;
    *out = machine;
    return 0;

fail:
    vmm_machine_free(machine);
    return rc;
}

struct vmm_vcpu *machine_self(const struct vmm_machine *machine)
{
    for (size_t i = 0; i < machine->vcpu_count; i++)
        if (vmm_vcpu_is_self(machine->vcpus[i]->vcpu))
            return machine->vcpus[i]->vcpu;
    return NULL;
}

int vmm_machine_free(struct vmm_machine *machine)
{
    if (!machine)
        return 0;
    if (machine_self(machine))
        return -EDEADLK;

    vmm_machine_stop(machine, VMM_STOP_CLOSED, "closed by its owner");
    /* Any thread of the machine may stop it, which looks at all vCPUs: first
     * all threads end, then the vCPUs go. */
    for (size_t i = 0; i < machine->vcpu_count; i++)
        vmm_vcpu_join(machine->vcpus[i]->vcpu);
    if (machine->loop)
        vmm_loop_stop_thread(machine->loop);
    for (size_t i = 0; i < machine->vcpu_count; i++)
        vmm_vcpu_free(machine->vcpus[i]->vcpu);
    if (VMM_FEATURE_DEBUG)
        machine_debug_fini(machine);
    vmm_bus_free(machine->pio);
    vmm_bus_free(machine->mmio);
    vmm_loop_free(machine->loop);
    /* Fds with statistics keep the VM alive in KVM, and so its slots. */
    if (machine->stats_fd >= 0)
        close(machine->stats_fd);
    for (size_t i = 0; i < machine->vcpu_count; i++) {
        if (VMM_FEATURE_METRICS)
            machine_probes_fini(machine->vcpus[i]);
        free(machine->vcpus[i]);
    }
    vmm_vm_free(machine->vm);
    free(machine->vcpus);
    if (machine->stopped_fd >= 0)
        close(machine->stopped_fd);
    pthread_cond_destroy(&machine->all_finished);
    pthread_mutex_destroy(&machine->lock);
    free(machine);
    return 0;
}

const char *vmm_machine_name(const struct vmm_machine *machine)
{
    return machine->name;
}

struct vmm_vm *vmm_machine_vm(struct vmm_machine *machine)
{
    return machine->vm;
}

struct vmm_bus *vmm_machine_pio(struct vmm_machine *machine)
{
    return machine->pio;
}

struct vmm_bus *vmm_machine_mmio(struct vmm_machine *machine)
{
    return machine->mmio;
}

struct vmm_loop *vmm_machine_loop(struct vmm_machine *machine)
{
    return machine->loop;
}

size_t vmm_machine_vcpu_count(const struct vmm_machine *machine)
{
    return machine->vcpu_count;
}

struct vmm_vcpu *vmm_machine_vcpu(const struct vmm_machine *machine,
                                  size_t index)
{
    return machine->vcpus[index]->vcpu;
}

int vmm_machine_add_vcpu(struct vmm_machine *machine, uint32_t id,
                         struct vmm_vcpu **vcpu, struct vmm_error *err)
{
    vmm_error_clear(err);
    if (machine->started)
        return vmm_error_set(err, EBUSY, "vCPU %u: the VM has started", id);
    if (machine->vcpu_count == VMM_MACHINE_VCPUS_MAX)
        return vmm_error_set(err, EINVAL, "vCPU %u: at most %d vCPUs", id,
                             VMM_MACHINE_VCPUS_MAX);

    size_t room = (machine->vcpu_count + 1) * sizeof(*machine->vcpus);
    struct machine_vcpu **grown = realloc(machine->vcpus, room);
    if (!grown)
        return vmm_error_set(err, ENOMEM, "no memory for vCPU %u", id);
    machine->vcpus = grown;

    struct machine_vcpu *slot = calloc(1, sizeof(*slot));
    if (!slot)
        return vmm_error_set(err, ENOMEM, "no memory for vCPU %u", id);
    slot->machine = machine;
    if (VMM_FEATURE_METRICS)
        machine_probes_init(slot);
    int rc = vmm_vcpu_new(machine->vm, id, &slot->vcpu, err);
    if (rc) {
        free(slot);
        return rc;
    }
    machine->vcpus[machine->vcpu_count++] = slot;
    *vcpu = slot->vcpu;
    return 0;
}

void vmm_machine_set_hook(struct vmm_machine *machine,
                          int (*hook)(void *context, struct vmm_vcpu *vcpu,
                                      struct vmm_exit *exit),
                          void *context)
{
    machine->hook = hook;
    machine->hook_context = context;
}

void vmm_machine_exit_counts(const struct vmm_machine *machine,
                             uint64_t counts[VMM_EXIT_TYPES])
{
    memset(counts, 0, VMM_EXIT_TYPES * sizeof(counts[0]));
    for (size_t i = 0; i < machine->vcpu_count; i++)
        for (int type = 0; type < VMM_EXIT_TYPES; type++)
            counts[type] += atomic_load_explicit(
                &machine->vcpus[i]->exits[type], memory_order_relaxed);
}

bool vmm_machine_measures(const struct vmm_machine *machine)
{
    return atomic_load_explicit(&machine->measures, memory_order_relaxed);
}
