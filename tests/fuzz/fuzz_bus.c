/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * Fuzzes the bus: the input is a list of changes and accesses, each checked
 * against a map that says for every address who lives there.
 *
 * Input: records of 6 bytes: action, base (2 bytes), length or new base (2
 * bytes), size of accesses and what the handler does.  Addresses are spread
 * over both ends of the space, so that ranges meet the limit and wrap.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/bus.h>

#include "require.h"

#define LIMIT   0x1ff
#define SPACE   (LIMIT + 1)
#define TENANTS 64
#define RECORD  6

enum { ADD, REMOVE, MOVE, READ, WRITE, READ_STRING, WRITE_STRING, ACTIONS };

struct fuzz;

struct tenant {
    struct vmm_device device;
    struct fuzz *fuzz;
    unsigned number; /* 1.. */
    uint64_t base, length;
};

/* What should be where: tenant numbers, 0 for nobody. */
struct fuzz {
    struct vmm_bus *bus;
    uint8_t map[SPACE];
    struct tenant *tenants[TENANTS + 1];
    unsigned alive;
    bool leave; /* the next tenant to be accessed removes itself */
    uint8_t *written;
};

static uint8_t content(unsigned number, uint64_t offset)
{
    return (uint8_t)(number * 31 + offset * 7);
}

static uint8_t owner(const struct fuzz *fuzz, uint64_t address)
{
    return address < SPACE ? fuzz->map[address] : 0;
}

static void paint(struct fuzz *fuzz, const struct tenant *tenant, bool present)
{
    memset(&fuzz->map[tenant->base], present ? (int)tenant->number : 0,
           tenant->length);
}

/* ---- tenants ---- */

static void tenant_leave(struct tenant *tenant)
{
    struct fuzz *fuzz = tenant->fuzz;
    fuzz->leave = false;
    paint(fuzz, tenant, false);
    REQUIRE(vmm_bus_remove(fuzz->bus, tenant->base, NULL) == 0);
    REQUIRE(fuzz->tenants[tenant->number] == tenant); /* still with us */
}

static void tenant_check(const struct tenant *tenant, uint64_t offset,
                         size_t size)
{
    REQUIRE(size >= 1 && size <= 8);
    REQUIRE(offset < tenant->length && size <= tenant->length - offset);
}

static void tenant_read(struct vmm_device *device, uint64_t offset,
                        uint8_t *value, size_t size)
{
    struct tenant *tenant = (struct tenant *)device;
    tenant_check(tenant, offset, size);
    for (size_t i = 0; i < size; i++) {
        REQUIRE(value[i] == 0xff);
        value[i] = content(tenant->number, offset + i);
    }
    if (tenant->fuzz->leave)
        tenant_leave(tenant);
}

static void tenant_write(struct vmm_device *device, uint64_t offset,
                         const uint8_t *value, size_t size)
{
    struct tenant *tenant = (struct tenant *)device;
    tenant_check(tenant, offset, size);
    for (size_t i = 0; i < size; i++)
        tenant->fuzz->written[value[i]] = content(tenant->number, offset + i);
    if (tenant->fuzz->leave)
        tenant_leave(tenant);
}

static void tenant_destroy(struct vmm_device *device)
{
    struct tenant *tenant = (struct tenant *)device;
    tenant->fuzz->tenants[tenant->number] = NULL;
    tenant->fuzz->alive--;
    free(tenant);
}

static const struct vmm_region_ops tenant_regions[] = {
    {tenant_read, tenant_write, 0}};
static const struct vmm_device_ops tenant_ops = {.name = "tenant",
                                                 .destroy = tenant_destroy};

static struct tenant *tenant_new(struct fuzz *fuzz)
{
    for (unsigned number = 1; number <= TENANTS; number++) {
        if (fuzz->tenants[number])
            continue;
        struct tenant *tenant = calloc(1, sizeof(*tenant));
        REQUIRE(tenant);
        vmm_device_init(&tenant->device, &tenant_ops, tenant_regions, 1);
        tenant->fuzz = fuzz;
        tenant->number = number;
        fuzz->tenants[number] = tenant;
        fuzz->alive++;
        return tenant;
    }
    return NULL;
}

/* ---- changes ---- */

/* What the bus should say to a range there, ignoring tenant `self`. */
static int expected(const struct fuzz *fuzz, uint64_t base, uint64_t length,
                    unsigned self)
{
    if (length == 0 || base > LIMIT || length > SPACE - base)
        return -EINVAL;
    for (uint64_t i = 0; i < length; i++)
        if (fuzz->map[base + i] && fuzz->map[base + i] != self)
            return -EBUSY;
    return 0;
}

static void add(struct fuzz *fuzz, uint64_t base, uint64_t length)
{
    struct vmm_error err;
    struct tenant *tenant = tenant_new(fuzz);
    if (!tenant)
        return;
    int rc = vmm_bus_add(fuzz->bus, base, length, &tenant->device, 0, &err);
    REQUIRE(rc == expected(fuzz, base, length, 0));
    REQUIRE(err.code == -rc);
    if (rc == 0) {
        tenant->base = base;
        tenant->length = length;
        paint(fuzz, tenant, true);
    }
    vmm_device_unref(&tenant->device);
}

static struct tenant *starting_at(struct fuzz *fuzz, uint64_t base)
{
    struct tenant *tenant = fuzz->tenants[owner(fuzz, base)];
    return tenant && tenant->base == base ? tenant : NULL;
}

static void take_away(struct fuzz *fuzz, uint64_t base)
{
    struct tenant *tenant = starting_at(fuzz, base);
    unsigned alive = fuzz->alive;
    if (tenant)
        paint(fuzz, tenant, false);
    int rc = vmm_bus_remove(fuzz->bus, base, NULL);
    REQUIRE(rc == (tenant ? 0 : -ENOENT));
    REQUIRE(fuzz->alive == alive - (rc == 0));
}

static void move(struct fuzz *fuzz, uint64_t base, uint64_t new_base)
{
    struct tenant *tenant = starting_at(fuzz, base);
    int rc = vmm_bus_move(fuzz->bus, base, new_base, NULL);
    if (!tenant) {
        REQUIRE(rc == -ENOENT);
        return;
    }
    REQUIRE(rc == expected(fuzz, new_base, tenant->length, tenant->number));
    if (rc < 0)
        return;
    paint(fuzz, tenant, false);
    tenant->base = new_base;
    paint(fuzz, tenant, true);
}

/* ---- accesses ---- */

/* Fills what each byte of an access should read as, 0xff for nobody's. */
static bool foresee(const struct fuzz *fuzz, uint64_t address, size_t size,
                    uint8_t *bytes)
{
    bool found = false;
    for (size_t i = 0; i < size; i++) {
        uint64_t at = address + i;
        unsigned number = at < address ? 0 : owner(fuzz, at);
        bytes[i] =
            number ? content(number, at - fuzz->tenants[number]->base) : 0xff;
        found |= number != 0;
    }
    return found;
}

static void read_once(struct fuzz *fuzz, uint64_t address, size_t size)
{
    uint8_t bytes[8], wanted[8];
    bool found = foresee(fuzz, address, size, wanted);
    int rc = vmm_bus_read(fuzz->bus, address, bytes, size);
    REQUIRE(rc == (found ? 0 : -ENOENT));
    REQUIRE(memcmp(bytes, wanted, size) == 0);
}

static void write_once(struct fuzz *fuzz, uint64_t address, size_t size)
{
    static const uint8_t value[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    uint8_t written[8], wanted[8];
    bool found = foresee(fuzz, address, size, wanted);
    memset(written, 0xff, sizeof(written));
    fuzz->written = written;
    int rc = vmm_bus_write(fuzz->bus, address, value, size);
    REQUIRE(rc == (found ? 0 : -ENOENT));
    REQUIRE(memcmp(written, wanted, size) == 0);
}

static void read_string(struct fuzz *fuzz, uint64_t address, size_t size)
{
    uint8_t bytes[32], wanted[8];
    bool found = foresee(fuzz, address, size, wanted);
    fuzz->leave = false;
    int rc = vmm_bus_read_string(fuzz->bus, address, bytes, size, 4);
    REQUIRE(rc == (found ? 0 : -ENOENT));
    for (size_t i = 0; i < 4; i++)
        REQUIRE(memcmp(bytes + i * size, wanted, size) == 0);
}

static void write_string(struct fuzz *fuzz, uint64_t address, size_t size)
{
    static const uint8_t values[32] = {0, 1, 2, 3, 4, 5, 6, 7};
    uint8_t written[8], wanted[8];
    bool found = foresee(fuzz, address, size, wanted);
    fuzz->written = written;
    int rc = vmm_bus_write_string(fuzz->bus, address, values, size, 4);
    REQUIRE(rc == (found ? 0 : -ENOENT));
}

static void run_record(struct fuzz *fuzz, const uint8_t *record)
{
    /* 0..0x7fff from the bottom up, 0x8000..0xffff at the top of 2^64 */
    uint64_t base = (uint64_t)(int16_t)(record[1] | record[2] << 8);
    uint64_t other = (uint64_t)(int16_t)(record[3] | record[4] << 8);
    size_t size = record[5] % 8 + 1;
    fuzz->leave = record[5] & 0x80;
    switch (record[0] % ACTIONS) {
    case ADD:
        add(fuzz, base, other);
        break;
    case REMOVE:
        take_away(fuzz, base);
        break;
    case MOVE:
        move(fuzz, base, other);
        break;
    case READ:
        read_once(fuzz, base, size);
        break;
    case WRITE:
        write_once(fuzz, base, size);
        break;
    case READ_STRING:
        read_string(fuzz, base, size);
        break;
    default:
        write_string(fuzz, base, size);
        break;
    }
}

static void count_range(void *context, const struct vmm_bus_range *range)
{
    REQUIRE(range->length > 0 && range->base + range->length <= SPACE);
    (*(unsigned *)context)++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz fuzz = {0};
    unsigned ranges = 0;
    REQUIRE(vmm_bus_new("fuzz", LIMIT, &fuzz.bus, NULL) == 0);
    for (size_t i = 0; i + RECORD <= size; i += RECORD)
        run_record(&fuzz, data + i);
    vmm_bus_each(fuzz.bus, count_range, &ranges);
    REQUIRE(ranges == fuzz.alive);
    vmm_bus_free(fuzz.bus);
    REQUIRE(fuzz.alive == 0);
    return 0;
}
