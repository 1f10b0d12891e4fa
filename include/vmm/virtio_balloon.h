/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The memory balloon: the guest gives memory back to the host. */
#ifndef VMM_VIRTIO_BALLOON_H
#define VMM_VIRTIO_BALLOON_H

#include <stdbool.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/export.h>
#include <vmm/loop.h>
#include <vmm/memory.h>
#include <vmm/virtio.h>

struct vmm_virtio_balloon_config {
    struct vmm_memory *memory; /* without huge pages */
    struct vmm_loop *loop;
    uint32_t pages;      /* how large it is to be at first */
    bool deflate_on_oom; /* the guest may take from it before it kills */
    bool reporting;      /* free memory that is not in it is given back, too */
    /* Its size has changed / statistics have come.  Any thread, with the
     * device's lock held.  May be NULL. */
    void (*changed)(void *context);
    /* The device is closed; changed is called no more.  Without the lock.  May
     * be NULL. */
    void (*closed)(void *context);
    void *context;
};

/*
 * Section 5.5.  Pages are of 4 KiB.  What the guest puts into the balloon, or
 * reports as free, leaves the host's memory at once, and reads as zeros when
 * the guest uses it again.  -ENOTSUP with huge pages.
 */
VMM_API int
vmm_virtio_balloon_new(const struct vmm_virtio_balloon_config *config,
                       struct vmm_virtio **virtio, struct vmm_error *err);
/* How many pages are to be in the balloon: the guest works towards it. */
VMM_API void vmm_virtio_balloon_set(struct vmm_virtio *virtio, uint32_t pages);
/* How many pages are in it, as the guest says. */
VMM_API uint32_t vmm_virtio_balloon_actual(struct vmm_virtio *virtio);

/* What a guest tells of its memory: a value for each VIRTIO_BALLOON_S_* that it
 * has given, bytes where it is an amount. */
#define VMM_VIRTIO_BALLOON_STATS 10
struct vmm_virtio_balloon_stats {
    uint64_t values[VMM_VIRTIO_BALLOON_STATS];
    uint32_t given; /* bit n: values[n] */
    uint64_t count; /* how often it has told */
};
/* Ask the guest for new ones: changed follows.  -EAGAIN when it is not ready to
 * be asked: it has no driver, or it has been asked already. */
VMM_API int vmm_virtio_balloon_ask(struct vmm_virtio *virtio);
/* The last ones. */
VMM_API void vmm_virtio_balloon_stats(struct vmm_virtio *virtio,
                                      struct vmm_virtio_balloon_stats *stats);

#endif
