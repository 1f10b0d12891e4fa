/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Taps on a bus: what they see, rewrite and swallow, and how they go. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "bus_probe.h"

/* ---- a tap that notes what it sees, and does as it is told ---- */

struct spy {
    char calls[256];
    struct vmm_bus *bus;
    struct vmm_bus_tap *tap;
    bool *destroyed;
    bool rewrites; /* inverts each byte */
    bool swallows;
    bool leaves; /* removes itself as it is called */
};

__attribute__((format(printf, 2, 3))) static void jot(struct spy *spy,
                                                      const char *format, ...)
{
    size_t used = strlen(spy->calls);
    va_list args;
    va_start(args, format);
    vsnprintf(spy->calls + used, sizeof(spy->calls) - used, format, args);
    va_end(args);
}

static void spy_see(struct spy *spy, char verb, uint64_t offset, uint8_t *value,
                    size_t size)
{
    jot(spy, "%c%llx=", verb, (unsigned long long)offset);
    for (size_t i = 0; i < size; i++) {
        jot(spy, "%02x", value[i]);
        if (spy->rewrites)
            value[i] = (uint8_t)~value[i];
    }
    jot(spy, " ");
    if (spy->leaves)
        assert_int_equal(vmm_bus_tap_remove(spy->bus, spy->tap, NULL), 0);
    spy->leaves = false;
}

static bool spy_read(void *context, uint64_t offset, uint8_t *value,
                     size_t size)
{
    struct spy *spy = context;
    spy_see(spy, 'r', offset, value, size);
    return spy->rewrites;
}

static bool spy_write(void *context, uint64_t offset, uint8_t *value,
                      size_t size)
{
    struct spy *spy = context;
    spy_see(spy, 'w', offset, value, size);
    return !spy->swallows;
}

static void spy_destroy(void *context)
{
    *((struct spy *)context)->destroyed = true;
}

/* A spy is gone before its bus is, unless its test asks for its end. */
static const struct vmm_tap_ops spy_ops = {
    .name = "spy", .read = spy_read, .write = spy_write};
static const struct vmm_tap_ops watched_spy_ops = {.name = "spy",
                                                   .read = spy_read,
                                                   .write = spy_write,
                                                   .destroy = spy_destroy};

static void tap(struct vmm_bus *bus, struct spy *spy, uint64_t base,
                uint64_t length)
{
    struct vmm_error err;
    spy->bus = bus;
    if (vmm_bus_tap_add(bus, base, length,
                        spy->destroyed ? &watched_spy_ops : &spy_ops, spy,
                        &spy->tap, &err))
        fail_msg("%s", err.text);
}

static void assert_writes(struct vmm_bus *bus, uint64_t address, uint64_t value,
                          size_t size, int rc)
{
    uint8_t bytes[8];
    memcpy(bytes, &value, 8);
    assert_int_equal(vmm_bus_write(bus, address, bytes, size), rc);
    assert_memory_equal(bytes, &value, 8); /* the caller's stays */
}

/* ---- what a tap sees and does ---- */

static void a_tap_observes_without_a_change(void **state)
{
    struct probe *a = add(*state, "a", 0x100, 4);
    struct spy spy = {0};
    tap(*state, &spy, 0x101, 2);
    assert_reads(*state, 0x101, 1, 0, 0x11);
    assert_writes(*state, 0x102, 0xab, 1, 0);
    assert_writes(*state, 0x103, 0xcd, 1, 0);
    assert_string_equal(spy.calls, "r0=11 w1=ab ");
    assert_string_equal(a->calls, "r1+1 w2=ab w3=cd ");
}

static void a_tap_rewrites_both_ways(void **state)
{
    struct probe *a = add(*state, "a", 0x100, 4);
    struct spy spy = {.rewrites = true};
    tap(*state, &spy, 0x100, 4);
    assert_reads(*state, 0x100, 2, 0, 0xeeef);
    assert_writes(*state, 0x101, 0x0f, 1, 0);
    assert_string_equal(spy.calls, "r0=1011 w1=0f ");
    assert_string_equal(a->calls, "r0+2 w1=f0 ");
}

static void a_tap_swallows_a_write(void **state)
{
    struct probe *a = add(*state, "a", 0x100, 4);
    struct spy first = {.swallows = true};
    struct spy second = {0};
    tap(*state, &first, 0x100, 1);
    tap(*state, &second, 0x100, 4);
    assert_writes(*state, 0x100, 0x1234, 2, 0);
    assert_writes(*state, 0x101, 0x56, 1, 0);
    assert_string_equal(first.calls, "w0=34 ");
    assert_string_equal(second.calls, "w1=56 ");
    assert_string_equal(a->calls, "w1=56 ");
}

static void taps_run_in_the_order_of_adding(void **state)
{
    struct probe *a = add(*state, "a", 0x100, 4);
    struct spy first = {.rewrites = true};
    struct spy second = {0};
    tap(*state, &first, 0x100, 4);
    tap(*state, &second, 0x100, 4);
    assert_writes(*state, 0x100, 0, 1, 0);
    assert_reads(*state, 0x100, 1, 0, 0xef);
    assert_string_equal(first.calls, "w0=00 r0=10 ");
    assert_string_equal(second.calls, "w0=ff r0=ef ");
    assert_string_equal(a->calls, "w0=ff r0+1 ");
}

static void a_tap_is_given_its_part_of_an_access(void **state)
{
    struct probe *a = add(*state, "a", 0x100, 4);
    struct probe *b = add(*state, "b", 0x104, 4);
    struct spy spy = {.rewrites = true};
    tap(*state, &spy, 0x103, 2);
    assert_writes(*state, 0x102, 0x44332211, 4, 0);
    assert_reads(*state, 0x100, 8, 0, UINT64_C(0x131211efec121110));
    assert_string_equal(spy.calls, "w0=2233 r0=1310 ");
    assert_string_equal(a->calls, "w2=11dd r0+4 ");
    assert_string_equal(b->calls, "w0=cc44 r0+4 ");
}

static void a_tap_sees_what_no_device_takes(void **state)
{
    struct spy spy = {0};
    tap(*state, &spy, 0x100, 4);
    assert_reads(*state, 0x100, 1, -ENOENT, 0xff);
    assert_writes(*state, 0x100, 1, 1, -ENOENT);
    spy.rewrites = true;
    assert_reads(*state, 0x100, 1, 0, 0);
    spy.swallows = true;
    assert_writes(*state, 0x100, 1, 1, 0);
    assert_string_equal(spy.calls, "r0=ff w0=01 r0=ff w0=01 ");
}

static void a_tap_sees_each_element_of_a_string(void **state)
{
    struct probe *a = add(*state, "a", 0x100, 4);
    struct spy spy = {.rewrites = true};
    const uint8_t values[] = {1, 2, 3};
    tap(*state, &spy, 0x100, 4);
    assert_int_equal(vmm_bus_write_string(*state, 0x100, values, 1, 3), 0);
    assert_string_equal(spy.calls, "w0=01 w0=02 w0=03 ");
    assert_string_equal(a->calls, "w0=fe w0=fd w0=fc ");
}

static void a_tap_may_leave_one_way_alone(void **state)
{
    static const struct vmm_tap_ops neither = {.name = "neither"};
    struct vmm_bus_tap *idle;
    add(*state, "a", 0x100, 4);
    assert_int_equal(
        vmm_bus_tap_add(*state, 0x100, 4, &neither, NULL, &idle, NULL), 0);
    assert_reads(*state, 0x100, 1, 0, 0x10);
    assert_writes(*state, 0x100, 1, 1, 0);
}

static void a_tap_reaches_the_top_of_the_address_space(void **state)
{
    (void)state;
    struct vmm_bus *mmio;
    struct spy spy = {0};
    assert_int_equal(vmm_bus_new("mmio", ALL_ONES, &mmio, NULL), 0);
    tap(mmio, &spy, ALL_ONES, 1);
    assert_reads(mmio, ALL_ONES - 1, 4, -ENOENT, 0xffffffff);
    assert_string_equal(spy.calls, "r0=ff ");
    vmm_bus_free(mmio);
}

/* ---- how taps come and go ---- */

static void a_range_that_cannot_be_is_refused(void **state)
{
    struct spy spy = {0};
    struct vmm_error err;
    assert_int_equal(
        vmm_bus_tap_add(*state, 0x100, 0, &spy_ops, &spy, &spy.tap, &err),
        -EINVAL);
    assert_string_equal(err.text, "pio bus: spy at 0x100 has length 0, at "
                                  "least 1 is needed");
    assert_int_equal(
        vmm_bus_tap_add(*state, 0xffff, 2, &spy_ops, &spy, &spy.tap, &err),
        -EINVAL);
    assert_null(spy.tap);
}

static void a_removed_tap_is_destroyed_and_sees_no_more(void **state)
{
    bool destroyed[3] = {false};
    struct spy spies[3];
    memset(spies, 0, sizeof(spies));
    add(*state, "a", 0x100, 4);
    for (size_t i = 0; i < 3; i++) {
        spies[i].destroyed = &destroyed[i];
        tap(*state, &spies[i], 0x100, 4);
    }
    assert_int_equal(vmm_bus_tap_remove(*state, spies[1].tap, NULL), 0);
    assert_true(destroyed[1]);
    assert_reads(*state, 0x100, 1, 0, 0x10);
    assert_int_equal(vmm_bus_tap_remove(*state, spies[0].tap, NULL), 0);
    assert_int_equal(vmm_bus_tap_remove(*state, spies[2].tap, NULL), 0);
    assert_reads(*state, 0x100, 1, 0, 0x10);
    assert_string_equal(spies[0].calls, "r0=10 ");
    assert_string_equal(spies[1].calls, "");
    assert_true(destroyed[0] && destroyed[2]);
}

static void a_tap_can_remove_itself_in_its_handler(void **state)
{
    bool destroyed = false;
    struct spy spy = {.leaves = true, .destroyed = &destroyed};
    struct spy after = {0};
    add(*state, "a", 0x100, 4);
    tap(*state, &spy, 0x100, 4);
    tap(*state, &after, 0x100, 4);
    assert_reads(*state, 0x100, 1, 0, 0x10);
    assert_true(destroyed);
    assert_reads(*state, 0x100, 1, 0, 0x10);
    assert_string_equal(spy.calls, "r0=10 ");
    assert_string_equal(after.calls, "r0=10 r0=10 ");
}

static void freeing_the_bus_drops_its_taps(void **state)
{
    (void)state;
    struct vmm_bus *bus;
    bool destroyed = false;
    struct spy spy = {.destroyed = &destroyed};
    assert_int_equal(vmm_bus_new("pio", 0xffff, &bus, NULL), 0);
    tap(bus, &spy, 0x100, 4);
    vmm_bus_free(bus);
    assert_true(destroyed);
}

/* ---- taps that come and go under accesses of other threads ---- */

#define READERS 3
#define ROUNDS  500

struct guest {
    struct vmm_bus *bus;
    atomic_bool stop;
    atomic_uint accesses;
    atomic_bool wrong;
};

/* A tap that is a guest's own: alive while it may be called. */
struct live {
    atomic_uint alive;
    atomic_uint calls;
    struct guest *guest;
};

static bool live_read(void *context, uint64_t offset, uint8_t *value,
                      size_t size)
{
    struct live *live = context;
    (void)offset;
    (void)size;
    if (!live->alive)
        live->guest->wrong = true;
    live->calls++;
    value[0] = 0x77;
    return true;
}

static void live_destroy(void *context)
{
    ((struct live *)context)->alive = 0;
}

static void *run_guest(void *context)
{
    struct guest *guest = context;
    while (!guest->stop) {
        uint8_t value;
        vmm_bus_read(guest->bus, 0x100, &value, 1);
        if (value != 0x10 && value != 0x77)
            guest->wrong = true;
        guest->accesses++;
    }
    return NULL;
}

static void taps_come_and_go_under_accesses(void **state)
{
    static const struct vmm_tap_ops ops = {
        .name = "live", .read = live_read, .destroy = live_destroy};
    struct guest guest = {.bus = *state};
    pthread_t threads[READERS];
    struct probe *a = add(*state, "a", 0x100, 4);
    unsigned seen = 0;
    memset(a->calls, ' ', sizeof(a->calls) - 1); /* its notes are full */
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_guest, &guest),
                         0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct live live = {.alive = 1, .guest = &guest};
        struct vmm_bus_tap *tap;
        assert_int_equal(vmm_bus_tap_add(*state, 0x100, 1 + round % 4, &ops,
                                         &live, &tap, NULL),
                         0);
        unsigned before = guest.accesses;
        while (round % 50 == 0 && guest.accesses < before + 2 * READERS)
            continue;
        assert_int_equal(vmm_bus_tap_remove(*state, tap, NULL), 0);
        assert_int_equal(live.alive, 0);
        seen += live.calls;
    }
    guest.stop = true;
    for (size_t i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    assert_false(guest.wrong);
    assert_true(seen >= ROUNDS / 50);
}

#define BUS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BUS_TEST(a_tap_observes_without_a_change),
        BUS_TEST(a_tap_rewrites_both_ways),
        BUS_TEST(a_tap_swallows_a_write),
        BUS_TEST(taps_run_in_the_order_of_adding),
        BUS_TEST(a_tap_is_given_its_part_of_an_access),
        BUS_TEST(a_tap_sees_what_no_device_takes),
        BUS_TEST(a_tap_sees_each_element_of_a_string),
        BUS_TEST(a_tap_may_leave_one_way_alone),
        BUS_TEST(a_tap_reaches_the_top_of_the_address_space),
        BUS_TEST(a_range_that_cannot_be_is_refused),
        BUS_TEST(a_removed_tap_is_destroyed_and_sees_no_more),
        BUS_TEST(a_tap_can_remove_itself_in_its_handler),
        BUS_TEST(freeing_the_bus_drops_its_taps),
        BUS_TEST(taps_come_and_go_under_accesses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
