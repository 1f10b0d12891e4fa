/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The virtio console's life, its configuration and its queues: virtio 1.2,
 * section 5.3. */
#include "virtio/console.h"
#include "base/arith.h"

#include <errno.h>
#include <linux/virtio_console.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"

#define QUEUE_SIZE  64
#define PATIENCE_NS UINT64_C(1000000000)

/* ---- queues ---------------------------------------------------------------
 */

static bool console_serve(struct vmm_virtio *virtio, unsigned queue)
{
    struct console *console = console_of(virtio);

    if (queue == CONTROL_TO_DRIVER)
        return console_send_messages(console);
    if (queue == CONTROL_TO_DEVICE)
        return console_take_messages(console);
    unsigned port = queue < 2 ? 0 : queue / 2 - 1;
    return queue & 1 ? console_transmit(console, port)
                     : console_receive(console, port);
}

static int console_start(struct vmm_virtio *virtio)
{
    struct console *console = console_of(virtio);

    console->ports[0].open = true;
    /* Linux looks at the size only when it is told of a change. */
    if (console->cols && console->rows)
        vmm_virtio_config_changed(virtio);
    return 0;
}

static void console_stop(struct vmm_virtio *virtio)
{
    console_ports_stop(console_of(virtio));
}

static void on_patience(void *context)
{
    vmm_virtio_kick(context, console_transmit_queue(0));
}

void vmm_virtio_console_input_ready(struct vmm_virtio *virtio, unsigned port)
{
    vmm_virtio_kick(virtio, console_receive_queue(port));
}

void vmm_virtio_console_output_ready(struct vmm_virtio *virtio, unsigned port)
{
    vmm_virtio_kick(virtio, console_transmit_queue(port));
}

/* ---- configuration --------------------------------------------------------
 */

static void console_read_config(struct vmm_virtio *virtio, uint32_t offset,
                                void *bytes, uint32_t len)
{
    const struct console *console = console_of(virtio);
    uint8_t config[sizeof(struct virtio_console_config)] = {0};

    store_le16(config + offsetof(struct virtio_console_config, cols),
               console->cols);
    store_le16(config + offsetof(struct virtio_console_config, rows),
               console->rows);
    store_le32(config + offsetof(struct virtio_console_config, max_nr_ports),
               console->port_count);
    memcpy(bytes, config + offset, len);
}

/* The emergency write: a character, also from a driver that is not ready. */
static void console_write_config(struct vmm_virtio *virtio, uint32_t offset,
                                 const void *bytes, uint32_t len)
{
    const struct console_port *port = &console_of(virtio)->ports[0];

    if (virtio->loop && len > 0 &&
        offset == offsetof(struct virtio_console_config, emerg_wr))
        port->wires.output(port->wires.context, bytes, 1);
}

void vmm_virtio_console_resize(struct vmm_virtio *virtio, uint16_t cols,
                               uint16_t rows)
{
    struct console *console = console_of(virtio);

    vmm_virtio_enter(virtio);
    console->cols = cols;
    console->rows = rows;
    vmm_virtio_config_changed(virtio);
    if (vmm_virtio_has(virtio, VIRTIO_CONSOLE_F_MULTIPORT)) {
        console->ports[0].pending |= MESSAGE_RESIZE;
        vmm_virtio_kick(virtio, CONTROL_TO_DRIVER);
    }
    vmm_virtio_leave(virtio);
}

/* ---- life -----------------------------------------------------------------
 */

static void console_close(struct vmm_virtio *virtio)
{
    struct console *console = console_of(virtio);

    for (unsigned i = 0; i < console->port_count; i++)
        if (console->ports[i].wires.closed)
            console->ports[i].wires.closed(console->ports[i].wires.context);
    if (console->patience)
        vmm_timer_remove(console->patience);
    console->patience = NULL;
}

static void free_console(struct console *console)
{
    for (unsigned i = 0; i < console->port_count; i++)
        free(console->ports[i].name);
    free(console);
}

static void console_destroy(struct vmm_virtio *virtio)
{
    free_console(console_of(virtio));
}

static const struct vmm_virtio_ops console_ops = {
    .name = "virtio-console",
    .id = VIRTIO_ID_CONSOLE,
    .start = console_start,
    .stop = console_stop,
    .serve = console_serve,
    .read_config = console_read_config,
    .write_config = console_write_config,
    .close = console_close,
    .destroy = console_destroy,
};

/* Copy what a port is given. */
static int init_port(struct console_port *port,
                     const struct vmm_virtio_console_port *wires,
                     struct vmm_error *err)
{
    const char *name = wires->name ? wires->name : "";

    port->wires = *wires;
    port->wires.name = NULL;
    port->name_bytes = strlen(name);
    if (port->name_bytes > VMM_VIRTIO_CONSOLE_NAME_MAX)
        return vmm_error_set(err, EINVAL,
                             "virtio-console: a port's name has %zu bytes, "
                             "up to %d are possible",
                             port->name_bytes, VMM_VIRTIO_CONSOLE_NAME_MAX);
    port->name = strdup(name);
    if (!port->name)
        return vmm_error_set(err, ENOMEM, "virtio-console: out of memory");
    return 0;
}

static int make(const struct vmm_virtio_console_config *config,
                struct console **result, struct vmm_error *err)
{
    struct console *console = calloc(
        1, sizeof(*console) + config->port_count * sizeof(*console->ports));

    if (!console)
        return vmm_error_set(err, ENOMEM, "virtio-console: out of memory");
    console->cols = config->cols;
    console->rows = config->rows;
    console->patience_ns =
        config->patience_ns ? config->patience_ns : PATIENCE_NS;
    console->port_count = config->port_count;
    for (unsigned i = 0; i < config->port_count; i++) {
        int rc = init_port(&console->ports[i], &config->ports[i], err);

        if (rc) {
            free_console(console);
            return rc;
        }
    }
    *result = console;
    return 0;
}

int vmm_virtio_console_new(const struct vmm_virtio_console_config *config,
                           struct vmm_virtio **virtio, struct vmm_error *err)
{
    uint16_t sizes[VMM_VIRTIO_QUEUES_MAX];
    unsigned ports = config->port_count;
    struct vmm_virtio_config core = {
        .memory = config->memory,
        .loop = config->loop,
        .features = BIT(VIRTIO_CONSOLE_F_SIZE) |
                    BIT(VIRTIO_CONSOLE_F_EMERG_WRITE) |
                    (ports > 1 ? BIT(VIRTIO_CONSOLE_F_MULTIPORT) : 0),
        .queue_count = ports > 1 ? 2 * ports + 2 : 2,
        .queue_sizes = sizes,
        .config_bytes = sizeof(struct virtio_console_config),
    };
    struct console *console = NULL;

    vmm_error_clear(err);
    *virtio = NULL;
    if (ports < 1 || ports > VMM_VIRTIO_CONSOLE_PORTS_MAX)
        return vmm_error_set(err, EINVAL,
                             "virtio-console: %u ports, 1 to %d are possible",
                             ports, VMM_VIRTIO_CONSOLE_PORTS_MAX);
    for (unsigned i = 0; i < core.queue_count; i++)
        sizes[i] = QUEUE_SIZE;
    int rc = make(config, &console, err);
    if (rc)
        return rc;
    rc = vmm_loop_timer(config->loop, on_patience, console, &console->patience,
                        err);
    if (rc) {
        free_console(console);
        return rc;
    }
    rc = vmm_virtio_init(&console->virtio, &console_ops, &core, err);
    if (rc) {
        vmm_timer_remove(console->patience);
        free_console(console);
        return rc;
    }
    *virtio = &console->virtio;
    return 0;
}
