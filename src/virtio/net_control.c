/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The control queue of a network device: virtio 1.2, section 5.1.6.5. */
#include "base/endian.h"
#include "virtio/net.h"

#define NO_QUEUE UINT32_MAX

unsigned net_control_queue(const struct net *net)
{
    if (!vmm_virtio_has(&net->virtio, VIRTIO_NET_F_CTRL_VQ))
        return NO_QUEUE;
    /* Section 5.1.2: after the queues that the driver knows of. */
    return vmm_virtio_has(&net->virtio, VIRTIO_NET_F_MQ) ? 2 * net->pair_count
                                                         : 2;
}

/* VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET (section 5.1.6.5.5). */
static uint8_t set_pairs(struct net *net, const struct vmm_chain *chain)
{
    uint8_t bytes[2];

    if (!vmm_virtio_has(&net->virtio, VIRTIO_NET_F_MQ) ||
        vmm_chain_read(chain, sizeof(struct virtio_net_ctrl_hdr), bytes,
                       sizeof(bytes)))
        return VIRTIO_NET_ERR;
    unsigned count = load_le16(bytes);
    if (count < 1 || count > net->pair_count)
        return VIRTIO_NET_ERR;
    unsigned before = net->active;
    if (net_use_pairs(net, count) == 0)
        return VIRTIO_NET_OK;
    net_use_pairs(net, before);
    return VIRTIO_NET_ERR;
}

static uint8_t carry_out(struct net *net, const struct vmm_chain *chain)
{
    struct virtio_net_ctrl_hdr header;

    if (vmm_chain_read(chain, 0, &header, sizeof(header)))
        return VIRTIO_NET_ERR;
    if (header.class == VIRTIO_NET_CTRL_MQ &&
        header.cmd == VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET)
        return set_pairs(net, chain);
    return VIRTIO_NET_ERR;
}

/* One command a turn: queues that come and go may take the kernel a while, and
 * others wait for the device meanwhile. */
bool net_control(struct net *net, unsigned queue)
{
    struct vmm_virtq *ring = vmm_virtio_queue(&net->virtio, queue);
    struct vmm_chain *chain;

    vmm_virtq_suppress(ring);
    if (vmm_virtq_pop(ring, &chain) <= 0)
        return vmm_virtq_arm(ring);
    /* Who leaves no room for an answer gets none. */
    uint8_t answer =
        chain->writable_bytes ? carry_out(net, chain) : VIRTIO_NET_ERR;
    bool said = vmm_chain_write(chain, 0, &answer, 1) == 0;
    vmm_virtq_push(chain, said);
    vmm_virtio_signal(&net->virtio, queue);
    return true;
}
