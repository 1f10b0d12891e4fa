/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A vCPU's state by name, as the kernel's structures. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm/internal.h"

/* Called with the vCPU held. */
struct vcpu_state {
    const char *name;
    int (*get)(struct vmm_vcpu *vcpu, const struct vcpu_state *state,
               void *buffer, size_t *size, struct vmm_error *err);
    int (*set)(struct vmm_vcpu *vcpu, const struct vcpu_state *state,
               const void *buffer, size_t size, struct vmm_error *err);
    /* For those that one ioctl moves as one structure: */
    unsigned long get_ioctl;
    unsigned long set_ioctl;
    size_t size;
};

static int ioctl_failed(const struct vmm_vcpu *vcpu, const char *verb,
                        const char *name, struct vmm_error *err)
{
    const char *why = "";

    if (strcmp(name, "lapic") == 0 && vcpu->vm && !vcpu->vm->has_irqchip)
        why = " without an irqchip";
    return vmm_error_errno(err, "vCPU %" PRIu32 ": KVM can't %s %s%s", vcpu->id,
                           verb, name, why);
}

static int get_fixed(struct vmm_vcpu *vcpu, const struct vcpu_state *state,
                     void *buffer, size_t *size, struct vmm_error *err)
{
    int r = vmm_state_room(state->name, size, state->size, err);

    if (r < 0)
        return r;
    if (ioctl(vcpu->fd, state->get_ioctl, buffer) < 0)
        return ioctl_failed(vcpu, "get", state->name, err);
    return 0;
}

static int set_fixed(struct vmm_vcpu *vcpu, const struct vcpu_state *state,
                     const void *buffer, size_t size, struct vmm_error *err)
{
    int r = vmm_state_size(state->name, size, state->size, err);

    if (r < 0)
        return r;
    if (ioctl(vcpu->fd, state->set_ioctl, buffer) < 0)
        return ioctl_failed(vcpu, "set", state->name, err);
    return 0;
}

/* struct kvm_xsave has room for 4096 bytes; KVM_CAP_XSAVE2 tells how much the
 * features of this VM take (AMX more). */
static size_t xsave_bytes(const struct vmm_vcpu *vcpu)
{
    int bytes = ioctl(vcpu->vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);

    return bytes > (int)sizeof(struct kvm_xsave) ? (size_t)bytes
                                                 : sizeof(struct kvm_xsave);
}

static int get_xsave(struct vmm_vcpu *vcpu, const struct vcpu_state *state,
                     void *buffer, size_t *size, struct vmm_error *err)
{
    size_t bytes = xsave_bytes(vcpu);
    int r = vmm_state_room(state->name, size, bytes, err);

    if (r < 0)
        return r;
    if (ioctl(vcpu->fd,
              bytes > sizeof(struct kvm_xsave) ? KVM_GET_XSAVE2 : KVM_GET_XSAVE,
              buffer) < 0)
        return ioctl_failed(vcpu, "get", state->name, err);
    return 0;
}

static int set_xsave(struct vmm_vcpu *vcpu, const struct vcpu_state *state,
                     const void *buffer, size_t size, struct vmm_error *err)
{
    int r = vmm_state_size(state->name, size, xsave_bytes(vcpu), err);

    if (r < 0)
        return r;
    if (ioctl(vcpu->fd, KVM_SET_XSAVE, buffer) < 0)
        return ioctl_failed(vcpu, "set", state->name, err);
    return 0;
}

static int get_tsc_khz(struct vmm_vcpu *vcpu, const struct vcpu_state *state,
                       void *buffer, size_t *size, struct vmm_error *err)
{
    int r = vmm_state_room(state->name, size, sizeof(uint32_t), err);

    if (r < 0)
        return r;
    r = ioctl(vcpu->fd, KVM_GET_TSC_KHZ);
    if (r < 0)
        return ioctl_failed(vcpu, "get", state->name, err);
    memcpy(buffer, &(uint32_t){(uint32_t)r}, sizeof(uint32_t));
    return 0;
}

static int set_tsc_khz(struct vmm_vcpu *vcpu, const struct vcpu_state *state,
                       const void *buffer, size_t size, struct vmm_error *err)
{
    uint32_t khz;
    int r = vmm_state_size(state->name, size, sizeof(khz), err);

    if (r < 0)
        return r;
    memcpy(&khz, buffer, sizeof(khz));
    if (ioctl(vcpu->fd, KVM_SET_TSC_KHZ, (unsigned long)khz) < 0)
        return vmm_error_errno(
            err, "vCPU %" PRIu32 ": KVM can't set tsc_khz to %" PRIu32,
            vcpu->id, khz);
    return 0;
}

static int tsc_offset(const struct vmm_vcpu *vcpu, unsigned long request,
                      uint64_t *offset, struct vmm_error *err)
{
    struct kvm_device_attr attribute = {
        .group = KVM_VCPU_TSC_CTRL,
        .attr = KVM_VCPU_TSC_OFFSET,
        .addr = (uintptr_t)offset,
    };

    if (ioctl(vcpu->fd, request, &attribute) == 0)
        return 0;
    return vmm_error_set(err, ENOTSUP,
                         "state \"tsc_offset\": this KVM has none (Linux 5.16 "
                         "and later do)");
}

/* What is added to the host's TSC, scaled, to give the guest's. */
static int get_tsc_offset(struct vmm_vcpu *vcpu, const struct vcpu_state *state,
                          void *buffer, size_t *size, struct vmm_error *err)
{
    uint64_t offset = 0;
    int r = vmm_state_room(state->name, size, sizeof(offset), err);

    if (r == 0)
        r = tsc_offset(vcpu, KVM_GET_DEVICE_ATTR, &offset, err);
    if (r == 0)
        memcpy(buffer, &offset, sizeof(offset));
    return r;
}

/*
 * Where guests read the host's TSC itself, KVM takes any offset and keeps its
 * own.  Where the host's TSC is unstable, KVM makes others of it at all times,
 * so that another one than was set is no failure.
 */
static int set_tsc_offset(struct vmm_vcpu *vcpu, const struct vcpu_state *state,
                          const void *buffer, size_t size,
                          struct vmm_error *err)
{
    uint64_t offset, before = 0, after = 0;
    int r = vmm_state_size(state->name, size, sizeof(offset), err);

    if (r < 0)
        return r;
    memcpy(&offset, buffer, sizeof(offset));
    r = tsc_offset(vcpu, KVM_GET_DEVICE_ATTR, &before, err);
    if (r == 0)
        r = tsc_offset(vcpu, KVM_SET_DEVICE_ATTR, &offset, err);
    if (r == 0)
        r = tsc_offset(vcpu, KVM_GET_DEVICE_ATTR, &after, err);
    if (r == 0 && after == before && after != offset)
        r = vmm_error_set(err, ENOTSUP,
                          "state \"tsc_offset\": the guest's TSC is the "
                          "host's on this KVM, and can't be moved");
    return r;
}

static size_t cpuid_bytes(uint32_t entries)
{
    return sizeof(struct kvm_cpuid2) +
           entries * sizeof(struct kvm_cpuid_entry2);
}

/* Kernels before 6.4 leave nent at the room given: what is zero behind the
 * vCPU's entries is not theirs. */
static uint32_t count_entries(const struct kvm_cpuid2 *cpuid)
{
    static const struct kvm_cpuid_entry2 none;
    uint32_t count = cpuid->nent;

    while (count &&
           memcmp(&cpuid->entries[count - 1], &none, sizeof(none)) == 0)
        count--;
    return count;
}

static int get_cpuid(struct vmm_vcpu *vcpu, const struct vcpu_state *state,
                     void *buffer, size_t *size, struct vmm_error *err)
{
    struct kvm_cpuid2 *cpuid = calloc(1, cpuid_bytes(VMM_CPUID_ENTRIES_MAX));
    int r;

    if (!cpuid)
        return vmm_error_set(err, ENOMEM, "out of memory");
    cpuid->nent = VMM_CPUID_ENTRIES_MAX;
    if (ioctl(vcpu->fd, KVM_GET_CPUID2, cpuid) < 0) {
        r = ioctl_failed(vcpu, "get", state->name, err);
    } else {
        cpuid->nent = count_entries(cpuid);
        r = vmm_state_room(state->name, size, cpuid_bytes(cpuid->nent), err);
        if (r == 0)
            memcpy(buffer, cpuid, *size);
    }
    free(cpuid);
    return r;
}

static int set_cpuid(struct vmm_vcpu *vcpu, const struct vcpu_state *state,
                     const void *buffer, size_t size, struct vmm_error *err)
{
    uint32_t entries;

    if (size < sizeof(struct kvm_cpuid2))
        return vmm_error_set(err, EINVAL,
                             "state \"cpuid\" is %zu bytes or more, given %zu",
                             sizeof(struct kvm_cpuid2), size);
    memcpy(&entries, buffer, sizeof(entries));
    if (entries > VMM_CPUID_ENTRIES_MAX)
        return vmm_error_set(err, E2BIG, "%" PRIu32 " cpuid entries: up to %d",
                             entries, VMM_CPUID_ENTRIES_MAX);

    int r = vmm_state_size(state->name, size, cpuid_bytes(entries), err);
    if (r < 0)
        return r;
    if (ioctl(vcpu->fd, KVM_SET_CPUID2, buffer) < 0)
        return ioctl_failed(vcpu, "set", state->name, err);
    return 0;
}

/* What the guest's own hypervisor has: KVM_CAP_NESTED_STATE tells its room,
 * the structure's size field what is used of it. */
static int get_nested(struct vmm_vcpu *vcpu, const struct vcpu_state *state,
                      void *buffer, size_t *size, struct vmm_error *err)
{
    struct kvm_nested_state head = {.size = sizeof(head)};
    int room = ioctl(vcpu->vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_NESTED_STATE);

    if (room < (int)sizeof(head))
        return vmm_error_set(err, ENOTSUP,
                             "state \"nested\": this KVM nests no guests");
    int r = vmm_state_room(state->name, size, (size_t)room, err);
    if (r < 0)
        return r;
    head.size = (uint32_t)room;
    memcpy(buffer, &head, sizeof(head));
    if (ioctl(vcpu->fd, KVM_GET_NESTED_STATE, buffer) < 0)
        return ioctl_failed(vcpu, "get", state->name, err);
    memcpy(&head, buffer, sizeof(head));
    *size = head.size;
    return 0;
}

static int set_nested(struct vmm_vcpu *vcpu, const struct vcpu_state *state,
                      const void *buffer, size_t size, struct vmm_error *err)
{
    struct kvm_nested_state head;

    if (size < sizeof(head))
        return vmm_error_set(err, EINVAL,
                             "state \"nested\" is %zu bytes or more, given %zu",
                             sizeof(head), size);
    memcpy(&head, buffer, sizeof(head));
    int r = vmm_state_size(state->name, size, head.size, err);
    if (r < 0)
        return r;
    if (ioctl(vcpu->fd, KVM_SET_NESTED_STATE, buffer) < 0)
        return ioctl_failed(vcpu, "set", state->name, err);
    return 0;
}

#define FIXED(name, ioctl_name, type)                                          \
    {                                                                          \
        name, get_fixed, set_fixed, KVM_GET_##ioctl_name,                      \
            KVM_SET_##ioctl_name, sizeof(type)                                 \
    }

static const struct vcpu_state states[] = {
    FIXED("regs", REGS, struct kvm_regs),
    FIXED("sregs", SREGS, struct kvm_sregs),
    FIXED("sregs2", SREGS2, struct kvm_sregs2),
    FIXED("fpu", FPU, struct kvm_fpu),
    {"xsave", get_xsave, set_xsave, 0, 0, 0},
    FIXED("xcrs", XCRS, struct kvm_xcrs),
    FIXED("lapic", LAPIC, struct kvm_lapic_state),
    FIXED("debugregs", DEBUGREGS, struct kvm_debugregs),
    FIXED("mp_state", MP_STATE, struct kvm_mp_state),
    FIXED("vcpu_events", VCPU_EVENTS, struct kvm_vcpu_events),
    {"tsc_khz", get_tsc_khz, set_tsc_khz, 0, 0, 0},
    {"tsc_offset", get_tsc_offset, set_tsc_offset, 0, 0, 0},
    {"cpuid", get_cpuid, set_cpuid, 0, 0, 0},
    {"nested", get_nested, set_nested, 0, 0, 0},
};

static const struct vcpu_state *find(const char *name, struct vmm_error *err)
{
    for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++)
        if (strcmp(states[i].name, name) == 0)
            return &states[i];
    vmm_error_set(
        err, ENOENT,
        "no vCPU state \"%s\": one of regs, sregs, sregs2, fpu, xsave, "
        "xcrs, lapic, debugregs, mp_state, vcpu_events, tsc_khz, "
        "tsc_offset, cpuid, nested",
        name);
    return NULL;
}

int vmm_vcpu_get_state(struct vmm_vcpu *vcpu, const char *name, void *buffer,
                       size_t *size, struct vmm_error *err)
{
    vmm_error_clear(err);

    const struct vcpu_state *state = find(name, err);
    if (!state)
        return -ENOENT;
    int r = vmm_vcpu_hold(vcpu, "get its state", err);
    if (r < 0)
        return r;
    r = state->get(vcpu, state, buffer, size, err);
    vmm_vcpu_release(vcpu);
    return r;
}

int vmm_vcpu_set_state(struct vmm_vcpu *vcpu, const char *name,
                       const void *buffer, size_t size, struct vmm_error *err)
{
    vmm_error_clear(err);

    const struct vcpu_state *state = find(name, err);
    if (!state)
        return -ENOENT;
    int r = vmm_vcpu_hold(vcpu, "set its state", err);
    if (r < 0)
        return r;
    r = state->set(vcpu, state, buffer, size, err);
    vmm_vcpu_release(vcpu);
    return r;
}

int vmm_vcpu_get_regs(struct vmm_vcpu *vcpu, struct kvm_regs *regs,
                      struct vmm_error *err)
{
    size_t size = sizeof(*regs);

    return vmm_vcpu_get_state(vcpu, "regs", regs, &size, err);
}

int vmm_vcpu_set_regs(struct vmm_vcpu *vcpu, const struct kvm_regs *regs,
                      struct vmm_error *err)
{
    return vmm_vcpu_set_state(vcpu, "regs", regs, sizeof(*regs), err);
}

int vmm_vcpu_get_sregs(struct vmm_vcpu *vcpu, struct kvm_sregs *sregs,
                       struct vmm_error *err)
{
    size_t size = sizeof(*sregs);

    return vmm_vcpu_get_state(vcpu, "sregs", sregs, &size, err);
}

int vmm_vcpu_set_sregs(struct vmm_vcpu *vcpu, const struct kvm_sregs *sregs,
                       struct vmm_error *err)
{
    return vmm_vcpu_set_state(vcpu, "sregs", sregs, sizeof(*sregs), err);
}

int vmm_vcpu_set_cpuid(struct vmm_vcpu *vcpu, const struct kvm_cpuid2 *cpuid,
                       struct vmm_error *err)
{
    return vmm_vcpu_set_state(vcpu, "cpuid", cpuid, cpuid_bytes(cpuid->nent),
                              err);
}
