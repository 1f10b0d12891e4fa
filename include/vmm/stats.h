/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* KVM's own statistics of a VM or a vCPU, which describe themselves. */
#ifndef VMM_STATS_H
#define VMM_STATS_H

#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/export.h>

enum vmm_stat_kind {
    VMM_STAT_CUMULATIVE, /* only grows */
    VMM_STAT_INSTANT,
    VMM_STAT_PEAK,
    VMM_STAT_LINEAR_HISTOGRAM, /* buckets of equal size; the last: the rest */
    VMM_STAT_LOG_HISTOGRAM,    /* bucket n: from 2^(n-1), the first: 0 */
};
enum vmm_stat_unit {
    VMM_STAT_NO_UNIT,
    VMM_STAT_BYTES,
    VMM_STAT_SECONDS,
    VMM_STAT_CYCLES,
    VMM_STAT_BOOLEAN,
};

/* One of them: values in units of base^exponent (nanoseconds: 10^-9). */
struct vmm_stat {
    const char *name;
    enum vmm_stat_kind kind;
    enum vmm_stat_unit unit;
    int base; /* 2 or 10 */
    int exponent;
    uint32_t bucket_size; /* of a linear histogram */
    const uint64_t *values;
    size_t count; /* 1, but for histograms */
};

/* KVM_GET_STATS_FD of a VM's or vCPU's fd: an fd, which is the caller's and
 * keeps the VM alive in KVM, or -errno.  A vCPU that is in the guest makes it
 * wait. */
VMM_API int vmm_stats_open(int kvm_object_fd);

/*
 * Call fn for each statistic; what it is given is valid during the call.
 * -EPROTO: the fd's description of itself contradicts itself, or is larger than
 * any kernel's.  -ENOMEM, or what reading gives.
 */
VMM_API int vmm_stats_each(int stats_fd,
                           void (*fn)(void *context,
                                      const struct vmm_stat *stat),
                           void *context);

#endif
