/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A vCPU's MSRs by list; an error names the one that KVM refused. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm/internal.h"

/* KVM takes up to 256 a call (MAX_IO_MSRS); fewer fit on the stack. */
#define MSRS_A_CALL 128

struct msr_list {
    struct kvm_msrs header;
    struct kvm_msr_entry entries[MSRS_A_CALL];
};

_Static_assert(offsetof(struct msr_list, entries) == sizeof(struct kvm_msrs),
               "the entries must follow the header");

/* Returns the number moved, up to count, or -errno. */
static int get_some(struct vmm_vcpu *vcpu, struct kvm_msr_entry *entries,
                    size_t count)
{
    struct msr_list list = {.header.nmsrs = (uint32_t)count};

    memcpy(list.entries, entries, count * sizeof(*entries));
    int r = ioctl(vcpu->fd, KVM_GET_MSRS, &list);
    if (r > 0)
        memcpy(entries, list.entries, (size_t)r * sizeof(*entries));
    return r < 0 ? -errno : r;
}

static int set_some(struct vmm_vcpu *vcpu, const struct kvm_msr_entry *entries,
                    size_t count)
{
    struct msr_list list = {.header.nmsrs = (uint32_t)count};

    memcpy(list.entries, entries, count * sizeof(*entries));
    int r = ioctl(vcpu->fd, KVM_SET_MSRS, &list);
    return r < 0 ? -errno : r;
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

int vmm_vcpu_get_msrs(struct vmm_vcpu *vcpu, struct kvm_msr_entry *entries,
                      size_t count, struct vmm_error *err)
{
    vmm_error_clear(err);

    int r = vmm_vcpu_hold(vcpu, "get MSRs", err);
    if (r < 0)
        return r;
    for (size_t done = 0; done < count && r >= 0; done += (size_t)r) {
        size_t some = min_size(count - done, MSRS_A_CALL);

        r = get_some(vcpu, entries + done, some);
        if (r < 0)
            vmm_error_set(err, -r, "vCPU %" PRIu32 ": KVM_GET_MSRS: %s",
                          vcpu->id, strerror(-r));
        else if ((size_t)r < some)
            r = vmm_error_set(err, EINVAL,
                              "vCPU %" PRIu32
                              ": KVM refuses to read MSR 0x%" PRIx32,
                              vcpu->id, entries[done + (size_t)r].index);
    }
    vmm_vcpu_release(vcpu);
    return r < 0 ? r : 0;
}

int vmm_vcpu_set_msrs(struct vmm_vcpu *vcpu,
                      const struct kvm_msr_entry *entries, size_t count,
                      struct vmm_error *err)
{
    vmm_error_clear(err);

    int r = vmm_vcpu_hold(vcpu, "set MSRs", err);
    if (r < 0)
        return r;
    for (size_t done = 0; done < count && r >= 0; done += (size_t)r) {
        size_t some = min_size(count - done, MSRS_A_CALL);

        r = set_some(vcpu, entries + done, some);
        if (r < 0) {
            vmm_error_set(err, -r, "vCPU %" PRIu32 ": KVM_SET_MSRS: %s",
                          vcpu->id, strerror(-r));
        } else if ((size_t)r < some) {
            const struct kvm_msr_entry *refused = &entries[done + (size_t)r];

            r = vmm_error_set(err, EINVAL,
                              "vCPU %" PRIu32 ": KVM refuses 0x%" PRIx64
                              " for MSR 0x%" PRIx32,
                              vcpu->id, (uint64_t)refused->data,
                              refused->index);
        }
    }
    vmm_vcpu_release(vcpu);
    return r < 0 ? r : 0;
}
