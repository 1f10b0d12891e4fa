/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The network device: virtio 1.2, section 5.1. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/arith.h"
#include "net/wire.h"
#include "virtio/net.h"

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
    struct net_pair *pair = context;

    vmm_virtio_kick(&pair->net->virtio, net_queue(pair, NET_RX));
}

static void on_room(void *context)
{
    struct net_pair *pair = context;

    vmm_virtio_kick(&pair->net->virtio, net_queue(pair, NET_TX));
}

void net_kick(struct net *net, unsigned way, unsigned first)
{
    for (unsigned i = 0; i < net->pair_count; i++) {
        const struct net_pair *pair =
            &net->pairs[(first + i) % net->pair_count];

        vmm_virtio_kick(&net->virtio, net_queue(pair, way));
    }
}

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

/* ---- pairs of queues ------------------------------------------------------
 */

static int pair_start(struct net_pair *pair)
{
    struct vmm_net *backend = pair->backend;
    struct vmm_virtio *virtio = &pair->net->virtio;
    int rc = backend->ops->start(backend, offloads(virtio));

    pair->running = true;
    /* What was there before is told of by nobody. */
    vmm_virtio_kick(virtio, net_queue(pair, NET_RX));
    vmm_virtio_kick(virtio, net_queue(pair, NET_TX));
    return rc;
}

static void pair_stop(struct net_pair *pair)
{
    if (pair->running)
        pair->backend->ops->stop(pair->backend);
    pair->running = false;
}

/* Chains of a pair that is not used any more stay here, until it is again, or
 * until a reset. */
int net_use_pairs(struct net *net, unsigned count)
{
    int rc = 0;

    for (unsigned i = 0; i < net->pair_count; i++)
        if (i >= count)
            pair_stop(&net->pairs[i]);
        else if (!net->pairs[i].running && rc == 0)
            rc = net->pairs[i].open ? pair_start(&net->pairs[i]) : -ENODEV;
    net->active = count;
    return rc;
}

static int net_start(struct vmm_virtio *virtio)
{
    return net_use_pairs(net_of(virtio), 1);
}

static void net_stop(struct vmm_virtio *virtio)
{
    struct net *net = net_of(virtio);

    net_use_pairs(net, 0);
    for (unsigned i = 0; i < net->pair_count; i++) {
        net_receive_stop(&net->pairs[i]);
        net_transmit_stop(&net->pairs[i]);
    }
}

static bool net_serve(struct vmm_virtio *virtio, unsigned queue)
{
    struct net *net = net_of(virtio);

    if (queue == net_control_queue(net))
        return net_control(net, queue);
    if (queue / 2 >= net->active)
        return false; /* it is told again when it is used */
    struct net_pair *pair = &net->pairs[queue / 2];
    return queue % 2 == NET_RX ? net_receive(pair) : net_transmit(pair);
}

/* ---- operations -----------------------------------------------------------
 */

static void net_read_config(struct vmm_virtio *virtio, uint32_t offset,
                            void *bytes, uint32_t len)
{
    memcpy(bytes, (const uint8_t *)&net_of(virtio)->config + offset, len);
}

/* Under the lock it is off for good: start finds that it is not open. */
static struct vmm_net *pair_close(struct net_pair *pair)
{
    struct vmm_virtio *virtio = &pair->net->virtio;
    struct vmm_net *backend = pair->backend;

    vmm_virtio_enter(virtio);
    pair_stop(pair);
    bool was_open = pair->open;
    pair->open = false;
    pair->backend = NULL;
    vmm_virtio_leave(virtio);
    if (was_open)
        backend->ops->close(backend);
    return backend;
}

/* What the backend has of the host's (an interface, ports, a file) is the
 * host's again, though scripts may keep the device. */
static void net_close(struct vmm_virtio *virtio)
{
    struct net *net = net_of(virtio);

    for (unsigned i = 0; i < net->pair_count; i++)
        vmm_net_free(pair_close(&net->pairs[i]));
    net_limits_close(net);
    vmm_pcap_close(net->capture);
    net->capture = NULL;
}

static void net_destroy(struct vmm_virtio *virtio)
{
    struct net *net = net_of(virtio);

    free(net->pairs);
    fault_slot_fini(&net->tx.fault);
    fault_slot_fini(&net->rx.fault);
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
    info->backend = net->backend_name;
    info->pairs = net->pair_count;
    info->active = net->active;
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

static uint64_t features_of(const struct vmm_virtio_net_config *config)
{
    uint64_t features = BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_STATUS) |
                        BIT(VIRTIO_NET_F_MRG_RXBUF);

    if (config->mtu)
        features |= BIT(VIRTIO_NET_F_MTU);
    if (config->nets[0]->header)
        features |= OFFLOADS;
    if (config->pairs > 1)
        features |= BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_MQ);
    return features;
}

static int init_core(struct net *net,
                     const struct vmm_virtio_net_config *config,
                     struct vmm_error *err)
{
    uint16_t sizes[2 * VMM_NET_PAIRS_MAX + 1];
    struct vmm_virtio_config of_core = {
        .memory = config->memory,
        .loop = config->loop,
        .features = features_of(config),
        .queue_count = 2 * config->pairs + (config->pairs > 1),
        .queue_sizes = sizes,
        .config_bytes = offsetof(struct virtio_net_config, speed),
    };

    for (unsigned i = 0; i < 2 * config->pairs; i++)
        sizes[i] = NET_QUEUE_SIZE;
    sizes[2 * config->pairs] = NET_CONTROL_SIZE;
    return vmm_virtio_init(&net->virtio, &net_ops, &of_core, err);
}

static int set_up(struct net *net, const struct vmm_virtio_net_config *config,
                  struct vmm_error *err)
{
    if (config->pairs < 1 || config->pairs > VMM_NET_PAIRS_MAX)
        return vmm_error_set(err, EINVAL,
                             "virtio-net: %u pairs of queues, not 1 to %d",
                             config->pairs, VMM_NET_PAIRS_MAX);
    net->config.status = VIRTIO_NET_S_LINK_UP;
    net->config.max_virtqueue_pairs = (uint16_t)config->pairs;
    net->config.mtu = config->mtu;
    int rc = choose_mac(net, config->mac, err);
    if (rc)
        return rc;
    net->pairs = calloc(config->pairs, sizeof(*net->pairs));
    if (!net->pairs)
        return vmm_error_set(err, ENOMEM, "virtio-net: out of memory");
    rc = init_core(net, config, err);
    if (rc)
        free(net->pairs);
    return rc;
}

/* Wires around all backends, so that each has an owner. */
static int take_over(struct net *net,
                     const struct vmm_virtio_net_config *config,
                     struct vmm_error *err)
{
    bool whole = true;

    net->capture = config->capture;
    net->pair_count = config->pairs;
    net->backend_name = config->nets[0]->ops->name;
    fault_slot_init(&net->tx.fault);
    fault_slot_init(&net->rx.fault);
    for (unsigned i = 0; i < net->pair_count; i++) {
        const struct wire_config wire = {.inner = config->nets[i],
                                         .tx = &net->tx.fault,
                                         .rx = &net->rx.fault,
                                         .stream = i};

        net->pairs[i] = (struct net_pair){.net = net, .index = i};
        net->pairs[i].backend = wire_new(&wire);
        whole = whole && net->pairs[i].backend;
    }
    return whole ? 0 : vmm_error_set(err, ENOMEM, "virtio-net: out of memory");
}

static int open_backends(struct net *net, struct vmm_loop *loop,
                         struct vmm_error *err)
{
    int rc = net_limits_open(net, loop, err);

    for (unsigned i = 0; i < net->pair_count && rc == 0; i++) {
        struct net_pair *pair = &net->pairs[i];
        const struct vmm_net_events events = {on_frames, on_room, pair};

        rc = pair->backend->ops->open(pair->backend, loop, &events, err);
        pair->open = rc == 0;
    }
    return rc;
}

static void free_config(const struct vmm_virtio_net_config *config)
{
    for (unsigned i = 0; i < config->pairs && i < VMM_NET_PAIRS_MAX; i++)
        vmm_net_free(config->nets[i]);
    vmm_pcap_close(config->capture);
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
        free_config(config);
        free(net);
        return rc;
    }
    rc = take_over(net, config, err);
    if (rc == 0)
        rc = open_backends(net, config->loop, err);
    if (rc) {
        vmm_virtio_unref(&net->virtio);
        return rc;
    }
    *virtio = &net->virtio;
    return 0;
}
