/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A vCPU's MSRs by list, an error naming the one that KVM refused. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kvm/internal.h"

/* KVM takes fewer than MAX_IO_MSRS (256) in one call. */
#define MSRS_A_CALL 255

/*
 * Move count entries: from `in` to KVM when out is NULL, else from KVM to out
 * for the indices of `in`.  *done: how many KVM took before it refused one.
 */
static int transfer(struct vmm_vcpu *vcpu, const struct kvm_msr_entry *in,
                    struct kvm_msr_entry *out, size_t count, size_t *done,
                    struct vmm_error *err)
{
    size_t most = count < MSRS_A_CALL ? count : MSRS_A_CALL;
    size_t some = 0;
    int r = 0;

    *done = 0;
    struct kvm_msrs *list = calloc(1, sizeof(*list) + most * sizeof(*in));
    if (!list)
        return vmm_error_set(err, ENOMEM, "out of memory");
    while (*done < count && r == (int)some) {
        some = count - *done < most ? count - *done : most;
        list->nmsrs = (uint32_t)some;
        memcpy(list->entries, in + *done, some * sizeof(*in));
        r = ioctl(vcpu->fd, out ? KVM_GET_MSRS : KVM_SET_MSRS, list);
        if (r < 0)
            break;
        if (out)
            memcpy(out + *done, list->entries, (size_t)r * sizeof(*in));
        *done += (size_t)r;
    }
    if (r < 0)
        r = vmm_error_errno(err, "vCPU %" PRIu32 ": KVM_%s_MSRS", vcpu->id,
                            out ? "GET" : "SET");
    free(list);
    return r < 0 ? r : 0;
}

int vmm_vcpu_get_msrs(struct vmm_vcpu *vcpu, struct kvm_msr_entry *entries,
                      size_t count, struct vmm_error *err)
{
    size_t done;

    vmm_error_clear(err);
    int r = vmm_vcpu_hold(vcpu, "get MSRs", err);
    if (r < 0)
        return r;
    r = transfer(vcpu, entries, entries, count, &done, err);
    vmm_vcpu_release(vcpu);
    if (r < 0 || done == count)
        return r;
    return vmm_error_set(err, EINVAL,
                         "vCPU %" PRIu32 ": KVM refuses to read MSR 0x%" PRIx32,
                         vcpu->id, entries[done].index);
}

int vmm_vcpu_set_msrs(struct vmm_vcpu *vcpu,
                      const struct kvm_msr_entry *entries, size_t count,
                      struct vmm_error *err)
{
    size_t done;

    vmm_error_clear(err);
    int r = vmm_vcpu_hold(vcpu, "set MSRs", err);
    if (r < 0)
        return r;
    r = transfer(vcpu, entries, NULL, count, &done, err);
    vmm_vcpu_release(vcpu);
    if (r < 0 || done == count)
        return r;
    return vmm_error_set(
        err, EINVAL,
        "vCPU %" PRIu32 ": KVM refuses 0x%" PRIx64 " for MSR 0x%" PRIx32,
        vcpu->id, (uint64_t)entries[done].data, entries[done].index);
}
