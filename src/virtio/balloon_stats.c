/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The balloon's statistics: virtio 1.2, section 5.5.6.3. */
#include <errno.h>
#include <linux/virtio_balloon.h>

#include "base/arith.h"
#include "base/endian.h"
#include "virtio/balloon.h"

#define ENTRY_BYTES sizeof(struct virtio_balloon_stat)
/* More than there are kinds: a guest may know newer ones. */
#define ENTRIES_MAX 64
#define TURN_CHAINS 32

_Static_assert(VMM_VIRTIO_BALLOON_STATS == VIRTIO_BALLOON_S_NR, "as in Linux");

/* Whole entries of a buffer of any length. */
static void read_stats(struct balloon *balloon, const struct vmm_chain *chain)
{
    uint8_t bytes[ENTRIES_MAX * ENTRY_BYTES];
    size_t count =
        (size_t)min_u64(chain->readable_bytes / ENTRY_BYTES, ENTRIES_MAX);
    struct vmm_virtio_balloon_stats *stats = &balloon->stats;

    if (vmm_chain_read(chain, 0, bytes, count * ENTRY_BYTES))
        return;
    stats->given = 0;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *entry = bytes + i * ENTRY_BYTES;
        uint16_t tag = load_le16(entry);

        if (tag >= VMM_VIRTIO_BALLOON_STATS)
            continue;
        stats->values[tag] = load_le64(entry + 2);
        stats->given |= 1u << tag;
    }
    stats->count++;
}

/* A driver has one buffer in this queue; others go back at once. */
bool balloon_take_stats(struct balloon *balloon, unsigned queue)
{
    struct vmm_virtq *ring = vmm_virtio_queue(&balloon->virtio, queue);
    struct vmm_chain *chain;
    unsigned chains = 0;

    vmm_virtq_suppress(ring);
    for (; chains < TURN_CHAINS && vmm_virtq_pop(ring, &chain) > 0; chains++) {
        if (balloon->stats_buffer)
            vmm_virtq_push(balloon->stats_buffer, 0);
        balloon->stats_buffer = chain;
        read_stats(balloon, chain);
    }
    if (chains)
        balloon_changed(balloon);
    vmm_virtio_signal(&balloon->virtio, queue);
    return chains == TURN_CHAINS || vmm_virtq_arm(ring);
}

int vmm_virtio_balloon_ask(struct vmm_virtio *virtio)
{
    struct balloon *balloon = balloon_of(virtio);

    vmm_virtio_enter(virtio);
    bool ready = balloon->stats_buffer != NULL;
    if (ready) {
        vmm_virtq_push(balloon->stats_buffer, 0);
        balloon->stats_buffer = NULL;
        vmm_virtio_signal(virtio, STATS);
    }
    vmm_virtio_leave(virtio);
    return ready ? 0 : -EAGAIN;
}

void vmm_virtio_balloon_stats(struct vmm_virtio *virtio,
                              struct vmm_virtio_balloon_stats *stats)
{
    vmm_virtio_enter(virtio);
    *stats = balloon_of(virtio)->stats;
    vmm_virtio_leave(virtio);
}
