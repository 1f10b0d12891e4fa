/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The network device by a mock driver: frames out and in, merged buffers,
 * what a hostile driver sends, a backend that is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net_driver.h"

static int set_up(void **state)
{
    static struct net_host n;
    struct fake *fake = fake_new(false);

    net_set_up(&n, &fake->net);
    n.fake = fake;
    *state = &n;
    return 0;
}

/* With a backend that takes headers. */
static int set_up_header(void **state)
{
    static struct net_host n;
    struct fake *fake = fake_new(true);

    net_set_up(&n, &fake->net);
    n.fake = fake;
    *state = &n;
    return 0;
}

static int tear_down(void **state)
{
    host_tear_down(&((struct net_host *)*state)->host);
    return 0;
}

static struct vmm_virtio_net_stats stats(struct net_host *n)
{
    struct vmm_virtio_net_info info;

    vmm_virtio_net_info(n->host.virtio, &info);
    return info.stats;
}

/* Send a frame of len bytes in one buffer; was it sent? */
static bool transmit(struct net_host *n, const struct virtio_net_hdr_v1 *header,
                     uint32_t len)
{
    uint32_t id, written;
    unsigned sent = n->fake->sent;

    put_frame(n, header, len);
    net_offer_buffer(n, TX, 3, NET_DATA, HEADER + len);
    net_notify(n, TX);
    assert_true(net_collect(n, TX, &id, &written));
    assert_int_equal(id, 3);
    assert_int_equal(written, 0);
    return n->fake->sent != sent;
}

/* A good frame goes out, another comes in. */
static void assert_works(struct net_host *n)
{
    static const struct virtio_net_hdr_v1 plain = {0};
    uint32_t id, len;

    assert_true(transmit(n, &plain, 100));
    while (net_collect(n, RX, &id, &len))
        ;
    n->fake->frame_len = n->fake->net.header ? HEADER + 60 : 60;
    n->fake->frames = 1;
    net_offer_buffer(n, RX, 9, NET_DATA, 2048);
    net_notify(n, RX);
    if (n->fake->frames) /* the buffers of before made it wait */
        net_notify(n, RX);
    assert_true(net_collect(n, RX, &id, &len));
}

/* ---- what it is ---- */

static void it_offers_what_its_backend_can(void **state)
{
    struct net_host *n = *state;
    uint32_t plain = F(MAC) | F(STATUS) | F(MTU) | F(MRG_RXBUF);

    put(&n->host, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    uint32_t offered = get(&n->host, VIRTIO_MMIO_DEVICE_FEATURES) & 0x0fffffff;
    if (n->fake->net.header)
        assert_int_equal(offered, plain | F(CSUM) | F(GUEST_CSUM) |
                                      F(GUEST_TSO4) | F(GUEST_TSO6) |
                                      F(GUEST_ECN) | F(HOST_TSO4) |
                                      F(HOST_TSO6) | F(HOST_ECN));
    else
        assert_int_equal(offered, plain);
}

static void its_configuration_has_the_mac_the_status_and_the_mtu(void **state)
{
    struct net_host *n = *state;
    uint8_t bytes[16];

    vmm_bus_read(n->host.bus, config_byte(&n->host, 0), bytes, 8);
    vmm_bus_read(n->host.bus, config_byte(&n->host, 8), bytes + 8, 8);
    assert_memory_equal(bytes, the_mac, 6);
    assert_int_equal(bytes[6] | bytes[7] << 8, VIRTIO_NET_S_LINK_UP);
    assert_int_equal(bytes[10] | bytes[11] << 8, 1400);
    assert_int_equal(bytes[12] | bytes[13] | bytes[14] | bytes[15], 0);
}

static void its_configuration_is_accessed_at_any_width_and_offset(void **state)
{
    struct net_host *n = *state;

    net_bring_up(n, 0);
    assert_config_holds(&n->host, 12, 0, 0);
    assert_works(n);
}

static void a_group_s_mac_is_refused_and_a_random_one_is_local(void **state)
{
    struct net_host *n = *state;
    static const uint8_t group[6] = {0x01, 0, 0x5e, 0, 0, 1};
    struct vmm_virtio_net_config config = {.memory = n->host.driver.memory,
                                           .loop = n->host.loop,
                                           .nets = {&fake_new(false)->net},
                                           .pairs = 1,
                                           .mac = group};
    struct vmm_virtio_net_info info;
    struct vmm_virtio *virtio;
    struct vmm_error err;

    assert_int_equal(vmm_virtio_net_new(&config, &virtio, &err), -EINVAL);
    config.mac = NULL;
    config.nets[0] = &fake_new(false)->net;
    MUST(vmm_virtio_net_new(&config, &virtio, &err));
    vmm_virtio_net_info(virtio, &info);
    assert_int_equal(info.mac[0] & 3, 2);
    assert_string_equal(info.backend, "fake");
    vmm_virtio_unref(virtio);
}

static void a_link_that_goes_down_is_told_and_drops(void **state)
{
    static const struct virtio_net_hdr_v1 plain = {0};
    struct net_host *n = *state;
    uint32_t id, len;

    net_bring_up(n, F(STATUS));
    vmm_virtio_net_set_link(n->host.virtio, false);
    assert_int_equal(get(&n->host, VIRTIO_MMIO_INTERRUPT_STATUS),
                     VIRTIO_MMIO_INT_CONFIG);
    assert_false(transmit(n, &plain, 100));
    n->fake->frame_len = 60;
    n->fake->frames = 3;
    net_offer_buffer(n, RX, 0, NET_DATA, 2048);
    net_notify(n, RX);
    assert_int_equal(n->fake->frames, 0);
    assert_false(net_collect(n, RX, &id, &len));
    vmm_virtio_net_set_link(n->host.virtio, true);
    assert_works(n);
    assert_int_equal(stats(n).rx_dropped, 3);
    assert_int_equal(stats(n).tx_dropped, 1);
}

/* ---- out ---- */

static void a_frame_goes_out_without_its_header(void **state)
{
    static const struct virtio_net_hdr_v1 plain = {0};
    struct net_host *n = *state;
    uint16_t third;

    net_bring_up(n, 0);
    assert_true(transmit(n, &plain, 100));
    assert_int_equal(n->fake->len, 100);
    memcpy(&third, n->fake->last + 4, 2);
    assert_int_equal(third, 4 * 7 + 1);
    assert_true(n->fake->flushes > 0);
    assert_int_equal(stats(n).tx_bytes, 100);
}

static void a_frame_goes_out_with_its_header(void **state)
{
    struct virtio_net_hdr_v1 header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
                                       .csum_start = 34,
                                       .csum_offset = 16,
                                       .num_buffers = 77};
    struct net_host *n = *state;

    net_bring_up(n, F(CSUM));
    assert_true(transmit(n, &header, 100));
    assert_int_equal(n->fake->len, HEADER + 100);
    header.num_buffers = 0;
    assert_memory_equal(n->fake->last, &header, HEADER);
}

static void a_header_over_many_buffers_is_one(void **state)
{
    static const struct virtio_net_hdr_v1 plain = {0};
    struct net_host *n = *state;
    uint32_t id, len;

    net_bring_up(n, 0);
    put_frame(n, &plain, 100);
    for (uint16_t i = 0; i < 15; i++)
        net_desc(n, TX, i, NET_DATA + i, i < 14 ? 1 : HEADER + 100 - 14,
                 i < 14 ? VRING_DESC_F_NEXT : 0, i + 1);
    net_offer(n, TX, 0);
    net_notify(n, TX);
    assert_true(net_collect(n, TX, &id, &len));
    assert_int_equal(n->fake->len, 100);
    assert_memory_equal(n->fake->last, "\x01\x00\x0f\x00\x1d", 5);
}

static void a_frame_that_is_none_is_dropped(void **state)
{
    static const struct virtio_net_hdr_v1 plain = {0};
    struct net_host *n = *state;
    uint32_t id, len;

    net_bring_up(n, 0);
    /* no header, a part of it, a header alone, a frame too short */
    static const uint32_t lengths[] = {0, 1, HEADER - 1, HEADER, HEADER + 13};
    for (size_t i = 0; i < 5; i++) {
        put_frame(n, &plain, 64);
        net_offer_buffer(n, TX, 0, NET_DATA, lengths[i]);
        net_notify(n, TX);
        assert_true(net_collect(n, TX, &id, &len));
        assert_int_equal(n->fake->sent, 0);
    }
    assert_int_equal(stats(n).tx_dropped, 5);
    assert_works(n);
}

static void a_frame_over_64_kib_is_dropped(void **state)
{
    static const struct virtio_net_hdr_v1 plain = {0};
    struct net_host *n = *state;

    net_bring_up(n, 0);
    assert_true(transmit(n, &plain, VMM_NET_FRAME_MAX));
    assert_int_equal(n->fake->len, VMM_NET_FRAME_MAX);
    assert_false(transmit(n, &plain, VMM_NET_FRAME_MAX + 1));
    assert_false(transmit(n, &plain, 0x20000));
    assert_works(n);
}

static void a_frame_of_what_is_no_ram_is_dropped(void **state)
{
    struct net_host *n = *state;
    uint32_t id, len;
    static const struct {
        uint64_t gpa;
        uint32_t len;
    } buffers[] = {{RAM_END, 100},
                   {RAM_END - 50, 100},
                   {UINT64_MAX - 50, 100},
                   {0xd0000000, 100},
                   {NET_DATA, UINT32_MAX}};

    net_bring_up(n, 0);
    for (size_t i = 0; i < 5; i++) {
        net_offer_buffer(n, TX, 0, buffers[i].gpa, buffers[i].len);
        net_notify(n, TX);
        assert_true(net_collect(n, TX, &id, &len));
    }
    assert_int_equal(n->fake->sent, 0);
    assert_works(n);
}

static void offloads_that_are_wrong_are_dropped(void **state)
{
    struct net_host *n = *state;
    const uint8_t needs = VIRTIO_NET_HDR_F_NEEDS_CSUM;
    static const struct virtio_net_hdr_v1 good = {
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
        .hdr_len = 54,
        .gso_size = 40,
        .csum_start = 34,
        .csum_offset = 16};
    const struct virtio_net_hdr_v1 wrong[] = {
        {.flags = 0x80},
        {.flags = VIRTIO_NET_HDR_F_DATA_VALID},
        {.flags = needs, .csum_start = 99},
        {.flags = needs, .csum_start = 0xffff, .csum_offset = 0xffff},
        {.flags = needs, .csum_start = 90, .csum_offset = 9},
        {.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 40},
        {.flags = needs, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4},
        {.flags = needs,
         .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
         .gso_size = 40,
         .hdr_len = 101},
        {.flags = needs, .gso_type = VIRTIO_NET_HDR_GSO_TCPV6, .gso_size = 40},
        {.flags = needs,
         .gso_type = VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN,
         .gso_size = 40},
        {.flags = needs, .gso_type = VIRTIO_NET_HDR_GSO_ECN, .gso_size = 40},
        {.flags = needs, .gso_type = VIRTIO_NET_HDR_GSO_UDP, .gso_size = 40},
        {.flags = needs, .gso_type = 0x7f, .gso_size = 40},
    };

    net_bring_up(n, F(CSUM) | F(HOST_TSO4));
    assert_true(transmit(n, &good, 100));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        if (transmit(n, &wrong[i], 100))
            fail_msg("header %zu was sent", i);
    assert_works(n);
    net_bring_up(n, 0);
    assert_false(transmit(n, &good, 100));
}

static void a_flood_in_one_kick_is_sent_in_turns(void **state)
{
    static const struct virtio_net_hdr_v1 plain = {0};
    struct net_host *n = *state;
    uint32_t id, len;
    unsigned collected = 0;

    net_bring_up(n, 0);
    put_frame(n, &plain, 100);
    for (int turn = 0; turn < 100; turn++) {
        for (uint16_t i = 0; i < NET_RING; i++)
            net_offer_buffer(n, TX, i, NET_DATA, HEADER + 100);
        net_notify(n, TX);
        while (net_collect(n, TX, &id, &len))
            collected++;
    }
    assert_int_equal(collected, 100 * NET_RING);
    assert_int_equal(n->fake->sent, 100 * NET_RING);
}

static void a_full_backend_makes_frames_wait_in_order(void **state)
{
    static const struct virtio_net_hdr_v1 plain = {0};
    struct net_host *n = *state;
    uint32_t id, len;

    net_bring_up(n, 0);
    put_frame(n, &plain, 100);
    n->fake->full = true;
    for (uint16_t i = 0; i < 5; i++)
        net_offer_buffer(n, TX, i, NET_DATA, HEADER + 100 + i);
    net_notify(n, TX);
    net_notify(n, TX);
    assert_false(net_collect(n, TX, &id, &len));
    assert_int_equal(n->fake->sent, 0);
    n->fake->full = false;
    n->fake->events.room(n->fake->events.context);
    serve(&n->host);
    for (uint16_t i = 0; i < 5; i++) {
        assert_true(net_collect(n, TX, &id, &len));
        assert_int_equal(id, i);
    }
    assert_int_equal(n->fake->sent, 5);
    assert_int_equal(n->fake->len, 104);
    assert_works(n);
}

static void a_reset_gives_up_what_waits(void **state)
{
    static const struct virtio_net_hdr_v1 plain = {0};
    struct net_host *n = *state;

    for (int i = 0; i < 1000; i++) {
        net_bring_up(n, i & 1 ? F(MRG_RXBUF) : 0);
        put_frame(n, &plain, 100);
        n->fake->full = true;
        net_offer_buffer(n, TX, 0, NET_DATA, HEADER + 100);
        net_notify(n, TX);
        n->fake->frame_len = 1000;
        n->fake->frames = 1;
        net_offer_buffer(n, RX, 0, NET_DATA, 500);
        net_notify(n, RX);
        put(&n->host, VIRTIO_MMIO_STATUS, 0);
        assert_false(n->fake->running);
        n->fake->full = false;
        n->fake->events.room(n->fake->events.context);
        n->fake->events.frames(n->fake->events.context);
        serve(&n->host);
        assert_int_equal(n->fake->sent, 0);
    }
    n->fake->frames = 0;
    net_bring_up(n, 0);
    assert_works(n);
}

/* ---- in ---- */

/* Have the backend give count frames of len bytes. */
static void give(struct net_host *n, size_t len, unsigned count)
{
    for (size_t i = 0; i < len; i++)
        n->fake->frame[i] = (uint8_t)(i * 3 + 1);
    n->fake->frame_len = len;
    n->fake->frames = count;
    n->fake->events.frames(n->fake->events.context);
    serve(&n->host);
}

static void a_frame_comes_in_behind_a_header(void **state)
{
    struct net_host *n = *state;
    struct virtio_net_hdr_v1 header;
    uint8_t bytes[60];
    uint32_t id, len;

    net_bring_up(n, 0);
    net_offer_buffer(n, RX, 5, NET_DATA, 2048);
    net_notify(n, RX);
    assert_false(net_collect(n, RX, &id, &len));
    give(n, 60, 1);
    assert_true(net_collect(n, RX, &id, &len));
    assert_int_equal(id, 5);
    assert_int_equal(len, HEADER + 60);
    MUST(vmm_memory_read(n->host.driver.memory, NET_DATA, &header, HEADER));
    assert_int_equal(header.num_buffers, 1);
    assert_int_equal(header.flags | header.gso_type, 0);
    MUST(vmm_memory_read(n->host.driver.memory, NET_DATA + HEADER, bytes, 60));
    assert_memory_equal(bytes, n->fake->frame, 60);
    assert_int_equal(stats(n).rx_bytes, 60);
}

static void a_header_of_the_backend_s_comes_in(void **state)
{
    struct virtio_net_hdr_v1 header = {
        .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 1400, .hdr_len = 54};
    struct net_host *n = *state;
    uint32_t id, len;

    net_bring_up(n, F(GUEST_CSUM) | F(GUEST_TSO4));
    assert_int_equal(n->fake->offloads, VMM_NET_CSUM | VMM_NET_TSO4);
    net_offer_buffer(n, RX, 0, NET_DATA, 0x11000);
    memcpy(n->fake->frame, &header, HEADER);
    n->fake->frame_len = HEADER + 60000;
    n->fake->frames = 1;
    net_notify(n, RX);
    assert_true(net_collect(n, RX, &id, &len));
    assert_int_equal(len, HEADER + 60000);
    MUST(vmm_memory_read(n->host.driver.memory, NET_DATA, &header, HEADER));
    assert_int_equal(header.gso_size, 1400);
    assert_int_equal(header.num_buffers, 1);
}

static void a_large_frame_is_merged_of_buffers(void **state)
{
    struct net_host *n = *state;
    struct virtio_net_hdr_v1 header;
    uint8_t bytes[1000];
    uint32_t id, len;

    net_bring_up(n, F(MRG_RXBUF));
    for (uint16_t i = 0; i < 4; i++)
        net_offer_buffer(n, RX, i, NET_DATA + 0x1000u * i, 400);
    give(n, 1000, 1);
    for (uint16_t i = 0; i < 3; i++) {
        assert_true(net_collect(n, RX, &id, &len));
        assert_int_equal(id, i);
        assert_int_equal(len, i < 2 ? 400 : HEADER + 1000 - 800);
    }
    assert_false(net_collect(n, RX, &id, &len));
    MUST(vmm_memory_read(n->host.driver.memory, NET_DATA, &header, HEADER));
    assert_int_equal(header.num_buffers, 3);
    MUST(vmm_memory_read(n->host.driver.memory, NET_DATA + HEADER, bytes, 388));
    MUST(vmm_memory_read(n->host.driver.memory, NET_DATA + 0x1000, bytes + 388,
                         400));
    MUST(vmm_memory_read(n->host.driver.memory, NET_DATA + 0x2000, bytes + 788,
                         212));
    assert_memory_equal(bytes, n->fake->frame, 1000);
    /* The fourth buffer is the next frame's. */
    give(n, 100, 1);
    assert_true(net_collect(n, RX, &id, &len));
    assert_int_equal(id, 3);
}

static void frames_wait_for_buffers(void **state)
{
    struct net_host *n = *state;
    uint32_t id, len;

    net_bring_up(n, F(MRG_RXBUF));
    give(n, 1000, 3);
    assert_int_equal(n->fake->frames, 3);
    net_offer_buffer(n, RX, 0, NET_DATA, 1000);
    net_notify(n, RX);
    assert_int_equal(n->fake->frames, 3);
    assert_false(net_collect(n, RX, &id, &len));
    net_offer_buffer(n, RX, 1, NET_DATA, 1000);
    net_offer_buffer(n, RX, 2, NET_DATA, 1500);
    net_notify(n, RX);
    assert_int_equal(n->fake->frames, 1);
    for (uint16_t i = 0; i < 3; i++)
        assert_true(net_collect(n, RX, &id, &len));
    assert_int_equal(stats(n).rx_dropped, 0);
}

static void
a_frame_too_large_for_a_buffer_is_dropped_the_buffer_is_not(void **state)
{
    struct net_host *n = *state;
    uint32_t id, len;

    net_bring_up(n, 0);
    net_offer_buffer(n, RX, 0, NET_DATA, 100);
    give(n, 1000, 2);
    assert_int_equal(n->fake->frames, 0);
    assert_int_equal(stats(n).rx_dropped, 2);
    assert_false(net_collect(n, RX, &id, &len));
    give(n, 60, 1);
    assert_true(net_collect(n, RX, &id, &len));
    assert_int_equal(len, HEADER + 60);
}

static void buffers_of_a_byte_drop_what_does_not_fit(void **state)
{
    struct net_host *n = *state;
    uint32_t id, len;

    net_bring_up(n, F(MRG_RXBUF));
    for (uint16_t i = 0; i < NET_RING; i++)
        net_offer_buffer(n, RX, i, NET_DATA + i, i % 2);
    give(n, 60, 5);
    assert_int_equal(n->fake->frames, 0);
    assert_int_equal(stats(n).rx_dropped, 5);
    assert_false(net_collect(n, RX, &id, &len));
    net_bring_up(n, F(MRG_RXBUF));
    assert_works(n);
}

static void a_buffer_that_is_no_ram_costs_its_frame(void **state)
{
    struct net_host *n = *state;
    uint32_t id, len;

    net_bring_up(n, F(MRG_RXBUF));
    net_offer_buffer(n, RX, 0, NET_DATA, 100);
    net_offer_buffer(n, RX, 1, RAM_END - 10, 2000);
    give(n, 1000, 1);
    for (int i = 0; i < 2; i++) {
        assert_true(net_collect(n, RX, &id, &len));
        assert_int_equal(len, 0);
    }
    assert_int_equal(stats(n).rx_dropped, 1);
    assert_works(n);
}

static void a_readable_buffer_for_reception_holds_nothing(void **state)
{
    struct net_host *n = *state;

    net_bring_up(n, F(MRG_RXBUF));
    net_desc(n, RX, 0, NET_DATA, 2048, 0, 0);
    net_offer(n, RX, 0);
    give(n, 60, 1);
    assert_int_equal(n->fake->frames, 1);
    assert_works(n);
}

static void a_device_that_is_closed_gives_its_backend_up(void **state)
{
    struct net_host *n = *state;
    bool gone = false;

    net_bring_up(n, 0);
    assert_true(n->fake->opened);
    n->fake->gone = &gone;
    vmm_virtio_close(n->host.virtio);
    assert_true(gone);
    vmm_virtio_net_set_link(n->host.virtio, false);
    assert_int_equal(stats(n).tx_frames, 0);
    serve(&n->host);
    /* A driver that goes on is told to reset. */
    negotiate(&n->host, VERSION_1);
    drive_ok(&n->host);
    assert_true(get(&n->host, VIRTIO_MMIO_STATUS) & NEEDS_RESET);
    put(&n->host, VIRTIO_MMIO_STATUS, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_HEADER(name)                                                      \
    cmocka_unit_test_setup_teardown(name, set_up_header, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_offers_what_its_backend_can),
        TEST_HEADER(it_offers_what_its_backend_can),
        TEST(its_configuration_has_the_mac_the_status_and_the_mtu),
        TEST(its_configuration_is_accessed_at_any_width_and_offset),
        TEST(a_group_s_mac_is_refused_and_a_random_one_is_local),
        TEST(a_link_that_goes_down_is_told_and_drops),
        TEST(a_frame_goes_out_without_its_header),
        TEST_HEADER(a_frame_goes_out_with_its_header),
        TEST(a_header_over_many_buffers_is_one),
        TEST(a_frame_that_is_none_is_dropped),
        TEST(a_frame_over_64_kib_is_dropped),
        TEST(a_frame_of_what_is_no_ram_is_dropped),
        TEST_HEADER(offloads_that_are_wrong_are_dropped),
        TEST(a_flood_in_one_kick_is_sent_in_turns),
        TEST(a_full_backend_makes_frames_wait_in_order),
        TEST(a_reset_gives_up_what_waits),
        TEST(a_frame_comes_in_behind_a_header),
        TEST_HEADER(a_header_of_the_backend_s_comes_in),
        TEST(a_large_frame_is_merged_of_buffers),
        TEST(frames_wait_for_buffers),
        TEST(a_frame_too_large_for_a_buffer_is_dropped_the_buffer_is_not),
        TEST(buffers_of_a_byte_drop_what_does_not_fit),
        TEST(a_buffer_that_is_no_ram_costs_its_frame),
        TEST(a_readable_buffer_for_reception_holds_nothing),
        TEST(a_device_that_is_closed_gives_its_backend_up),
    };

    return RUN_OVER_BOTH("virtio_net", tests);
}
