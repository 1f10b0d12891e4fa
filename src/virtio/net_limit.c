/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* How much a network device may send and receive in a second. */
#include "virtio/net.h"

/* Frames may go on: their queues are served as if notified, in this order.  The
 * first may use up all that is to be had: so each is the first in its turn. */
static void on_tx_time(void *context)
{
    struct net *net = context;

    net_kick(net, NET_TX, ++net->tx.turn % net->pair_count);
}

static void on_rx_time(void *context)
{
    struct net *net = context;

    net_kick(net, NET_RX, ++net->rx.turn % net->pair_count);
}

int net_limits_open(struct net *net, struct vmm_loop *loop,
                    struct vmm_error *err)
{
    int rc = vmm_loop_timer(loop, on_tx_time, net, &net->tx.timer, err);

    if (rc == 0)
        rc = vmm_loop_timer(loop, on_rx_time, net, &net->rx.timer, err);
    return rc;
}

static void close_timer(struct net_way *way)
{
    if (way->timer)
        vmm_timer_remove(way->timer);
    way->timer = NULL;
}

void net_limits_close(struct net *net)
{
    close_timer(&net->tx);
    close_timer(&net->rx);
}

bool net_has_to_wait(struct net_way *way)
{
    if (!limit_is_set(&way->limit))
        return false;
    uint64_t wait_ns = limit_wait_ns(&way->limit, vmm_now_ns());
    if (wait_ns)
        vmm_timer_set(way->timer, wait_ns, 0);
    return wait_ns > 0;
}

void vmm_virtio_net_set_limit(struct vmm_virtio *virtio, unsigned ways,
                              const struct vmm_limit *limit)
{
    struct net *net = net_of(virtio);
    uint64_t now_ns = vmm_now_ns();

    vmm_virtio_enter(virtio);
    if (ways & VMM_NET_TX)
        limit_set(&net->tx.limit, limit, now_ns);
    if (ways & VMM_NET_RX)
        limit_set(&net->rx.limit, limit, now_ns);
    vmm_virtio_leave(virtio);
    /* Who waits may wait less from now on. */
    net_kick(net, NET_TX, 0);
    net_kick(net, NET_RX, 0);
}
