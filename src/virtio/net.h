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
#define NET_QUEUE_SIZE   256
#define NET_CONTROL_SIZE 64
/* Frames of one turn; then others have theirs. */
#define NET_BUDGET 256

/* What a direction has, beside its queue. */
struct net_way {
    struct fault_slot fault;
    struct limit limit;
    struct vmm_timer *timer; /* when the limit lets frames go on */
    unsigned turn;           /* the timer's: which pair is the first now */
};

/* A queue to receive, a queue to transmit, and the backend of both. */
struct net_pair {
    struct net *net;
    unsigned index;
    struct vmm_net *backend; /* a wire around it, where faults are */
    bool open, running;      /* the backend is */

    /* Buffers of the guest's that wait for a frame as large as they are. */
    struct vmm_chain *buffers[NET_QUEUE_SIZE];
    uint32_t written[NET_QUEUE_SIZE];
    unsigned buffer_count;
    uint64_t buffer_bytes;

    /* A frame that the backend had no room for; NULL: none. */
    struct vmm_chain *stalled;
};

struct net {
    struct vmm_virtio virtio;
    struct net_pair *pairs;
    unsigned pair_count;
    unsigned active; /* of them: what the driver uses */
    const char *backend_name;
    struct net_way tx, rx;
    struct vmm_pcap *capture; /* or NULL */
    struct virtio_net_config config;
    struct vmm_virtio_net_stats stats;
};

static inline struct net *net_of(struct vmm_virtio *virtio)
{
    return (struct net *)virtio;
}

static inline unsigned net_queue(const struct net_pair *pair, unsigned way)
{
    return 2 * pair->index + way;
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
bool net_receive(struct net_pair *pair);
bool net_transmit(struct net_pair *pair);
/* Give up what waits: a reset. */
void net_receive_stop(struct net_pair *pair);
void net_transmit_stop(struct net_pair *pair);

/* Use so many pairs; 0: none.  -errno of a backend that does not start. */
int net_use_pairs(struct net *net, unsigned count);
/* All queues of a direction, as if they were notified, that of a pair first. */
void net_kick(struct net *net, unsigned way, unsigned first);

/* net_control.c: the control queue's number with these features, which is no
 * queue's when it has none; and its commands. */
unsigned net_control_queue(const struct net *net);
bool net_control(struct net *net, unsigned queue);

#endif
