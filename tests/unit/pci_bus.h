/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A PCI host bridge on a bus, accesses to it, and the host's end of messages.
 */
#ifndef PCI_BUS_H
#define PCI_BUS_H

#include <errno.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <vmm/bus.h>
#include <vmm/pci.h>

#define ECAM         0xe0000000u
#define WINDOW       0xd8000000u
#define WINDOW_BYTES 0x1000000u

#define VECTORS_MAX 8

/* What the host's end of the messages has seen. */
struct messages {
    unsigned routes[VECTORS_MAX];
    unsigned raises[VECTORS_MAX];
    uint64_t address[VECTORS_MAX];
    uint32_t data[VECTORS_MAX];
    uint64_t sent_address; /* by the last raise */
    uint32_t sent_data;
    bool refuse;
    unsigned *pulses; /* counts all raises; or NULL */
    bool lends;       /* eventfds for others to raise vectors: */
    int fds[VECTORS_MAX];
    bool held[VECTORS_MAX];
};

static int on_route(void *context, unsigned vector, uint64_t address,
                    uint32_t data)
{
    struct messages *m = context;

    if (m->refuse)
        return -EINVAL;
    m->routes[vector]++;
    m->address[vector] = address;
    m->data[vector] = data;
    return 0;
}

static void on_raise(void *context, unsigned vector)
{
    struct messages *m = context;

    m->raises[vector]++;
    if (m->pulses)
        ++*m->pulses;
    m->sent_address = m->address[vector];
    m->sent_data = m->data[vector];
}

/* Eventfds that nobody reads: who has raised a vector is seen in them. */
static inline int on_fd(void *context, unsigned vector)
{
    return ((struct messages *)context)->fds[vector];
}

static inline void on_hold(void *context, unsigned vector, bool on)
{
    ((struct messages *)context)->held[vector] = on;
}

static inline bool on_kept(void *context, unsigned vector, bool take)
{
    struct messages *m = context;
    struct pollfd ready = {.fd = m->fds[vector], .events = POLLIN};
    eventfd_t count;

    return take ? eventfd_read(m->fds[vector], &count) == 0
                : poll(&ready, 1, 0) == 1;
}

static inline void lend_fds(struct messages *m, struct vmm_msi_lines *lines)
{
    for (unsigned i = 0; i < VECTORS_MAX; i++)
        m->fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    lines->fd = on_fd;
    lines->hold = on_hold;
    lines->kept = on_kept;
}

/* ---- accesses -------------------------------------------------------------
 */

static uint64_t load_at(struct vmm_bus *bus, uint64_t address, size_t size)
{
    uint64_t value = 0;

    vmm_bus_read(bus, address, (uint8_t *)&value, size);
    return value;
}

static void store_at(struct vmm_bus *bus, uint64_t address, uint64_t value,
                     size_t size)
{
    vmm_bus_write(bus, address, (const uint8_t *)&value, size);
}

/* Where the configuration space of a slot is. */
static uint64_t config_at(unsigned slot, unsigned offset)
{
    return ECAM + (slot << 15) + offset;
}

/* The offset of the capability of an id, after one; 0: none. */
static unsigned find_capability(struct vmm_bus *bus, unsigned slot, uint8_t id,
                                unsigned after)
{
    unsigned at = (unsigned)load_at(
        bus, config_at(slot, after ? after + 1 : PCI_CAPABILITY_LIST), 1);

    while (at && load_at(bus, config_at(slot, at), 1) != id)
        at = (unsigned)load_at(bus, config_at(slot, at + 1), 1);
    return at;
}

/* ---- set-up ---------------------------------------------------------------
 */

static struct vmm_device *pci_host_on(struct vmm_bus *bus,
                                      const struct vmm_irq_line *line)
{
    static const struct vmm_memory_range windows[] = {{WINDOW, WINDOW_BYTES}};
    struct vmm_pci_host_config config = {.mmio = bus,
                                         .windows = windows,
                                         .window_count = 1,
                                         .lines = line,
                                         .line_count = line ? 1 : 0};
    struct vmm_device *device;
    struct vmm_error err;

    if (vmm_pci_host_new(&config, &device, &err) ||
        vmm_bus_add(bus, ECAM, VMM_PCI_ECAM_BYTES, device, VMM_PCI_REGION_ECAM,
                    &err))
        fail_msg("%s", err.text);
    return device;
}

#endif
