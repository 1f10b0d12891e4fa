/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Limits of a network device: frames wait, none is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_driver.h"

#define MS     UINT64_C(1000000)
#define FRAMES 5u
/* One after the other, 50 ms each: of no limit but the first. */
#define LEAST_NS ((FRAMES - 1) * 50 * MS)

static int set_up(void **state)
{
    static struct net_host n;
    struct fake *fake = fake_new(false);

    net_set_up(&n, &fake->net);
    n.fake = fake;
    net_bring_up(&n, 0);
    *state = &n;
    return 0;
}

static int tear_down(void **state)
{
    host_tear_down(&((struct net_host *)*state)->host);
    return 0;
}

static void limit(struct net_host *n, unsigned ways, uint64_t bytes,
                  uint64_t items)
{
    const struct vmm_limit limit = {.bytes = bytes, .items = items};

    vmm_virtio_net_set_limit(n->host.virtio, ways, &limit);
    serve(&n->host);
}

static void step(struct net_host *n)
{
    if (vmm_loop_step(n->host.loop, 5 * INT64_C(1000000000)) <= 0)
        fail_msg("the loop has nothing to do");
}

/* Frames of 60 bytes, notified of together. */
static void send_frames(struct net_host *n)
{
    static const struct virtio_net_hdr_v1 plain = {0};

    put_frame(n, &plain, 60);
    for (uint16_t i = 0; i < FRAMES; i++)
        net_offer_buffer(n, TX, i, NET_DATA, HEADER + 60);
    net_notify(n, TX);
}

static void offer_buffers(struct net_host *n)
{
    for (uint16_t i = 0; i < FRAMES; i++)
        net_offer_buffer(n, RX, i, NET_DATA + 0x1000u * i, 2048);
    net_notify(n, RX);
}

static void give_frames(struct net_host *n)
{
    n->fake->frame_len = 60;
    n->fake->frames = FRAMES;
    n->fake->events.frames(n->fake->events.context);
    serve(&n->host);
}

static void await_sent(struct net_host *n)
{
    uint32_t id, len;

    while (n->fake->sent < FRAMES)
        step(n);
    for (uint32_t i = 0; i < FRAMES; i++) {
        assert_true(net_collect(n, TX, &id, &len));
        assert_int_equal(id, i);
    }
}

static void sent_frames_wait_for_their_limit(void **state)
{
    struct net_host *n = *state;
    uint64_t before = vmm_now_ns();

    limit(n, VMM_NET_TX, 0, 20);
    send_frames(n);
    await_sent(n);
    assert_true(vmm_now_ns() - before >= LEAST_NS);
}

static void sent_bytes_wait_for_their_limit(void **state)
{
    struct net_host *n = *state;
    uint64_t before = vmm_now_ns();

    limit(n, VMM_NET_TX, 20 * 60, 0);
    send_frames(n);
    await_sent(n);
    assert_true(vmm_now_ns() - before >= LEAST_NS);
}

static void received_frames_wait_for_their_limit(void **state)
{
    struct net_host *n = *state;
    uint64_t before = vmm_now_ns();
    uint32_t id, len;

    limit(n, VMM_NET_RX, 0, 20);
    offer_buffers(n);
    give_frames(n);
    while (n->fake->frames)
        step(n);
    assert_true(vmm_now_ns() - before >= LEAST_NS);
    for (uint32_t i = 0; i < FRAMES; i++)
        assert_true(net_collect(n, RX, &id, &len));
}

static void a_limit_is_of_its_direction(void **state)
{
    struct net_host *n = *state;

    limit(n, VMM_NET_RX, 0, 1);
    send_frames(n);
    assert_int_equal(n->fake->sent, FRAMES);
    limit(n, VMM_NET_RX, 0, 0);
    limit(n, VMM_NET_TX, 1, 1);
    offer_buffers(n);
    give_frames(n);
    assert_int_equal(n->fake->frames, 0);
}

static void who_waits_goes_on_when_the_limit_is_lifted(void **state)
{
    struct net_host *n = *state;

    /* The first frame costs a minute. */
    limit(n, VMM_NET_TX | VMM_NET_RX, 1, 0);
    send_frames(n);
    offer_buffers(n);
    give_frames(n);
    assert_int_equal(n->fake->sent, 1);
    assert_int_equal(n->fake->frames, FRAMES - 1);
    limit(n, VMM_NET_TX | VMM_NET_RX, 0, 0);
    assert_int_equal(n->fake->sent, FRAMES);
    assert_int_equal(n->fake->frames, 0);
}

static void a_reset_does_not_wait(void **state)
{
    struct net_host *n = *state;

    limit(n, VMM_NET_TX, 1, 0);
    send_frames(n);
    net_bring_up(n, 0);
    limit(n, VMM_NET_TX, 0, 0);
    assert_int_equal(n->fake->sent, 1);
    send_frames(n);
    assert_int_equal(n->fake->sent, 1 + FRAMES);
}

static void a_closed_device_has_no_timers(void **state)
{
    struct net_host *n = *state;

    limit(n, VMM_NET_TX, 1, 0);
    send_frames(n);
    vmm_virtio_close(n->host.virtio);
    limit(n, VMM_NET_TX, 1, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sent_frames_wait_for_their_limit),
        TEST(sent_bytes_wait_for_their_limit),
        TEST(received_frames_wait_for_their_limit),
        TEST(a_limit_is_of_its_direction),
        TEST(who_waits_goes_on_when_the_limit_is_lifted),
        TEST(a_reset_does_not_wait),
        TEST(a_closed_device_has_no_timers),
    };

    return cmocka_run_group_tests_name("virtio_net_limit", tests, NULL, NULL);
}
