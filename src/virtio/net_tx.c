/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The guest's frames, from its queue to the backend. */
#include <errno.h>

#include "virtio/net.h"

#define HEADER_BYTES sizeof(struct virtio_net_hdr_v1)
/* A header, and a chain whose buffers may lie across regions. */
#define PIECES_MAX (1 + 2 * NET_QUEUE_SIZE)

/* ---- the header -----------------------------------------------------------
 */

static bool checksum_is_fine(const struct net *net,
                             const struct virtio_net_hdr_v1 *header,
                             uint64_t len)
{
    if (!(header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
        return true;
    return vmm_virtio_has(&net->virtio, VIRTIO_NET_F_CSUM) &&
           (uint64_t)header->csum_start + header->csum_offset + 2 <= len;
}

static bool segments_are_fine(const struct net *net,
                              const struct virtio_net_hdr_v1 *header,
                              uint64_t len)
{
    unsigned kind = header->gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
    unsigned feature = VIRTIO_NET_F_HOST_TSO4;

    if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE)
        return true;
    if (kind == VIRTIO_NET_HDR_GSO_TCPV6)
        feature = VIRTIO_NET_F_HOST_TSO6;
    else if (kind != VIRTIO_NET_HDR_GSO_TCPV4)
        return false;
    if (kind != header->gso_type &&
        !vmm_virtio_has(&net->virtio, VIRTIO_NET_F_HOST_ECN))
        return false;
    return vmm_virtio_has(&net->virtio, feature) && header->gso_size > 0 &&
           header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM &&
           header->hdr_len <= len;
}

bool net_header_is_fine(const struct net *net,
                        const struct virtio_net_hdr_v1 *header, uint64_t len)
{
    return !(header->flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM) &&
           checksum_is_fine(net, header, len) &&
           segments_are_fine(net, header, len);
}

/* ---- frames ---------------------------------------------------------------
 */

/* Read and check a frame: the number of pieces, the first of which is the
 * header's copy, or less than 2: it is dropped. */
static int frame_of(const struct net *net, const struct vmm_chain *chain,
                    struct virtio_net_hdr_v1 *header, struct iovec *pieces)
{
    if (vmm_chain_read(chain, 0, header, HEADER_BYTES))
        return 0;
    uint64_t len = chain->readable_bytes - HEADER_BYTES;
    if (len < VMM_NET_FRAME_MIN || len > VMM_NET_FRAME_MAX ||
        !net_header_is_fine(net, header, len))
        return 0;
    header->num_buffers = 0;
    pieces[0] = (struct iovec){header, HEADER_BYTES};
    return 1 + vmm_chain_readable_iovec(chain, HEADER_BYTES, len, pieces + 1,
                                        PIECES_MAX - 1);
}

/* 0: it is done with, or dropped; -EAGAIN: it has to wait. */
static int send_frame(struct net_pair *pair, const struct vmm_chain *chain)
{
    struct net *net = pair->net;
    struct vmm_net *backend = pair->backend;
    struct virtio_net_hdr_v1 header;
    struct iovec pieces[PIECES_MAX];
    int count = frame_of(net, chain, &header, pieces);

    if (count < 2 || !net_link_is_up(net)) {
        net->stats.tx_dropped++;
        return 0;
    }
    int skip = backend->header ? 0 : 1;
    if (backend->ops->send(backend, pieces + skip, count - skip))
        return -EAGAIN;
    uint64_t bytes = chain->readable_bytes - HEADER_BYTES;
    net->stats.tx_frames++;
    net->stats.tx_bytes += bytes;
    limit_take(&net->tx.limit, bytes);
    if (net->capture)
        vmm_pcap_add(net->capture, pieces + 1, count - 1);
    return 0;
}

/* The next chain to send: that which waits, or a new one; NULL: none. */
static struct vmm_chain *next(struct net_pair *pair, struct vmm_virtq *ring)
{
    struct vmm_chain *chain = pair->stalled;

    pair->stalled = NULL;
    if (!chain && vmm_virtq_pop(ring, &chain) <= 0)
        return NULL;
    return chain;
}

bool net_transmit(struct net_pair *pair)
{
    struct net *net = pair->net;
    unsigned queue = net_queue(pair, NET_TX);
    struct vmm_virtq *ring = vmm_virtio_queue(&net->virtio, queue);
    struct vmm_chain *chain;
    bool more = false, waits = false;

    vmm_virtq_suppress(ring);
    for (unsigned sent = 0; !more; sent++) {
        waits = net_has_to_wait(&net->tx);
        chain = waits ? NULL : next(pair, ring);
        if (!chain)
            break;
        if (send_frame(pair, chain)) {
            pair->stalled = chain;
            break;
        }
        vmm_virtq_push(chain, 0);
        more = sent >= NET_BUDGET;
    }
    if (pair->backend->ops->flush)
        pair->backend->ops->flush(pair->backend);
    vmm_virtio_signal(&net->virtio, queue);
    /* Who waits for room, or for time, needs no notification. */
    return more || (!pair->stalled && !waits && vmm_virtq_arm(ring));
}

void net_transmit_stop(struct net_pair *pair)
{
    if (pair->stalled)
        vmm_virtq_push(pair->stalled, 0);
    pair->stalled = NULL;
}
