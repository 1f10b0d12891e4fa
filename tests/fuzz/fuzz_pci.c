/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * Fuzzes the PCI bus: the input is what a driver writes to configuration space,
 * to ports, to the BARs of two virtio devices and to its rings.  Whatever it
 * did, the bus is whole afterwards, and after a reset a device works.
 *
 * Input: records of 12 bytes: what to do, how many bytes, where (2 bytes),
 * value (8 bytes).
 */
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/bus.h>
#include <vmm/pci.h>
#include <vmm/virtio.h>

#include "require.h"

#define RAM     0x4000u
#define ECAM    0xe0000000u
#define WINDOW  0xd8000000u
#define BYTES   0x20000u /* of the window: room for four BARs */
#define PORTS   0xcf8u
#define RECORD  12
#define VECTORS 2

enum { CONFIG, SLOT, PORT, BAR, RINGS, SERVE, CHANGE, RESET, ACTIONS };

struct fuzz {
    struct vmm_loop *loop;
    struct vmm_memory *memory;
    struct vmm_bus *mmio, *pio;
    struct vmm_device *host;
    struct vmm_virtio *virtio[2];
    unsigned raises;
    bool routed[VECTORS];
    int held[VECTORS]; /* by how many of the devices */
    int lines;         /* driven */
};

/* ---- the host's end ---- */

static int on_route(void *context, unsigned vector, uint64_t address,
                    uint32_t data)
{
    struct fuzz *fuzz = context;

    (void)data;
    REQUIRE(vector < VECTORS);
    if (address >> 60) /* as if KVM had refused it */
        return -1;
    fuzz->routed[vector] = true;
    return 0;
}

static void on_raise(void *context, unsigned vector)
{
    struct fuzz *fuzz = context;

    REQUIRE(vector < VECTORS && fuzz->routed[vector]);
    fuzz->raises++;
}

/* What other processes would raise vectors by. */
static int on_fd(void *context, unsigned vector)
{
    (void)context;
    REQUIRE(vector < VECTORS);
    return (int)vector;
}

static void on_hold(void *context, unsigned vector, bool on)
{
    struct fuzz *fuzz = context;

    fuzz->held[vector] += on ? 1 : -1;
    REQUIRE(fuzz->held[vector] >= 0 && fuzz->held[vector] <= 2);
}

static bool on_kept(void *context, unsigned vector, bool take)
{
    const struct fuzz *fuzz = context;

    (void)take;
    REQUIRE(fuzz->held[vector] > 0);
    return true;
}

static void on_line(void *context, bool level)
{
    struct fuzz *fuzz = context;

    fuzz->lines += level ? 1 : -1;
    REQUIRE(fuzz->lines == 0 || fuzz->lines == 1);
}

/* The BAR's ioeventfds: on and off in turns. */
static void on_doorbell(void *context, uint64_t address, int fd, bool on)
{
    (void)context;
    (void)on;
    REQUIRE(address >= WINDOW && address < WINDOW + BYTES && fd >= 0);
}

/* ---- the machine ---- */

static void add_device(struct fuzz *fuzz, unsigned i)
{
    struct vmm_virtio_pci_config config = {.host = fuzz->host,
                                           .slot = i + 1,
                                           .bar = WINDOW +
                                                  i * VMM_VIRTIO_PCI_BAR_BYTES,
                                           .lines = {.route = on_route,
                                                     .raise = on_raise,
                                                     .context = fuzz,
                                                     .count = VECTORS,
                                                     .fd = on_fd,
                                                     .hold = on_hold,
                                                     .kept = on_kept},
                                           .doorbell = on_doorbell};

    REQUIRE(!vmm_virtio_rng_new(fuzz->memory, fuzz->loop, 0, &fuzz->virtio[i],
                                NULL));
    REQUIRE(
        !vmm_virtio_pci_new(vmm_virtio_ref(fuzz->virtio[i]), &config, NULL));
}

static void build(struct fuzz *fuzz)
{
    static const struct vmm_memory_range windows[] = {{WINDOW, BYTES}};
    const struct vmm_irq_line line = {on_line, fuzz};
    struct vmm_pci_host_config config = {
        .windows = windows, .window_count = 1, .lines = &line, .line_count = 1};

    REQUIRE(!vmm_loop_new(&fuzz->loop, NULL));
    REQUIRE(!vmm_bus_new("mmio", (1ULL << 52) - 1, &fuzz->mmio, NULL));
    REQUIRE(!vmm_bus_new("pio", 0xffff, &fuzz->pio, NULL));
    config.mmio = fuzz->mmio;
    REQUIRE(!vmm_pci_host_new(&config, &fuzz->host, NULL));
    REQUIRE(!vmm_bus_add(fuzz->mmio, ECAM, VMM_PCI_ECAM_BYTES, fuzz->host,
                         VMM_PCI_REGION_ECAM, NULL));
    REQUIRE(!vmm_bus_add(fuzz->pio, PORTS, VMM_PCI_PORTS, fuzz->host,
                         VMM_PCI_REGION_PORTS, NULL));
    for (unsigned i = 0; i < 2; i++)
        add_device(fuzz, i);
}

static void take_apart(struct fuzz *fuzz)
{
    vmm_device_unref(fuzz->host);
    vmm_bus_free(fuzz->pio);
    vmm_bus_free(fuzz->mmio);
    for (unsigned i = 0; i < 2; i++)
        vmm_virtio_unref(fuzz->virtio[i]);
    vmm_loop_free(fuzz->loop);
}

/* ---- what a guest does ---- */

static uint64_t get(struct fuzz *fuzz, uint64_t address, size_t size)
{
    uint64_t value = 0;

    vmm_bus_read(fuzz->mmio, address, (uint8_t *)&value, size);
    return value;
}

static void put(struct fuzz *fuzz, uint64_t address, uint64_t value,
                size_t size)
{
    vmm_bus_write(fuzz->mmio, address, (const uint8_t *)&value, size);
}

static void serve(struct fuzz *fuzz)
{
    for (int i = 0; i < 4 && vmm_loop_step(fuzz->loop, 0) > 0; i++)
        ;
}

static void change_config(struct vmm_virtio *virtio)
{
    vmm_virtio_enter(virtio);
    vmm_virtio_config_changed(virtio);
    vmm_virtio_leave(virtio);
}

/* As for a back end that is another process. */
static void lend_vector(struct vmm_virtio *virtio)
{
    vmm_virtio_enter(virtio);
    virtio->interrupt.fd(virtio->interrupt.context, 0);
    vmm_virtio_leave(virtio);
}

/* Write, then read the same. */
static void touch(struct fuzz *fuzz, uint64_t address, uint64_t value,
                  size_t size)
{
    put(fuzz, address, value, size);
    (void)get(fuzz, address, size);
}

static void step(struct fuzz *fuzz, const uint8_t *record)
{
    size_t size = 1 + record[1] % 8;
    uint16_t where;
    uint64_t value;

    memcpy(&where, record + 2, 2);
    memcpy(&value, record + 4, 8);
    switch (record[0] % ACTIONS) {
    case CONFIG: /* of both devices and the bridge: their first 256 bytes */
        touch(fuzz, ECAM + ((uint64_t)(where >> 8) % 3 << 15) + where % 256,
              value, size);
        break;
    case SLOT: /* anywhere */
        touch(fuzz, ECAM + 16u * where, value, size);
        break;
    case PORT:
        size = size > 4 ? 4 : size;
        vmm_bus_write(fuzz->pio, PORTS + where % 8, record + 4, size);
        vmm_bus_read(fuzz->pio, PORTS + where % 8, (uint8_t *)&value, size);
        break;
    case BAR:
        touch(fuzz, WINDOW + where, value, size);
        break;
    case RINGS:
        vmm_memory_write(fuzz->memory, where % (RAM - 8), record + 4, size);
        break;
    case SERVE:
        serve(fuzz);
        break;
    case CHANGE:
        if (where & 2)
            lend_vector(fuzz->virtio[where % 2]);
        change_config(fuzz->virtio[where % 2]);
        break;
    case RESET:
        vmm_device_reset(fuzz->host);
        break;
    }
}

/* ---- afterwards ---- */

/* A driver fills one buffer. */
static void bring_up(struct fuzz *fuzz)
{
    const uint64_t bar = WINDOW, notify = WINDOW + 0x3000;
    const struct vring_desc desc = {0x3000, 16, VRING_DESC_F_WRITE, 0};
    const uint8_t status[] = {1, 3, 11};
    uint16_t used = 0;

    REQUIRE(!vmm_memory_fill(fuzz->memory, 0, 0, RAM));
    put(fuzz, ECAM + (1 << 15) + PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
    for (size_t i = 0; i < 2; i++)
        put(fuzz, bar + VIRTIO_PCI_COMMON_STATUS, status[i], 1);
    put(fuzz, bar + VIRTIO_PCI_COMMON_GFSELECT, 1, 4);
    put(fuzz, bar + VIRTIO_PCI_COMMON_GF, 1, 4);
    put(fuzz, bar + VIRTIO_PCI_COMMON_STATUS, status[2], 1);
    put(fuzz, bar + VIRTIO_PCI_COMMON_Q_SIZE, 4, 2);
    put(fuzz, bar + VIRTIO_PCI_COMMON_Q_DESCLO, 0x0, 4);
    put(fuzz, bar + VIRTIO_PCI_COMMON_Q_AVAILLO, 0x1000, 4);
    put(fuzz, bar + VIRTIO_PCI_COMMON_Q_USEDLO, 0x2000, 4);
    put(fuzz, bar + VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2);
    put(fuzz, bar + VIRTIO_PCI_COMMON_STATUS, 15, 1);
    REQUIRE(!vmm_memory_write(fuzz->memory, 0, &desc, sizeof(desc)));
    REQUIRE(!vmm_memory_store_u16(fuzz->memory, 0x1002, 1));
    put(fuzz, notify, 0, 2);
    serve(fuzz);
    REQUIRE(!vmm_memory_load_u16(fuzz->memory, 0x2002, &used));
    REQUIRE(used == 1 && fuzz->lines == 1);
    REQUIRE(get(fuzz, bar + 0x1000, 1) == 1 && fuzz->lines == 0);
}

static void count_range(void *context, const struct vmm_bus_range *range)
{
    REQUIRE(range->base >= WINDOW && range->base < ECAM + 1);
    ++*(unsigned *)context;
}

/* Mapping memory takes longer than a run: it is made once. */
static struct vmm_memory *the_memory(void)
{
    static const struct vmm_memory_range ranges[] = {{0, RAM}};
    static struct vmm_memory *memory;
    struct vmm_memory_config config = {.ranges = ranges, .range_count = 1};

    if (!memory)
        REQUIRE(!vmm_memory_new(&config, &memory, NULL));
    REQUIRE(!vmm_memory_fill(memory, 0, 0, RAM));
    return memory;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz fuzz = {.memory = the_memory()};
    unsigned ranges = 0;

    build(&fuzz);
    for (; size >= RECORD; data += RECORD, size -= RECORD)
        step(&fuzz, data);
    REQUIRE(get(&fuzz, ECAM + (1 << 15), 4) == 0x10441af4);
    vmm_bus_each(fuzz.mmio, count_range, &ranges);
    REQUIRE(ranges >= 1 && ranges <= 3);
    vmm_device_reset(fuzz.host);
    for (unsigned i = 0; i < VECTORS; i++)
        REQUIRE(fuzz.held[i] == 0);
    bring_up(&fuzz);
    take_apart(&fuzz);
    return 0;
}
