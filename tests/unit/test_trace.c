/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The trace ring: what it keeps, what it loses, and reading while it is
 * written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "machine/trace.h"

/* An event whose every part tells its number. */
static struct vmm_trace_event numbered(uint64_t n)
{
    struct vmm_trace_event event = {
        .kind = VMM_TRACE_EXIT,
        .time_ns = n,
        .duration_ns = n * 3,
        .address = n * 5,
        .value = n * 7,
        .type = VMM_EXIT_PIO_WRITE,
        .access = VMM_ACCESS_PIO,
        .size = 4,
        .count = (uint32_t)n,
    };

    return event;
}

static void assert_numbered(const struct vmm_trace_event *event, uint64_t n)
{
    assert_int_equal(event->time_ns, n);
    assert_int_equal(event->duration_ns, n * 3);
    assert_int_equal(event->address, n * 5);
    assert_int_equal(event->value, n * 7);
    assert_int_equal(event->count, (uint32_t)n);
    assert_int_equal(event->kind, VMM_TRACE_EXIT);
    assert_int_equal(event->type, VMM_EXIT_PIO_WRITE);
    assert_int_equal(event->access, VMM_ACCESS_PIO);
    assert_int_equal(event->size, 4);
}

static void write_events(struct trace_ring *ring, uint64_t from, uint64_t to)
{
    for (uint64_t n = from; n < to; n++) {
        struct vmm_trace_event event = numbered(n);
        trace_write(ring, &event);
    }
}

static struct trace_ring *new_ring(size_t events)
{
    struct trace_ring *ring = trace_ring_new(events);

    assert_non_null(ring);
    return ring;
}

static void what_fits_is_read_in_order(void **state)
{
    struct trace_ring *ring = new_ring(64);
    struct vmm_trace_cursor cursor = {0};
    struct vmm_trace_event events[4];

    (void)state;
    write_events(ring, 0, 6);
    assert_int_equal(trace_read(ring, 0, 64, &cursor, events, 4), 4);
    for (uint64_t n = 0; n < 4; n++)
        assert_numbered(&events[n], n);
    assert_int_equal(trace_read(ring, 0, 64, &cursor, events, 4), 2);
    assert_numbered(&events[1], 5);
    assert_int_equal(trace_read(ring, 0, 64, &cursor, events, 4), 0);
    assert_int_equal(cursor.lost, 0);
    trace_ring_free(ring);
}

static void the_oldest_are_overwritten_and_counted(void **state)
{
    struct trace_ring *ring = new_ring(64);
    struct vmm_trace_cursor cursor = {0};
    struct vmm_trace_event events[64];

    (void)state;
    write_events(ring, 0, 1000);
    assert_int_equal(trace_read(ring, 0, 64, &cursor, events, 64), 64);
    assert_numbered(&events[0], 936);
    assert_numbered(&events[63], 999);
    assert_int_equal(cursor.lost, 936);
    trace_ring_free(ring);
}

static void no_more_than_the_limit_is_kept(void **state)
{
    struct trace_ring *ring = new_ring(64);
    struct vmm_trace_cursor cursor = {0};
    struct vmm_trace_event events[64];

    (void)state;
    write_events(ring, 0, 40);
    assert_int_equal(trace_read(ring, 0, 10, &cursor, events, 64), 10);
    assert_numbered(&events[0], 30);
    assert_int_equal(cursor.lost, 30);
    trace_ring_free(ring);
}

static void a_new_start_hides_what_was_before_and_has_lost_nothing(void **state)
{
    struct trace_ring *ring = new_ring(64);
    struct vmm_trace_cursor cursor = {0};
    struct vmm_trace_event events[64];

    (void)state;
    write_events(ring, 0, 70);
    assert_int_equal(trace_read(ring, 70, 64, &cursor, events, 64), 0);
    write_events(ring, 70, 72);
    assert_int_equal(trace_read(ring, 70, 64, &cursor, events, 64), 2);
    assert_numbered(&events[0], 70);
    assert_int_equal(cursor.lost, 0);
    trace_ring_free(ring);
}

#define EVENTS 300000

static void *write_all(void *ring)
{
    write_events(ring, 0, EVENTS);
    return NULL;
}

static void a_reader_gets_whole_events_while_they_are_overwritten(void **state)
{
    struct trace_ring *ring = new_ring(64);
    struct vmm_trace_cursor cursor = {0};
    struct vmm_trace_event events[16];
    uint64_t seen = 0, last = 0;
    pthread_t writer;

    (void)state;
    assert_int_equal(pthread_create(&writer, NULL, write_all, ring), 0);
    while (cursor.next < EVENTS) {
        size_t count = trace_read(ring, 0, 64, &cursor, events, 16);
        for (size_t i = 0; i < count; i++) {
            assert_true(seen == 0 || events[i].time_ns > last);
            last = events[i].time_ns;
            assert_numbered(&events[i], last);
            seen++;
        }
    }
    pthread_join(writer, NULL);
    assert_int_equal(seen + cursor.lost, EVENTS);
    trace_ring_free(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_read_in_order),
        cmocka_unit_test(the_oldest_are_overwritten_and_counted),
        cmocka_unit_test(no_more_than_the_limit_is_kept),
        cmocka_unit_test(
            a_new_start_hides_what_was_before_and_has_lost_nothing),
        cmocka_unit_test(a_reader_gets_whole_events_while_they_are_overwritten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
