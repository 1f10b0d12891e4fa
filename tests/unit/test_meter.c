/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Histograms, the bounded table of accesses, and reading while it is written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "machine/meter.h"

static struct meter *new_meter(void)
{
    struct meter *meter = calloc(1, sizeof(*meter));

    assert_non_null(meter);
    return meter;
}

/* ---- histograms --------------------------------------------------------- */

static void every_bucket_begins_at_the_bound_of_the_one_before(void **state)
{
    (void)state;
    assert_int_equal(vmm_histogram_bucket(0), 0);
    for (size_t i = 0; i + 1 < VMM_HISTOGRAM_BUCKETS; i++) {
        uint64_t bound = vmm_histogram_bound_ns(i);
        assert_int_equal(vmm_histogram_bucket(bound - 1), i);
        assert_int_equal(vmm_histogram_bucket(bound), i + 1);
    }
}

static void a_bucket_is_at_most_a_quarter_wider_than_its_begin(void **state)
{
    (void)state;
    for (size_t i = 4; i + 1 < VMM_HISTOGRAM_BUCKETS; i++) {
        uint64_t begin = vmm_histogram_bound_ns(i - 1);
        assert_true((vmm_histogram_bound_ns(i) - begin) * 4 <= begin);
    }
}

static void the_last_bucket_takes_all_that_is_longer(void **state)
{
    (void)state;
    assert_int_equal(vmm_histogram_bucket(UINT64_C(1) << 41),
                     VMM_HISTOGRAM_BUCKETS - 1);
    assert_int_equal(vmm_histogram_bucket(UINT64_MAX),
                     VMM_HISTOGRAM_BUCKETS - 1);
    assert_true(vmm_histogram_bound_ns(VMM_HISTOGRAM_BUCKETS - 1) ==
                UINT64_MAX);
}

/* ---- exits -------------------------------------------------------------- */

static struct vmm_exit pio(uint16_t port, bool write, uint8_t size,
                           uint32_t count)
{
    struct vmm_exit exit = {
        .type = write ? VMM_EXIT_PIO_WRITE : VMM_EXIT_PIO_READ,
        .u.io = {.port = port, .size = size, .count = count},
    };

    return exit;
}

static void take(struct meter *meter, const struct vmm_exit *exit,
                 uint64_t begin, uint64_t end)
{
    struct meter_key key = meter_key_of(exit);

    meter_exit(meter, exit, &key, begin, end);
}

static void an_exit_counts_by_type_and_by_what_it_accessed(void **state)
{
    struct meter *meter = new_meter();
    struct vmm_exit first = pio(0x3f8, true, 1, 1);
    struct vmm_exit string = pio(0x1f0, false, 2, 256);
    struct vmm_access_metrics access;
    struct vmm_histogram writes;

    (void)state;
    take(meter, &first, 100, 150);
    take(meter, &first, 200, 210);
    take(meter, &string, 300, 1300);

    meter_read(&meter->handling[VMM_EXIT_PIO_WRITE], &writes);
    assert_int_equal(writes.count, 2);
    assert_int_equal(writes.sum_ns, 60);
    assert_int_equal(writes.max_ns, 50);
    assert_int_equal(writes.buckets[vmm_histogram_bucket(50)], 1);

    assert_true(meter_read_access(meter, 0, &access));
    assert_int_equal(access.kind, VMM_ACCESS_PIO);
    assert_int_equal(access.address, 0x3f8);
    assert_true(access.write);
    assert_int_equal(access.bytes, 2);
    assert_int_equal(access.handling.count, 2);
    assert_true(meter_read_access(meter, 1, &access));
    assert_int_equal(access.bytes, 512);
    assert_int_equal(access.handling.count, 1);
    assert_false(meter_read_access(meter, 2, &access));
    free(meter);
}

static void direction_size_and_kind_tell_accesses_apart(void **state)
{
    struct meter *meter = new_meter();
    struct vmm_exit exits[] = {
        pio(0x80, true, 1, 1),
        pio(0x80, false, 1, 1),
        pio(0x80, true, 2, 1),
        {.type = VMM_EXIT_MMIO_WRITE, .u.mmio = {.gpa = 0x80, .size = 1}},
        {.type = VMM_EXIT_MSR_WRITE, .u.msr = {.index = 0x80}},
        {.type = VMM_EXIT_HYPERCALL, .u.hypercall = {.nr = 0x80}},
        {.type = VMM_EXIT_HALT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(exits) / sizeof(*exits); i++)
        take(meter, &exits[i], 1, 2);
    assert_int_equal(atomic_load(&meter->access_count), 6);
    free(meter);
}

static void what_has_no_room_is_counted_together(void **state)
{
    struct meter *meter = new_meter();
    struct vmm_access_metrics access;
    struct vmm_histogram other;

    (void)state;
    for (int round = 0; round < 2; round++)
        for (uint64_t i = 0; i < 65536; i++) {
            struct vmm_exit exit = {
                .type = VMM_EXIT_MMIO_READ,
                .u.mmio = {.gpa = i << 20, .size = 4},
            };
            take(meter, &exit, 10, 17);
        }
    meter_read(&meter->other_accesses, &other);
    assert_int_equal(other.count, 2 * (65536 - VMM_ACCESSES_MAX));
    for (size_t i = 0; i < VMM_ACCESSES_MAX; i++) {
        assert_true(meter_read_access(meter, i, &access));
        assert_int_equal(access.address, (uint64_t)i << 20);
        assert_int_equal(access.handling.count, 2);
    }
    assert_false(meter_read_access(meter, VMM_ACCESSES_MAX, &access));
    free(meter);
}

/* ---- in the guest ------------------------------------------------------- */

static void the_time_in_the_guest_is_that_between_exits_but_pauses(void **state)
{
    struct meter *meter = new_meter();
    struct vmm_exit exit = pio(0x80, true, 1, 1);
    struct vmm_histogram guest;

    (void)state;
    meter_resumed(meter, 1000);
    take(meter, &exit, 1010, 1020);
    meter_paused(meter, 1025);
    meter_paused(meter, 2000);
    meter_resumed(meter, 900000);
    take(meter, &exit, 900030, 900040);
    meter_read(&meter->in_guest, &guest);
    assert_int_equal(guest.count, 2);
    assert_int_equal(guest.sum_ns, 10 + 5 + 30);
    free(meter);
}

static void what_began_unmeasured_is_no_time_in_the_guest(void **state)
{
    struct meter *meter = new_meter();
    struct vmm_exit exit = pio(0x80, true, 1, 1);
    struct vmm_histogram guest;

    (void)state;
    take(meter, &exit, 500, 510);
    meter_forget(meter);
    take(meter, &exit, 9000, 9010);
    meter_read(&meter->in_guest, &guest);
    assert_int_equal(guest.count, 0);
    take(meter, &exit, 9020, 9030);
    meter_read(&meter->in_guest, &guest);
    assert_int_equal(guest.sum_ns, 10);
    free(meter);
}

/* ---- readers ------------------------------------------------------------ */

#define WRITES 200000

static void *write_many(void *context)
{
    for (uint64_t i = 0; i < WRITES; i++) {
        struct vmm_exit exit = pio((uint16_t)(i % 300), true, 1, 1);
        take(context, &exit, i, i + 5);
    }
    return NULL;
}

static void a_reader_sees_counts_that_only_grow(void **state)
{
    struct meter *meter = new_meter();
    struct vmm_access_metrics access;
    struct vmm_histogram all;
    uint64_t before = 0;
    pthread_t writer;

    (void)state;
    assert_int_equal(pthread_create(&writer, NULL, write_many, meter), 0);
    while (before < WRITES) {
        meter_read(&meter->handling[VMM_EXIT_PIO_WRITE], &all);
        assert_true(all.count >= before);
        before = all.count;
        for (size_t i = 0; meter_read_access(meter, i, &access); i++)
            assert_int_equal(access.address, i);
    }
    pthread_join(writer, NULL);
    meter_read(&meter->other_accesses, &all);
    uint64_t counted = all.count;
    for (size_t i = 0; meter_read_access(meter, i, &access); i++)
        counted += access.handling.count;
    assert_int_equal(counted, WRITES);
    free(meter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bucket_begins_at_the_bound_of_the_one_before),
        cmocka_unit_test(a_bucket_is_at_most_a_quarter_wider_than_its_begin),
        cmocka_unit_test(the_last_bucket_takes_all_that_is_longer),
        cmocka_unit_test(an_exit_counts_by_type_and_by_what_it_accessed),
        cmocka_unit_test(direction_size_and_kind_tell_accesses_apart),
        cmocka_unit_test(what_has_no_room_is_counted_together),
        cmocka_unit_test(
            the_time_in_the_guest_is_that_between_exits_but_pauses),
        cmocka_unit_test(what_began_unmeasured_is_no_time_in_the_guest),
        cmocka_unit_test(a_reader_sees_counts_that_only_grow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
