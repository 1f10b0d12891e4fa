/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The memory balloon, driven over both transports: pages that go, statistics,
 * free pages that are reported, and drivers that break the rules. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <linux/virtio_balloon.h>

#include <vmm/virtio_balloon.h>

#include "base/arith.h"
#include "virtio_rings.h"

#define STATS_VQ  BIT(VIRTIO_BALLOON_F_STATS_VQ)
#define REPORTING BIT(VIRTIO_BALLOON_F_REPORTING)

enum { INFLATE, DEFLATE, STATS, REPORTS, QUEUES };

#define LIST 0x6000u /* of page numbers */
#define PAGE 0x1000u
#define POOL 0x30u /* pages that are given away, from this number on */

struct test {
    struct rings rings; /* first */
    unsigned changes, closed;
};

static void on_changed(void *context)
{
    ((struct test *)context)->changes++;
}

static void on_closed(void *context)
{
    ((struct test *)context)->closed++;
}

static int set_up(void **state)
{
    static struct test t;
    struct vmm_virtio *virtio;
    struct vmm_error err;

    memset(&t, 0, sizeof(t));
    host_set_up(&t.rings.host);
    struct vmm_virtio_balloon_config config = {.memory =
                                                   t.rings.host.driver.memory,
                                               .loop = t.rings.host.loop,
                                               .pages = 7,
                                               .deflate_on_oom = true,
                                               .reporting = true,
                                               .changed = on_changed,
                                               .closed = on_closed,
                                               .context = &t};
    if (vmm_virtio_balloon_new(&config, &virtio, &err))
        fail_msg("%s", err.text);
    host_attach(&t.rings.host, virtio);
    rings_bring_up(&t.rings,
                   EVENT_BIT | INDIRECT_BIT | STATS_VQ | REPORTING |
                       BIT(VIRTIO_BALLOON_F_DEFLATE_ON_OOM),
                   QUEUES);
    *state = &t;
    return 0;
}

static int tear_down(void **state)
{
    host_tear_down(&((struct test *)*state)->rings.host);
    return 0;
}

static struct vmm_memory *memory_of(struct test *t)
{
    return t->rings.host.driver.memory;
}

/* Sixteen pages from POOL on that hold something. */
static void fill_pool(struct test *t)
{
    MUST(
        vmm_memory_fill(memory_of(t), (uint64_t)POOL * PAGE, 0xaa, 16u * PAGE));
}

/* Bit n: the page POOL + n holds zeros. */
static unsigned gone(struct test *t)
{
    unsigned found = 0;

    for (unsigned i = 0; i < 16; i++) {
        uint8_t byte;

        MUST(vmm_memory_load_u8(memory_of(t), (POOL + i) * PAGE, &byte));
        found |= (unsigned)(byte == 0) << i;
    }
    return found;
}

/* A list of pages, len bytes of it, put into the balloon. */
static void inflate(struct test *t, const uint32_t *pages, uint32_t len)
{
    MUST(vmm_memory_write(memory_of(t), LIST, pages, len));
    ring_offer_buffer(&t->rings, INFLATE, 0, LIST, len, 0);
    ring_notify(&t->rings, INFLATE);
    assert_int_equal(ring_collect(&t->rings, INFLATE), 0);
}

static void assert_works(struct test *t)
{
    static const uint32_t page = POOL + 15;

    fill_pool(t);
    inflate(t, &page, 4);
    assert_int_equal(gone(t), 0x8000);
}

/* ---- pages ---- */

static void it_is_a_balloon_that_wants_pages(void **state)
{
    struct test *t = *state;
    struct host *h = &t->rings.host;

    assert_int_equal(get(h, VIRTIO_MMIO_DEVICE_ID), 5);
    assert_int_equal(get(h, VIRTIO_MMIO_CONFIG), 7);
    put(h, VIRTIO_MMIO_INTERRUPT_ACK, 3);
    vmm_virtio_balloon_set(h->virtio, 1000);
    assert_int_equal(get(h, VIRTIO_MMIO_CONFIG), 1000);
    assert_int_equal(get(h, VIRTIO_MMIO_INTERRUPT_STATUS),
                     VIRTIO_MMIO_INT_CONFIG);
}

static void the_driver_says_how_much_is_in_it(void **state)
{
    struct test *t = *state;
    struct host *h = &t->rings.host;
    uint8_t byte = 2;

    put(h, VIRTIO_MMIO_CONFIG + 4, 5);
    assert_int_equal(t->changes, 1);
    assert_int_equal(vmm_virtio_balloon_actual(h->virtio), 5);
    vmm_bus_write(h->bus, config_byte(h, 5), &byte, 1);
    assert_int_equal(vmm_virtio_balloon_actual(h->virtio), 0x205);
    put(h, VIRTIO_MMIO_CONFIG, 99); /* is the device's */
    assert_int_equal(get(h, VIRTIO_MMIO_CONFIG), 7);
    put(h, VIRTIO_MMIO_STATUS, 0);
    assert_int_equal(vmm_virtio_balloon_actual(h->virtio), 0);
}

static void its_configuration_is_accessed_at_any_width_and_offset(void **state)
{
    struct test *t = *state;

    assert_config_holds(&t->rings.host, 8, 4, 8);
    assert_int_equal(vmm_virtio_balloon_actual(t->rings.host.virtio),
                     UINT32_MAX);
    assert_works(t);
}

static void pages_in_the_balloon_are_gone(void **state)
{
    static const uint32_t pages[] = {POOL,     POOL + 1, POOL + 2,  POOL + 9,
                                     POOL + 8, POOL + 7, POOL + 12, POOL + 12};
    struct test *t = *state;

    fill_pool(t);
    inflate(t, pages, sizeof(pages));
    assert_int_equal(gone(t), 0x1387);
}

static void a_list_may_lie_in_several_buffers(void **state)
{
    static const uint32_t pages[] = {POOL, POOL + 1};
    struct test *t = *state;

    fill_pool(t);
    MUST(vmm_memory_write(memory_of(t), LIST, pages, sizeof(pages)));
    ring_desc(&t->rings, INFLATE, 0, LIST, 6, NEXT, 1);
    ring_desc(&t->rings, INFLATE, 1, LIST + 6, 2, 0, 0);
    ring_offer(&t->rings, INFLATE, 0);
    ring_notify(&t->rings, INFLATE);
    assert_int_equal(ring_collect(&t->rings, INFLATE), 0);
    assert_int_equal(gone(t), 3);
}

static void pages_out_of_the_balloon_hold_zeros_and_can_be_used(void **state)
{
    static const uint32_t page = POOL;
    struct test *t = *state;

    fill_pool(t);
    inflate(t, &page, 4);
    ring_offer_buffer(&t->rings, DEFLATE, 0, LIST, 4, 0);
    ring_notify(&t->rings, DEFLATE);
    assert_int_equal(ring_collect(&t->rings, DEFLATE), 0);
    MUST(vmm_memory_store_u8(memory_of(t), POOL * PAGE, 1));
    assert_int_equal(gone(t), 0);
}

static void a_long_list_takes_several_turns(void **state)
{
    struct test *t = *state;

    /* 8 * 0x1000 / 4 pages, all of them page POOL, but for the last one. */
    fill_pool(t);
    for (uint32_t i = 0; i < PAGE; i += 4)
        MUST(vmm_memory_store_u32(memory_of(t), LIST + i, POOL));
    MUST(vmm_memory_store_u32(memory_of(t), LIST + PAGE, POOL + 1));
    for (uint16_t i = 0; i < RING_SIZE; i++)
        ring_desc(&t->rings, INFLATE, i, LIST, i == 7 ? PAGE + 4 : PAGE,
                  i == 7 ? 0 : NEXT, i + 1);
    ring_offer(&t->rings, INFLATE, 0);
    put(&t->rings.host, VIRTIO_MMIO_QUEUE_NOTIFY, INFLATE);
    vmm_loop_step(t->rings.host.loop, 0);
    assert_int_equal(ring_collect(&t->rings, INFLATE), -1);
    assert_int_equal(gone(t), 1);
    serve(&t->rings.host);
    assert_int_equal(ring_collect(&t->rings, INFLATE), 0);
    assert_int_equal(gone(t), 3);
}

/* ---- statistics ---- */

static void give_stats(struct test *t, const void *stats, uint32_t len)
{
    MUST(vmm_memory_write(memory_of(t), LIST, stats, len));
    ring_offer_buffer(&t->rings, STATS, 0, LIST, len, 0);
    ring_notify(&t->rings, STATS);
}

static void statistics_come_when_they_are_asked_for(void **state)
{
    static const struct virtio_balloon_stat given[] = {
        {VIRTIO_BALLOON_S_MEMFREE, 1 << 20},
        {VIRTIO_BALLOON_S_MEMTOT, 1 << 21},
        {1000, 5},
    };
    struct vmm_virtio_balloon_stats stats;
    struct test *t = *state;
    struct vmm_virtio *virtio = t->rings.host.virtio;

    assert_int_equal(vmm_virtio_balloon_ask(virtio), -EAGAIN);
    give_stats(t, given, sizeof(given));
    assert_int_equal(ring_collect(&t->rings, STATS), -1);
    vmm_virtio_balloon_stats(virtio, &stats);
    assert_int_equal(stats.count, 1);
    assert_int_equal(stats.given, 1 << VIRTIO_BALLOON_S_MEMFREE |
                                      1 << VIRTIO_BALLOON_S_MEMTOT);
    assert_int_equal(stats.values[VIRTIO_BALLOON_S_MEMTOT], 1 << 21);
    assert_int_equal(t->changes, 1);

    unsigned pulses = t->rings.host.wire.pulses;
    MUST(vmm_virtio_balloon_ask(virtio));
    assert_int_equal(ring_collect(&t->rings, STATS), 0);
    assert_int_equal(t->rings.host.wire.pulses, pulses + 1);
    assert_int_equal(vmm_virtio_balloon_ask(virtio), -EAGAIN);
    give_stats(t, given, sizeof(given[0]));
    vmm_virtio_balloon_stats(virtio, &stats);
    assert_int_equal(stats.count, 2);
    assert_int_equal(stats.given, 1 << VIRTIO_BALLOON_S_MEMFREE);
}

static void statistics_may_have_any_length(void **state)
{
    static const uint32_t lengths[] = {0, 1, 9, 15, 0x8000, UINT32_MAX};
    struct vmm_virtio_balloon_stats stats;
    struct test *t = *state;

    MUST(vmm_memory_fill(memory_of(t), 0, 0xff, DESC));
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        ring_offer_buffer(&t->rings, STATS, (uint16_t)i, 0, lengths[i], 0);
        ring_notify(&t->rings, STATS);
        /* One is kept, the one before goes back. */
        assert_int_equal(ring_collect(&t->rings, STATS), i == 0 ? -1 : 0);
    }
    MUST(vmm_virtio_balloon_ask(t->rings.host.virtio));
    vmm_virtio_balloon_stats(t->rings.host.virtio, &stats);
    assert_int_equal(stats.given & ~0x3ffu, 0);
    assert_works(t);
}

/* ---- free pages ---- */

static void free_pages_that_are_reported_are_gone(void **state)
{
    struct test *t = *state;

    fill_pool(t);
    ring_desc(&t->rings, REPORTS, 0, POOL * PAGE, 2 * PAGE, WRITE | NEXT, 1);
    /* Not all of a page is none. */
    ring_desc(&t->rings, REPORTS, 1, (POOL + 4) * PAGE + 1, 3 * PAGE,
              WRITE | NEXT, 2);
    ring_desc(&t->rings, REPORTS, 2, (POOL + 9) * PAGE + 8, 16, WRITE, 0);
    ring_offer(&t->rings, REPORTS, 0);
    ring_notify(&t->rings, REPORTS);
    assert_int_equal(ring_collect(&t->rings, REPORTS), 0);
    assert_int_equal(gone(t), 0x63);
}

static void queues_move_up_when_a_feature_is_not_taken(void **state)
{
    struct test *t = *state;

    fill_pool(t);
    rings_bring_up(&t->rings, REPORTING, 3);
    ring_offer_buffer(&t->rings, 2, 0, POOL * PAGE, PAGE, WRITE);
    ring_notify(&t->rings, 2);
    assert_int_equal(ring_collect(&t->rings, 2), 0);
    assert_int_equal(gone(t), 1);
    assert_int_equal(vmm_virtio_balloon_ask(t->rings.host.virtio), -EAGAIN);
    rings_bring_up(&t->rings, 0, QUEUES);
    ring_offer_buffer(&t->rings, 2, 0, (POOL + 1) * PAGE, PAGE, WRITE);
    ring_notify(&t->rings, 2);
    assert_int_equal(gone(t), 1);
}

/* ---- drivers that break the rules ---- */

static void pages_that_are_not_ram_cost_nothing(void **state)
{
    static const uint32_t pages[] = {RAM_END / PAGE,
                                     UINT32_MAX,
                                     0x00100000,
                                     POOL,
                                     RAM_END / PAGE,
                                     POOL + 1,
                                     RAM_END / PAGE - 1,
                                     RAM_END / PAGE,
                                     ISLAND / PAGE,
                                     ISLAND / PAGE + 1,
                                     0,
                                     0};
    struct test *t = *state;
    uint8_t byte;

    fill_pool(t);
    MUST(vmm_memory_store_u8(memory_of(t), 8, 1));
    inflate(t, pages, sizeof(pages));
    assert_int_equal(gone(t), 3 | 1 << (RAM_END / PAGE - 1 - POOL));
    MUST(vmm_memory_load_u8(memory_of(t), 8, &byte));
    assert_int_equal(byte, 0);
    assert_works(t);
}

static void a_list_that_is_cut_off_or_not_ram_is_given_back(void **state)
{
    static const uint32_t pages[] = {POOL, POOL + 1};
    static const struct {
        uint64_t gpa;
        uint32_t len;
        uint16_t flags;
    } cases[] = {
        {LIST, 3, 0},        {LIST, 0x8000, WRITE},  {RAM_END, 8, 0},
        {RAM_END - 4, 8, 0}, {UINT64_MAX - 3, 8, 0}, {LIST, UINT32_MAX, 0},
    };
    struct test *t = *state;

    fill_pool(t);
    inflate(t, pages, 7);
    assert_int_equal(gone(t), 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        ring_offer_buffer(&t->rings, INFLATE, 0, cases[i].gpa, cases[i].len,
                          cases[i].flags);
        ring_notify(&t->rings, INFLATE);
        assert_int_equal(ring_collect(&t->rings, INFLATE), 0);
    }
    rings_bring_up(&t->rings, STATS_VQ, 3);
    assert_works(t);
}

static void reports_of_what_is_not_ram_are_given_back(void **state)
{
    static const struct {
        uint64_t gpa;
        uint32_t len;
    } cases[] = {
        {RAM_END - PAGE, 2 * PAGE},
        {RAM_END, PAGE},
        {0, UINT32_MAX},
        {UINT64_MAX - PAGE, PAGE},
        {POOL * PAGE, 0},
        {UINT64_MAX - 7, (POOL + 2) * PAGE},
    };
    struct test *t = *state;

    fill_pool(t);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        ring_offer_buffer(&t->rings, REPORTS, 0, cases[i].gpa, cases[i].len,
                          WRITE);
        ring_notify(&t->rings, REPORTS);
        assert_int_equal(ring_collect(&t->rings, REPORTS), 0);
    }
    ring_offer_buffer(&t->rings, REPORTS, 0, POOL * PAGE, PAGE, 0);
    ring_notify(&t->rings, REPORTS);
    assert_int_equal(ring_collect(&t->rings, REPORTS), 0);
    assert_int_equal(gone(t), 0);
    assert_works(t);
}

static void its_own_rings_in_the_balloon_need_a_reset_at_most(void **state)
{
    static const uint32_t pages[] = {RINGS / PAGE, RINGS / PAGE + 2};
    struct test *t = *state;

    MUST(vmm_memory_write(memory_of(t), LIST, pages, sizeof(pages)));
    ring_offer_buffer(&t->rings, INFLATE, 0, LIST, sizeof(pages), 0);
    ring_notify(&t->rings, INFLATE);
    rings_bring_up(&t->rings, STATS_VQ, 3);
    assert_works(t);
}

static void resets_under_way_leave_it_whole(void **state)
{
    static const struct virtio_balloon_stat stat = {0, 1};
    struct test *t = *state;

    for (int i = 0; i < 2000; i++) {
        rings_bring_up(&t->rings, STATS_VQ | REPORTING, QUEUES);
        give_stats(t, &stat, sizeof(stat));
        for (uint16_t d = 0; d < RING_SIZE; d++)
            ring_desc(&t->rings, INFLATE, d, LIST, 0x4000, d == 7 ? 0 : NEXT,
                      d + 1);
        ring_offer(&t->rings, INFLATE, 0);
        put(&t->rings.host, VIRTIO_MMIO_QUEUE_NOTIFY, INFLATE);
        vmm_loop_step(t->rings.host.loop, 0);
    }
    rings_bring_up(&t->rings, 0, 2);
    assert_int_equal(vmm_virtio_balloon_ask(t->rings.host.virtio), -EAGAIN);
    assert_works(t);
}

static void it_says_once_that_it_is_closed(void **state)
{
    struct test *t = *state;

    host_detach(&t->rings.host);
    assert_int_equal(t->closed, 1);
    unsigned changes = t->changes;
    vmm_virtio_close(t->rings.host.virtio);
    vmm_virtio_balloon_set(t->rings.host.virtio, 1);
    assert_int_equal(vmm_virtio_balloon_ask(t->rings.host.virtio), -EAGAIN);
    assert_int_equal(t->closed, 1);
    assert_int_equal(t->changes, changes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_is_a_balloon_that_wants_pages),
        TEST(the_driver_says_how_much_is_in_it),
        TEST(its_configuration_is_accessed_at_any_width_and_offset),
        TEST(pages_in_the_balloon_are_gone),
        TEST(a_list_may_lie_in_several_buffers),
        TEST(pages_out_of_the_balloon_hold_zeros_and_can_be_used),
        TEST(a_long_list_takes_several_turns),
        TEST(statistics_come_when_they_are_asked_for),
        TEST(statistics_may_have_any_length),
        TEST(free_pages_that_are_reported_are_gone),
        TEST(queues_move_up_when_a_feature_is_not_taken),
        TEST(pages_that_are_not_ram_cost_nothing),
        TEST(a_list_that_is_cut_off_or_not_ram_is_given_back),
        TEST(reports_of_what_is_not_ram_are_given_back),
        TEST(its_own_rings_in_the_balloon_need_a_reset_at_most),
        TEST(resets_under_way_leave_it_whole),
        TEST(it_says_once_that_it_is_closed),
    };

    return RUN_OVER_BOTH("virtio_balloon", tests);
}
