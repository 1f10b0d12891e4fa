/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A driver, the loop and a back end, each on a thread of its own: resets while
 * buffers are served, and a death at any moment. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "vhost_driver.h"

#define WRITE  VRING_DESC_F_WRITE
#define RESETS 200
#define DEATHS 40

static void start(struct vhost *v)
{
    struct vmm_error err;

    vhost_prepare(v, VIRTIO_ID_BLOCK);
    vhost_attach(v);
    if (vmm_loop_start_thread(v->h.loop, "io", &err))
        fail_msg("%s", err.text);
}

/* The driver is ready, and has buffers for the back end. */
static void drive(struct vhost *v)
{
    v->h.driver.next = v->h.driver.seen = 0;
    MUST(vmm_memory_fill(v->h.driver.memory, DESC, 0, INDIRECT - DESC));
    negotiate(&v->h, VERSION_1);
    set_up_queue(&v->h, 0, RING_SIZE);
    drive_ok(&v->h);
    for (uint16_t i = 0; i < RING_SIZE; i++) {
        driver_offer_buffer(&v->h.driver, i, DATA + 64u * i, 64, WRITE);
        put(&v->h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    }
}

static void resets_while_buffers_are_served(void **state)
{
    static struct vhost v;
    uint8_t byte = FILL;

    (void)state;
    start(&v);
    for (int i = 0; i < RESETS; i++) {
        drive(&v);
        put(&v.h, VIRTIO_MMIO_STATUS, 0);
        /* Nobody touches memory after a reset. */
        MUST(vmm_memory_fill(v.h.driver.memory, DATA, 0, 64));
        MUST(vmm_memory_load_u8(v.h.driver.memory, DATA, &byte));
        assert_int_equal(byte, 0);
    }
    vmm_loop_stop_thread(v.h.loop);
    assert_string_equal(failure(&v), "");
    assert_int_equal(v.failures, 0);
    bring_up(&v.h, 0);
    driver_offer_buffer(&v.h.driver, 0, DATA, 16, WRITE);
    unsigned served = v.backend.served;
    put(&v.h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    AWAIT(&v, v.backend.served > served);
    vhost_tear_down(&v);
}

static void *kill_it(void *context)
{
    struct vhost *v = context;

    /* At a moment that moves from test to test. */
    for (unsigned i = atomic_load(&v->backend.seen[0]); i; i--)
        sched_yield();
    shutdown(v->backend.fd, SHUT_RDWR);
    return NULL;
}

static void a_death_at_any_moment_is_told_once(void **state)
{
    static struct vhost v;
    pthread_t thread;

    (void)state;
    for (unsigned i = 0; i < DEATHS; i++) {
        start(&v);
        atomic_store(&v.backend.seen[0], 3 * i);
        pthread_create(&thread, NULL, kill_it, &v);
        for (int round = 0; round < 3; round++) {
            drive(&v);
            put(&v.h, VIRTIO_MMIO_STATUS, 0);
        }
        pthread_join(thread, NULL);
        vmm_loop_stop_thread(v.h.loop);
        AWAIT(&v, v.failures);
        drive(&v);
        assert_int_equal(get(&v.h, VIRTIO_MMIO_STATUS),
                         EVERYTHING | NEEDS_RESET);
        assert_int_equal(v.failures, 1);
        vhost_tear_down(&v);
    }
}

static void one_that_dies_at_its_birth_is_told_as_well(void **state)
{
    static struct vhost v;
    struct vmm_error err;

    (void)state;
    for (unsigned i = 0; i < DEATHS; i++) {
        vhost_prepare(&v, VIRTIO_ID_BLOCK);
        v.backend.lie_at = VHOST_SET_BACKEND_REQ_FD; /* the last message */
        v.backend.lie = LEAVES;
        if (vmm_loop_start_thread(v.h.loop, "io", &err))
            fail_msg("%s", err.text);
        vhost_attach(&v);
        vmm_loop_stop_thread(v.h.loop);
        AWAIT(&v, v.failures);
        assert_int_equal(v.failures, 1);
        vhost_tear_down(&v);
    }
}

static void *send_nonsense(void *context)
{
    const struct vhost_header bad = {0, VHOST_VERSION, UINT32_MAX};
    struct vhost *v = context;

    for (unsigned i = atomic_load(&v->backend.seen[0]); i; i--)
        sched_yield();
    send(v->backend.channel, &bad, sizeof(bad), MSG_NOSIGNAL);
    return NULL;
}

static void a_close_at_any_moment_meets_a_failure(void **state)
{
    static struct vhost v;
    pthread_t thread;

    (void)state;
    for (unsigned i = 0; i < DEATHS; i++) {
        start(&v);
        atomic_store(&v.backend.seen[0], i);
        pthread_create(&thread, NULL, send_nonsense, &v);
        vmm_virtio_close(v.h.virtio);
        assert_true(v.failures <= 1);
        pthread_join(thread, NULL);
        vhost_tear_down(&v);
    }
}

/* Closed while its back end dies and calls. */
static void a_close_at_any_moment_waits_for_what_is_under_way(void **state)
{
    static struct vhost v;
    pthread_t thread;

    (void)state;
    for (unsigned i = 0; i < DEATHS; i++) {
        start(&v);
        atomic_store(&v.backend.seen[0], i);
        drive(&v);
        pthread_create(&thread, NULL, kill_it, &v);
        vmm_virtio_close(v.h.virtio);
        assert_true(v.closed);
        assert_true(v.failures <= 1);
        pthread_join(thread, NULL);
        vhost_tear_down(&v);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(resets_while_buffers_are_served),
        cmocka_unit_test(a_death_at_any_moment_is_told_once),
        cmocka_unit_test(a_close_at_any_moment_waits_for_what_is_under_way),
        cmocka_unit_test(one_that_dies_at_its_birth_is_told_as_well),
        cmocka_unit_test(a_close_at_any_moment_meets_a_failure),
    };

    return RUN_OVER_BOTH("vhost-user on threads", tests);
}
