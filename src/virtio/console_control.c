/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The control queues of the virtio console: virtio 1.2, section 5.3.6.2. */
#include <linux/virtio_console.h>
#include <string.h>

#include "base/endian.h"
#include "virtio/console.h"

#define HEADER_BYTES sizeof(struct virtio_console_control)
#define TURN_CHAINS  64

/* ---- to the driver --------------------------------------------------------
 */

struct message {
    uint8_t bytes[HEADER_BYTES + VMM_VIRTIO_CONSOLE_NAME_MAX];
    size_t len;
};

static void begin(struct message *message, unsigned port, uint16_t event,
                  uint16_t value)
{
    store_le32(message->bytes, port);
    store_le16(message->bytes + 4, event);
    store_le16(message->bytes + 6, value);
    message->len = HEADER_BYTES;
}

/* The columns come first.  (Linux before 2025 took them for the rows.) */
static void add_size(const struct console *console, struct message *message)
{
    store_le16(message->bytes + message->len, console->cols);
    store_le16(message->bytes + message->len + 2, console->rows);
    message->len += 4;
}

static void compose(const struct console *console, unsigned index,
                    unsigned which, struct message *message)
{
    const struct console_port *port = &console->ports[index];

    switch (which) {
    case MESSAGE_ADD:
        begin(message, index, VIRTIO_CONSOLE_PORT_ADD, 1);
        break;
    case MESSAGE_CONSOLE:
        begin(message, index, VIRTIO_CONSOLE_CONSOLE_PORT, 1);
        break;
    case MESSAGE_RESIZE:
        begin(message, index, VIRTIO_CONSOLE_RESIZE, 1);
        add_size(console, message);
        break;
    case MESSAGE_NAME:
        begin(message, index, VIRTIO_CONSOLE_PORT_NAME, 1);
        memcpy(message->bytes + message->len, port->name, port->name_bytes);
        message->len += port->name_bytes;
        break;
    default: /* MESSAGE_OPEN: the host's end always is */
        begin(message, index, VIRTIO_CONSOLE_PORT_OPEN, 1);
    }
}

/* The first message that waits: true with its port, and which it is. */
static bool next_message(const struct console *console, unsigned *port,
                         unsigned *which)
{
    for (unsigned i = 0; i < console->port_count; i++)
        if (console->ports[i].pending) {
            *port = i;
            *which = console->ports[i].pending & -console->ports[i].pending;
            return true;
        }
    return false;
}

bool console_send_messages(struct console *console)
{
    struct vmm_virtq *ring =
        vmm_virtio_queue(&console->virtio, CONTROL_TO_DRIVER);
    unsigned port, which, chains = 0;
    struct vmm_chain *chain;

    if (!ring)
        return false;
    vmm_virtq_suppress(ring);
    for (; chains < TURN_CHAINS; chains++) {
        struct message message;

        if (!next_message(console, &port, &which) ||
            vmm_virtq_pop(ring, &chain) <= 0)
            break;
        compose(console, port, which, &message);
        /* What a buffer has no room for waits for the next one. */
        bool sent = !vmm_chain_write(chain, 0, message.bytes, message.len);
        if (sent)
            console->ports[port].pending &= ~which;
        vmm_virtq_push(chain, sent ? (uint32_t)message.len : 0);
    }
    vmm_virtio_signal(&console->virtio, CONTROL_TO_DRIVER);
    if (chains == TURN_CHAINS)
        return true;
    /* Buffers that are there already matter only while a message waits. */
    return vmm_virtq_arm(ring) && next_message(console, &port, &which);
}

/* ---- from the driver ------------------------------------------------------
 */

static void on_device_ready(struct console *console)
{
    for (unsigned i = 0; i < console->port_count; i++)
        console->ports[i].pending |= MESSAGE_ADD;
}

static void on_port_ready(struct console *console, unsigned index)
{
    struct console_port *port = &console->ports[index];

    if (index == 0)
        port->pending |= MESSAGE_CONSOLE;
    if (index == 0 && console->cols && console->rows)
        port->pending |= MESSAGE_RESIZE;
    if (port->name_bytes)
        port->pending |= MESSAGE_NAME;
    port->pending |= MESSAGE_OPEN;
}

/* A guest that has not opened a port throws away what comes for it. */
static void on_port_open(struct console *console, unsigned index, bool open)
{
    if (index == 0)
        return; /* a console is always open */
    console->ports[index].open = open;
    if (open)
        vmm_virtio_kick(&console->virtio, console_receive_queue(index));
}

static void on_message(struct console *console, const uint8_t *message)
{
    uint32_t port = load_le32(message);
    uint16_t value = load_le16(message + 6);

    switch (load_le16(message + 4)) {
    case VIRTIO_CONSOLE_DEVICE_READY:
        if (value)
            on_device_ready(console);
        break;
    case VIRTIO_CONSOLE_PORT_READY:
        if (port < console->port_count && value)
            on_port_ready(console, port);
        break;
    case VIRTIO_CONSOLE_PORT_OPEN:
        if (port < console->port_count)
            on_port_open(console, port, value != 0);
        break;
    default:
        break;
    }
}

bool console_take_messages(struct console *console)
{
    struct vmm_virtq *ring =
        vmm_virtio_queue(&console->virtio, CONTROL_TO_DEVICE);
    struct vmm_chain *chain;
    unsigned chains = 0;

    if (!ring)
        return false;
    vmm_virtq_suppress(ring);
    for (; chains < TURN_CHAINS && vmm_virtq_pop(ring, &chain) > 0; chains++) {
        uint8_t message[HEADER_BYTES];

        if (!vmm_chain_read(chain, 0, message, sizeof(message)))
            on_message(console, message);
        vmm_virtq_push(chain, 0);
    }
    vmm_virtio_signal(&console->virtio, CONTROL_TO_DEVICE);
    vmm_virtio_kick(&console->virtio, CONTROL_TO_DRIVER);
    return chains == TURN_CHAINS || vmm_virtq_arm(ring);
}
