/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A network device's state, shared by its two directions. */
#ifndef VIRTIO_NET_H
#define VIRTIO_NET_H

#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>

#include <vmm/pcap.h>
#include <vmm/virtio_net.h>

#include "net/fault.h"
#include "virtio/device.h"
#include "virtio/limit.h"

enum { NET_RX, NET_TX };
#define NET_QUEUE_SIZE 256
/* Frames of one turn; then others have theirs. */
#define NET_BUDGET 256

/* What a direction has, beside its queue. */
struct net_way {
    struct fault_slot fault;
    struct limit limit;
    struct vmm_timer *timer; /* when the limit lets frames go on */
};

struct net {
    struct vmm_virtio virtio;
    struct vmm_net *backend; /* a wire around it, where faults are */
    struct net_way tx, rx;
    struct vmm_pcap *capture; /* or NULL */
    bool open;                /* the backend is */
    struct virtio_net_config config;
    struct vmm_virtio_net_stats stats;

    /* Buffers of the guest's that wait for a frame as large as they are. */
    struct vmm_chain *buffers[NET_QUEUE_SIZE];
    uint32_t written[NET_QUEUE_SIZE];
    unsigned buffer_count;
    uint64_t buffer_bytes;

    /* A frame that the backend had no room for; NULL: none. */
    struct vmm_chain *stalled;
};

static inline struct net *net_of(struct vmm_virtio *virtio)
{
    return (struct net *)virtio;
}

static inline bool net_link_is_up(const struct net *net)
{
    return net->config.status & VIRTIO_NET_S_LINK_UP;
}

/* Is the header right for a frame of len bytes that follows it, and has the
 * driver negotiated what it asks for?  (Section 5.1.6.2.) */
bool net_header_is_fine(const struct net *net,
                        const struct virtio_net_hdr_v1 *header, uint64_t len);

/* net_limit.c.  To close also what was not opened. */
int net_limits_open(struct net *net, struct vmm_loop *loop,
                    struct vmm_error *err);
void net_limits_close(struct net *net);
/* No frame may go now; its queue will be served when one may. */
bool net_has_to_wait(struct net_way *way);

/* Serve one direction; more of what vmm_virtio_ops.serve says. */
bool net_receive(struct net *net);
bool net_transmit(struct net *net);
/* Give up what waits: a reset. */
void net_receive_stop(struct net *net);
void net_transmit_stop(struct net *net);

#endif
