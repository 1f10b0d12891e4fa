/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The inside of the virtio console, shared by its files. */
#ifndef VIRTIO_CONSOLE_H
#define VIRTIO_CONSOLE_H

#include <vmm/virtio_console.h>

/* Messages to the driver about a port that wait for buffers, in the order in
 * which they are sent. */
enum console_message {
    MESSAGE_ADD = 1 << 0,
    MESSAGE_CONSOLE = 1 << 1,
    MESSAGE_RESIZE = 1 << 2,
    MESSAGE_NAME = 1 << 3,
    MESSAGE_OPEN = 1 << 4,
};

struct console_port {
    struct vmm_virtio_console_port wires;
    char *name; /* a copy, "" for none */
    size_t name_bytes;
    /* Since the driver has started: */
    bool open;        /* the guest wants input */
    unsigned pending; /* MESSAGE_* */
    /* Chains that are out of their queues: one that waits for input, and one
     * whose bytes before `sent` are output already. */
    struct vmm_chain *receiving;
    struct vmm_chain *sending;
    uint64_t sent;
    uint64_t stalled_ns; /* when output was refused; 0: it is not */
};

struct console {
    struct vmm_virtio virtio;
    uint16_t cols, rows;
    uint64_t patience_ns;
    struct vmm_timer *patience; /* looks at port 0 again */
    unsigned port_count;
    struct console_port ports[];
};

static inline struct console *console_of(struct vmm_virtio *virtio)
{
    return (struct console *)virtio;
}

/* The queues (section 5.3.2): port 0's two, control's two, then the others'. */
#define CONTROL_TO_DRIVER 2
#define CONTROL_TO_DEVICE 3

static inline unsigned console_receive_queue(unsigned port)
{
    return port == 0 ? 0 : 2 + 2 * port;
}

static inline unsigned console_transmit_queue(unsigned port)
{
    return console_receive_queue(port) + 1;
}

/* console_ports.c: bytes.  Each returns whether there may be more to do. */
bool console_receive(struct console *console, unsigned port);
bool console_transmit(struct console *console, unsigned port);
/* A reset: give back the chains that are out; what can be output still is. */
void console_ports_stop(struct console *console);

/* console_control.c: messages */
bool console_send_messages(struct console *console);
bool console_take_messages(struct console *console);

#endif
