/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The socket device: connections, their ends, and credit, with a driver that
 * keeps the rules. */
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

static int tear_down(void **state)
{
    guest_free(*state);
    return 0;
}

/* ---- connections ---- */

static void its_driver_reads_the_cid(void **state)
{
    struct guest *g = *state;

    assert_int_equal(get(&g->host, VIRTIO_MMIO_DEVICE_ID), 19);
    assert_int_equal(get(&g->host, VIRTIO_MMIO_CONFIG), CID);
    assert_int_equal(get(&g->host, VIRTIO_MMIO_CONFIG + 4), 0);
}

static void the_guest_connects_and_bytes_go_both_ways(void **state)
{
    struct guest *g = *state;
    int fd = connected(g);

    send_data(g, "ping", 4);
    host_expect(fd, "ping");
    host_write(g, fd, "pong");
    expect_data(g, "pong");
    expect_nothing(g);
    close(fd);
}

static void a_port_where_nobody_listens_is_reset(void **state)
{
    struct guest *g = *state;

    send_op(g, VIRTIO_VSOCK_OP_REQUEST, 0);
    struct virtio_vsock_hdr hdr = expect_op(g, VIRTIO_VSOCK_OP_RST);
    assert_int_equal(hdr.src_port, HOST_PORT);
    expect_nothing(g);
}

/* Answer a request that the host has made. */
static void answer(struct guest *g, const struct virtio_vsock_hdr *request,
                   uint16_t op)
{
    struct virtio_vsock_hdr hdr = header(g, op);

    hdr.dst_port = request->src_port;
    send_raw(g, &hdr, NULL, 0);
}

static void the_host_connects_and_is_told_its_port(void **state)
{
    struct guest *g = *state;
    char line[32];
    int fd = host_connect(g);

    host_write(g, fd, "CONNECT 1024\nand more");
    struct virtio_vsock_hdr request = expect_op(g, VIRTIO_VSOCK_OP_REQUEST);
    expect_nothing(g);
    host_expect_nothing(fd);
    answer(g, &request, VIRTIO_VSOCK_OP_RESPONSE);
    snprintf(line, sizeof(line), "OK %u\n", request.src_port);
    host_expect(fd, line);
    expect_data(g, "and more");
    close(fd);
}

static void a_line_may_come_in_pieces(void **state)
{
    struct guest *g = *state;
    int fd = host_connect(g);

    host_write(g, fd, "CONN");
    host_write(g, fd, "ECT 10");
    host_write(g, fd, "24");
    expect_nothing(g);
    host_write(g, fd, "\n");
    expect_op(g, VIRTIO_VSOCK_OP_REQUEST);
    close(fd);
}

static void two_connections_to_a_port_get_ports_of_their_own(void **state)
{
    struct guest *g = *state;
    int first = host_connect(g), second = host_connect(g);

    host_write(g, first, "CONNECT 1024\n");
    host_write(g, second, "CONNECT 1024\n");
    assert_int_not_equal(expect_op(g, VIRTIO_VSOCK_OP_REQUEST).src_port,
                         expect_op(g, VIRTIO_VSOCK_OP_REQUEST).src_port);
    close(first);
    close(second);
}

static void the_host_is_refused_where_no_program_listens(void **state)
{
    struct guest *g = *state;
    int fd = host_connect(g);

    host_write(g, fd, "CONNECT 1024\n");
    struct virtio_vsock_hdr request = expect_op(g, VIRTIO_VSOCK_OP_REQUEST);
    answer(g, &request, VIRTIO_VSOCK_OP_RST);
    host_expect_end(fd);
    expect_nothing(g);
    close(fd);
}

static void another_line_closes_the_connection(void **state)
{
    static const char *const lines[] = {"CONNECT\n",
                                        "CONNECT \n",
                                        "connect 1\n",
                                        "CONNECT 12a\n",
                                        "CONNECT -1\n",
                                        "CONNECT 4294967295\n",
                                        "\n",
                                        "GET / HTTP/1.1\r\n",
                                        "CONNECT 99999999999999999999",
                                        "CONNECT 1024\r\n",
                                        "CONNECT 18446744073709552640\n"};
    struct guest *g = *state;

    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        int fd = host_connect(g);

        host_write(g, fd, lines[i]);
        if (!strchr(lines[i], '\n'))
            host_write(g, fd, "9999");
        host_expect_end(fd);
        close(fd);
    }
    expect_nothing(g);
}

static void a_host_that_gives_up_has_the_request_reset(void **state)
{
    struct guest *g = *state;
    int fd = host_connect(g);

    host_write(g, fd, "CONNECT 1024\n");
    expect_op(g, VIRTIO_VSOCK_OP_REQUEST);
    close(fd);
    expect_op(g, VIRTIO_VSOCK_OP_RST);
}

static void host_programs_wait_for_the_driver(void **state)
{
    struct guest *g = *state;

    put(&g->host, VIRTIO_MMIO_STATUS, 0);
    serve(&g->host);
    int fd = host_connect(g);
    host_write(g, fd, "CONNECT 1024\n");
    host_expect_nothing(fd);
    come_up(g, ENTRIES);
    expect_op(g, VIRTIO_VSOCK_OP_REQUEST);
    close(fd);
}

/* ---- ends ---- */

static void the_guest_sends_no_more_and_goes_on_reading(void **state)
{
    struct guest *g = *state;
    int fd = connected(g);

    send_data(g, "last", 4);
    send_op(g, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_SEND);
    host_expect(fd, "last");
    host_expect_end(fd);
    host_write(g, fd, "answer");
    expect_data(g, "answer");
    expect_nothing(g);
    close(fd);
    assert_int_equal(expect_op(g, VIRTIO_VSOCK_OP_SHUTDOWN).flags, 3);
    send_op(g, VIRTIO_VSOCK_OP_RST, 0);
    expect_nothing(g);
}

static void the_guest_reads_no_more_and_goes_on_sending(void **state)
{
    struct guest *g = *state;
    int fd = connected(g);

    send_op(g, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_SHUTDOWN_RCV);
    assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
    assert_int_equal(errno, EPIPE);
    send_data(g, "more", 4);
    host_expect(fd, "more");
    close(fd);
}

static void the_host_sends_no_more_and_goes_on_reading(void **state)
{
    struct guest *g = *state;
    int fd = connected(g);

    host_write(g, fd, "last");
    shutdown(fd, SHUT_WR);
    expect_data(g, "last");
    assert_int_equal(expect_op(g, VIRTIO_VSOCK_OP_SHUTDOWN).flags,
                     VIRTIO_VSOCK_SHUTDOWN_SEND);
    expect_nothing(g);
    send_data(g, "answer", 6);
    host_expect(fd, "answer");
    close(fd);
    assert_int_equal(expect_op(g, VIRTIO_VSOCK_OP_SHUTDOWN).flags, 3);
}

static void the_guest_closes_and_gets_a_reset(void **state)
{
    struct guest *g = *state;
    int fd = connected(g);

    send_data(g, "last", 4);
    send_op(g, VIRTIO_VSOCK_OP_SHUTDOWN, 3);
    expect_op(g, VIRTIO_VSOCK_OP_RST);
    host_expect(fd, "last");
    host_expect_end(fd);
    /* Its port is free again. */
    close(fd);
    close(connected(g));
}

static void the_host_closes_after_its_last_bytes(void **state)
{
    struct guest *g = *state;
    int fd = connected(g);

    host_write(g, fd, "last");
    close(fd);
    expect_data(g, "last");
    assert_int_equal(expect_op(g, VIRTIO_VSOCK_OP_SHUTDOWN).flags, 3);
    send_op(g, VIRTIO_VSOCK_OP_RST, 0);
    expect_nothing(g);
    send_op(g, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0); /* it is forgotten */
    expect_op(g, VIRTIO_VSOCK_OP_RST);
}

static void a_host_that_closes_with_bytes_unread_resets(void **state)
{
    struct guest *g = *state;
    int fd = connected(g);

    send_data(g, "unread", 6);
    close(fd);
    expect_op(g, VIRTIO_VSOCK_OP_RST);
}

static void the_guest_resets_and_the_host_sees_the_end(void **state)
{
    struct guest *g = *state;
    int fd = connected(g);

    send_op(g, VIRTIO_VSOCK_OP_RST, 0);
    expect_nothing(g);
    host_expect_end(fd);
    close(fd);
}

static void an_end_that_the_guest_does_not_acknowledge_is_a_reset(void **state)
{
    struct guest *g = *state;
    uint64_t before = vmm_now_ns();

    close(connected(g));
    expect_op(g, VIRTIO_VSOCK_OP_SHUTDOWN);
    expect_nothing(g);
    vmm_loop_step(g->host.loop, -1);
    expect_op(g, VIRTIO_VSOCK_OP_RST);
    assert_true(vmm_now_ns() - before >= CLOSE_MS * UINT64_C(1000000));
}

/* ---- credit ---- */

static char block[VMM_VSOCK_BUFFER_BYTES];

/* Fill the unix socket's own buffers; how many bytes they took. */
static uint32_t choke(struct guest *g)
{
    uint32_t sent = 0;
    struct virtio_vsock_hdr hdr;

    for (;;) {
        send_data(g, block, 4096);
        sent += 4096;
        send_op(g, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0);
        do
            assert_true(next_packet(g, &hdr, NULL));
        while (hdr.op != VIRTIO_VSOCK_OP_CREDIT_UPDATE);
        while (next_packet(g, &hdr, NULL))
            ;
        if (hdr.fwd_cnt != sent)
            return sent;
    }
}

/* All that is there to read, until nothing more comes. */
static uint32_t drain(struct guest *g, int fd)
{
    static char bytes[65536];
    uint32_t all = 0;
    ssize_t got;

    while ((got = read(fd, bytes, sizeof(bytes))) > 0) {
        all += (uint32_t)got;
        serve(&g->host);
    }
    return all;
}

static void a_slow_host_gets_all_and_the_guest_its_credit(void **state)
{
    struct guest *g = *state;
    struct virtio_vsock_hdr hdr, last = {0};
    int fd = connected(g);
    uint32_t sent = choke(g);

    for (int i = 0; i < 32; i++, sent += 4096)
        send_data(g, block, 4096);
    expect_nothing(g);
    assert_int_equal(drain(g, fd), sent);
    while (next_packet(g, &hdr, NULL)) {
        assert_int_equal(hdr.op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
        last = hdr;
    }
    assert_int_equal(last.buf_alloc, VMM_VSOCK_BUFFER_BYTES);
    assert_true(sent - last.fwd_cnt < VMM_VSOCK_BUFFER_BYTES / 4);
    close(fd);
}

static void
what_was_sent_before_the_end_arrives_though_the_host_is_slow(void **state)
{
    struct guest *g = *state;
    int fd = connected(g);
    uint32_t sent = choke(g);

    send_data(g, block, 4096);
    send_op(g, VIRTIO_VSOCK_OP_SHUTDOWN, 3);
    expect_nothing(g);                  /* not before all has arrived */
    send_op(g, VIRTIO_VSOCK_OP_RST, 0); /* the guest is tired of waiting */
    assert_int_equal(drain(g, fd), sent + 4096);
    host_expect_end(fd);
    close(fd);
}

static void the_guest_gets_no_more_than_it_has_room_for(void **state)
{
    struct guest *g = *state;
    int fd;

    g->buffer = 10;
    fd = connected(g);
    host_write(g, fd, "0123456789abcdefghijklmno");
    expect_data(g, "0123456789");
    expect_op(g, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
    expect_nothing(g); /* it is asked once */
    g->forwarded = 4;
    send_op(g, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
    g->forwarded = 10;
    expect_data(g, "abcd");
    expect_op(g, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
    expect_nothing(g);
    send_op(g, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
    expect_data(g, "efghijklmn");
    close(fd);
}

static void all_of_a_large_stream_comes_in_order(void **state)
{
    struct guest *g = *state;
    int fd = connected(g);
    static uint8_t bytes[RX_BYTES];
    struct virtio_vsock_hdr hdr;
    uint32_t written = 0, got = 0;

    while (got < 1000000) {
        uint8_t chunk[1000];

        for (int i = 0; i < 1000; i++)
            chunk[i] = (uint8_t)((written + i) % 251);
        ssize_t count = written < 1000000 ? write(fd, chunk, 1000) : 0;
        written += count > 0 ? (uint32_t)count : 0;
        while (next_packet(g, &hdr, bytes)) {
            if (hdr.op == VIRTIO_VSOCK_OP_CREDIT_REQUEST) {
                g->forwarded = got;
                send_op(g, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 0);
                continue;
            }
            assert_int_equal(hdr.op, VIRTIO_VSOCK_OP_RW);
            for (uint32_t i = 0; i < hdr.len; i++, got++)
                if (bytes[i] != got % 251)
                    fail_msg("byte %u is %u", got, bytes[i]);
        }
    }
    close(fd);
}

static void the_guest_is_told_credit_when_it_asks(void **state)
{
    struct guest *g = *state;
    int fd = connected(g);

    send_data(g, "12345", 5);
    send_op(g, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 0);
    struct virtio_vsock_hdr hdr = expect_op(g, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    assert_int_equal(hdr.buf_alloc, VMM_VSOCK_BUFFER_BYTES);
    assert_int_equal(hdr.fwd_cnt, 5);
    close(fd);
}

/* ---- life ---- */

static void a_reset_of_the_device_closes_all_and_it_comes_up_again(void **state)
{
    struct guest *g = *state;
    int fd = connected(g);

    host_write(g, fd, "unread");
    put(&g->host, VIRTIO_MMIO_STATUS, 0);
    serve(&g->host);
    host_expect_end(fd);
    close(fd);
    come_up(g, ENTRIES);
    fd = connected(g);
    send_data(g, "ping", 4);
    host_expect(fd, "ping");
    close(fd);
}

static void a_buffer_kept_for_later_is_forgotten_by_a_reset(void **state)
{
    struct guest *g = *state;
    int fd = connected(g);

    /* As many as a buffer holds: the device looks for more, in vain. */
    assert_int_equal(write(fd, block, RX_BYTES - HDR_BYTES),
                     RX_BYTES - HDR_BYTES);
    expect_op(g, VIRTIO_VSOCK_OP_RW);
    expect_nothing(g);
    put(&g->host, VIRTIO_MMIO_STATUS, 0);
    serve(&g->host);
    close(fd);
    come_up(g, ENTRIES);
    close(connected(g));
}

static void a_transport_reset_is_told_by_an_event(void **state)
{
    struct guest *g = *state;
    int fd = connected(g);
    uint32_t id, len, event = 99;

    assert_int_equal(vmm_virtio_vsock_reset(g->host.virtio), 0);
    serve(&g->host);
    host_expect_end(fd);
    close(fd);
    /* Also when its buffer comes late; one that is too small is skipped. */
    desc(g, EVENT, 0, TX_AT, 3, VRING_DESC_F_WRITE, 0);
    desc(g, EVENT, 1, TX_AT, 4, VRING_DESC_F_WRITE, 0);
    desc(g, EVENT, 2, TX_AT, 4, VRING_DESC_F_WRITE, 0);
    for (uint16_t i = 0; i < 3; i++)
        offer(g, EVENT, i);
    MUST(vmm_memory_store_u32(g->host.driver.memory, TX_AT, event));
    kick(g, EVENT);
    assert_true(collect(g, EVENT, &id, &len));
    assert_int_equal(len, 0);
    assert_true(collect(g, EVENT, &id, &len));
    assert_int_equal(len, 4);
    assert_false(collect(g, EVENT, &id, &len));
    MUST(vmm_memory_load_u32(g->host.driver.memory, TX_AT, &event));
    assert_int_equal(event, VIRTIO_VSOCK_EVENT_TRANSPORT_RESET);
    close(connected(g));
}

static void what_no_guest_can_have_is_refused(void **state)
{
    struct guest *g = *state;
    char path[108];
    struct vmm_vsock_config config = {.cid = 2, .path = "x"};
    struct vmm_virtio *virtio;
    struct vmm_error err;

    assert_int_equal(vmm_virtio_vsock_new(g->host.driver.memory, g->host.loop,
                                          &config, &virtio, &err),
                     -EINVAL);
    config.cid = UINT32_MAX;
    assert_int_equal(vmm_virtio_vsock_new(g->host.driver.memory, g->host.loop,
                                          &config, &virtio, &err),
                     -EINVAL);
    memset(path, 'x', sizeof(path));
    path[97] = 0;
    config = (struct vmm_vsock_config){.cid = 3, .path = path};
    assert_int_equal(vmm_virtio_vsock_new(g->host.driver.memory, g->host.loop,
                                          &config, &virtio, &err),
                     -ENAMETOOLONG);
    config.path = g->path;
    assert_int_equal(vmm_virtio_vsock_new(g->host.driver.memory, g->host.loop,
                                          &config, &virtio, &err),
                     -EADDRINUSE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(its_driver_reads_the_cid),
        TEST(the_guest_connects_and_bytes_go_both_ways),
        TEST(a_port_where_nobody_listens_is_reset),
        TEST(the_host_connects_and_is_told_its_port),
        TEST(a_line_may_come_in_pieces),
        TEST(two_connections_to_a_port_get_ports_of_their_own),
        TEST(the_host_is_refused_where_no_program_listens),
        TEST(another_line_closes_the_connection),
        TEST(a_host_that_gives_up_has_the_request_reset),
        TEST(host_programs_wait_for_the_driver),
        TEST(the_guest_sends_no_more_and_goes_on_reading),
        TEST(the_guest_reads_no_more_and_goes_on_sending),
        TEST(the_host_sends_no_more_and_goes_on_reading),
        TEST(the_guest_closes_and_gets_a_reset),
        TEST(the_host_closes_after_its_last_bytes),
        TEST(a_host_that_closes_with_bytes_unread_resets),
        TEST(the_guest_resets_and_the_host_sees_the_end),
        TEST(an_end_that_the_guest_does_not_acknowledge_is_a_reset),
        TEST(a_slow_host_gets_all_and_the_guest_its_credit),
        TEST(what_was_sent_before_the_end_arrives_though_the_host_is_slow),
        TEST(the_guest_gets_no_more_than_it_has_room_for),
        TEST(all_of_a_large_stream_comes_in_order),
        TEST(the_guest_is_told_credit_when_it_asks),
        TEST(a_reset_of_the_device_closes_all_and_it_comes_up_again),
        TEST(a_buffer_kept_for_later_is_forgotten_by_a_reset),
        TEST(a_transport_reset_is_told_by_an_event),
        TEST(what_no_guest_can_have_is_refused),
    };

    return RUN_OVER_BOTH("virtio_vsock", tests);
}
