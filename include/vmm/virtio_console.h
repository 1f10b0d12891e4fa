/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The virtio console: hvc0, and further ports that have names. */
#ifndef VMM_VIRTIO_CONSOLE_H
#define VMM_VIRTIO_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/export.h>
#include <vmm/loop.h>
#include <vmm/memory.h>
#include <vmm/virtio.h>

/*
 * What a port is wired to, as a serial port is to a console.  output and pull
 * are called with the device's lock held and may not block; output takes fewer
 * bytes than len when its ring is full: vmm_virtio_console_output_ready has to
 * follow.
 */
struct vmm_virtio_console_port {
    const char *name; /* up to VMM_VIRTIO_CONSOLE_NAME_MAX bytes, copied; NULL:
                         none, as port 0 mostly has */
    size_t (*output)(void *context, const uint8_t *bytes, size_t len);
    size_t (*pull)(void *context, uint8_t *bytes, size_t max);
    /* The device is closed and asks for nothing more: let nobody call it from
     * now on.  Without the lock.  May be NULL. */
    void (*closed)(void *context);
    void *context;
};

#define VMM_VIRTIO_CONSOLE_NAME_MAX  255
#define VMM_VIRTIO_CONSOLE_PORTS_MAX 31

struct vmm_virtio_console_config {
    struct vmm_memory *memory;
    struct vmm_loop *loop;
    const struct vmm_virtio_console_port *ports;
    unsigned port_count;  /* 1 to VMM_VIRTIO_CONSOLE_PORTS_MAX */
    uint16_t cols, rows;  /* of port 0; 0: not known */
    uint64_t patience_ns; /* see below; 0: one second */
};

/*
 * Section 5.3.  Port 0 is a console (hvc0), the others appear by their names
 * (/dev/virtio-ports/NAME).  With one port there is no control queue.
 *
 * A full sink holds up the guest's output; what a guest does not read stays
 * where pull takes it from.  But a guest that prints to a console spins until
 * the device has taken it, so on port 0 it is held up for patience_ns at the
 * most: then output is dropped until there is room again.
 */
VMM_API int
vmm_virtio_console_new(const struct vmm_virtio_console_config *config,
                       struct vmm_virtio **virtio, struct vmm_error *err);
/* From any thread, without the device's lock: there is input to pull / room for
 * output after a refusal. */
VMM_API void vmm_virtio_console_input_ready(struct vmm_virtio *virtio,
                                            unsigned port);
VMM_API void vmm_virtio_console_output_ready(struct vmm_virtio *virtio,
                                             unsigned port);
/* Port 0 has another size: the guest is told. */
VMM_API void vmm_virtio_console_resize(struct vmm_virtio *virtio, uint16_t cols,
                                       uint16_t rows);

#endif
