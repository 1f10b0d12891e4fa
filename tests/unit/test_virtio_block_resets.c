/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A driver that resets a block device ten thousand times under I/O, while its
 * loop, its engine, faults, limits and who decides about requests all work on
 * threads of their own. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "block_driver.h"

#define OK       VIRTIO_BLK_S_OK
#define ROUNDS   10000
#define REQUESTS 6

enum engine { URING, THREADS, BACKEND };
static const enum engine engines[] = {URING, THREADS, BACKEND};

struct crowd {
    struct disk d;
    atomic_bool ending;
    pthread_t worker;
};

static void on_pending(void *context, unsigned what)
{
    (void)context;
    (void)what; /* the worker looks all the time */
}

/* Who decides about requests, and carries them out where there is no file. */
static void *work_main(void *argument)
{
    struct crowd *crowd = argument;
    struct vmm_virtio *virtio = crowd->d.host.virtio;
    struct vmm_block_question question;
    struct vmm_block_work work;
    uint8_t bytes[SECTOR] = {0};

    while (!crowd->ending) {
        while (vmm_virtio_block_question(virtio, &question))
            vmm_virtio_block_decide(virtio, question.id, OK, 0);
        while (vmm_virtio_block_take(virtio, &work)) {
            vmm_virtio_block_data(virtio, work.id, bytes, sizeof(bytes));
            vmm_virtio_block_finish(virtio, work.id, OK, bytes, SECTOR);
        }
        sched_yield();
    }
    return NULL;
}

static int set_up(void **state)
{
    static const struct vmm_block_backend backend = {.size = SECTORS * SECTOR,
                                                     .flush = true};
    static struct crowd crowd;
    enum engine engine = *(const enum engine *)*state;
    struct disk *d = &crowd.d;
    struct vmm_virtio *virtio;

    disk_set_up_in(d, "/dev/shm");
    d->config = (struct vmm_virtio_block_config){
        .memory = d->host.driver.memory,
        .loop = d->host.loop,
        .path = engine == BACKEND ? NULL : d->path,
        .backend = engine == BACKEND ? &backend : NULL,
        .listener = {on_pending, NULL, NULL},
        .threads = engine == THREADS,
        .queues = 1};
    MUST(vmm_virtio_block_new(&d->config, &virtio, NULL));
    host_attach(&d->host, virtio);
    crowd.ending = false;
    *state = &crowd;
    return 0;
}

static int tear_down(void **state)
{
    struct crowd *crowd = *state;

    disk_tear_down(&crowd->d);
    return 0;
}

/* ---- the driver ---- */

static vmm_gpa_t place_of(unsigned i)
{
    return DATA + 0x4000 + i * 0x4000;
}

/* Requests that stay where they are in memory, each with all its parts, so that
 * a driver writes nothing that the device may be reading. */
static void lay_out(struct disk *d)
{
    static const uint32_t types[] = {VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
                                     VIRTIO_BLK_T_FLUSH};
    struct driver *driver = &d->host.driver;

    for (unsigned i = 0; i < REQUESTS; i++) {
        struct virtio_blk_outhdr header = {.type = types[i % 3], .sector = i};
        vmm_gpa_t at = place_of(i);
        bool moves = header.type != VIRTIO_BLK_T_FLUSH;

        MUST(vmm_memory_write(driver->memory, at, &header, sizeof(header)));
        driver_desc_at(driver, at + 4096, 0, at, 16, OUT, moves ? 1 : 2);
        driver_desc_at(driver, at + 4096, 1, at + 8192, SECTOR,
                       header.type == VIRTIO_BLK_T_IN ? IN : OUT, 2);
        driver_desc_at(driver, at + 4096, 2, at + 512, 1, VRING_DESC_F_WRITE,
                       0);
    }
}

static void offer_some(struct disk *d, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        driver_offer_buffer(&d->host.driver, (uint16_t)i, place_of(i) + 4096,
                            3 * 16, VRING_DESC_F_INDIRECT);
    put(&d->host, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
}

/* What the host does meanwhile: a fault and a limit come and go. */
static unsigned disturb(struct vmm_virtio *virtio, unsigned round)
{
    const struct vmm_block_fault late = {.ops = 1u << VMM_BLOCK_READ,
                                         .last = UINT64_MAX,
                                         .nth = 2,
                                         .times = 3,
                                         .delay_ns = round % 100 * 1000};
    const struct vmm_limit limit = {.items = round & 8 ? 1000 : 0};
    unsigned id;

    vmm_virtio_block_ask(virtio, round & 4);
    vmm_virtio_block_limit(virtio, &limit);
    MUST(vmm_virtio_block_fault(virtio, &late, &id, NULL));
    return id;
}

static void calm(struct vmm_virtio *virtio)
{
    vmm_virtio_block_ask(virtio, false);
    vmm_virtio_block_limit(virtio, &(struct vmm_limit){0});
}

static void assert_it_works(struct disk *d)
{
    uint32_t id, len;

    bring_up(&d->host, FLUSH_BIT);
    disk_offer(d, VIRTIO_BLK_T_IN, 0, BUFFER, SECTOR, IN);
    while (!driver_collect(&d->host.driver, &id, &len))
        sched_yield();
    assert_int_equal(disk_status(d), OK);
}

static void
ten_thousand_resets_while_all_work_on_it_leave_it_whole(void **state)
{
    struct crowd *crowd = *state;
    struct disk *d = &crowd->d;
    struct vmm_virtio *virtio = d->host.virtio;

    lay_out(d);
    MUST(vmm_loop_start_thread(d->host.loop, "io", NULL));
    MUST(pthread_create(&crowd->worker, NULL, work_main, crowd));
    for (unsigned i = 0; i < ROUNDS; i++) {
        bring_up(&d->host, FLUSH_BIT | INDIRECT_BIT);
        unsigned fault = disturb(virtio, i);
        offer_some(d, 1 + i % REQUESTS);
        if (i & 2)
            sched_yield();
        if (i & 1)
            vmm_virtio_block_fault_remove(virtio, fault);
        put(&d->host, VIRTIO_MMIO_STATUS, 0);
        vmm_virtio_block_fault_remove(virtio, fault);
    }
    calm(virtio);
    assert_it_works(d);
    crowd->ending = true;
    pthread_join(crowd->worker, NULL);
    vmm_loop_stop_thread(d->host.loop);
}

#define TEST(name, engine)                                                     \
    cmocka_unit_test_prestate_setup_teardown(                                  \
        name, set_up, tear_down, (void *)(uintptr_t)&engines[engine])

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ten_thousand_resets_while_all_work_on_it_leave_it_whole, URING),
        TEST(ten_thousand_resets_while_all_work_on_it_leave_it_whole, THREADS),
        TEST(ten_thousand_resets_while_all_work_on_it_leave_it_whole, BACKEND),
    };

    return cmocka_run_group_tests_name("virtio_block_resets", tests, over_mmio,
                                       NULL);
}
