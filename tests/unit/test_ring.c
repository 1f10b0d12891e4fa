/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The byte ring: bounds, wrap-around, two threads. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/ring.h"

static void a_size_that_is_no_power_of_two_is_refused(void **state)
{
    struct vmm_ring ring;

    (void)state;
    assert_int_equal(vmm_ring_init(&ring, 0), -EINVAL);
    assert_int_equal(vmm_ring_init(&ring, 12), -EINVAL);
}

static void bytes_come_out_in_order_across_the_end(void **state)
{
    struct vmm_ring ring;
    uint8_t out[8];

    (void)state;
    assert_int_equal(vmm_ring_init(&ring, 8), 0);
    assert_int_equal(vmm_ring_write(&ring, (const uint8_t *)"abcdef", 6), 6);
    assert_int_equal(vmm_ring_read(&ring, out, 4), 4);
    assert_memory_equal(out, "abcd", 4);
    assert_int_equal(vmm_ring_write(&ring, (const uint8_t *)"ghijk", 5), 5);
    assert_int_equal(vmm_ring_read(&ring, out, 8), 7);
    assert_memory_equal(out, "efghijk", 7);
    assert_int_equal(vmm_ring_read(&ring, out, 8), 0);
    vmm_ring_fini(&ring);
}

static void a_full_ring_takes_no_more(void **state)
{
    struct vmm_ring ring;
    uint8_t out[4];

    (void)state;
    assert_int_equal(vmm_ring_init(&ring, 4), 0);
    assert_int_equal(vmm_ring_write(&ring, (const uint8_t *)"abcdef", 6), 4);
    assert_int_equal(vmm_ring_room(&ring), 0);
    assert_int_equal(vmm_ring_write(&ring, (const uint8_t *)"g", 1), 0);
    assert_int_equal(vmm_ring_read(&ring, out, 1), 1);
    assert_int_equal(vmm_ring_write(&ring, (const uint8_t *)"gh", 2), 1);
    assert_int_equal(vmm_ring_read(&ring, out, 4), 4);
    assert_memory_equal(out, "bcdg", 4);
    vmm_ring_fini(&ring);
}

static void a_view_ends_where_the_ring_does(void **state)
{
    struct vmm_ring ring;
    const uint8_t *bytes;
    uint8_t out[8];

    (void)state;
    assert_int_equal(vmm_ring_init(&ring, 8), 0);
    vmm_ring_write(&ring, (const uint8_t *)"012345", 6);
    vmm_ring_read(&ring, out, 6);
    vmm_ring_write(&ring, (const uint8_t *)"abcd", 4);
    assert_int_equal(vmm_ring_view(&ring, 6, 10, &bytes), 2);
    assert_memory_equal(bytes, "ab", 2);
    assert_int_equal(vmm_ring_view(&ring, 8, 10, &bytes), 2);
    assert_memory_equal(bytes, "cd", 2);
    vmm_ring_release(&ring, 9);
    assert_int_equal(vmm_ring_used(&ring), 1);
    vmm_ring_fini(&ring);
}

#define STREAM_BYTES 300000

static void *write_stream(void *context)
{
    struct vmm_ring *ring = context;
    uint8_t bytes[7];
    size_t written = 0;

    while (written < STREAM_BYTES) {
        size_t taken;

        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)((written + i) * 31 >> 3);
        taken = vmm_ring_write(ring, bytes, sizeof(bytes));
        if (!taken)
            sched_yield();
        written += taken;
    }
    return NULL;
}

static void two_threads_pass_a_stream_unharmed(void **state)
{
    struct vmm_ring ring;
    pthread_t writer;
    size_t position = 0;

    (void)state;
    assert_int_equal(vmm_ring_init(&ring, 64), 0);
    assert_int_equal(pthread_create(&writer, NULL, write_stream, &ring), 0);
    while (position < STREAM_BYTES) {
        uint8_t bytes[11];
        size_t len = vmm_ring_read(&ring, bytes, sizeof(bytes));

        if (!len)
            sched_yield();
        for (size_t i = 0; i < len; i++, position++)
            if (bytes[i] != (uint8_t)(position * 31 >> 3))
                fail_msg("byte %zu is %#x", position, bytes[i]);
    }
    pthread_join(writer, NULL);
    vmm_ring_fini(&ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_size_that_is_no_power_of_two_is_refused),
        cmocka_unit_test(bytes_come_out_in_order_across_the_end),
        cmocka_unit_test(a_full_ring_takes_no_more),
        cmocka_unit_test(a_view_ends_where_the_ring_does),
        cmocka_unit_test(two_threads_pass_a_stream_unharmed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
