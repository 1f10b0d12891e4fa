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
static int send_frame(struct net *net, const struct vmm_chain *chain)
{
    struct virtio_net_hdr_v1 header;
    struct iovec pieces[PIECES_MAX];
    int count = frame_of(net, chain, &header, pieces);

    if (count < 2 || !net_link_is_up(net)) {
        net->stats.tx_dropped++;
        return 0;
    }
    int skip = net->backend->header ? 0 : 1;
    if (net->backend->ops->send(net->backend, pieces + skip, count - skip))
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
static struct vmm_chain *next(struct net *net, struct vmm_virtq *ring)
{
    struct vmm_chain *chain = net->stalled;

    net->stalled = NULL;
    if (!chain && vmm_virtq_pop(ring, &chain) <= 0)
        return NULL;
    return chain;
}

bool net_transmit(struct net *net)
{
    struct vmm_virtq *ring = vmm_virtio_queue(&net->virtio, NET_TX);
    struct vmm_chain *chain;
    bool more = false, waits = false;

    vmm_virtq_suppress(ring);
    for (unsigned sent = 0; !more; sent++) {
        waits = net_has_to_wait(&net->tx);
        chain = waits ? NULL : next(net, ring);
        if (!chain)
            break;
        if (send_frame(net, chain)) {
            net->stalled = chain;
            break;
        }
        vmm_virtq_push(chain, 0);
        more = sent >= NET_BUDGET;
    }
    if (net->backend->ops->flush)
        net->backend->ops->flush(net->backend);
    vmm_virtio_signal(&net->virtio, NET_TX);
    /* Who waits for room, or for time, needs no notification. */
    return more || (!net->stalled && !waits && vmm_virtq_arm(ring));
}

void net_transmit_stop(struct net *net)
{
    if (net->stalled)
        vmm_virtq_push(net->stalled, 0);
    net->stalled = NULL;
}
