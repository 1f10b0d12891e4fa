/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The ports of the virtio console: bytes to the host and from it. */
#include "base/arith.h"
#include "virtio/console.h"

#define CHUNK_BYTES 4096
/* One turn of a queue, so that its neighbours get theirs. */
#define TURN_BYTES  (UINT64_C(256) << 10)
#define TURN_CHAINS 64

/* ---- to the host ----------------------------------------------------------
 */

/* Is it time to give up?  The first time it is asked, the time begins; it ends
 * when output is taken. */
static bool is_out_of_patience(struct console *console,
                               struct console_port *port)
{
    uint64_t now = vmm_now_ns();

    if (!port->stalled_ns) {
        port->stalled_ns = now;
        vmm_timer_set(console->patience, console->patience_ns, 0);
    }
    return now - port->stalled_ns >= console->patience_ns;
}

/* Output was refused.  True: the rest is dropped. */
static bool is_to_be_dropped(struct console *console, struct console_port *port)
{
    return port == &console->ports[0] && is_out_of_patience(console, port);
}

/* Output what is left of a chain, up to a limit: true when it is done with. */
static bool send_chain(struct console *console, struct console_port *port,
                       uint64_t *limit)
{
    struct vmm_chain *chain = port->sending;
    uint8_t bytes[CHUNK_BYTES];

    while (port->sent<chain->readable_bytes && * limit> 0) {
        size_t len = (size_t)min_u64(
            min_u64(chain->readable_bytes - port->sent, *limit), CHUNK_BYTES);

        if (vmm_chain_read(chain, port->sent, bytes, len))
            return true; /* not RAM: the rest of it does not exist */
        size_t taken = port->wires.output(port->wires.context, bytes, len);
        port->sent += taken;
        *limit -= taken;
        if (taken > 0)
            port->stalled_ns = 0;
        if (taken < len)
            return is_to_be_dropped(console, port);
    }
    return port->sent >= chain->readable_bytes;
}

static void end_chain(struct console_port *port)
{
    vmm_virtq_push(port->sending, 0);
    port->sending = NULL;
}

bool console_transmit(struct console *console, unsigned index)
{
    struct console_port *port = &console->ports[index];
    unsigned queue = console_transmit_queue(index);
    struct vmm_virtq *ring = vmm_virtio_queue(&console->virtio, queue);
    uint64_t limit = TURN_BYTES;
    unsigned chains = 0;
    bool done = true;

    if (!ring)
        return false;
    vmm_virtq_suppress(ring);
    for (; chains < TURN_CHAINS && limit > 0; chains++) {
        if (!port->sending) {
            port->sent = 0;
            if (vmm_virtq_pop(ring, &port->sending) <= 0)
                break;
        }
        done = send_chain(console, port, &limit);
        if (!done)
            break;
        end_chain(port);
    }
    vmm_virtio_signal(&console->virtio, queue);
    if (!done) /* output_ready, or the time, brings it here again */
        return limit == 0;
    return chains == TURN_CHAINS || limit == 0 || vmm_virtq_arm(ring);
}

/* ---- to the guest ---------------------------------------------------------
 */

/* What cannot be written must not cost input. */
static bool can_take(const struct console *console,
                     const struct vmm_chain *chain)
{
    unsigned end = (unsigned)chain->readable + chain->writable;

    for (unsigned i = chain->readable; i < end; i++)
        if (vmm_memory_check(console->virtio.memory, chain->segments[i].gpa,
                             chain->segments[i].len))
            return false;
    return chain->writable_bytes > 0;
}

/* Fill a chain from its start with what there is; returns how many bytes. */
static uint32_t fill(struct console_port *port, uint64_t limit)
{
    struct vmm_chain *chain = port->receiving;
    uint64_t room = min_u64(chain->writable_bytes, limit), filled = 0;
    uint8_t bytes[CHUNK_BYTES];

    while (filled < room) {
        size_t max = (size_t)min_u64(room - filled, CHUNK_BYTES);
        size_t len = port->wires.pull(port->wires.context, bytes, max);

        if (len == 0 || vmm_chain_write(chain, filled, bytes, len))
            break;
        filled += len;
    }
    return (uint32_t)filled;
}

bool console_receive(struct console *console, unsigned index)
{
    struct console_port *port = &console->ports[index];
    unsigned queue = console_receive_queue(index);
    struct vmm_virtq *ring = vmm_virtio_queue(&console->virtio, queue);
    uint64_t limit = TURN_BYTES;
    unsigned chains = 0;

    if (!ring || !port->open)
        return false;
    vmm_virtq_suppress(ring);
    for (; chains < TURN_CHAINS && limit > 0; chains++) {
        if (!port->receiving && vmm_virtq_pop(ring, &port->receiving) <= 0)
            break;
        uint32_t filled = 0;
        if (can_take(console, port->receiving)) {
            filled = fill(port, limit);
            if (filled == 0)
                break; /* it waits for input */
        }
        vmm_virtq_push(port->receiving, filled);
        port->receiving = NULL;
        limit -= filled;
    }
    vmm_virtio_signal(&console->virtio, queue);
    if (chains == TURN_CHAINS || limit == 0)
        return true;
    return !port->receiving && vmm_virtq_arm(ring);
}

/* ---- reset ----------------------------------------------------------------
 */

void console_ports_stop(struct console *console)
{
    for (unsigned i = 0; i < console->port_count; i++) {
        struct console_port *port = &console->ports[i];

        /* What the guest has printed last is worth most. */
        (void)console_transmit(console, i);
        if (port->sending)
            end_chain(port);
        if (port->receiving)
            vmm_virtq_push(port->receiving, 0);
        port->receiving = NULL;
        port->open = false;
        port->pending = 0;
        port->stalled_ns = 0;
    }
}
