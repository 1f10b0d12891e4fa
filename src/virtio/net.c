/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The network device: virtio 1.2, section 5.1. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "net/wire.h"
#include "virtio/net.h"

#define BIT(number) (UINT64_C(1) << (number))

/* Only for backends whose frames have a header that says so. */
#define OFFLOADS                                                               \
    (BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) |                   \
     BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6) |             \
     BIT(VIRTIO_NET_F_GUEST_ECN) | BIT(VIRTIO_NET_F_HOST_TSO4) |               \
     BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_HOST_ECN))

/* ---- what the backend tells ----------------------------------------------
 */

static void on_frames(void *context)
{
    vmm_virtio_kick(context, NET_RX);
}

static void on_room(void *context)
{
    vmm_virtio_kick(context, NET_TX);
}

/* ---- operations -----------------------------------------------------------
 */

static unsigned offloads(const struct vmm_virtio *virtio)
{
    static const struct {
        unsigned feature, offload;
    } table[] = {
        {VIRTIO_NET_F_GUEST_CSUM, VMM_NET_CSUM},
        {VIRTIO_NET_F_GUEST_TSO4, VMM_NET_TSO4},
        {VIRTIO_NET_F_GUEST_TSO6, VMM_NET_TSO6},
        {VIRTIO_NET_F_GUEST_ECN, VMM_NET_ECN},
    };
    unsigned found = 0;

    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (vmm_virtio_has(virtio, table[i].feature))
            found |= table[i].offload;
    return found;
}

static int net_start(struct vmm_virtio *virtio)
{
    struct net *net = net_of(virtio);

    return net->backend->ops->start(net->backend, offloads(virtio));
}

static void net_stop(struct vmm_virtio *virtio)
{
    struct net *net = net_of(virtio);

    net->backend->ops->stop(net->backend);
    net_receive_stop(net);
    net_transmit_stop(net);
}

static bool net_serve(struct vmm_virtio *virtio, unsigned queue)
{
    struct net *net = net_of(virtio);

    return queue == NET_RX ? net_receive(net) : net_transmit(net);
}

static void net_read_config(struct vmm_virtio *virtio, uint32_t offset,
                            void *bytes, uint32_t len)
{
    memcpy(bytes, (const uint8_t *)&net_of(virtio)->config + offset, len);
}

static void net_close(struct vmm_virtio *virtio)
{
    struct net *net = net_of(virtio);

    if (net->open)
        net->backend->ops->close(net->backend);
    net->open = false;
    net_limits_close(net);
}

static void net_destroy(struct vmm_virtio *virtio)
{
    struct net *net = net_of(virtio);

    vmm_net_free(net->backend);
    fault_slot_fini(&net->tx.fault);
    fault_slot_fini(&net->rx.fault);
    vmm_pcap_close(net->capture);
    free(net);
}

static const struct vmm_virtio_ops net_ops = {
    .name = "virtio-net",
    .id = VIRTIO_ID_NET,
    .start = net_start,
    .stop = net_stop,
    .serve = net_serve,
    .read_config = net_read_config,
    .close = net_close,
    .destroy = net_destroy,
};

/* ---- for the host ---------------------------------------------------------
 */

void vmm_virtio_net_set_link(struct vmm_virtio *virtio, bool up)
{
    struct net *net = net_of(virtio);

    vmm_virtio_enter(virtio);
    if (net_link_is_up(net) != up) {
        net->config.status ^= VIRTIO_NET_S_LINK_UP;
        vmm_virtio_config_changed(virtio);
    }
    vmm_virtio_leave(virtio);
}

void vmm_virtio_net_set_fault(struct vmm_virtio *virtio, unsigned ways,
                              struct vmm_net_fault *fault)
{
    struct net *net = net_of(virtio);

    if (ways & VMM_NET_TX)
        fault_slot_set(&net->tx.fault, fault);
    if (ways & VMM_NET_RX)
        fault_slot_set(&net->rx.fault, fault);
}

void vmm_virtio_net_info(struct vmm_virtio *virtio,
                         struct vmm_virtio_net_info *info)
{
    struct net *net = net_of(virtio);

    vmm_virtio_enter(virtio);
    memcpy(info->mac, net->config.mac, VMM_NET_MAC_BYTES);
    info->link = net_link_is_up(net);
    info->backend = net->backend->ops->name;
    info->stats = net->stats;
    vmm_virtio_leave(virtio);
}

/* ---- life -----------------------------------------------------------------
 */

static int choose_mac(struct net *net, const uint8_t *mac,
                      struct vmm_error *err)
{
    if (mac) {
        memcpy(net->config.mac, mac, VMM_NET_MAC_BYTES);
        if (mac[0] & 1)
            return vmm_error_set(err, EINVAL,
                                 "virtio-net: the MAC address of a group");
        return 0;
    }
    if (getrandom(net->config.mac, VMM_NET_MAC_BYTES, 0) != VMM_NET_MAC_BYTES)
        return vmm_error_errno(err, "virtio-net: getrandom");
    /* Locally administered, of one station. */
    net->config.mac[0] = (uint8_t)((net->config.mac[0] & 0xfc) | 2);
    return 0;
}

static int set_up(struct net *net, const struct vmm_virtio_net_config *config,
                  struct vmm_error *err)
{
    static const uint16_t sizes[] = {NET_QUEUE_SIZE, NET_QUEUE_SIZE};
    struct vmm_virtio_config of_core = {
        .memory = config->memory,
        .loop = config->loop,
        .features = BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_STATUS) |
                    BIT(VIRTIO_NET_F_MRG_RXBUF),
        .queue_count = 2,
        .queue_sizes = sizes,
        .config_bytes = offsetof(struct virtio_net_config, speed),
    };

    if (config->mtu)
        of_core.features |= BIT(VIRTIO_NET_F_MTU);
    if (config->net->header)
        of_core.features |= OFFLOADS;
    net->config.status = VIRTIO_NET_S_LINK_UP;
    net->config.max_virtqueue_pairs = 1;
    net->config.mtu = config->mtu;
    int rc = choose_mac(net, config->mac, err);
    if (rc == 0)
        rc = vmm_virtio_init(&net->virtio, &net_ops, &of_core, err);
    return rc;
}

static int join_network(struct net *net,
                        const struct vmm_virtio_net_config *config,
                        struct vmm_error *err)
{
    const struct vmm_net_events events = {on_frames, on_room, &net->virtio};
    const struct wire_config wire = {
        .inner = config->net, .tx = &net->tx.fault, .rx = &net->rx.fault};

    net->backend = wire_new(&wire);
    if (!net->backend)
        return vmm_error_set(err, ENOMEM, "virtio-net: out of memory");
    int rc = net_limits_open(net, config->loop, err);
    if (rc == 0)
        rc = net->backend->ops->open(net->backend, config->loop, &events, err);
    return rc;
}

int vmm_virtio_net_new(const struct vmm_virtio_net_config *config,
                       struct vmm_virtio **virtio, struct vmm_error *err)
{
    vmm_error_clear(err);
    *virtio = NULL;
    struct net *net = calloc(1, sizeof(*net));
    int rc = net ? set_up(net, config, err)
                 : vmm_error_set(err, ENOMEM, "virtio-net: out of memory");
    if (rc) {
        vmm_net_free(config->net);
        vmm_pcap_close(config->capture);
        free(net);
        return rc;
    }
    fault_slot_init(&net->tx.fault);
    fault_slot_init(&net->rx.fault);
    net->capture = config->capture;
    rc = join_network(net, config, err);
    if (rc) {
        vmm_virtio_unref(&net->virtio);
        return rc;
    }
    net->open = true;
    *virtio = &net->virtio;
    return 0;
}
