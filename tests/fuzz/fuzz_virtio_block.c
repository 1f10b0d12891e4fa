/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * Fuzzes the block device through its registers and its ring: the input is what
 * a driver does.
 *
 * Input: records of 8 bytes: what to do, three bytes a, b, c, two numbers of
 * two bytes.  Whatever came before, the device reads a sector in the end.
 */
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define REQUIRE(condition)                                                     \
    do {                                                                       \
        if (!(condition))                                                      \
            abort();                                                           \
    } while (0)
/* What the mock drivers assert with. */
#define fail_msg(...)          (printf(__VA_ARGS__), abort())
#define assert_int_equal(a, b) REQUIRE((a) == (b))
#define assert_true(a)         REQUIRE(a)

#include "../unit/block_driver.h"

#define RECORD 8
#define ISLES  (ISLAND + 0x1000) /* past the last byte of RAM */

enum { REQUEST, DESC_, OFFER, RUN, RESTART, CONFIG_, RESIZE, STORE, ACTIONS };

struct record {
    uint8_t action, a, b, c;
    uint16_t x, y;
};

static const uint32_t types[] = {
    VIRTIO_BLK_T_IN,           VIRTIO_BLK_T_OUT,
    VIRTIO_BLK_T_FLUSH,        VIRTIO_BLK_T_GET_ID,
    VIRTIO_BLK_T_DISCARD,      VIRTIO_BLK_T_WRITE_ZEROES,
    VIRTIO_BLK_T_SECURE_ERASE, 2};
static const vmm_gpa_t places[] = {BUFFER,           BUFFER + 1, RAM_END - 512,
                                   RAM_END - 1,      ISLAND,     ISLES,
                                   UINT64_MAX - 511, DESC};

static void request(struct disk *d, const struct record *r)
{
    uint64_t sector = r->c & 1 ? UINT64_MAX / 512 + r->x : r->x;

    disk_offer(d, types[r->a % 8], sector, places[r->b % 8], r->y,
               r->c & 2 ? IN : OUT);
}

/* What a driver's time is: until nothing more is answered. */
static void run(struct disk *d)
{
    struct pollfd loop = {vmm_loop_fd(d->host.loop), POLLIN, 0};
    uint32_t id, len;

    do {
        serve(&d->host);
        while (driver_collect(&d->host.driver, &id, &len))
            ;
    } while (poll(&loop, 1, 0) == 1);
}

static void configure(struct disk *d, const struct record *r)
{
    uint8_t bytes[8] = {r->b, r->c};
    uint64_t at = BASE + VIRTIO_MMIO_CONFIG + r->x % 128;
    size_t size = 1 + r->a % 8;

    vmm_bus_write(d->host.bus, at, bytes, size);
    vmm_bus_read(d->host.bus, at, bytes, size);
}

static uint64_t features_of(const struct record *r)
{
    return (r->a & 1 ? FLUSH_BIT : 0) | (r->a & 2 ? TRIM_BITS : 0) |
           (r->a & 4 ? UINT64_C(1) << VIRTIO_BLK_F_CONFIG_WCE : 0) |
           (r->a & 8 ? INDIRECT_BIT : 0) | (r->a & 16 ? EVENT_BIT : 0);
}

static void step(struct disk *d, const struct record *r)
{
    struct driver *driver = &d->host.driver;

    switch (r->action % ACTIONS) {
    case REQUEST:
        request(d, r);
        break;
    case DESC_:
        driver_desc(driver, r->a % RING_SIZE,
                    r->c & 0x80 ? places[r->c % 8] : HEADER + r->x, r->y, r->b,
                    r->c);
        break;
    case OFFER:
        driver_offer(driver, r->a % (RING_SIZE + 1));
        put(&d->host, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        break;
    case RUN:
        run(d);
        break;
    case RESTART:
        bring_up(&d->host, features_of(r));
        break;
    case CONFIG_:
        configure(d, r);
        break;
    case RESIZE: /* up to twice its size */
        (void)vmm_virtio_block_resize(d->host.virtio,
                                      r->x % (2 * SECTORS) * SECTOR, NULL);
        break;
    case STORE: /* ranges to be discarded, for one */
        vmm_memory_store_u16(driver->memory, BUFFER + r->x % 512, r->y);
        vmm_memory_store_u8(driver->memory, HEADER + r->a % 16, r->b);
        break;
    }
}

/* Memory, file and rings take longer to make than a run. */
static struct disk *the_disk(void)
{
    static struct disk d;
    struct vmm_virtio *virtio;

    if (d.host.virtio)
        return &d;
    host_set_up(&d.host);
    d.fd = memfd_create("disk", MFD_CLOEXEC);
    REQUIRE(d.fd >= 0);
    snprintf(d.path, sizeof(d.path), "/proc/self/fd/%d", d.fd);
    d.config = (struct vmm_virtio_block_config){.memory = d.host.driver.memory,
                                                .loop = d.host.loop,
                                                .path = d.path,
                                                .queues = 1};
    REQUIRE(!vmm_virtio_block_new(&d.config, &virtio, NULL));
    host_attach(&d.host, virtio);
    return &d;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct disk *d = the_disk();
    struct record record;

    REQUIRE(!vmm_virtio_block_resize(d->host.virtio, SECTORS * SECTOR, NULL));
    bring_up(&d->host, FLUSH_BIT | TRIM_BITS);
    for (; size >= RECORD; data += RECORD, size -= RECORD) {
        memcpy(&record, data, RECORD);
        step(d, &record);
    }
    run(d);
    REQUIRE(!vmm_virtio_block_resize(d->host.virtio, SECTORS * SECTOR, NULL));
    bring_up(&d->host, 0);
    REQUIRE(disk_read(d, 7, SECTOR) == VIRTIO_BLK_S_OK);
    return 0;
}
