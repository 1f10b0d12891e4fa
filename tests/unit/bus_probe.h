/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A bus of ports for each test, and devices that note what they are asked. */
#ifndef BUS_PROBE_H
#define BUS_PROBE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/bus.h>

#define ALL_ONES UINT64_C(0xffffffffffffffff)

/* ---- a device that notes what it is asked ---- */

struct probe {
    struct vmm_device device;
    struct vmm_device_ops ops;
    bool *destroyed;
    char calls[256]; /* "r0+1 " read of 1 byte at offset 0, "w2+4=..." */
    void (*during)(struct probe *probe); /* called from within an access */
    struct vmm_bus *bus;
    unsigned depth;
    bool silent; /* leaves what it is asked to read untouched */
};

static struct probe *probe_of(struct vmm_device *device)
{
    return (struct probe *)device;
}

__attribute__((format(printf, 2, 3))) static void note(struct probe *probe,
                                                       const char *format, ...)
{
    size_t used = strlen(probe->calls);
    va_list args;
    va_start(args, format);
    vsnprintf(probe->calls + used, sizeof(probe->calls) - used, format, args);
    va_end(args);
}

/* Each byte reads as 0x10 plus its offset. */
static void probe_read(struct vmm_device *device, uint64_t offset,
                       uint8_t *value, size_t size)
{
    struct probe *probe = probe_of(device);
    note(probe, "r%llx+%zu ", (unsigned long long)offset, size);
    for (size_t i = 0; i < size && !probe->silent; i++)
        value[i] = (uint8_t)(0x10 + offset + i);
    if (probe->during)
        probe->during(probe);
}

static void probe_write(struct vmm_device *device, uint64_t offset,
                        const uint8_t *value, size_t size)
{
    struct probe *probe = probe_of(device);
    note(probe, "w%llx=", (unsigned long long)offset);
    for (size_t i = 0; i < size; i++)
        note(probe, "%02x", value[i]);
    note(probe, " ");
    if (probe->during)
        probe->during(probe);
}

static void probe_destroy(struct vmm_device *device)
{
    struct probe *probe = probe_of(device);
    if (probe->destroyed)
        *probe->destroyed = true;
    free(probe);
}

static const struct vmm_region_ops probe_regions[] = {
    {probe_read, probe_write, 0},
    {probe_read, probe_write, 0},
};

static struct probe *probe_new(const char *name)
{
    struct probe *probe = calloc(1, sizeof(*probe));
    assert_non_null(probe);
    probe->ops.name = name;
    probe->ops.destroy = probe_destroy;
    vmm_device_init(&probe->device, &probe->ops, probe_regions, 2);
    return probe;
}

/* ---- a bus of ports, and shorthands ---- */

static int set_up(void **state)
{
    struct vmm_bus *bus;
    assert_int_equal(vmm_bus_new("pio", 0xffff, &bus, NULL), 0);
    *state = bus;
    return 0;
}

static int tear_down(void **state)
{
    vmm_bus_free(*state);
    return 0;
}

/* Puts a new probe on the bus, which then holds the only reference. */
static struct probe *add(struct vmm_bus *bus, const char *name, uint64_t base,
                         uint64_t length)
{
    struct probe *probe = probe_new(name);
    struct vmm_error err;
    probe->bus = bus;
    int rc = vmm_bus_add(bus, base, length, &probe->device, 0, &err);
    if (rc < 0)
        fail_msg("%s", err.text);
    vmm_device_unref(&probe->device);
    return probe;
}

static void assert_reads(struct vmm_bus *bus, uint64_t address, size_t size,
                         int rc, uint64_t expected)
{
    uint8_t bytes[8] = {0};
    uint64_t value = 0;
    assert_int_equal(vmm_bus_read(bus, address, bytes, size), rc);
    memcpy(&value, bytes, 8);
    assert_int_equal(value, expected);
}

#endif
