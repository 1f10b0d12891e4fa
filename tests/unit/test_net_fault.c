/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Faults of links and of devices: which frames come, how often, when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_driver.h"
#include "net_fault_fixture.h"

static void frames_are_dropped_by_chance_the_same_ones_for_a_seed(void **state)
{
    struct fixture *f = *state;
    uint32_t first[FRAMES], second[FRAMES];

    use(f, &(struct vmm_net_fault_config){.drop = 0.25, .seed = 7});
    send_many(&f->ends[0], FRAMES);
    unsigned count = drain(&f->ends[1], first, FRAMES);
    assert_in_range(count, 250, 350);
    assert_int_equal(stats(f).frames, FRAMES);
    assert_int_equal(stats(f).dropped, FRAMES - count);

    use(f, &(struct vmm_net_fault_config){.drop = 0.25, .seed = 7});
    send_many(&f->ends[0], FRAMES);
    assert_int_equal(drain(&f->ends[1], second, FRAMES), count);
    assert_memory_equal(first, second, count * sizeof(*first));

    use(f, &(struct vmm_net_fault_config){.drop = 0.25, .seed = 8});
    send_many(&f->ends[0], FRAMES);
    unsigned other = drain(&f->ends[1], second, FRAMES);
    assert_true(other != count ||
                memcmp(first, second, count * sizeof(*first)) != 0);
}

static void each_port_has_chances_of_its_own(void **state)
{
    struct fixture *f = *state;
    uint32_t first[FRAMES], second[FRAMES];

    use(f, &(struct vmm_net_fault_config){.drop = 0.5, .seed = 7});
    send_many(&f->ends[0], FRAMES);
    send_many(&f->ends[1], FRAMES);
    unsigned count = drain(&f->ends[1], first, FRAMES);
    assert_true(drain(&f->ends[0], second, FRAMES) != count ||
                memcmp(first, second, count * sizeof(*first)) != 0);
}

static void a_fault_that_has_ended_does_nothing(void **state)
{
    struct fixture *f = *state;
    uint32_t numbers[FRAMES];

    use(f, &(struct vmm_net_fault_config){.drop = 1});
    send_many(&f->ends[0], 10);
    vmm_net_fault_end(f->fault);
    vmm_net_fault_end(f->fault);
    send_many(&f->ends[0], FRAMES);
    assert_int_equal(drain(&f->ends[1], numbers, FRAMES), FRAMES);
    assert_int_equal(stats(f).frames, 10);
    vmm_link_set_fault(f->link, NULL);
    send_many(&f->ends[0], 10);
    assert_int_equal(drain(&f->ends[1], numbers, FRAMES), 10);
}

static void a_duplicate_comes_right_after_its_frame(void **state)
{
    struct fixture *f = *state;
    uint32_t numbers[10];

    use(f, &(struct vmm_net_fault_config){.duplicate = 1});
    send_many(&f->ends[0], 5);
    assert_int_equal(drain(&f->ends[1], numbers, 10), 10);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(numbers[i], i / 2);
    assert_int_equal(stats(f).duplicated, 5);
}

static void a_corrupt_frame_differs_in_one_bit(void **state)
{
    struct fixture *f = *state;
    struct end *to = &f->ends[1];
    const uint8_t *frame;

    use(f, &(struct vmm_net_fault_config){.corrupt = 1});
    send_many(&f->ends[0], 50);
    for (uint32_t i = 0; i < 50; i++) {
        uint8_t sent[100] = {0};
        unsigned bits = 0;

        memcpy(sent, &i, sizeof(i));
        assert_int_equal(to->net->ops->peek(to->net, &frame), 100);
        for (int j = 0; j < 100; j++)
            bits += (unsigned)__builtin_popcount(frame[j] ^ sent[j]);
        assert_int_equal(bits, 1);
        to->net->ops->take(to->net);
    }
    assert_int_equal(stats(f).corrupted, 50);
}

static void a_delayed_frame_comes_in_its_time_and_in_order(void **state)
{
    struct fixture *f = *state;
    uint64_t before = vmm_now_ns();
    uint32_t number;

    use(f, &(struct vmm_net_fault_config){.delay_ns = 20 * MS});
    send_many(&f->ends[0], 5);
    for (uint32_t i = 0; i < 5; i++) {
        await_frame(f, &number);
        assert_int_equal(number, i);
    }
    assert_true(vmm_now_ns() - before >= 20 * MS);
    assert_int_equal(stats(f).delayed, 5);
}

static void what_is_delayed_comes_though_the_fault_has_ended(void **state)
{
    struct fixture *f = *state;
    uint32_t number;

    use(f, &(struct vmm_net_fault_config){.delay_ns = 20 * MS});
    send_many(&f->ends[0], 1);
    vmm_link_set_fault(f->link, NULL);
    await_frame(f, &number);
    assert_int_equal(number, 0);
}

static void a_frame_out_of_order_comes_after_the_next(void **state)
{
    struct fixture *f = *state;
    uint32_t numbers[FRAMES];

    use(f, &(struct vmm_net_fault_config){.reorder = 1});
    send_many(&f->ends[0], 6);
    assert_int_equal(drain(&f->ends[1], numbers, FRAMES), 6);
    const uint32_t expected[] = {1, 0, 3, 2, 5, 4};
    assert_memory_equal(numbers, expected, sizeof(expected));
    assert_int_equal(stats(f).reordered, 3);
}

static void a_last_frame_out_of_order_is_not_lost(void **state)
{
    struct fixture *f = *state;
    uint32_t number;

    use(f, &(struct vmm_net_fault_config){.reorder = 1});
    send_many(&f->ends[0], 1);
    await_frame(f, &number);
    assert_int_equal(number, 0);
}

static void frames_that_are_held_are_bounded(void **state)
{
    struct fixture *f = *state;

    use(f, &(struct vmm_net_fault_config){.delay_ns = 3600 * 1000 * MS});
    for (uint32_t i = 0; i < 1000; i++)
        MUST(send_one(&f->ends[0], i, 60000));
    assert_in_range(stats(f).delayed, 60, VMM_NET_FAULT_BYTES / 60000);
    assert_int_equal(stats(f).delayed + stats(f).overflowed, 1000);
    f->ends[0].net->ops->stop(f->ends[0].net); /* that drops them */
    f->ends[0].net->ops->start(f->ends[0].net, 0);
    uint64_t before = stats(f).delayed;
    for (uint32_t i = 0; i < 2 * VMM_NET_FAULT_FRAMES; i++)
        MUST(send_one(&f->ends[0], i, 60));
    assert_int_equal(stats(f).delayed - before, VMM_NET_FAULT_FRAMES);
}

static void
a_full_receiver_makes_the_sender_wait_and_loses_nothing(void **state)
{
    struct fixture *f = *state;
    uint32_t number, sent = 0, expected = 0;
    size_t len;

    use(f, &(struct vmm_net_fault_config){.drop = 0.5});
    for (int round = 0; round < 3; round++) {
        while (send_one(&f->ends[0], sent, 1500) == 0)
            sent++;
        while (take(&f->ends[1], &number, &len))
            expected++;
    }
    MUST(send_one(&f->ends[0], sent++, 1500)); /* which waits, judged before */
    while (take(&f->ends[1], &number, &len))
        expected++;
    assert_int_equal(stats(f).frames, sent);
    assert_int_equal(stats(f).frames - stats(f).dropped, expected);
}

static void what_is_no_probability_is_refused(void **state)
{
    const struct vmm_net_fault_config wrong[] = {
        {.drop = -0.1},
        {.reorder = 1.1},
        {.corrupt = __builtin_nan("")},
        {.delay_ns = VMM_NET_DELAY_MAX + 1},
    };
    struct vmm_net_fault *fault;
    struct vmm_error err;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        assert_int_equal(vmm_net_fault_new(&wrong[i], &fault, &err), -EINVAL);
        assert_null(fault);
    }
}

/* ---- a device's two directions ---- */

static struct vmm_net_fault *drop_all(void)
{
    struct vmm_net_fault *fault;
    struct vmm_error err;

    MUST(vmm_net_fault_new(&(struct vmm_net_fault_config){.drop = 1}, &fault,
                           &err));
    return fault;
}

static void send_to_fake(struct net_host *n)
{
    static const struct virtio_net_hdr_v1 plain = {0};

    put_frame(n, &plain, 60);
    net_offer_buffer(n, TX, 0, NET_DATA, HEADER + 60);
    net_notify(n, TX);
}

static void give_from_fake(struct net_host *n, uint16_t buffer)
{
    net_offer_buffer(n, RX, buffer, NET_DATA + 0x1000, 2048);
    n->fake->frame_len = 60;
    n->fake->frames = 1;
    n->fake->events.frames(n->fake->events.context);
    serve(&n->host);
}

static void a_device_s_directions_have_faults_of_their_own(void **state)
{
    static struct net_host n;
    struct fake *fake = fake_new(false);
    struct vmm_net_fault *fault = drop_all();
    uint32_t id, len;

    (void)state;
    net_set_up(&n, &fake->net);
    n.fake = fake;
    net_bring_up(&n, 0);
    vmm_virtio_net_set_fault(n.host.virtio, VMM_NET_RX, fault);
    give_from_fake(&n, 0);
    assert_int_equal(fake->frames, 0);
    assert_false(net_collect(&n, RX, &id, &len));
    send_to_fake(&n);
    assert_int_equal(fake->sent, 1);

    vmm_virtio_net_set_fault(n.host.virtio, VMM_NET_RX, NULL);
    vmm_virtio_net_set_fault(n.host.virtio, VMM_NET_TX, fault);
    send_to_fake(&n);
    assert_int_equal(fake->sent, 1);
    assert_true(net_collect(&n, TX, &id, &len));
    give_from_fake(&n, 1);
    assert_true(net_collect(&n, RX, &id, &len));
    assert_int_equal(len, HEADER + 60);
    host_tear_down(&n.host);
    vmm_net_fault_unref(fault);
}

static void a_flood_of_which_nothing_comes_is_dropped_in_turns(void **state)
{
    static struct net_host n;
    struct fake *fake = fake_new(false);
    struct vmm_net_fault *fault = drop_all();

    (void)state;
    net_set_up(&n, &fake->net);
    net_bring_up(&n, 0);
    vmm_virtio_net_set_fault(n.host.virtio, VMM_NET_RX, fault);
    fake->frame_len = 60;
    fake->frames = 1000000;
    fake->events.frames(fake->events.context);
    assert_true(vmm_loop_step(n.host.loop, 0) > 0);
    assert_true(fake->frames > 1000000 - 1000);
    fake->frames = 1000;
    while (fake->frames)
        assert_true(vmm_loop_step(n.host.loop, 5 * INT64_C(1000000000)) > 0);
    host_tear_down(&n.host);
    vmm_net_fault_unref(fault);
}

static void only_the_frame_behind_a_header_is_corrupted(void **state)
{
    static struct net_host n;
    struct fake *fake = fake_new(true);
    struct vmm_net_fault *fault;
    struct vmm_error err;
    uint8_t header[HEADER] = {0};
    unsigned bits = 0;

    (void)state;
    MUST(vmm_net_fault_new(&(struct vmm_net_fault_config){.corrupt = 1}, &fault,
                           &err));
    net_set_up(&n, &fake->net);
    net_bring_up(&n, 0);
    vmm_virtio_net_set_fault(n.host.virtio, VMM_NET_TX, fault);
    for (int round = 0; round < 50; round++) {
        send_to_fake(&n);
        assert_int_equal(fake->len, HEADER + 60);
        assert_memory_equal(fake->last, header, HEADER);
        for (size_t i = 0; i < 60; i += 2) {
            uint16_t sent = (uint16_t)(i * 7 + 1), got;

            memcpy(&got, fake->last + HEADER + i, 2);
            bits += (unsigned)__builtin_popcount(sent ^ got);
        }
    }
    assert_int_equal(bits, 50);
    host_tear_down(&n.host);
    vmm_net_fault_unref(fault);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(frames_are_dropped_by_chance_the_same_ones_for_a_seed),
        TEST(each_port_has_chances_of_its_own),
        TEST(a_fault_that_has_ended_does_nothing),
        TEST(a_duplicate_comes_right_after_its_frame),
        TEST(a_corrupt_frame_differs_in_one_bit),
        TEST(a_delayed_frame_comes_in_its_time_and_in_order),
        TEST(what_is_delayed_comes_though_the_fault_has_ended),
        TEST(a_frame_out_of_order_comes_after_the_next),
        TEST(a_last_frame_out_of_order_is_not_lost),
        TEST(frames_that_are_held_are_bounded),
        TEST(a_full_receiver_makes_the_sender_wait_and_loses_nothing),
        TEST(what_is_no_probability_is_refused),
        cmocka_unit_test(a_device_s_directions_have_faults_of_their_own),
        cmocka_unit_test(a_flood_of_which_nothing_comes_is_dropped_in_turns),
        cmocka_unit_test(only_the_frame_behind_a_header_is_corrupted),
    };

    return cmocka_run_group_tests_name("net_fault", tests, NULL, NULL);
}
