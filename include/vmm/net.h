/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Where a network device's frames go: user-mode networking, a tap interface,
 * links between the VMs of a process. */
#ifndef VMM_NET_H
#define VMM_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <vmm/error.h>
#include <vmm/export.h>
#include <vmm/loop.h>

/* A device has up to so many pairs of queues. */
#define VMM_NET_PAIRS_MAX 16

/* An Ethernet frame, without checksum, and what may stand before it. */
#define VMM_NET_MAC_BYTES    6
#define VMM_NET_HEADER_BYTES 12 /* struct virtio_net_hdr_v1 */
#define VMM_NET_FRAME_MIN    14
#define VMM_NET_FRAME_MAX    (65535 + 14 + 4)

struct vmm_net;

/* The directions, as a guest sees them. */
#define VMM_NET_TX (1u << 0)
#define VMM_NET_RX (1u << 1)

/* What a backend tells its device, on any thread; they may not call the
 * backend. */
struct vmm_net_events {
    void (*frames)(void *context); /* after a peek that found none */
    void (*room)(void *context);   /* after a send that found none */
    void *context;
};

/*
 * What a backend does.  A device calls one at a time; send, flush, peek and
 * take on the loop's thread.  Nothing blocks, everything that is kept is
 * bounded.
 */
struct vmm_net_ops {
    const char *name; /* "tap", for messages */
    /* The device is there: begin.  Once. */
    int (*open)(struct vmm_net *net, struct vmm_loop *loop,
                const struct vmm_net_events *events, struct vmm_error *err);
    /* The guest's driver is ready, with these VMM_NET_* offloads (only where
     * header is true), or not any more: frames that wait for it are dropped.
     */
    int (*start)(struct vmm_net *net, unsigned offloads);
    void (*stop)(struct vmm_net *net);
    /* A frame of the guest's: 0: it went its way, perhaps to nowhere; -EAGAIN:
     * not now, and events.room tells when. */
    int (*send)(struct vmm_net *net, const struct iovec *frame, int count);
    /* All frames that came together have been sent.  May be NULL. */
    void (*flush)(struct vmm_net *net);
    /* The next frame for the guest, valid until take; its length, or 0: none,
     * and events.frames tells when. */
    size_t (*peek)(struct vmm_net *net, const uint8_t **frame);
    void (*take)(struct vmm_net *net);
    /* The device is gone: no event is told once it returns.  Not concurrently
     * with other calls, on a thread that no event waits for. */
    void (*close)(struct vmm_net *net);
    void (*destroy)(struct vmm_net *net); /* after close, if it was opened */
};

/* Embedded as the first member of a backend. */
struct vmm_net {
    const struct vmm_net_ops *ops;
    bool header; /* frames begin with VMM_NET_HEADER_BYTES */
};

/* What a guest's driver takes from the host beyond plain frames. */
#define VMM_NET_CSUM (1u << 0) /* checksums that are not filled in */
#define VMM_NET_TSO4 (1u << 1) /* TCP segments of up to 64 KiB */
#define VMM_NET_TSO6 (1u << 2)
#define VMM_NET_ECN  (1u << 3)

/* Frees a backend that no device has taken over.  May be NULL. */
VMM_API void vmm_net_free(struct vmm_net *net);

/* ---- user mode ------------------------------------------------------------
 */

/*
 * A network of the guest's own behind this process's sockets, by libslirp: no
 * root needed.  The guest is 10.0.2.15 (by DHCP), the host is 10.0.2.2, DNS is
 * at 10.0.2.3 and asks the host's server.
 */
struct vmm_net_forward {
    bool udp;
    struct in_addr host; /* where to listen */
    uint16_t host_port;
    struct in_addr guest; /* 0.0.0.0: 10.0.2.15 */
    uint16_t guest_port;
};

struct vmm_net_user_config {
    const struct vmm_net_forward *forwards; /* copied */
    unsigned forward_count;
    bool restricted; /* nothing leaves, only forwards come in */
    uint16_t mtu;    /* 0: 1500 */
};

/* -ENOSYS: the library is not installed.  Forwards are opened here. */
VMM_API int vmm_net_user_new(const struct vmm_net_user_config *config,
                             struct vmm_net **net, struct vmm_error *err);

/* ---- tap ------------------------------------------------------------------
 */

/* A tap interface by name, made unless it exists; "%d" in it is a number.
 * Frames have headers, offloads are the kernel's.  A queue of it is a backend
 * of its own, in nets; of several the first is always there, the others from
 * start to stop.  -EINVAL as well: the interface exists with one queue and is
 * to have several, or the other way round. */
VMM_API int vmm_net_tap_new(const char *name, unsigned queues,
                            struct vmm_net **nets, struct vmm_error *err);
/* The interface's name, as it is by now. */
VMM_API const char *vmm_net_tap_name(const struct vmm_net *net);

/* ---- links ----------------------------------------------------------------
 */

/*
 * A hub: what one port sends, all others get.  Between two ports nothing is
 * lost, unless the receiver takes nothing for VMM_LINK_PATIENCE_NS; of more
 * than two, one that is full misses frames.
 */
struct vmm_link;
#define VMM_LINK_PATIENCE_NS UINT64_C(200000000)
#define VMM_LINK_PORTS_MAX   64

struct vmm_pcap;

/* capture: of all that is sent, taken over, also on failure; NULL: none. */
VMM_API int vmm_link_new(struct vmm_pcap *capture, struct vmm_link **link,
                         struct vmm_error *err);
/* The link lives on while it has ports.  May be NULL. */
VMM_API void vmm_link_free(struct vmm_link *link);
/* A new port; -ENOSPC: there are VMM_LINK_PORTS_MAX. */
VMM_API int vmm_link_port(struct vmm_link *link, struct vmm_net **net,
                          struct vmm_error *err);

struct vmm_net_fault;
/* What ports send from now on meets this fault (vmm/net_fault.h) before any
 * other port or the capture sees it; NULL: none.  Any thread. */
VMM_API void vmm_link_set_fault(struct vmm_link *link,
                                struct vmm_net_fault *fault);

struct vmm_link_stats {
    unsigned ports;
    uint64_t frames; /* that ports have sent */
    uint64_t bytes;
    uint64_t dropped; /* by a port that was full */
};
VMM_API void vmm_link_stats(struct vmm_link *link,
                            struct vmm_link_stats *stats);

#endif
