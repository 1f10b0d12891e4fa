/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A network device with several pairs of queues: its control queue, and which
 * pairs are served. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_driver.h"

#define PAIRS   3u
#define CONTROL (2 * PAIRS)
#define COMMAND 0xf000u /* header and data of a command */
#define ANSWER  0xf800u
#define BOTH    (F(CTRL_VQ) | F(MQ))

struct fixture {
    struct net_host n;
    struct fake *fakes[PAIRS];
};

static int set_up(void **state)
{
    static struct fixture f;
    struct vmm_virtio_net_config config = {.pairs = PAIRS, .mac = the_mac};

    f = (struct fixture){0};
    for (unsigned i = 0; i < PAIRS; i++) {
        f.fakes[i] = fake_new(false);
        config.nets[i] = &f.fakes[i]->net;
    }
    net_set_up_config(&f.n, &config);
    f.n.queues = CONTROL + 1;
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    host_tear_down(&((struct fixture *)*state)->n.host);
    return 0;
}

/* A command in queue, of so many of its bytes; what is answered, or 0xff. */
static uint8_t command_in(struct net_host *n, unsigned queue, uint8_t class,
                          uint8_t cmd, uint16_t value, uint32_t len)
{
    const uint8_t bytes[] = {class, cmd, (uint8_t)value, (uint8_t)(value >> 8)};
    struct vmm_memory *memory = n->host.driver.memory;
    uint8_t answer = 0xff;
    uint32_t id, written;

    MUST(vmm_memory_write(memory, COMMAND, bytes, sizeof(bytes)));
    MUST(vmm_memory_write(memory, ANSWER, &answer, 1));
    net_desc(n, queue, 0, COMMAND, len, VRING_DESC_F_NEXT, 1);
    net_desc(n, queue, 1, ANSWER, 1, VRING_DESC_F_WRITE, 0);
    net_offer(n, queue, 0);
    net_notify(n, queue);
    assert_true(net_collect(n, queue, &id, &written));
    assert_int_equal(written, 1);
    MUST(vmm_memory_read(memory, ANSWER, &answer, 1));
    return answer;
}

static uint8_t set_pairs(struct fixture *f, uint16_t count)
{
    return command_in(&f->n, CONTROL, VIRTIO_NET_CTRL_MQ,
                      VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, count, 4);
}

static void send_by(struct fixture *f, unsigned pair)
{
    static const struct virtio_net_hdr_v1 plain = {0};

    put_frame(&f->n, &plain, 60);
    net_offer_buffer(&f->n, 2 * pair + TX, 0, NET_DATA, HEADER + 60);
    net_notify(&f->n, 2 * pair + TX);
}

static void give_by(struct fixture *f, unsigned pair)
{
    struct fake *fake = f->fakes[pair];

    net_offer_buffer(&f->n, 2 * pair + RX, 0, NET_DATA + 0x1000, 2048);
    net_notify(&f->n, 2 * pair + RX);
    fake->frame_len = 60;
    fake->frames++;
    fake->events.frames(fake->events.context);
    serve(&f->n.host);
}

static void assert_running(struct fixture *f, unsigned count)
{
    struct vmm_virtio_net_info info;

    for (unsigned i = 0; i < PAIRS; i++)
        assert_int_equal(f->fakes[i]->running, i < count);
    vmm_virtio_net_info(f->n.host.virtio, &info);
    assert_int_equal(info.pairs, PAIRS);
    assert_int_equal(info.active, count);
}

static void it_offers_its_pairs(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[2];

    put(&f->n.host, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    uint32_t features = get(&f->n.host, VIRTIO_MMIO_DEVICE_FEATURES);
    assert_int_equal(features & BOTH, BOTH);
    for (uint32_t i = 0; i < 2; i++)
        bytes[i] = (uint8_t)(get(&f->n.host, VIRTIO_MMIO_CONFIG + 8) >> 8 * i);
    assert_int_equal(bytes[0] | bytes[1] << 8, PAIRS);
}

static void it_uses_one_pair_until_it_is_told(void **state)
{
    struct fixture *f = *state;
    uint32_t id, len;

    net_bring_up(&f->n, BOTH);
    assert_running(f, 1);
    send_by(f, 0);
    assert_int_equal(f->fakes[0]->sent, 1);
    send_by(f, 2);
    assert_false(net_collect(&f->n, 2 * 2 + TX, &id, &len));
    assert_int_equal(set_pairs(f, PAIRS), VIRTIO_NET_OK);
    assert_running(f, PAIRS);
    serve(&f->n.host);
    assert_int_equal(f->fakes[2]->sent, 1);
    assert_true(net_collect(&f->n, 2 * 2 + TX, &id, &len));
}

static void each_pair_has_its_frames(void **state)
{
    struct fixture *f = *state;
    uint32_t id, len;

    net_bring_up(&f->n, BOTH);
    assert_int_equal(set_pairs(f, PAIRS), VIRTIO_NET_OK);
    for (unsigned i = 0; i < PAIRS; i++) {
        give_by(f, i);
        for (unsigned j = 0; j < PAIRS; j++)
            assert_int_equal(net_collect(&f->n, 2 * j + RX, &id, &len), i == j);
        send_by(f, i);
        assert_int_equal(f->fakes[i]->sent, 1);
    }
}

static void a_pair_that_is_given_up_rests_and_keeps_its_buffers(void **state)
{
    struct fixture *f = *state;
    uint32_t id, len;

    net_bring_up(&f->n, BOTH);
    assert_int_equal(set_pairs(f, 2), VIRTIO_NET_OK);
    assert_running(f, 2);
    assert_int_equal(set_pairs(f, 1), VIRTIO_NET_OK);
    assert_running(f, 1);
    give_by(f, 1);
    assert_int_equal(f->fakes[1]->frames, 1);
    assert_false(net_collect(&f->n, 2 + RX, &id, &len));
    assert_int_equal(set_pairs(f, 2), VIRTIO_NET_OK);
    serve(&f->n.host);
    assert_true(net_collect(&f->n, 2 + RX, &id, &len));
    assert_int_equal(len, HEADER + 60);
}

static void a_reset_leaves_one_pair(void **state)
{
    struct fixture *f = *state;

    net_bring_up(&f->n, BOTH);
    assert_int_equal(set_pairs(f, PAIRS), VIRTIO_NET_OK);
    put(&f->n.host, VIRTIO_MMIO_STATUS, 0);
    assert_running(f, 0);
    net_bring_up(&f->n, BOTH);
    assert_running(f, 1);
}

static void commands_that_are_wrong_change_nothing(void **state)
{
    struct fixture *f = *state;
    struct net_host *n = &f->n;

    net_bring_up(n, BOTH);
    assert_int_equal(set_pairs(f, 2), VIRTIO_NET_OK);
    assert_int_equal(set_pairs(f, 0), VIRTIO_NET_ERR);
    assert_int_equal(set_pairs(f, PAIRS + 1), VIRTIO_NET_ERR);
    assert_int_equal(set_pairs(f, 0xffff), VIRTIO_NET_ERR);
    for (uint32_t len = 0; len < 4; len++) /* no more than a part of it */
        assert_int_equal(command_in(n, CONTROL, VIRTIO_NET_CTRL_MQ,
                                    VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 1, len),
                         VIRTIO_NET_ERR);
    assert_int_equal(command_in(n, CONTROL, VIRTIO_NET_CTRL_MQ, 1, 1, 4),
                     VIRTIO_NET_ERR);
    for (uint8_t class = 5; class < 250; class += 49)
        assert_int_equal(command_in(n, CONTROL, class, 0, 1, 4),
                         VIRTIO_NET_ERR);
    assert_running(f, 2);
}

static void a_flood_of_commands_is_carried_out_in_turns(void **state)
{
    struct fixture *f = *state;
    struct net_host *n = &f->n;
    const uint8_t bytes[] = {VIRTIO_NET_CTRL_MQ,
                             VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 2, 0};
    uint32_t id, len;

    net_bring_up(n, BOTH);
    MUST(vmm_memory_write(n->host.driver.memory, COMMAND, bytes, 4));
    net_desc(n, CONTROL, 0, COMMAND, 4, VRING_DESC_F_NEXT, 1);
    net_desc(n, CONTROL, 1, ANSWER, 1, VRING_DESC_F_WRITE, 0);
    for (unsigned i = 0; i < NET_RING; i++)
        net_offer(n, CONTROL, 0);
    put(&n->host, VIRTIO_MMIO_QUEUE_NOTIFY, CONTROL);
    for (unsigned i = 0; i < NET_RING; i++) {
        assert_true(vmm_loop_step(n->host.loop, 0) > 0);
        assert_true(net_collect(n, CONTROL, &id, &len));
        assert_false(net_collect(n, CONTROL, &id, &len));
    }
    assert_running(f, 2);
}

static void a_command_without_room_for_an_answer_does_nothing(void **state)
{
    struct fixture *f = *state;
    struct net_host *n = &f->n;
    const uint8_t bytes[] = {VIRTIO_NET_CTRL_MQ,
                             VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 2, 0};
    uint32_t id, len;

    net_bring_up(n, BOTH);
    MUST(vmm_memory_write(n->host.driver.memory, COMMAND, bytes, 4));
    net_desc(n, CONTROL, 0, COMMAND, 4, 0, 0);
    net_offer(n, CONTROL, 0);
    net_notify(n, CONTROL);
    assert_true(net_collect(n, CONTROL, &id, &len));
    assert_int_equal(len, 0);
    assert_running(f, 1);
    /* Room that is no RAM. */
    net_desc(n, CONTROL, 0, COMMAND, 4, VRING_DESC_F_NEXT, 1);
    net_desc(n, CONTROL, 1, RAM_END, 1, VRING_DESC_F_WRITE, 0);
    net_offer(n, CONTROL, 0);
    net_notify(n, CONTROL);
    assert_true(net_collect(n, CONTROL, &id, &len));
    assert_int_equal(len, 0);
    assert_int_equal(set_pairs(f, 3), VIRTIO_NET_OK);
}

static void a_backend_that_does_not_start_fails_the_command(void **state)
{
    struct fixture *f = *state;

    net_bring_up(&f->n, BOTH);
    f->fakes[2]->fails = true;
    assert_int_equal(set_pairs(f, 3), VIRTIO_NET_ERR);
    assert_running(f, 1);
    assert_int_equal(set_pairs(f, 2), VIRTIO_NET_OK);
    assert_running(f, 2);
}

static void without_the_feature_the_control_queue_is_the_third(void **state)
{
    struct fixture *f = *state;

    net_bring_up(&f->n, F(CTRL_VQ));
    assert_int_equal(command_in(&f->n, 2, VIRTIO_NET_CTRL_MQ,
                                VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, 2, 4),
                     VIRTIO_NET_ERR);
    assert_running(f, 1);
}

static void without_a_control_queue_only_two_queues_are_served(void **state)
{
    struct fixture *f = *state;
    uint32_t id, len;

    net_bring_up(&f->n, 0);
    for (unsigned queue = 2; queue < NET_QUEUES; queue++) {
        net_offer_buffer(&f->n, queue, 0, NET_DATA, 2048);
        net_notify(&f->n, queue);
        assert_false(net_collect(&f->n, queue, &id, &len));
    }
    send_by(f, 0);
    assert_int_equal(f->fakes[0]->sent, 1);
}

static void a_number_of_pairs_that_cannot_be_is_refused(void **state)
{
    struct vmm_virtio_net_config config = {.mac = the_mac};
    struct vmm_virtio *virtio;
    struct vmm_error err;
    struct host h;

    (void)state;
    host_set_up(&h);
    config.memory = h.driver.memory;
    config.loop = h.loop;
    assert_int_equal(vmm_virtio_net_new(&config, &virtio, &err), -EINVAL);
    config.pairs = VMM_NET_PAIRS_MAX + 1;
    for (unsigned i = 0; i < VMM_NET_PAIRS_MAX; i++)
        config.nets[i] = &fake_new(false)->net;
    assert_int_equal(vmm_virtio_net_new(&config, &virtio, &err), -EINVAL);
    assert_null(virtio);
    vmm_bus_free(h.bus);
    vmm_loop_free(h.loop);
    driver_tear_down(&h.driver);
}

static void limits_are_of_all_pairs_together(void **state)
{
    struct fixture *f = *state;
    const struct vmm_limit one_a_minute = {.bytes = 1}, none = {0};

    net_bring_up(&f->n, BOTH);
    assert_int_equal(set_pairs(f, PAIRS), VIRTIO_NET_OK);
    vmm_virtio_net_set_limit(f->n.host.virtio, VMM_NET_TX, &one_a_minute);
    send_by(f, 0);
    send_by(f, 1);
    send_by(f, 2);
    assert_int_equal(f->fakes[0]->sent, 1);
    assert_int_equal(f->fakes[1]->sent + f->fakes[2]->sent, 0);
    vmm_virtio_net_set_limit(f->n.host.virtio, VMM_NET_TX, &none);
    serve(&f->n.host);
    assert_int_equal(f->fakes[1]->sent + f->fakes[2]->sent, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_offers_its_pairs),
        TEST(it_uses_one_pair_until_it_is_told),
        TEST(each_pair_has_its_frames),
        TEST(a_pair_that_is_given_up_rests_and_keeps_its_buffers),
        TEST(a_reset_leaves_one_pair),
        TEST(commands_that_are_wrong_change_nothing),
        TEST(a_flood_of_commands_is_carried_out_in_turns),
        TEST(a_command_without_room_for_an_answer_does_nothing),
        TEST(a_backend_that_does_not_start_fails_the_command),
        TEST(without_the_feature_the_control_queue_is_the_third),
        TEST(without_a_control_queue_only_two_queues_are_served),
        TEST(limits_are_of_all_pairs_together),
        cmocka_unit_test(a_number_of_pairs_that_cannot_be_is_refused),
    };

    return RUN_OVER_BOTH("virtio_net_queues", tests);
}
