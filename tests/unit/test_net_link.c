/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Links: a hub whose ports have bounded queues, by themselves and between the
 * devices of two mock drivers; capture files. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include <vmm/pcap.h>

#include "net_driver.h"
#include "net_ends.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define PACKETS 50000u
#else
#define PACKETS 1000000u
#endif

struct fixture {
    struct vmm_loop *loop;
    struct vmm_link *link;
    struct end ends[3];
};

static int set_up(void **state)
{
    static struct fixture f;
    struct vmm_error err;

    f = (struct fixture){0};
    MUST(vmm_loop_new(&f.loop, &err));
    MUST(vmm_link_new(NULL, &f.link, &err));
    open_end(&f.ends[0], f.link, f.loop);
    open_end(&f.ends[1], f.link, f.loop);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    vmm_link_free(f->link); /* before its ports */
    for (int i = 0; i < 3; i++)
        close_end(&f->ends[i]);
    vmm_loop_free(f->loop);
    return 0;
}

static uint64_t dropped(struct fixture *f)
{
    struct vmm_link_stats stats;

    vmm_link_stats(f->link, &stats);
    return stats.dropped;
}

static void what_one_port_sends_the_other_gets(void **state)
{
    struct fixture *f = *state;
    uint32_t number;
    size_t len;

    assert_false(take(&f->ends[1], &number, &len));
    for (uint32_t i = 0; i < 5; i++)
        MUST(send_one(&f->ends[0], i, 60 + i));
    assert_int_equal(f->ends[1].frames, 1);
    for (uint32_t i = 0; i < 5; i++) {
        assert_true(take(&f->ends[1], &number, &len));
        assert_int_equal(number, i);
        assert_int_equal(len, 60 + i);
    }
    assert_false(take(&f->ends[0], &number, &len));
    assert_int_equal(f->ends[0].frames, 0);
}

static void frames_of_all_sizes_go_round_and_round(void **state)
{
    struct fixture *f = *state;
    uint32_t number;
    size_t len;

    for (uint32_t i = 0; i < 20000; i++) {
        size_t size = 14 + i * 7919 % (VMM_NET_FRAME_MAX - 13);

        MUST(send_one(&f->ends[0], i, size));
        if (i % 3 == 0) /* up to three wait */
            continue;
        while (take(&f->ends[1], &number, &len))
            assert_int_equal(len,
                             14 + number * 7919 % (VMM_NET_FRAME_MAX - 13));
    }
    assert_int_equal(dropped(f), 0);
}

static unsigned fill(struct end *end)
{
    unsigned sent = 0;

    while (send_one(end, sent, 1500) == 0)
        sent++;
    return sent;
}

static void a_full_port_makes_its_only_sender_wait(void **state)
{
    struct fixture *f = *state;
    uint32_t number;
    size_t len;

    unsigned sent = fill(&f->ends[0]);
    assert_in_range(sent, 100, 1000);
    assert_int_equal(f->ends[0].room, 0);
    for (uint32_t i = 0; i < sent; i++) {
        assert_true(take(&f->ends[1], &number, &len));
        assert_int_equal(number, i);
    }
    assert_int_equal(f->ends[0].room, 1);
    assert_int_equal(dropped(f), 0);
    MUST(send_one(&f->ends[0], 7, 100));
    assert_true(take(&f->ends[1], &number, &len));
}

static void its_sender_does_not_wait_without_end(void **state)
{
    struct fixture *f = *state;
    uint64_t before = vmm_now_ns();

    fill(&f->ends[0]);
    while (!f->ends[0].room)
        if (vmm_loop_step(f->loop, 5 * INT64_C(1000000000)) <= 0)
            fail_msg("no room was told of");
    assert_true(vmm_now_ns() - before >= VMM_LINK_PATIENCE_NS);
    for (int i = 0; i < 1000; i++) /* no wait of each one's own */
        MUST(send_one(&f->ends[0], 0, 1500));
    assert_int_equal(dropped(f), 1000);
}

static void a_third_port_s_full_queue_holds_nobody_up(void **state)
{
    struct fixture *f = *state;
    uint32_t number;
    size_t len;

    open_end(&f->ends[2], f->link, f->loop);
    for (uint32_t i = 0; i < 2000; i++) {
        MUST(send_one(&f->ends[0], i, 1500));
        assert_true(take(&f->ends[1], &number, &len));
        assert_int_equal(number, i);
    }
    assert_true(dropped(f) > 0);
    assert_true(take(&f->ends[2], &number, &len));
    assert_int_equal(number, 0);
}

static void a_port_that_does_not_run_gets_nothing(void **state)
{
    struct fixture *f = *state;
    uint32_t number;
    size_t len;

    fill(&f->ends[0]);
    f->ends[1].net->ops->stop(f->ends[1].net);
    assert_int_equal(f->ends[0].room, 1);
    for (int i = 0; i < 1000; i++)
        MUST(send_one(&f->ends[0], 0, 1500));
    f->ends[1].net->ops->start(f->ends[1].net, 0);
    assert_false(take(&f->ends[1], &number, &len));
    close_end(&f->ends[1]);
    MUST(send_one(&f->ends[0], 0, 1500));
    assert_int_equal(dropped(f), 0);
}

static void a_link_has_a_limit_of_ports(void **state)
{
    struct fixture *f = *state;
    struct vmm_net *nets[VMM_LINK_PORTS_MAX];
    struct vmm_error err;

    for (int i = 0; i < VMM_LINK_PORTS_MAX - 2; i++)
        MUST(vmm_link_port(f->link, &nets[i], &err));
    assert_int_equal(vmm_link_port(f->link, &nets[63], &err), -ENOSPC);
    for (int i = 0; i < VMM_LINK_PORTS_MAX - 2; i++)
        vmm_net_free(nets[i]);
    MUST(vmm_link_port(f->link, &nets[0], &err));
    vmm_net_free(nets[0]);
}

/* ---- with threads ---- */

static void *send_all(void *context)
{
    struct end *end = context;

    for (uint32_t i = 0; i < PACKETS; i++)
        while (send_one(end, i, 60)) /* it tells of room: who would wait? */
            sched_yield();
    return NULL;
}

static void two_threads_lose_nothing(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;
    uint32_t number;
    size_t len;

    MUST(pthread_create(&thread, NULL, send_all, &f->ends[0]));
    for (uint32_t i = 0; i < PACKETS;) {
        if (!take(&f->ends[1], &number, &len)) {
            sched_yield();
            continue;
        }
        if (number != i)
            fail_msg("frame %u came, not %u", number, i);
        i++;
    }
    pthread_join(thread, NULL);
    assert_int_equal(dropped(f), 0);
}

/* ---- between two mock drivers ---- */

static void refill(struct net_host *n, uint32_t index)
{
    net_offer_buffer(n, RX, (uint16_t)index, NET_DATA + 0x1000 + 256 * index,
                     256);
}

static void drivers_up(struct net_host *one, struct net_host *two,
                       struct vmm_link *link)
{
    struct vmm_net *net;
    struct vmm_error err;

    MUST(vmm_link_port(link, &net, &err));
    net_set_up(one, net);
    MUST(vmm_link_port(link, &net, &err));
    net_set_up(two, net);
    net_bring_up(one, EVENT_BIT);
    net_bring_up(two, EVENT_BIT);
}

static void a_million_packets_between_two_drivers_lose_nothing(void **state)
{
    static const struct virtio_net_hdr_v1 plain = {0};
    static struct net_host one, two;
    struct vmm_link *link;
    struct vmm_error err;
    uint32_t id, len, sent = 0, received = 0, number;

    (void)state;
    MUST(vmm_link_new(NULL, &link, &err));
    drivers_up(&one, &two, link);
    put_frame(&one, &plain, 60);
    for (uint32_t i = 0; i < NET_RING; i++)
        refill(&two, i);
    net_notify(&two, RX);
    while (received < PACKETS) {
        for (uint16_t i = 0; i < NET_RING && sent < PACKETS; i++) {
            vmm_gpa_t at = NET_DATA + 128u * i;

            MUST(vmm_memory_write(one.host.driver.memory, at, &plain, HEADER));
            MUST(vmm_memory_store_u32(one.host.driver.memory, at + HEADER,
                                      sent++));
            net_offer_buffer(&one, TX, i, at, HEADER + 60);
        }
        net_notify(&one, TX);
        while (net_collect(&one, TX, &id, &len))
            ;
        serve(&two.host);
        while (net_collect(&two, RX, &id, &len)) {
            MUST(vmm_memory_load_u32(two.host.driver.memory,
                                     NET_DATA + 0x1000 + 256 * id + HEADER,
                                     &number));
            if (number != received++)
                fail_msg("frame %u came, not %u", number, received - 1);
            refill(&two, id);
        }
        net_notify(&two, RX);
    }
    assert_int_equal(received, PACKETS);
    host_tear_down(&one.host);
    host_tear_down(&two.host);
    vmm_link_free(link);
}

/* ---- capture ---- */

static void a_capture_has_each_frame_and_ends_at_its_limit(void **state)
{
    char path[] = "/tmp/pcap-XXXXXX";
    uint8_t bytes[600];
    struct vmm_pcap *pcap;
    struct vmm_link *link;
    struct vmm_error err;
    struct end ends[2];
    uint32_t word;

    struct fixture *f = *state;
    close(mkstemp(path));
    MUST(vmm_pcap_open(path, 24 + 2 * (16 + 60) + 70, &pcap, &err));
    MUST(vmm_link_new(pcap, &link, &err));
    open_end(&ends[0], link, f->loop);
    open_end(&ends[1], link, f->loop);
    for (uint32_t i = 0; i < 4; i++)
        MUST(send_one(&ends[i & 1], 0xabcd0000 + i, 60));
    FILE *file = fopen(path, "rb");
    assert_int_equal(fread(bytes, 1, sizeof(bytes), file), 24 + 2 * (16 + 60));
    fclose(file);
    assert_memory_equal(bytes, "\x4d\x3c\xb2\xa1\x02\x00\x04\x00", 8);
    memcpy(&word, bytes + 24 + 8, 4);
    assert_int_equal(word, 60);
    memcpy(&word, bytes + 24 + 16 + 60 + 16, 4);
    assert_int_equal(word, 0xabcd0001);
    close_end(&ends[0]);
    close_end(&ends[1]);
    vmm_link_free(link);
    unlink(path);
}

static void what_is_no_file_is_no_capture(void **state)
{
    struct vmm_pcap *pcap;
    struct vmm_error err;

    (void)state;
    assert_int_equal(vmm_pcap_open("/dev/null", 0, &pcap, &err), -EINVAL);
    assert_int_equal(vmm_pcap_open("/nowhere/x", 0, &pcap, &err), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_one_port_sends_the_other_gets),
        TEST(frames_of_all_sizes_go_round_and_round),
        TEST(a_full_port_makes_its_only_sender_wait),
        TEST(its_sender_does_not_wait_without_end),
        TEST(a_third_port_s_full_queue_holds_nobody_up),
        TEST(a_port_that_does_not_run_gets_nothing),
        TEST(a_link_has_a_limit_of_ports),
        TEST(two_threads_lose_nothing),
        cmocka_unit_test(a_million_packets_between_two_drivers_lose_nothing),
        TEST(a_capture_has_each_frame_and_ends_at_its_limit),
        TEST(what_is_no_file_is_no_capture),
    };

    return cmocka_run_group_tests_name("net_link", tests, NULL, NULL);
}
