/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The inside of the balloon, shared by its files. */
#ifndef VIRTIO_BALLOON_H
#define VIRTIO_BALLOON_H

#include <vmm/virtio_balloon.h>

struct balloon {
    struct vmm_virtio virtio;
    struct vmm_virtio_balloon_config config;
    uint8_t pages[4], actual[4]; /* of the configuration space */

    /* An inflation under way: the first `done` bytes of its list are. */
    struct vmm_chain *inflating;
    uint64_t done;
    /* The statistics queue's one buffer, which waits to be asked for. */
    struct vmm_chain *stats_buffer;
    struct vmm_virtio_balloon_stats stats;
};

static inline struct balloon *balloon_of(struct vmm_virtio *virtio)
{
    return (struct balloon *)virtio;
}

/* Queues have numbers only as far as their features are negotiated, so that the
 * later ones move up: what drivers have always done. */
enum balloon_queue { INFLATE, DEFLATE, STATS, REPORTING, NONE };

/* balloon_pages.c; each returns whether there may be more to do. */
bool balloon_inflate(struct balloon *balloon, unsigned queue);
bool balloon_deflate(struct balloon *balloon, unsigned queue);
bool balloon_take_reports(struct balloon *balloon, unsigned queue);

/* balloon_stats.c */
bool balloon_take_stats(struct balloon *balloon, unsigned queue);

void balloon_changed(struct balloon *balloon);

#endif
