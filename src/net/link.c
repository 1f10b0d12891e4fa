/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Links between the VMs of a process: a hub with a bounded queue at each port.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <vmm/net.h>
#include <vmm/pcap.h>

#include "net/frames.h"
#include "net/wire.h"

struct port {
    struct vmm_net net;
    struct vmm_link *link;
    struct port *next;

    /* Under the link's lock: */
    struct frames frames; /* for this port's guest */
    struct vmm_net_events events;
    struct vmm_timer *patience; /* of its guest with a full receiver */
    bool open;                  /* events may be told */
    bool running;               /* its guest takes frames */
    bool wants_frames, wants_room;
    uint64_t full_since_ns; /* 0: it is not */
};

struct vmm_link {
    pthread_mutex_t lock;
    unsigned references; /* one of the owner's, one a port */
    struct port *ports;
    struct vmm_pcap *capture; /* or NULL */
    struct vmm_link_stats stats;
    struct fault_slot fault; /* of what ports send */
    uint64_t made;           /* ports, so far */
};

static struct port *port_of(struct vmm_net *net)
{
    return (struct port *)net;
}

/* ---- events: lock held ----------------------------------------------------
 */

static void tell_frames(struct port *port)
{
    if (port->wants_frames && port->open)
        port->events.frames(port->events.context);
    port->wants_frames = false;
}

static void tell_room(struct port *port)
{
    if (port->wants_room && port->open)
        port->events.room(port->events.context);
    port->wants_room = false;
}

/* This port takes frames again, or never will: those who wait may send. */
static void tell_senders(struct port *port)
{
    for (struct port *p = port->link->ports; p; p = p->next)
        if (p != port)
            tell_room(p);
}

static void on_patience(void *context)
{
    struct port *port = context;

    pthread_mutex_lock(&port->link->lock);
    tell_room(port);
    pthread_mutex_unlock(&port->link->lock);
}

/* ---- frames ---------------------------------------------------------------
 */

/* May a port keep its only sender waiting?  Lock held. */
static bool is_patient(struct port *to)
{
    if (to->link->stats.ports != 2)
        return false;
    if (!to->full_since_ns)
        to->full_since_ns = vmm_now_ns();
    return vmm_now_ns() - to->full_since_ns < VMM_LINK_PATIENCE_NS;
}

/* Lock held. */
static int deliver(struct port *from, struct port *to,
                   const struct iovec *frame, int count)
{
    if (!to->running)
        return 0;
    if (frames_put(&to->frames, frame, count)) {
        to->full_since_ns = 0;
        tell_frames(to);
        return 0;
    }
    if (is_patient(to)) {
        from->wants_room = true;
        vmm_timer_set(from->patience, VMM_LINK_PATIENCE_NS, 0);
        return -EAGAIN;
    }
    from->link->stats.dropped++;
    return 0;
}

static int port_send(struct vmm_net *net, const struct iovec *frame, int count)
{
    struct port *port = port_of(net);
    struct vmm_link *link = port->link;
    int rc = 0;

    pthread_mutex_lock(&link->lock);
    for (struct port *p = link->ports; p && rc == 0; p = p->next)
        if (p != port)
            rc = deliver(port, p, frame, count);
    if (rc == 0) {
        link->stats.frames++;
        link->stats.bytes += iovec_bytes(frame, count);
        if (link->capture)
            vmm_pcap_add(link->capture, frame, count);
    }
    pthread_mutex_unlock(&link->lock);
    return rc;
}

static size_t port_peek(struct vmm_net *net, const uint8_t **frame)
{
    struct port *port = port_of(net);

    pthread_mutex_lock(&port->link->lock);
    size_t len = frames_peek(&port->frames, frame);
    if (!len)
        port->wants_frames = true;
    pthread_mutex_unlock(&port->link->lock);
    return len;
}

static void port_take(struct vmm_net *net)
{
    struct port *port = port_of(net);

    pthread_mutex_lock(&port->link->lock);
    frames_take(&port->frames);
    if (port->full_since_ns && port->frames.used < FRAMES_BYTES / 2) {
        port->full_since_ns = 0;
        tell_senders(port);
    }
    pthread_mutex_unlock(&port->link->lock);
}

/* ---- life -----------------------------------------------------------------
 */

static int port_open(struct vmm_net *net, struct vmm_loop *loop,
                     const struct vmm_net_events *events, struct vmm_error *err)
{
    struct port *port = port_of(net);
    int rc = vmm_loop_timer(loop, on_patience, port, &port->patience, err);

    if (rc)
        return rc;
    pthread_mutex_lock(&port->link->lock);
    port->events = *events;
    port->open = true;
    pthread_mutex_unlock(&port->link->lock);
    return 0;
}

static int port_start(struct vmm_net *net, unsigned offloads)
{
    struct port *port = port_of(net);

    (void)offloads;
    pthread_mutex_lock(&port->link->lock);
    port->running = true;
    pthread_mutex_unlock(&port->link->lock);
    return 0;
}

static void port_stop(struct vmm_net *net)
{
    struct port *port = port_of(net);

    pthread_mutex_lock(&port->link->lock);
    port->running = port->wants_frames = port->wants_room = false;
    port->full_since_ns = 0;
    frames_clear(&port->frames);
    tell_senders(port);
    pthread_mutex_unlock(&port->link->lock);
}

static void port_close(struct vmm_net *net)
{
    struct port *port = port_of(net);

    pthread_mutex_lock(&port->link->lock);
    port->open = false;
    pthread_mutex_unlock(&port->link->lock);
    vmm_timer_remove(port->patience);
}

/* Lock held; it is given up. */
static void link_unref(struct vmm_link *link)
{
    bool last = --link->references == 0;

    pthread_mutex_unlock(&link->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&link->lock);
    fault_slot_fini(&link->fault);
    vmm_pcap_close(link->capture);
    free(link);
}

static void port_destroy(struct vmm_net *net)
{
    struct port *port = port_of(net);
    struct vmm_link *link = port->link;

    pthread_mutex_lock(&link->lock);
    struct port **at = &link->ports;
    while (*at != port)
        at = &(*at)->next;
    *at = port->next;
    link->stats.ports--;
    link_unref(link);
    frames_fini(&port->frames);
    free(port);
}

static const struct vmm_net_ops port_ops = {
    .name = "link",
    .open = port_open,
    .start = port_start,
    .stop = port_stop,
    .send = port_send,
    .peek = port_peek,
    .take = port_take,
    .close = port_close,
    .destroy = port_destroy,
};

/* Among the link's; false: it has no room. */
static bool join(struct vmm_link *link, struct port *port, uint64_t *number)
{
    pthread_mutex_lock(&link->lock);
    bool room = link->stats.ports < VMM_LINK_PORTS_MAX;
    if (room) {
        port->next = link->ports;
        link->ports = port;
        link->stats.ports++;
        link->references++;
        *number = link->made++;
    }
    pthread_mutex_unlock(&link->lock);
    return room;
}

int vmm_link_port(struct vmm_link *link, struct vmm_net **net,
                  struct vmm_error *err)
{
    struct wire_config wire = {.tx = &link->fault};
    struct port *port = calloc(1, sizeof(*port));

    vmm_error_clear(err);
    *net = NULL;
    if (!port || frames_init(&port->frames)) {
        free(port);
        return vmm_error_set(err, ENOMEM, "link: out of memory");
    }
    port->net.ops = &port_ops;
    port->link = link;
    if (!join(link, port, &wire.stream)) {
        frames_fini(&port->frames);
        free(port);
        return vmm_error_set(err, ENOSPC, "link: it has %d ports already",
                             VMM_LINK_PORTS_MAX);
    }
    wire.inner = &port->net;
    *net = wire_new(&wire);
    return *net ? 0 : vmm_error_set(err, ENOMEM, "link: out of memory");
}

int vmm_link_new(struct vmm_pcap *capture, struct vmm_link **link,
                 struct vmm_error *err)
{
    vmm_error_clear(err);
    *link = calloc(1, sizeof(**link));
    if (!*link) {
        vmm_pcap_close(capture);
        return vmm_error_set(err, ENOMEM, "link: out of memory");
    }
    pthread_mutex_init(&(*link)->lock, NULL);
    fault_slot_init(&(*link)->fault);
    (*link)->references = 1;
    (*link)->capture = capture;
    return 0;
}

void vmm_link_free(struct vmm_link *link)
{
    if (!link)
        return;
    pthread_mutex_lock(&link->lock);
    link_unref(link);
}

void vmm_link_set_fault(struct vmm_link *link, struct vmm_net_fault *fault)
{
    fault_slot_set(&link->fault, fault);
}

void vmm_link_stats(struct vmm_link *link, struct vmm_link_stats *stats)
{
    pthread_mutex_lock(&link->lock);
    *stats = link->stats;
    pthread_mutex_unlock(&link->lock);
}
