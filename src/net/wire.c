/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Wires: frames pass from a device to a backend and back, or meet a fault. */
#include <errno.h>
#include <stdlib.h>

#include "net/way.h"
#include "net/wire.h"

/* Frames judged in one turn, of which perhaps none comes through. */
#define TURN 256

struct wire {
    struct vmm_net net;
    struct vmm_net_ops ops; /* under the inner one's name */
    struct vmm_net *inner;
    struct vmm_net_events events; /* the device's; the inner one's too */
    struct vmm_timer *tx_timer, *rx_timer;
    struct way tx, rx;
    bool tx_judged;       /* the frame that the inner one had no room for */
    bool rx_judged;       /* the inner one's next frame: it passes */
    struct held *rx_held; /* what peek has shown; NULL: the inner one's */
};

static struct wire *wire_of(struct vmm_net *net)
{
    return (struct wire *)net;
}

/* ---- time -----------------------------------------------------------------
 *
 * Whoever is told calls back, with the device's lock held: flush, peek.  A
 * timer is set only where nothing else would tell.
 */

static void on_tx_time(void *context)
{
    struct wire *wire = context;

    wire->events.room(wire->events.context);
}

static void on_rx_time(void *context)
{
    struct wire *wire = context;

    wire->events.frames(wire->events.context);
}

static void wake_at(struct vmm_timer *timer, uint64_t at_ns, uint64_t now_ns)
{
    if (at_ns != UINT64_MAX)
        vmm_timer_set(timer, at_ns > now_ns ? at_ns - now_ns : 1, 0);
}

/* ---- frames of the guest's ------------------------------------------------
 */

/* Send what is due; false: the inner one is full, and will tell of room. */
static bool pump(struct wire *wire, uint64_t now_ns)
{
    struct vmm_net *inner = wire->inner;
    struct held *held;

    while ((held = way_next(&wire->tx, now_ns))) {
        const struct iovec frame = {held->bytes, held->len};

        if (inner->ops->send(inner, &frame, 1))
            return false;
        way_sent(&wire->tx, held, now_ns);
    }
    return true;
}

static int send_faulty(struct wire *wire, const struct iovec *frame, int count)
{
    struct vmm_net *inner = wire->inner;
    uint64_t now_ns = vmm_now_ns();

    if (!pump(wire, now_ns))
        return -EAGAIN;
    if (!wire->tx_judged &&
        way_judge(&wire->tx, frame, count, now_ns) == FATE_GONE)
        return 0; /* flush sends what is due */
    wire->tx_judged = inner->ops->send(inner, frame, count) != 0;
    if (wire->tx_judged)
        return -EAGAIN;
    way_passed(&wire->tx, now_ns);
    return 0;
}

static int wire_send(struct vmm_net *net, const struct iovec *frame, int count)
{
    struct wire *wire = wire_of(net);

    if (!way_is_idle(&wire->tx))
        return send_faulty(wire, frame, count);
    wire->tx_judged = false;
    return wire->inner->ops->send(wire->inner, frame, count);
}

static void wire_flush(struct vmm_net *net)
{
    struct wire *wire = wire_of(net);
    uint64_t now_ns;

    if (!way_is_idle(&wire->tx)) {
        now_ns = vmm_now_ns();
        if (pump(wire, now_ns))
            wake_at(wire->tx_timer, way_due_ns(&wire->tx), now_ns);
    }
    if (wire->inner->ops->flush)
        wire->inner->ops->flush(wire->inner);
}

/* ---- frames for the guest -------------------------------------------------
 */

static size_t peek_inner(struct wire *wire, const uint8_t **frame)
{
    wire->rx_held = NULL;
    return wire->inner->ops->peek(wire->inner, frame);
}

/* The inner one's frames up to one that passes, or until one is due. */
static size_t peek_faulty(struct wire *wire, const uint8_t **frame)
{
    uint64_t now_ns = vmm_now_ns();

    for (unsigned i = 0; i < TURN; i++) {
        struct held *held = way_next(&wire->rx, now_ns);
        if (held) {
            wire->rx_held = held;
            *frame = held->bytes;
            return held->len;
        }
        size_t len = peek_inner(wire, frame);
        if (!len) {
            wake_at(wire->rx_timer, way_due_ns(&wire->rx), now_ns);
            return 0;
        }
        const struct iovec piece = {(void *)(uintptr_t)*frame, len};
        wire->rx_judged = way_judge(&wire->rx, &piece, 1, now_ns) == FATE_PASS;
        if (wire->rx_judged)
            return len;
        wire->inner->ops->take(wire->inner);
    }
    wake_at(wire->rx_timer, now_ns, now_ns);
    return 0;
}

static size_t wire_peek(struct vmm_net *net, const uint8_t **frame)
{
    struct wire *wire = wire_of(net);

    if (wire->rx_judged || way_is_idle(&wire->rx))
        return peek_inner(wire, frame);
    return peek_faulty(wire, frame);
}

static void wire_take(struct vmm_net *net)
{
    struct wire *wire = wire_of(net);

    if (wire->rx_held) {
        way_sent(&wire->rx, wire->rx_held, vmm_now_ns());
        wire->rx_held = NULL;
        return;
    }
    wire->inner->ops->take(wire->inner);
    if (wire->rx_judged)
        way_passed(&wire->rx, vmm_now_ns());
    wire->rx_judged = false;
}

/* ---- life -----------------------------------------------------------------
 */

static void remove_timers(struct wire *wire)
{
    vmm_timer_remove(wire->tx_timer);
    if (wire->rx_timer)
        vmm_timer_remove(wire->rx_timer);
}

static int wire_open(struct vmm_net *net, struct vmm_loop *loop,
                     const struct vmm_net_events *events, struct vmm_error *err)
{
    struct wire *wire = wire_of(net);

    wire->events = *events;
    int rc = vmm_loop_timer(loop, on_tx_time, wire, &wire->tx_timer, err);
    if (rc)
        return rc;
    rc = vmm_loop_timer(loop, on_rx_time, wire, &wire->rx_timer, err);
    if (rc == 0)
        rc = wire->inner->ops->open(wire->inner, loop, events, err);
    if (rc)
        remove_timers(wire);
    return rc;
}

static int wire_start(struct vmm_net *net, unsigned offloads)
{
    struct wire *wire = wire_of(net);

    return wire->inner->ops->start(wire->inner, offloads);
}

static void wire_stop(struct vmm_net *net)
{
    struct wire *wire = wire_of(net);

    way_clear(&wire->tx);
    way_clear(&wire->rx);
    wire->tx_judged = wire->rx_judged = false;
    wire->rx_held = NULL;
    wire->inner->ops->stop(wire->inner);
}

static void wire_close(struct vmm_net *net)
{
    struct wire *wire = wire_of(net);

    wire->inner->ops->close(wire->inner);
    remove_timers(wire);
}

static void wire_destroy(struct vmm_net *net)
{
    struct wire *wire = wire_of(net);

    way_fini(&wire->tx);
    way_fini(&wire->rx);
    vmm_net_free(wire->inner);
    free(wire);
}

struct vmm_net *wire_new(const struct wire_config *config)
{
    static const struct vmm_net_ops ops = {
        .open = wire_open,
        .start = wire_start,
        .stop = wire_stop,
        .send = wire_send,
        .flush = wire_flush,
        .peek = wire_peek,
        .take = wire_take,
        .close = wire_close,
        .destroy = wire_destroy,
    };
    struct wire *wire = calloc(1, sizeof(*wire));

    if (!wire) {
        vmm_net_free(config->inner);
        return NULL;
    }
    bool header = config->inner->header;
    struct way way = {.skip = header ? VMM_NET_HEADER_BYTES : 0,
                      .events = &wire->events};
    wire->ops = ops;
    wire->ops.name = config->inner->ops->name;
    wire->net = (struct vmm_net){.ops = &wire->ops, .header = header};
    wire->inner = config->inner;
    wire->tx = wire->rx = way;
    wire->tx.direction = VMM_NET_TX;
    wire->tx.slot = config->tx;
    wire->tx.stream = 2 * config->stream;
    wire->rx.direction = VMM_NET_RX;
    wire->rx.slot = config->rx;
    wire->rx.stream = 2 * config->stream + 1;
    return &wire->net;
}
