/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Taps of this host: names, queues that come and go, frames out and in.
 * Skipped where there are none to be made. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <vmm/net.h>

#define QUEUES   3u
#define PROTOCOL 0x88b5 /* for experiments: the host has nothing to say */
#define FRAME    60u

struct fixture {
    struct vmm_loop *loop;
    struct vmm_net *nets[QUEUES];
    unsigned opened;
    unsigned frames; /* told of */
    const char *name;
};

static void on_frames(void *context)
{
    ((struct fixture *)context)->frames++;
}

static void on_room(void *context)
{
    (void)context;
}

static int set_up(void **state)
{
    static struct fixture f;

    f = (struct fixture){0};
    *state = &f;
    return vmm_loop_new(&f.loop, NULL);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < QUEUES; i++) {
        if (i < f->opened)
            f->nets[i]->ops->close(f->nets[i]);
        vmm_net_free(f->nets[i]);
    }
    vmm_loop_free(f->loop);
    return 0;
}

/* A tap with so many queues, opened. */
static void make(struct fixture *f, unsigned queues)
{
    const struct vmm_net_events events = {on_frames, on_room, f};
    struct vmm_error err;
    int rc = vmm_net_tap_new("vmmtest%d", queues, f->nets, &err);

    if (rc == -ENOENT || rc == -EPERM || rc == -EACCES || rc == -ENODEV)
        skip();
    if (rc)
        fail_msg("%s", err.text);
    f->name = vmm_net_tap_name(f->nets[0]);
    for (; f->opened < queues; f->opened++) {
        struct vmm_net *net = f->nets[f->opened];

        if (net->ops->open(net, f->loop, &events, &err))
            fail_msg("%s", err.text);
    }
}

/* How many queues the kernel spreads frames over. */
static unsigned attached(const struct fixture *f)
{
    char path[100];
    unsigned count = 0;
    struct dirent *entry;

    snprintf(path, sizeof(path), "/sys/class/net/%s/queues", f->name);
    DIR *directory = opendir(path);
    assert_non_null(directory);
    while ((entry = readdir(directory)))
        count += strncmp(entry->d_name, "rx-", 3) == 0;
    closedir(directory);
    return count;
}

static void start(struct fixture *f, unsigned queue)
{
    struct vmm_net *net = f->nets[queue];

    assert_int_equal(net->ops->start(net, VMM_NET_CSUM | VMM_NET_TSO4), 0);
}

static void stop(struct fixture *f, unsigned queue)
{
    f->nets[queue]->ops->stop(f->nets[queue]);
}

/* A socket that has the interface's frames; it is up then. */
static int host_end(const struct fixture *f)
{
    struct ifreq request = {0};
    struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                  .sll_protocol = htons(PROTOCOL)};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(PROTOCOL));

    assert_true(fd >= 0);
    memcpy(request.ifr_name, f->name, strlen(f->name));
    assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &request), 0);
    request.ifr_flags |= IFF_UP;
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
    address.sll_ifindex = (int)if_nametoindex(f->name);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void fill_frame(uint8_t *frame)
{
    memset(frame, 0, FRAME);
    memset(frame, 0xff, 6);
    frame[6] = 2;
    frame[12] = PROTOCOL >> 8;
    frame[13] = PROTOCOL & 0xff;
    frame[20] = 42;
}

static void a_name_is_numbered_and_has_its_limits(void **state)
{
    struct fixture *f = *state;
    struct vmm_net *nets[VMM_NET_PAIRS_MAX];
    struct vmm_error err;

    assert_int_equal(vmm_net_tap_new("", 1, nets, &err), -EINVAL);
    assert_int_equal(vmm_net_tap_new("x", 0, nets, &err), -EINVAL);
    assert_int_equal(vmm_net_tap_new("1234567890123456", 1, nets, &err),
                     -EINVAL);
    assert_null(nets[0]);
    make(f, 1);
    assert_int_equal(strncmp(f->name, "vmmtest", 7), 0);
    assert_null(strchr(f->name, '%'));
}

static void its_queues_are_attached_while_they_run(void **state)
{
    struct fixture *f = *state;

    make(f, QUEUES);
    assert_int_equal(attached(f), 1);
    start(f, 0);
    assert_int_equal(attached(f), 1);
    start(f, 1);
    start(f, 2);
    assert_int_equal(attached(f), QUEUES);
    stop(f, 1);
    assert_int_equal(attached(f), 2);
    start(f, 1);
    assert_int_equal(attached(f), QUEUES);
    for (unsigned i = 0; i < QUEUES; i++)
        stop(f, i);
    assert_int_equal(attached(f), 1);
}

static void one_queue_and_several_do_not_mix(void **state)
{
    struct fixture *f = *state;
    struct vmm_net *nets[2];
    struct vmm_error err;

    make(f, 1);
    assert_int_equal(vmm_net_tap_new(f->name, 2, nets, &err), -EINVAL);
    assert_null(nets[0]);
    assert_non_null(strstr(err.text, "has one queue"));
}

static void a_frame_goes_out_by_any_queue(void **state)
{
    struct fixture *f = *state;
    uint8_t frame[FRAME], got[FRAME + 1], header[VMM_NET_HEADER_BYTES] = {0};
    const struct iovec pieces[] = {{header, sizeof(header)}, {frame, FRAME}};

    make(f, QUEUES);
    int fd = host_end(f);
    fill_frame(frame);
    for (unsigned i = 0; i < QUEUES; i++) {
        struct pollfd waiting = {.fd = fd, .events = POLLIN};

        start(f, i);
        assert_int_equal(f->nets[i]->ops->send(f->nets[i], pieces, 2), 0);
        assert_int_equal(poll(&waiting, 1, 5000), 1);
        assert_int_equal(recv(fd, got, sizeof(got), 0), FRAME);
        assert_memory_equal(got, frame, FRAME);
    }
    close(fd);
}

static void a_frame_comes_in_with_a_header_and_is_told_of(void **state)
{
    struct fixture *f = *state;
    uint8_t sent[FRAME];
    const uint8_t *frame;
    size_t len = 0;

    make(f, 1);
    int fd = host_end(f);
    start(f, 0);
    struct vmm_net *net = f->nets[0];
    fill_frame(sent);
    while (net->ops->peek(net, &frame)) /* the host's own */
        net->ops->take(net);
    assert_int_equal(f->frames, 0);
    assert_int_equal(send(fd, sent, FRAME, 0), FRAME);
    while (!f->frames)
        if (vmm_loop_step(f->loop, 5 * INT64_C(1000000000)) <= 0)
            fail_msg("no frame is told of");
    while (!len || frame[VMM_NET_HEADER_BYTES + 20] != 42) {
        if (len)
            net->ops->take(net);
        len = net->ops->peek(net, &frame);
        if (!len && vmm_loop_step(f->loop, 5 * INT64_C(1000000000)) <= 0)
            fail_msg("no frame came");
    }
    assert_int_equal(len, VMM_NET_HEADER_BYTES + FRAME);
    assert_memory_equal(frame + VMM_NET_HEADER_BYTES, sent, FRAME);
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_name_is_numbered_and_has_its_limits),
        TEST(its_queues_are_attached_while_they_run),
        TEST(one_queue_and_several_do_not_mix),
        TEST(a_frame_goes_out_by_any_queue),
        TEST(a_frame_comes_in_with_a_header_and_is_told_of),
    };

    return cmocka_run_group_tests_name("net_tap", tests, NULL, NULL);
}
