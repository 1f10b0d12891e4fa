/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* User-mode networking without a device: the test is the guest, frame by frame,
 * and the host. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <vmm/net.h>

#define SECONDS(n) ((n)*INT64_C(1000000000))

struct guest {
    struct vmm_loop *loop;
    struct vmm_net *net;
    unsigned told;
    const uint8_t *frame; /* the one that came */
    size_t len;
};

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
static const uint8_t us[4] = {10, 0, 2, 15}, router[4] = {10, 0, 2, 2};

static void on_frames(void *context)
{
    ((struct guest *)context)->told++;
}

static void on_room(void *context)
{
    (void)context;
}

static void start(struct guest *g, const struct vmm_net_user_config *config)
{
    const struct vmm_net_events events = {on_frames, on_room, g};
    struct vmm_error err;

    *g = (struct guest){0};
    if (vmm_loop_new(&g->loop, &err) ||
        vmm_net_user_new(config, &g->net, &err) ||
        g->net->ops->open(g->net, g->loop, &events, &err) ||
        g->net->ops->start(g->net, 0))
        fail_msg("%s", err.text);
}

static void stop(struct guest *g)
{
    g->net->ops->stop(g->net);
    g->net->ops->close(g->net);
    vmm_net_free(g->net);
    vmm_loop_free(g->loop);
}

/* ---- frames ---- */

static void send_frame(struct guest *g, const uint8_t *bytes, size_t len)
{
    struct iovec frame = {(void *)(uintptr_t)bytes, len};

    assert_int_equal(g->net->ops->send(g->net, &frame, 1), 0);
    g->net->ops->flush(g->net);
}

static uint16_t load16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static void store16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void send_arp(struct guest *g, unsigned operation, const uint8_t *to,
                     const uint8_t *asked)
{
    uint8_t frame[60] = {0};

    memcpy(frame, to, 6);
    memcpy(frame + 6, mac, 6);
    memcpy(frame + 12, "\x08\x06\x00\x01\x08\x00\x06\x04", 8);
    store16(frame + 20, operation);
    memcpy(frame + 22, mac, 6);
    memcpy(frame + 28, us, 4);
    memcpy(frame + 38, asked, 4);
    send_frame(g, frame, sizeof(frame));
}

/* One's complement sum, folded. */
static uint32_t add_up(uint32_t sum, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i += 2)
        sum += load16(bytes + i);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

/* Send what is filled in from the header's end on: an even number of bytes. */
static void send_ip(struct guest *g, uint8_t *frame, const uint8_t *to,
                    uint8_t protocol, size_t len)
{
    uint8_t *ip = frame + 14;

    memset(frame, 0x52, 6);
    memcpy(frame + 6, mac, 6);
    store16(frame + 12, 0x0800);
    ip[0] = 0x45;
    store16(ip + 2, (unsigned)len);
    ip[8] = 64;
    ip[9] = protocol;
    memcpy(ip + 12, us, 4);
    memcpy(ip + 16, to, 4);
    store16(ip + 10, ~add_up(0, ip, 20));
    send_frame(g, frame, 14 + len);
}

/* A datagram of text from a port of ours. */
static void send_udp_from(struct guest *g, const uint8_t *to, uint16_t from,
                          uint16_t port, const char *text)
{
    uint8_t frame[256] = {0}, *udp = frame + 34;

    store16(udp, from);
    store16(udp + 2, port);
    store16(udp + 4, (unsigned)(8 + strlen(text)));
    memcpy(udp + 8, text, strlen(text));
    send_ip(g, frame, to, 17, 28 + strlen(text));
}

/* The first packet of a connection. */
static void send_syn(struct guest *g, const uint8_t *to, uint16_t from,
                     uint16_t port)
{
    uint8_t frame[60] = {0}, *tcp = frame + 34;

    store16(tcp, from);
    store16(tcp + 2, port);
    tcp[12] = 5 << 4;
    tcp[13] = 2;
    store16(tcp + 14, 4096);
    uint32_t sum = add_up(6 + 20, us, 4); /* protocol and length */
    sum = add_up(sum, to, 4);
    store16(tcp + 16, ~add_up(sum, tcp, 20));
    send_ip(g, frame, to, 6, 40);
}

static void send_udp(struct guest *g, const uint8_t *to, uint16_t port,
                     const char *text)
{
    send_udp_from(g, to, 5000, port, text);
}

/* Wait for a frame of an Ethernet type; ARP questions are answered. */
static void await(struct guest *g, uint16_t type)
{
    int64_t end = (int64_t)vmm_now_ns() + SECONDS(10);

    if (g->frame)
        g->net->ops->take(g->net);
    for (;;) {
        g->len = g->net->ops->peek(g->net, &g->frame);
        if (!g->len) {
            if ((int64_t)vmm_now_ns() > end)
                fail_msg("no frame of type 0x%x came", type);
            vmm_loop_step(g->loop, SECONDS(1) / 10);
            continue;
        }
        if (load16(g->frame + 12) == type)
            return;
        bool asks = load16(g->frame + 12) == 0x0806 && g->frame[21] == 1;
        g->net->ops->take(g->net);
        if (asks)
            send_arp(g, 2, all, router);
    }
}

/* ---- the host ---- */

static int udp_socket(uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct timeval limit = {10, 0};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    *port = ntohs(at.sin_port);
    return fd;
}

static int tcp_server(uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(fd, 1000), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

/* ---- tests ---- */

static void the_router_answers_arp(void **state)
{
    struct vmm_net_user_config config = {0};
    struct guest g;

    (void)state;
    start(&g, &config);
    send_arp(&g, 1, all, router);
    await(&g, 0x0806);
    assert_int_equal(g.frame[21], 2);
    assert_memory_equal(g.frame + 28, router, 4);
    stop(&g);
}

static void datagrams_reach_the_host_and_come_back(void **state)
{
    struct vmm_net_user_config config = {0};
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    char text[16];
    struct guest g;
    uint16_t port;

    (void)state;
    int fd = udp_socket(&port);
    start(&g, &config);
    send_arp(&g, 1, all, router);
    await(&g, 0x0806);
    send_udp(&g, router, port, "question");
    assert_int_equal(
        recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&from, &len), 8);
    assert_memory_equal(text, "question", 8);
    unsigned told = g.told;
    assert_int_equal(
        sendto(fd, "an answer", 9, 0, (struct sockaddr *)&from, len), 9);
    await(&g, 0x0800);
    assert_true(g.told >= told);
    assert_memory_equal(g.frame + 14 + 12, router, 4);
    assert_memory_equal(g.frame + 14 + 28, "an answer", 9);
    stop(&g);
    close(fd);
}

static void a_forward_leads_into_the_guest(void **state)
{
    struct vmm_net_forward forward = {
        .udp = true, .host = {htonl(INADDR_LOOPBACK)}, .guest_port = 5000};
    struct vmm_net_user_config config = {.forwards = &forward,
                                         .forward_count = 1};
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct guest g;
    uint16_t port;

    (void)state;
    close(udp_socket(&forward.host_port)); /* one that is free */
    at.sin_port = htons(forward.host_port);
    start(&g, &config);
    int fd = udp_socket(&port);
    send_arp(&g, 1, all, router); /* so that we are known */
    await(&g, 0x0806);
    assert_int_equal(
        sendto(fd, "knock", 5, 0, (struct sockaddr *)&at, sizeof(at)), 5);
    await(&g, 0x0800);
    assert_int_equal(load16(g.frame + 14 + 22), 5000);
    assert_memory_equal(g.frame + 14 + 28, "knock", 5);
    stop(&g);
    close(fd);
}

static void a_port_that_is_taken_is_refused_in_words(void **state)
{
    struct vmm_net_forward forward = {
        .udp = true, .host = {htonl(INADDR_LOOPBACK)}, .guest_port = 5000};
    struct vmm_net_user_config config = {.forwards = &forward,
                                         .forward_count = 1};
    struct vmm_net *net;
    struct vmm_error err;

    (void)state;
    int fd = udp_socket(&forward.host_port);
    assert_int_equal(vmm_net_user_new(&config, &net, &err), -EADDRINUSE);
    assert_null(net);
    assert_non_null(strstr(err.text, "cannot forward udp port "));
    close(fd);
}

static void a_port_is_free_again_once_it_is_closed(void **state)
{
    struct vmm_net_forward forward = {
        .udp = true, .host = {htonl(INADDR_LOOPBACK)}, .guest_port = 5000};
    struct vmm_net_user_config config = {.forwards = &forward,
                                         .forward_count = 1};
    struct vmm_net *net;
    struct vmm_error err;
    struct guest g;

    (void)state;
    close(udp_socket(&forward.host_port));
    start(&g, &config);
    assert_int_equal(vmm_net_user_new(&config, &net, &err), -EADDRINUSE);
    g.net->ops->stop(g.net);
    g.net->ops->close(g.net);
    if (vmm_net_user_new(&config, &net, &err))
        fail_msg("%s", err.text);
    vmm_net_free(net);
    vmm_net_free(g.net);
    vmm_loop_free(g.loop);
}

static void a_restricted_guest_reaches_nobody(void **state)
{
    struct vmm_net_user_config config = {.restricted = true};
    char byte;
    struct guest g;
    uint16_t port;

    (void)state;
    int fd = udp_socket(&port);
    start(&g, &config);
    send_udp(&g, router, port, "question");
    send_arp(&g, 1, all, router);
    await(&g, 0x0806);
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    stop(&g);
    close(fd);
}

static void
a_guest_that_takes_nothing_is_sent_no_more_than_a_queue(void **state)
{
    struct vmm_net_user_config config = {0};
    struct sockaddr_in from;
    socklen_t len = sizeof(from);
    char text[1400] = "x";
    struct guest g;
    uint16_t port;
    unsigned came = 0;

    (void)state;
    int fd = udp_socket(&port);
    start(&g, &config);
    send_arp(&g, 1, all, router);
    await(&g, 0x0806);
    send_udp(&g, router, port, "question");
    recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&from, &len);
    for (int i = 0; i < 5000; i++) {
        sendto(fd, text, sizeof(text), MSG_DONTWAIT, (struct sockaddr *)&from,
               len);
        while (vmm_loop_step(g.loop, 0) > 0)
            ;
    }
    g.net->ops->take(g.net); /* the ARP answer */
    while (g.net->ops->peek(g.net, &g.frame)) {
        g.net->ops->take(g.net);
        came++;
    }
    assert_in_range(came, 100, 400);
    /* It goes on: the sockets are looked at again. */
    g.frame = NULL;
    await(&g, 0x0800);
    stop(&g);
    close(fd);
}

static unsigned open_fds(void)
{
    unsigned count = 0;
    DIR *directory = opendir("/proc/self/fd");

    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static void a_guest_opens_a_limited_number_of_sockets(void **state)
{
    struct vmm_net_user_config config = {0};
    char text[16];
    struct guest g;
    uint16_t port;

    (void)state;
    int fd = udp_socket(&port);
    start(&g, &config);
    unsigned before = open_fds();
    for (unsigned i = 0; i < 200; i++)
        send_udp_from(&g, router, (uint16_t)(1000 + i), port, "q");
    assert_int_equal(open_fds() - before, 200);
    assert_int_equal(recv(fd, text, sizeof(text), 0), 1);
    /* To a server that takes no connections: they are all under way. */
    int tcp = tcp_server(&port);
    before++;
    for (unsigned i = 0; i < 1000; i++)
        send_syn(&g, router, (uint16_t)(10000 + i), port);
    assert_in_range(open_fds() - before, 300, 400);
    for (unsigned i = 0; i < 1000; i++)
        send_udp_from(&g, router, (uint16_t)(20000 + i), port, "q");
    assert_in_range(open_fds() - before, 300, 400);
    /* What opens nothing goes on. */
    send_arp(&g, 1, all, router);
    await(&g, 0x0806);
    stop(&g);
    assert_int_equal(open_fds(), before - 3); /* of its loop, and its epoll */
    close(tcp);
    close(fd);
}

static void garbage_hurts_nobody(void **state)
{
    struct vmm_net_user_config config = {0};
    static uint8_t bytes[VMM_NET_FRAME_MAX];
    struct guest g;
    unsigned seed = 1;

    (void)state;
    start(&g, &config);
    for (int i = 0; i < 3000; i++) {
        size_t len = (size_t)(i < 200 ? 14 + i : 14 + i * 31 % 3000);

        for (size_t j = 0; j < len; j++)
            bytes[j] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
        store16(bytes + 12, i & 1 ? 0x0800 : 0x0806);
        if (i & 2)
            bytes[14] = 0x45;
        send_frame(&g, bytes, len);
    }
    send_frame(&g, bytes, sizeof(bytes));
    send_arp(&g, 1, all, router);
    await(&g, 0x0806);
    stop(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_router_answers_arp),
        cmocka_unit_test(datagrams_reach_the_host_and_come_back),
        cmocka_unit_test(a_forward_leads_into_the_guest),
        cmocka_unit_test(a_port_that_is_taken_is_refused_in_words),
        cmocka_unit_test(a_port_is_free_again_once_it_is_closed),
        cmocka_unit_test(a_restricted_guest_reaches_nobody),
        cmocka_unit_test(
            a_guest_that_takes_nothing_is_sent_no_more_than_a_queue),
        cmocka_unit_test(a_guest_opens_a_limited_number_of_sockets),
        cmocka_unit_test(garbage_hurts_nobody),
    };

    return cmocka_run_group_tests_name("net_user", tests, NULL, NULL);
}
