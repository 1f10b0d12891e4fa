/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* VM-wide state by name: the clock and the interrupt controllers. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm/internal.h"

struct vm_state {
    const char *name;
    size_t size;
    int (*get)(struct vmm_vm *vm, const struct vm_state *state, void *buffer,
               struct vmm_error *err);
    int (*set)(struct vmm_vm *vm, const struct vm_state *state,
               const void *buffer, struct vmm_error *err);
    uint32_t chip; /* KVM_IRQCHIP_*, for irqchips */
};

static int get_clock(struct vmm_vm *vm, const struct vm_state *state,
                     void *buffer, struct vmm_error *err)
{
    struct kvm_clock_data clock = {0};

    if (ioctl(vm->fd, KVM_GET_CLOCK, &clock) < 0)
        return vmm_error_errno(err, "KVM_GET_CLOCK");
    memcpy(buffer, &clock, state->size);
    return 0;
}

/* Two flags only inform at get, and older kernels refuse them at set.
 * KVM_CLOCK_REALTIME stays: it asks that the time gone by be added. */
static int set_clock(struct vmm_vm *vm, const struct vm_state *state,
                     const void *buffer, struct vmm_error *err)
{
    struct kvm_clock_data clock;

    memcpy(&clock, buffer, state->size);
    clock.flags &= ~(uint32_t)(KVM_CLOCK_TSC_STABLE | KVM_CLOCK_HOST_TSC);
    if (ioctl(vm->fd, KVM_SET_CLOCK, &clock) < 0)
        return vmm_error_errno(err, "KVM_SET_CLOCK");
    return 0;
}

static int get_chip(struct vmm_vm *vm, const struct vm_state *state,
                    void *buffer, struct vmm_error *err)
{
    struct kvm_irqchip chip = {.chip_id = state->chip};

    if (!vm->has_irqchip)
        return vmm_error_set(err, ENXIO, "state \"%s\": this VM has no irqchip",
                             state->name);
    if (ioctl(vm->fd, KVM_GET_IRQCHIP, &chip) < 0)
        return vmm_error_errno(err, "KVM_GET_IRQCHIP of %s", state->name);
    memcpy(buffer, &chip, state->size);
    return 0;
}

static int set_chip(struct vmm_vm *vm, const struct vm_state *state,
                    const void *buffer, struct vmm_error *err)
{
    struct kvm_irqchip chip;

    memcpy(&chip, buffer, state->size);
    if (!vm->has_irqchip)
        return vmm_error_set(err, ENXIO, "state \"%s\": this VM has no irqchip",
                             state->name);
    if (chip.chip_id != state->chip)
        return vmm_error_set(err, EINVAL,
                             "state \"%s\": chip_id is %u, must be %u",
                             state->name, chip.chip_id, state->chip);
    if (ioctl(vm->fd, KVM_SET_IRQCHIP, &chip) < 0)
        return vmm_error_errno(err, "KVM_SET_IRQCHIP of %s", state->name);
    return 0;
}

static int check_pit(const struct vmm_vm *vm, struct vmm_error *err)
{
    return vm->has_pit
               ? 0
               : vmm_error_set(err, ENXIO, "state \"pit\": this VM has no PIT");
}

static int get_pit(struct vmm_vm *vm, const struct vm_state *state,
                   void *buffer, struct vmm_error *err)
{
    struct kvm_pit_state2 pit = {0};
    int r = check_pit(vm, err);

    if (r < 0)
        return r;
    if (ioctl(vm->fd, KVM_GET_PIT2, &pit) < 0)
        return vmm_error_errno(err, "KVM_GET_PIT2");
    memcpy(buffer, &pit, state->size);
    return 0;
}

static int set_pit(struct vmm_vm *vm, const struct vm_state *state,
                   const void *buffer, struct vmm_error *err)
{
    struct kvm_pit_state2 pit;
    int r = check_pit(vm, err);

    if (r < 0)
        return r;
    memcpy(&pit, buffer, state->size);
    if (ioctl(vm->fd, KVM_SET_PIT2, &pit) < 0)
        return vmm_error_errno(err, "KVM_SET_PIT2");
    return 0;
}

static const struct vm_state states[] = {
    {"clock", sizeof(struct kvm_clock_data), get_clock, set_clock, 0},
    {"pic_master", sizeof(struct kvm_irqchip), get_chip, set_chip,
     KVM_IRQCHIP_PIC_MASTER},
    {"pic_slave", sizeof(struct kvm_irqchip), get_chip, set_chip,
     KVM_IRQCHIP_PIC_SLAVE},
    {"ioapic", sizeof(struct kvm_irqchip), get_chip, set_chip,
     KVM_IRQCHIP_IOAPIC},
    {"pit", sizeof(struct kvm_pit_state2), get_pit, set_pit, 0},
};

static const struct vm_state *find(const char *name, struct vmm_error *err)
{
    for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++)
        if (strcmp(states[i].name, name) == 0)
            return &states[i];
    vmm_error_set(err, ENOENT,
                  "no VM state \"%s\": one of clock, pic_master, pic_slave, "
                  "ioapic, pit",
                  name);
    return NULL;
}

int vmm_vm_get_state(struct vmm_vm *vm, const char *name, void *buffer,
                     size_t *size, struct vmm_error *err)
{
    vmm_error_clear(err);

    const struct vm_state *state = find(name, err);
    if (!state)
        return -ENOENT;
    int r = vmm_state_room(name, size, state->size, err);
    return r < 0 ? r : state->get(vm, state, buffer, err);
}

int vmm_vm_set_state(struct vmm_vm *vm, const char *name, const void *buffer,
                     size_t size, struct vmm_error *err)
{
    vmm_error_clear(err);

    const struct vm_state *state = find(name, err);
    if (!state)
        return -ENOENT;
    int r = vmm_state_size(name, size, state->size, err);
    return r < 0 ? r : state->set(vm, state, buffer, err);
}
