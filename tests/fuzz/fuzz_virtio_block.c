/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * Fuzzes the block device through its registers and its ring: the input is what
 * a driver does, and meanwhile a host: faults, limits, decisions, and what a
 * backend takes and finishes (fuzz_virtio_block_backend.c has one, else it is a
 * file).
 *
 * Input: records of 8 bytes: what to do, three bytes a, b, c, two numbers of
 * two bytes.  Whatever came before, the device reads a sector in the end.
 */
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "require.h"

#include "../unit/block_driver.h"

#define RECORD 8
#define ISLES  (ISLAND + 0x1000) /* past the last byte of RAM */

enum {
    REQUEST,
    DESC_,
    OFFER,
    RUN,
    RESTART,
    CONFIG_,
    RESIZE,
    STORE,
    FAULT_,
    LIMIT_,
    HOST,
    ACTIONS
};

#ifndef FUZZ_BACKEND
#define FUZZ_BACKEND false
#endif

#define FAULTS_MAX 8
#define TAKEN_MAX  8

/* What the host has done, and has to undo. */
struct host_side {
    unsigned faults[FAULTS_MAX], fault_count;
    struct vmm_block_work taken[TAKEN_MAX];
    unsigned taken_count;
    unsigned told;
};
static struct host_side side;

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

/* ---- the host ---- */

static void on_pending(void *context, unsigned what)
{
    ((struct host_side *)context)->told |= what;
}

static void finish(struct disk *d, const struct vmm_block_work *work,
                   uint8_t status, size_t len)
{
    static uint8_t bytes[VMM_BLOCK_WORK_BYTES];

    REQUIRE(work->len <= sizeof(bytes));
    (void)vmm_virtio_block_data(d->host.virtio, work->id, bytes, len);
    (void)vmm_virtio_block_finish(d->host.virtio, work->id, status, bytes, len);
}

/* Take something, finish something else, decide. */
static void host(struct disk *d, const struct record *r)
{
    struct vmm_block_question question;
    struct vmm_block_work *work = &side.taken[side.taken_count];

    vmm_virtio_block_ask(d->host.virtio, r->a & 1);
    if (r->a & 2 && vmm_virtio_block_question(d->host.virtio, &question))
        (void)vmm_virtio_block_decide(d->host.virtio, question.id, r->b % 3,
                                      r->x);
    if (r->a & 4 && side.taken_count < TAKEN_MAX &&
        vmm_virtio_block_take(d->host.virtio, work))
        side.taken_count++;
    if (r->a & 8 && side.taken_count) {
        work = &side.taken[r->c % side.taken_count];
        finish(d, work, r->b % 3, r->a & 16 ? r->y : work->len);
        *work = side.taken[--side.taken_count];
    }
}

static void fault(struct disk *d, const struct record *r)
{
    const struct vmm_block_fault what = {
        .ops = r->a,
        .first = r->b & 0x80 ? 0 : r->x % SECTORS,
        .last = r->b & 0x80 ? UINT64_MAX : r->x % SECTORS + r->b % 8,
        .nth = 1 + r->b % 4,
        .times = r->c & 0x80 ? UINT64_MAX : r->c % 8u,
        .status = r->c % 3,
        .delay_ns = r->y};

    if (side.fault_count < FAULTS_MAX)
        REQUIRE(!vmm_virtio_block_fault(
            d->host.virtio, &what, &side.faults[side.fault_count++], NULL));
    else
        vmm_virtio_block_fault_remove(d->host.virtio,
                                      side.faults[--side.fault_count]);
}

static void limit(struct disk *d, const struct record *r)
{
    const struct vmm_limit to = {
        .bytes = (uint64_t)r->x << r->a % 16,
        .items = (uint64_t)r->y << r->b % 16,
        .burst_ns = r->c * UINT64_C(1000000),
    };

    vmm_virtio_block_limit(d->host.virtio, &to);
}

/* All that waits for it is finished, and will be from now on. */
static void end_host_side(struct disk *d)
{
    struct vmm_block_work work;

    vmm_virtio_block_ask(d->host.virtio, false);
    vmm_virtio_block_limit(d->host.virtio, &(struct vmm_limit){0});
    while (side.fault_count)
        vmm_virtio_block_fault_remove(d->host.virtio,
                                      side.faults[--side.fault_count]);
    while (side.taken_count)
        finish(d, &side.taken[--side.taken_count], VIRTIO_BLK_S_OK, SECTOR);
    while (vmm_virtio_block_take(d->host.virtio, &work))
        finish(d, &work, VIRTIO_BLK_S_OK, (size_t)work.len);
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
    case FAULT_:
        fault(d, r);
        break;
    case LIMIT_:
        limit(d, r);
        break;
    case HOST:
        host(d, r);
        break;
    }
}

/* Memory, file and rings take longer to make than a run. */
static struct disk *the_disk(void)
{
    static const struct vmm_block_backend backend = {SECTORS * SECTOR, true,
                                                     true, true};
    static struct disk d;
    struct vmm_virtio *virtio;

    if (d.host.virtio)
        return &d;
    host_set_up(&d.host);
    d.config = (struct vmm_virtio_block_config){
        .memory = d.host.driver.memory, .loop = d.host.loop, .queues = 1};
    d.config.listener = (struct vmm_block_listener){on_pending, NULL, &side};
    if (FUZZ_BACKEND) {
        d.config.backend = &backend;
    } else {
        d.fd = memfd_create("disk", MFD_CLOEXEC);
        REQUIRE(d.fd >= 0);
        snprintf(d.path, sizeof(d.path), "/proc/self/fd/%d", d.fd);
        d.config.path = d.path;
    }
    REQUIRE(!vmm_virtio_block_new(&d.config, &virtio, NULL));
    host_attach(&d.host, virtio);
    return &d;
}

/* The device works, with a host that does its part. */
static void require_a_read(struct disk *d)
{
    struct pollfd loop = {vmm_loop_fd(d->host.loop), POLLIN, 0};
    uint32_t id, len;

    disk_offer(d, VIRTIO_BLK_T_IN, 7, BUFFER, SECTOR, IN);
    serve(&d->host);
    end_host_side(d);
    while (!driver_collect(&d->host.driver, &id, &len)) {
        REQUIRE(poll(&loop, 1, 10000) == 1);
        serve(&d->host);
        end_host_side(d);
    }
    REQUIRE(disk_status(d) == VIRTIO_BLK_S_OK);
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
    end_host_side(d);
    run(d);
    REQUIRE(!vmm_virtio_block_resize(d->host.virtio, SECTORS * SECTOR, NULL));
    bring_up(&d->host, 0);
    require_a_read(d);
    return 0;
}
