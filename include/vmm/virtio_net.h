/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The network device: virtio 1.2, section 5.1. */
#ifndef VMM_VIRTIO_NET_H
#define VMM_VIRTIO_NET_H

#include <vmm/limit.h>
#include <vmm/net.h>
#include <vmm/virtio.h>

struct vmm_pcap;

struct vmm_virtio_net_config {
    struct vmm_memory *memory; /* referenced */
    struct vmm_loop *loop;
    /* A backend for each pair of queues, which belong to one network; taken
     * over, also on failure. */
    struct vmm_net *nets[VMM_NET_PAIRS_MAX];
    unsigned pairs;           /* 1 to VMM_NET_PAIRS_MAX */
    struct vmm_pcap *capture; /* likewise; NULL: none */
    const uint8_t *mac;       /* 6 bytes; NULL: a random one */
    uint16_t mtu;             /* told to the guest; 0: nothing is */
};

/* Queues 0, 2, ... receive, 1, 3, ... transmit; a device with several pairs has
 * a control queue after them, by which a driver says how many it uses: one at
 * first. */
VMM_API int vmm_virtio_net_new(const struct vmm_virtio_net_config *config,
                               struct vmm_virtio **virtio,
                               struct vmm_error *err);

/* Plug the cable in or pull it: frames of a link that is down go nowhere.  Any
 * thread. */
VMM_API void vmm_virtio_net_set_link(struct vmm_virtio *virtio, bool up);

struct vmm_net_fault;
/* Frames of these directions (VMM_NET_TX | VMM_NET_RX) meet this fault from
 * now on; NULL: none.  Any thread. */
VMM_API void vmm_virtio_net_set_fault(struct vmm_virtio *virtio, unsigned ways,
                                      struct vmm_net_fault *fault);

/* So much may be sent (VMM_NET_TX), received (VMM_NET_RX) from now on, in bytes
 * of frames and in frames; none at first.  What is over it waits: a guest in
 * its queue, others in the backend's, which drops when it is full.  Any
 * thread. */
VMM_API void vmm_virtio_net_set_limit(struct vmm_virtio *virtio, unsigned ways,
                                      const struct vmm_limit *limit);

struct vmm_virtio_net_stats {
    uint64_t rx_frames, rx_bytes; /* to the guest, without headers */
    uint64_t rx_dropped;          /* its buffers were too small or no RAM */
    uint64_t tx_frames, tx_bytes;
    uint64_t tx_dropped; /* malformed, or the link was down */
};
struct vmm_virtio_net_info {
    uint8_t mac[VMM_NET_MAC_BYTES];
    bool link;
    const char *backend; /* "tap" */
    unsigned pairs;      /* of queues */
    unsigned active;     /* of them: what the driver uses; 0: there is none */
    struct vmm_virtio_net_stats stats;
};
VMM_API void vmm_virtio_net_info(struct vmm_virtio *virtio,
                                 struct vmm_virtio_net_info *info);

#endif
