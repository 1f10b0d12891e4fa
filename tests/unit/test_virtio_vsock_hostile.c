/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The socket device with a driver that breaks the rules: what becomes of it,
 * and that a connection that keeps them works afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vsock_driver.h"

static int set_up(void **state)
{
    struct guest *g = guest_new();

    come_up(g, ENTRIES);
    *state = g;
    return 0;
}

static int set_up_without_buffers(void **state)
{
    struct guest *g = guest_new();

    come_up(g, 0);
    *state = g;
    return 0;
}

/* It still does what it should, over a new connection. */
static void assert_works(struct guest *g)
{
    g->forwarded = 0;
    g->buffer = BUFFER;
    int fd = connected(g);

    send_data(g, "ping", 4);
    host_expect(fd, "ping");
    host_write(g, fd, "pong");
    expect_data(g, "pong");
    send_op(g, VIRTIO_VSOCK_OP_SHUTDOWN, 3);
    expect_op(g, VIRTIO_VSOCK_OP_RST);
    host_expect_end(fd);
    close(fd);
    expect_nothing(g);
    assert_int_equal(get(&g->host, VIRTIO_MMIO_STATUS) & NEEDS_RESET, 0);
}

static int tear_down(void **state)
{
    guest_free(*state);
    return 0;
}

/* The connection is over for both, and forgotten. */
static void expect_reset(struct guest *g, int fd)
{
    expect_op(g, VIRTIO_VSOCK_OP_RST);
    expect_nothing(g);
    host_expect_end(fd);
    close(fd);
    assert_works(g);
}

static void its_configuration_is_accessed_at_any_width_and_offset(void **state)
{
    struct guest *g = *state;

    assert_config_holds(&g->host, 8, 0, 0);
    assert_works(g);
}

/* ---- credit ---- */

static void a_guest_that_has_taken_more_than_it_was_sent_is_reset(void **state)
{
    struct guest *g = *state;
    int fd = connected(g);

    host_write(g, fd, "1234");
    expect_data(g, "1234");
    g->forwarded = 5;
    send_op(g, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
    expect_reset(g, fd);
}

static void a_count_that_was_overtaken_changes_nothing(void **state)
{
    struct guest *g = *state;
    int fd;

    g->buffer = 8;
    fd = connected(g);
    host_write(g, fd, "12345678");
    expect_data(g, "12345678");
    expect_op(g, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
    send_op(g, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
    g->forwarded = 2;
    send_op(g, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
    host_write(g, fd, "abcdefgh");
    expect_data(g, "abcdefgh");
    expect_op(g, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
    send_op(g, VIRTIO_VSOCK_OP_RST, 0);
    close(fd);
    assert_works(g);
}

static void a_guest_without_a_buffer_is_sent_nothing(void **state)
{
    struct guest *g = *state;
    int fd;

    g->buffer = 0;
    fd = connected(g);
    host_write(g, fd, "1234");
    expect_op(g, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
    expect_nothing(g);
    for (int i = 0; i < 100; i++)
        send_op(g, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
    expect_nothing(g);
    g->buffer = 1;
    send_op(g, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
    expect_data(g, "1");
    expect_op(g, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
    send_op(g, VIRTIO_VSOCK_OP_RST, 0);
    close(fd);
    assert_works(g);
}

static void
a_guest_with_a_boundless_buffer_gets_what_its_ring_holds(void **state)
{
    struct guest *g = *state;
    static char bytes[ENTRIES * 2 * RX_BYTES];
    uint32_t id, len, packets = 0;
    int fd;

    g->buffer = UINT32_MAX;
    fd = connected(g);
    assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
    serve(&g->host);
    while (collect(g, RX, &id, &len))
        packets++;
    assert_int_equal(packets, ENTRIES);
    for (uint16_t i = 0; i < ENTRIES; i++)
        offer_rx(g, i);
    send_op(g, VIRTIO_VSOCK_OP_RST, 0);
    kick(g, RX);
    while (collect(g, RX, &id, &len))
        offer_rx(g, (uint16_t)id);
    kick(g, RX);
    close(fd);
    assert_works(g);
}

static void a_guest_that_sends_beyond_its_credit_is_reset(void **state)
{
    struct guest *g = *state;
    static char bytes[65536];
    struct virtio_vsock_hdr hdr = {0};
    uint64_t sent = 0;
    int fd = connected(g);

    /* Nobody reads: the unix socket's buffer fills, then the device's. */
    while (hdr.op != VIRTIO_VSOCK_OP_RST && sent < 1 << 24) {
        send_data(g, bytes, sizeof(bytes));
        sent += sizeof(bytes);
        while (next_packet(g, &hdr, NULL) && hdr.op != VIRTIO_VSOCK_OP_RST)
            assert_int_equal(hdr.op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    }
    assert_int_equal(hdr.op, VIRTIO_VSOCK_OP_RST);
    assert_in_range(sent, VMM_VSOCK_BUFFER_BYTES, 1 << 20);
    close(fd);
    assert_works(g);
}

static void a_packet_beyond_all_credit_resets_the_connection(void **state)
{
    struct guest *g = *state;
    struct virtio_vsock_hdr hdr = header(g, VIRTIO_VSOCK_OP_RW);
    uint32_t id, len;
    int fd = connected(g);

    /* The unix socket and the ring would hold it. */
    hdr.len = VMM_VSOCK_BUFFER_BYTES + 1;
    MUST(vmm_memory_write(g->host.driver.memory, TX_AT, &hdr, HDR_BYTES));
    desc(g, TX, 0, TX_AT, HDR_BYTES, VRING_DESC_F_NEXT, 1);
    for (uint16_t i = 1; i < 6; i++)
        desc(g, TX, i, TX_AT, 65536, i < 5 ? VRING_DESC_F_NEXT : 0,
             (uint16_t)(i + 1));
    offer(g, TX, 0);
    kick(g, TX);
    assert_true(collect(g, TX, &id, &len));
    expect_reset(g, fd);
}

/* ---- packets ---- */

static void unknown_operations_reset_the_connection(void **state)
{
    static const uint16_t ops[] = {VIRTIO_VSOCK_OP_INVALID, 8, 0xffff,
                                   VIRTIO_VSOCK_OP_RESPONSE};
    struct guest *g = *state;

    for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
        int fd = connected(g);

        send_op(g, ops[i], 0);
        expect_reset(g, fd);
    }
}

static void
a_type_that_is_unknown_is_reset_and_no_connection_of_another(void **state)
{
    static const uint16_t types[] = {0, VIRTIO_VSOCK_TYPE_SEQPACKET, 0xffff};
    struct guest *g = *state;
    int fd = connected(g);

    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
        struct virtio_vsock_hdr hdr = header(g, VIRTIO_VSOCK_OP_RW);

        hdr.type = types[i];
        send_raw(g, &hdr, NULL, 0);
        assert_true(next_packet(g, &hdr, NULL));
        assert_int_equal(hdr.op, VIRTIO_VSOCK_OP_RST);
        assert_int_equal(hdr.type, types[i]);
    }
    send_data(g, "ping", 4);
    host_expect(fd, "ping");
    close(fd);
}

static void packets_for_no_connection_are_reset_but_resets(void **state)
{
    struct guest *g = *state;

    for (uint16_t op = 0; op < 10; op++) {
        send_op(g, op, 0);
        if (op != VIRTIO_VSOCK_OP_RST)
            expect_op(g, VIRTIO_VSOCK_OP_RST);
        expect_nothing(g);
    }
    assert_works(g);
}

static void packets_before_the_response_reset_the_request(void **state)
{
    struct guest *g = *state;
    int fd = host_connect(g);

    host_write(g, fd, "CONNECT 1024\n");
    struct virtio_vsock_hdr hdr = header(g, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    hdr.dst_port = expect_op(g, VIRTIO_VSOCK_OP_REQUEST).src_port;
    send_raw(g, &hdr, NULL, 0);
    expect_reset(g, fd);
}

static void a_port_in_use_that_connects_again_loses_the_old_one(void **state)
{
    struct guest *g = *state;
    int fd = connected(g);

    send_op(g, VIRTIO_VSOCK_OP_REQUEST, 0);
    expect_reset(g, fd);
}

static void data_after_its_end_resets_the_connection(void **state)
{
    struct guest *g = *state;
    int fd = connected(g);

    send_op(g, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND);
    send_data(g, "more", 4);
    expect_reset(g, fd);
}

static void shutdowns_of_any_flags_do_no_harm(void **state)
{
    struct guest *g = *state;
    int fd = connected(g);

    send_op(g, VIRTIO_VSOCK_OP_SHUTDOWN, 0xfffffffc);
    send_op(g, VIRTIO_VSOCK_OP_SHUTDOWN, 0);
    expect_nothing(g);
    send_data(g, "ping", 4);
    host_expect(fd, "ping");
    send_op(g, VIRTIO_VSOCK_OP_SHUTDOWN, 0xffffffff);
    expect_reset(g, fd);
}

static void a_length_beyond_the_buffer_resets_the_connection(void **state)
{
    static const uint32_t lengths[] = {5, 65536, 0x80000000, UINT32_MAX};
    struct guest *g = *state;

    for (size_t i = 0; i < 2 * sizeof(lengths) / sizeof(*lengths); i++) {
        int fd = connected(g);
        struct virtio_vsock_hdr hdr = header(
            g, i % 2 ? VIRTIO_VSOCK_OP_RW : VIRTIO_VSOCK_OP_CREDIT_UPDATE);

        hdr.len = lengths[i / 2];
        send_raw(g, &hdr, "1234", 4);
        expect_reset(g, fd);
    }
}

static void of_a_buffer_beyond_the_length_the_length_counts(void **state)
{
    struct guest *g = *state;
    int fd = connected(g);
    struct virtio_vsock_hdr hdr = header(g, VIRTIO_VSOCK_OP_RW);

    send_raw(g, &hdr, "1234", 4);
    host_expect_nothing(fd);
    hdr.len = 2;
    send_raw(g, &hdr, "1234", 4);
    host_expect(fd, "12");
    close(fd);
}

/* Offer one transmit buffer as it is, and have it taken. */
static void send_buffer(struct guest *g, uint64_t gpa, uint32_t len,
                        uint16_t flags)
{
    uint32_t id, used;

    desc(g, TX, 0, gpa, len, flags, 0);
    offer(g, TX, 0);
    kick(g, TX);
    assert_true(collect(g, TX, &id, &used));
    assert_int_equal(used, 0);
}

static void buffers_that_hold_no_packet_are_given_back(void **state)
{
    struct guest *g = *state;

    send_buffer(g, TX_AT, 0, 0);
    send_buffer(g, TX_AT, (uint32_t)HDR_BYTES - 1, 0);
    send_buffer(g, TX_AT, 4096, VRING_DESC_F_WRITE);
    send_buffer(g, RAM_END, 4096, 0);
    send_buffer(g, RAM_END - 20, 4096, 0);
    send_buffer(g, UINT64_MAX - 20, 4096, 0);
    expect_nothing(g);
    assert_works(g);
}

static void bytes_that_are_no_ram_reset_the_connection(void **state)
{
    struct guest *g = *state;
    int fd = connected(g);
    struct virtio_vsock_hdr hdr = header(g, VIRTIO_VSOCK_OP_RW);

    hdr.len = 4096;
    MUST(vmm_memory_write(g->host.driver.memory, RAM_END - HDR_BYTES - 10, &hdr,
                          HDR_BYTES));
    send_buffer(g, RAM_END - HDR_BYTES - 10, 8192, 0);
    expect_reset(g, fd);
}

static void whoever_says_to_be_somebody_else_gets_no_answer(void **state)
{
    static const uint64_t cids[] = {0, 2, 4, UINT64_MAX,
                                    CID | UINT64_C(1) << 32};
    struct guest *g = *state;
    int fd = connected(g);

    for (size_t i = 0; i < sizeof(cids) / sizeof(*cids); i++) {
        struct virtio_vsock_hdr hdr = header(g, VIRTIO_VSOCK_OP_RST);

        hdr.src_cid = cids[i];
        send_raw(g, &hdr, NULL, 0);
        hdr.op = VIRTIO_VSOCK_OP_REQUEST;
        send_raw(g, &hdr, NULL, 0);
    }
    expect_nothing(g);
    send_data(g, "ping", 4);
    host_expect(fd, "ping");
    close(fd);
}

static void nobody_is_at_another_address_than_the_hosts(void **state)
{
    static const uint64_t cids[] = {0, 1,          CID,
                                    7, UINT64_MAX, 2 | UINT64_C(1) << 32};
    struct guest *g = *state;
    int fd = connected(g);

    for (size_t i = 0; i < sizeof(cids) / sizeof(*cids); i++) {
        struct virtio_vsock_hdr hdr = header(g, VIRTIO_VSOCK_OP_RW);

        hdr.dst_cid = cids[i];
        send_raw(g, &hdr, NULL, 0);
        assert_true(next_packet(g, &hdr, NULL));
        assert_int_equal(hdr.op, VIRTIO_VSOCK_OP_RST);
        assert_int_equal(hdr.src_cid, cids[i]);
    }
    send_data(g, "ping", 4);
    host_expect(fd, "ping");
    close(fd);
}

/* ---- floods ---- */

/* Offer the one packet in TX_AT as often as the ring holds it; how many were
 * taken. */
static unsigned flood(struct guest *g)
{
    unsigned taken = 0;
    uint32_t id, len;

    desc(g, TX, 0, TX_AT, HDR_BYTES, 0, 0);
    for (unsigned i = 0; i < ENTRIES; i++)
        offer(g, TX, 0);
    kick(g, TX);
    while (collect(g, TX, &id, &len))
        taken++;
    return taken;
}

static void a_flood_that_is_not_listened_to_comes_to_a_halt(void **state)
{
    struct guest *g = *state;
    struct virtio_vsock_hdr hdr = header(g, VIRTIO_VSOCK_OP_RW);
    unsigned taken = 0, now, resets = 0;
    uint32_t id, len;

    MUST(vmm_memory_write(g->host.driver.memory, TX_AT, &hdr, HDR_BYTES));
    while ((now = flood(g)) == ENTRIES && taken < 10000)
        taken += now;
    taken += now;
    assert_in_range(taken, 16, 64);
    /* It goes on as soon as its answers are taken. */
    for (uint16_t i = 0; i < ENTRIES; i++)
        offer_rx(g, i);
    kick(g, RX);
    while (next_packet(g, &hdr, NULL)) {
        assert_int_equal(hdr.op, VIRTIO_VSOCK_OP_RST);
        resets++;
    }
    while (collect(g, TX, &id, &len))
        taken++;
    assert_int_equal(resets, taken);
    assert_works(g);
}

static void resets_and_requests_in_turn_leave_nothing_behind(void **state)
{
    struct guest *g = *state;
    int listener = host_listen(g), last = -1, fd;
    struct virtio_vsock_hdr hdr;

    for (int i = 0; i < 2000; i++) {
        send_op(g, VIRTIO_VSOCK_OP_REQUEST, 0);
        send_op(g, VIRTIO_VSOCK_OP_RST, 0);
        while (next_packet(g, &hdr, NULL))
            ;
        while ((fd = accept(listener, NULL, NULL)) >= 0)
            close(fd);
        fd = dup(0);
        if (last >= 0)
            assert_int_equal(fd, last);
        last = fd;
        close(fd);
    }
    close(listener);
    assert_works(g);
}

static void connections_are_bounded_and_ends_make_room(void **state)
{
    struct guest *g = *state;
    int listener = host_listen(g), fds[VMM_VSOCK_CONNECTIONS_MAX], count = 0;
    struct virtio_vsock_hdr hdr = header(g, VIRTIO_VSOCK_OP_REQUEST);

    for (; count < VMM_VSOCK_CONNECTIONS_MAX; count++) {
        hdr = header(g, VIRTIO_VSOCK_OP_REQUEST);
        hdr.src_port = 5000 + (uint32_t)count;
        send_raw(g, &hdr, NULL, 0);
        assert_true(next_packet(g, &hdr, NULL));
        if (hdr.op != VIRTIO_VSOCK_OP_RESPONSE)
            break;
        fds[count] = host_accept(listener);
    }
    /* This process may have fewer fds. */
    assert_in_range(count, 400, VMM_VSOCK_CONNECTIONS_MAX);
    hdr = header(g, VIRTIO_VSOCK_OP_REQUEST);
    hdr.src_port = 4999;
    send_raw(g, &hdr, NULL, 0);
    assert_true(next_packet(g, &hdr, NULL));
    assert_int_equal(hdr.op, VIRTIO_VSOCK_OP_RST);
    for (int i = 0; i < count; i++) {
        hdr = header(g, VIRTIO_VSOCK_OP_RST);
        hdr.src_port = 5000 + (uint32_t)i;
        send_raw(g, &hdr, NULL, 0);
        close(fds[i]);
    }
    close(listener);
    assert_works(g);
}

/* ---- buffers for the guest ---- */

static void buffers_that_hold_no_answer_are_given_back(void **state)
{
    struct guest *g = *state;
    uint32_t id, len;

    desc(g, RX, 0, RX_AT, 0, VRING_DESC_F_WRITE, 0);
    desc(g, RX, 1, RX_AT, HDR_BYTES, VRING_DESC_F_WRITE, 0);
    desc(g, RX, 2, RX_AT, RX_BYTES, 0, 0);
    desc(g, RX, 3, RAM_END - 20, RX_BYTES, VRING_DESC_F_WRITE, 0);
    desc(g, RX, 4, UINT64_MAX - 20, RX_BYTES, VRING_DESC_F_WRITE, 0);
    for (uint16_t i = 0; i < 5; i++)
        offer(g, RX, i);
    send_op(g, VIRTIO_VSOCK_OP_RW, 0); /* wants an answer */
    kick(g, RX);
    for (uint32_t i = 0; i < 5; i++) {
        assert_true(collect(g, RX, &id, &len));
        assert_int_equal(id, i);
        assert_int_equal(len, 0);
    }
    for (uint16_t i = 0; i < ENTRIES; i++)
        offer_rx(g, i);
    kick(g, RX);
    expect_op(g, VIRTIO_VSOCK_OP_RST);
    assert_works(g);
}

static void a_buffer_whose_end_is_no_ram_costs_no_bytes(void **state)
{
    struct guest *g = *state;
    uint32_t id, len;
    int listener = host_listen(g);

    offer_rx(g, 0);
    send_op(g, VIRTIO_VSOCK_OP_REQUEST, 0);
    assert_true(collect(g, RX, &id, &len)); /* the response */
    int fd = host_accept(listener);
    close(listener);
    desc(g, RX, 1, RAM_END - HDR_BYTES - 4, RX_BYTES, VRING_DESC_F_WRITE, 0);
    desc(g, RX, 2, RX_AT, HDR_BYTES, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 3);
    desc(g, RX, 3, RAM_END, RX_BYTES, VRING_DESC_F_WRITE, 0);
    offer(g, RX, 1);
    offer(g, RX, 2);
    host_write(g, fd, "12345678");
    kick(g, RX);
    for (int i = 0; i < 2; i++) {
        assert_true(collect(g, RX, &id, &len));
        assert_int_equal(len, 0);
    }
    for (uint16_t i = 4; i < ENTRIES; i++)
        offer_rx(g, i);
    kick(g, RX);
    expect_data(g, "12345678");
    send_op(g, VIRTIO_VSOCK_OP_RST, 0);
    close(fd);
    assert_works(g);
}

static void a_buffer_of_many_pieces_is_filled(void **state)
{
    struct guest *g = *state;
    struct vmm_memory *memory = g->host.driver.memory;
    struct virtio_vsock_hdr hdr;
    char bytes[200], got[200];
    uint32_t id, len, all = 0;
    int listener = host_listen(g);

    offer_rx(g, 0);
    send_op(g, VIRTIO_VSOCK_OP_REQUEST, 0);
    assert_true(collect(g, RX, &id, &len));
    int fd = host_accept(listener);
    close(listener);
    for (int i = 0; i < 200; i++)
        bytes[i] = (char)i;
    assert_int_equal(write(fd, bytes, 200), 200);
    /* A header, and 15 bytes behind in as many pieces. */
    desc(g, RX, 0, RX_AT, HDR_BYTES, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
    for (uint16_t i = 1; i < ENTRIES; i++)
        desc(g, RX, i, RX_AT + 100u * i, 1,
             VRING_DESC_F_WRITE | (i < ENTRIES - 1 ? VRING_DESC_F_NEXT : 0),
             (uint16_t)(i + 1));
    while (all < 200) {
        offer(g, RX, 0);
        kick(g, RX);
        assert_true(collect(g, RX, &id, &len));
        MUST(vmm_memory_read(memory, RX_AT, &hdr, HDR_BYTES));
        assert_int_equal(hdr.op, VIRTIO_VSOCK_OP_RW);
        assert_int_equal(len, HDR_BYTES + hdr.len);
        for (uint16_t i = 1; i <= hdr.len; i++)
            MUST(vmm_memory_read(memory, RX_AT + 100u * i, &got[all++], 1));
    }
    assert_memory_equal(got, bytes, 200);
    close(fd);
}

static void a_broken_ring_asks_for_a_reset_and_works_after_it(void **state)
{
    struct guest *g = *state;
    struct host *h = &g->host;
    int fd = connected(g);

    desc(g, RX, 0, RX_AT, 16, VRING_DESC_F_NEXT, 0); /* a loop */
    g->rings[RX].next += 40;                         /* and too far ahead */
    offer(g, RX, 0);
    for (int i = 0; i < 40; i++)
        host_write(g, fd, "bytes");
    assert_int_equal(get(h, VIRTIO_MMIO_STATUS) & NEEDS_RESET, NEEDS_RESET);
    put(h, VIRTIO_MMIO_STATUS, 0);
    serve(h);
    close(fd);
    come_up(g, ENTRIES);
    assert_works(g);
}

static void a_reset_with_bytes_under_way_both_ways_forgets_them(void **state)
{
    struct guest *g = *state;
    struct host *h = &g->host;
    static char bytes[65536];

    for (int i = 0; i < 300; i++) {
        int fd = connected(g);

        for (int n = 0; n < 4; n++)
            send_data(g, bytes, sizeof(bytes));
        assert_true(write(fd, bytes, sizeof(bytes)) > 0);
        if (i % 3)
            serve(h);
        put(h, VIRTIO_MMIO_STATUS, 0);
        if (i % 2)
            serve(h);
        close(fd);
        come_up(g, ENTRIES);
    }
    assert_works(g);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_BARE(name)                                                        \
    cmocka_unit_test_setup_teardown(name, set_up_without_buffers, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(its_configuration_is_accessed_at_any_width_and_offset),
        TEST(a_guest_that_has_taken_more_than_it_was_sent_is_reset),
        TEST(a_count_that_was_overtaken_changes_nothing),
        TEST(a_guest_without_a_buffer_is_sent_nothing),
        TEST(a_guest_with_a_boundless_buffer_gets_what_its_ring_holds),
        TEST(a_guest_that_sends_beyond_its_credit_is_reset),
        TEST(a_packet_beyond_all_credit_resets_the_connection),
        TEST(unknown_operations_reset_the_connection),
        TEST(a_type_that_is_unknown_is_reset_and_no_connection_of_another),
        TEST(packets_for_no_connection_are_reset_but_resets),
        TEST(packets_before_the_response_reset_the_request),
        TEST(a_port_in_use_that_connects_again_loses_the_old_one),
        TEST(data_after_its_end_resets_the_connection),
        TEST(shutdowns_of_any_flags_do_no_harm),
        TEST(a_length_beyond_the_buffer_resets_the_connection),
        TEST(of_a_buffer_beyond_the_length_the_length_counts),
        TEST(buffers_that_hold_no_packet_are_given_back),
        TEST(bytes_that_are_no_ram_reset_the_connection),
        TEST(whoever_says_to_be_somebody_else_gets_no_answer),
        TEST(nobody_is_at_another_address_than_the_hosts),
        TEST_BARE(a_flood_that_is_not_listened_to_comes_to_a_halt),
        TEST(resets_and_requests_in_turn_leave_nothing_behind),
        TEST(connections_are_bounded_and_ends_make_room),
        TEST_BARE(buffers_that_hold_no_answer_are_given_back),
        TEST_BARE(a_buffer_whose_end_is_no_ram_costs_no_bytes),
        TEST_BARE(a_buffer_of_many_pieces_is_filled),
        TEST(a_broken_ring_asks_for_a_reset_and_works_after_it),
        TEST(a_reset_with_bytes_under_way_both_ways_forgets_them),
    };

    return RUN_OVER_BOTH("virtio_vsock_hostile", tests);
}
