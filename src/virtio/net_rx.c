/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Frames for the guest, from the backend into its buffers. */
#include <string.h>

#include "base/arith.h"
#include "virtio/net.h"
#include "virtio/virtq_internal.h"

#define HEADER_BYTES sizeof(struct virtio_net_hdr_v1)

static bool merges(const struct net *net)
{
    return vmm_virtio_has(&net->virtio, VIRTIO_NET_F_MRG_RXBUF);
}

/* ---- buffers --------------------------------------------------------------
 */

/* Give the first count buffers back, with what was written to each. */
static void give_back(struct net_pair *pair, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        pair->buffer_bytes -= pair->buffers[i]->writable_bytes;
    vmm_virtq_push_all(pair->buffers, pair->written, count);
    pair->buffer_count -= count;
    memmove(pair->buffers, pair->buffers + count,
            pair->buffer_count * sizeof(pair->buffers[0]));
}

static void give_back_unused(struct net_pair *pair, unsigned count)
{
    memset(pair->written, 0, count * sizeof(pair->written[0]));
    give_back(pair, count);
}

enum outcome { ENOUGH, TOO_FEW, TOO_SMALL };

/* Have buffers for a header and frame of len bytes in all. */
static enum outcome gather(struct net_pair *pair, struct vmm_virtq *ring,
                           uint64_t len)
{
    unsigned most = merges(pair->net) ? NET_QUEUE_SIZE : 1;
    struct vmm_chain *chain;

    while (pair->buffer_bytes < len) {
        if (pair->buffer_count == most)
            return TOO_SMALL;
        /* A ring that is here as a whole can bring no more. */
        if (vmm_virtq_pop(ring, &chain) <= 0)
            return pair->buffer_count == ring->size ? TOO_SMALL : TOO_FEW;
        pair->buffers[pair->buffer_count++] = chain;
        pair->buffer_bytes += chain->writable_bytes;
    }
    return ENOUGH;
}

/* ---- frames ---------------------------------------------------------------
 */

/* Write len bytes on through the buffers, from offset on; false: no RAM. */
static bool scatter(struct net_pair *pair, uint64_t offset,
                    const uint8_t *bytes, size_t len)
{
    unsigned i = 0;

    for (; offset >= pair->buffers[i]->writable_bytes && len; i++)
        offset -= pair->buffers[i]->writable_bytes;
    for (; len; i++) {
        size_t part =
            (size_t)min_u64(len, pair->buffers[i]->writable_bytes - offset);

        if (vmm_chain_write(pair->buffers[i], offset, bytes, part))
            return false;
        bytes += part;
        len -= part;
        offset = 0;
    }
    return true;
}

/* How many buffers the first len bytes take, and how much of each. */
static unsigned measure(struct net_pair *pair, uint64_t len)
{
    unsigned count = 0;

    for (; len; count++) {
        uint64_t part = min_u64(len, pair->buffers[count]->writable_bytes);

        pair->written[count] = (uint32_t)part;
        len -= part;
    }
    return count;
}

static bool deliver(struct net_pair *pair, struct virtio_net_hdr_v1 *header,
                    const uint8_t *frame, size_t len)
{
    unsigned count = measure(pair, HEADER_BYTES + len);

    /* Section 5.1.6.4.1: also without VIRTIO_NET_F_MRG_RXBUF. */
    header->num_buffers = (uint16_t)count;
    if (!scatter(pair, 0, (const uint8_t *)header, HEADER_BYTES) ||
        !scatter(pair, HEADER_BYTES, frame, len)) {
        give_back_unused(pair, count);
        return false;
    }
    give_back(pair, count);
    return true;
}

static void capture(struct net *net, const uint8_t *frame, size_t len)
{
    const struct iovec piece = {(void *)(uintptr_t)frame, len};

    if (net->capture)
        vmm_pcap_add(net->capture, &piece, 1);
}

/* One frame of the backend's; false: buffers are lacking, it stays there. */
static bool receive_frame(struct net_pair *pair, struct vmm_virtq *ring,
                          const uint8_t *frame, size_t len)
{
    struct net *net = pair->net;
    struct virtio_net_hdr_v1 header = {0};

    if (pair->backend->header) {
        memcpy(&header, frame, HEADER_BYTES);
        frame += HEADER_BYTES;
        len -= HEADER_BYTES;
    }
    if (!net_link_is_up(net)) {
        net->stats.rx_dropped++;
        return true;
    }
    enum outcome outcome = gather(pair, ring, HEADER_BYTES + len);
    if (outcome == TOO_FEW)
        return false;
    if (outcome == TOO_SMALL || !deliver(pair, &header, frame, len)) {
        net->stats.rx_dropped++;
        return true;
    }
    net->stats.rx_frames++;
    net->stats.rx_bytes += len;
    limit_take(&net->rx.limit, len);
    capture(net, frame, len);
    return true;
}

bool net_receive(struct net_pair *pair)
{
    struct net *net = pair->net;
    unsigned queue = net_queue(pair, NET_RX);
    struct vmm_virtq *ring = vmm_virtio_queue(&net->virtio, queue);
    struct vmm_net *backend = pair->backend;
    const uint8_t *frame;
    bool more = true, starved = false;
    size_t len;

    vmm_virtq_suppress(ring);
    for (unsigned i = 0; i < NET_BUDGET; i++) {
        len = backend->ops->peek(backend, &frame);
        if (!len || net_has_to_wait(&net->rx)) {
            more = false;
            break;
        }
        if (!receive_frame(pair, ring, frame, len)) {
            more = false;
            starved = true;
            break;
        }
        backend->ops->take(backend);
    }
    vmm_virtio_signal(&net->virtio, queue);
    /* Only a frame that lacks buffers waits for the driver's notification. */
    return more || (starved && vmm_virtq_arm(ring));
}

void net_receive_stop(struct net_pair *pair)
{
    give_back_unused(pair, pair->buffer_count);
}
