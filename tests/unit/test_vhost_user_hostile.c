/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Back ends that lie, die or hang: an error or a device that asks to be reset,
 * in time, told once. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include <cmocka.h>

#include "vhost_driver.h"

#define WRITE VRING_DESC_F_WRITE

static const enum lie lies[] = {DIES,  HANGS,   OTHER, NO_REPLY, VERSION,
                                SHORT, ENDLESS, HALF,  REFUSES};
#define LIES (sizeof(lies) / sizeof(*lies))

static int code_of(enum lie lie)
{
    return lie == DIES || lie == HALF ? ECONNRESET
           : lie == HANGS             ? ETIMEDOUT
                                      : EPROTO;
}

static void prepare(struct vhost *v, uint32_t request, enum lie lie)
{
    vhost_prepare(v, VIRTIO_ID_BLOCK);
    v->backend.features |= UINT64_C(1) << VIRTIO_BLK_F_CONFIG_WCE;
    v->backend.lie_at = request;
    v->backend.lie = lie;
    if (lie == HANGS)
        v->config.deadline_ns = A_MOMENT;
}

/* ---- before there is a device ---------------------------------------------
 */

static void assert_no_device(uint32_t request, enum lie lie)
{
    static struct vhost v;
    struct vmm_virtio *virtio;
    struct vmm_error err;

    prepare(&v, request, lie);
    backend_start(&v.backend);
    int rc = vmm_vhost_user_new(&v.config, &virtio, &err);
    if (rc != -code_of(lie))
        fail_msg("message %u, lie %d: %d, \"%s\"", request, (int)lie, rc,
                 err.text);
    assert_memory_equal(err.text, "test disk: the daemon ", 22);
    assert_null(virtio);
    assert_int_equal(v.failures, 0);
    assert_false(v.closed);
    vhost_give_up(&v);
}

static void a_lie_while_we_get_acquainted_is_an_error(void **state)
{
    static const uint32_t requests[] = {VHOST_GET_FEATURES,
                                        VHOST_GET_PROTOCOL_FEATURES,
                                        VHOST_GET_QUEUE_NUM, VHOST_GET_CONFIG};

    (void)state;
    for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++)
        for (size_t j = 0; j < LIES; j++)
            if (lies[j] != REFUSES) /* a number like any other */
                assert_no_device(requests[i], lies[j]);
    for (size_t j = 0; j < LIES; j++) {
        assert_no_device(VHOST_SET_OWNER, lies[j]);
        assert_no_device(VHOST_SET_BACKEND_REQ_FD, lies[j]);
    }
}

static void its_text_says_what_was_wrong(void **state)
{
    static struct vhost v;
    struct vmm_virtio *virtio;
    struct vmm_error err;
    static const struct {
        enum lie lie;
        const char *text;
    } cases[] = {
        {OTHER, "test disk: the daemon has answered GET_CONFIG with message "
                "25, flags 0x5"},
        {SHORT, "test disk: the daemon has answered GET_CONFIG with 71 bytes, "
                "not 72"},
        {HANGS, "test disk: the daemon has not answered GET_CONFIG within "
                "0.05 s"},
        {DIES, "test disk: the daemon has closed the connection (at "
               "GET_CONFIG)"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        prepare(&v, VHOST_GET_CONFIG, cases[i].lie);
        backend_start(&v.backend);
        vmm_vhost_user_new(&v.config, &virtio, &err);
        assert_string_equal(err.text, cases[i].text);
        vhost_give_up(&v);
    }
}

/* ---- when the driver is ready, and when it resets -------------------------
 */

static void bring_up_unchecked(struct vhost *v)
{
    v->h.driver.next = v->h.driver.seen = 0;
    MUST(vmm_memory_fill(v->h.driver.memory, DESC, 0, INDIRECT - DESC));
    negotiate(&v->h, VERSION_1 | UINT64_C(1) << VIRTIO_BLK_F_CONFIG_WCE);
    set_up_queue(&v->h, 0, RING_SIZE);
    drive_ok(&v->h);
}

/* It has failed: once, for good, and the driver knows. */
static void assert_failed(struct vhost *v, int code)
{
    struct vmm_error why;

    vmm_vhost_user_failure(v->h.virtio, &why);
    if (why.code != code)
        fail_msg("message %u, lie %d: %d, \"%s\"", v->backend.lie_at,
                 v->backend.lie, why.code, why.text);
    assert_memory_equal(why.text, "test disk: the daemon ", 22);
    assert_int_equal(v->failures, 1);
    /* Also after a reset: it asks for the next one at once. */
    bring_up_unchecked(v);
    assert_int_equal(get(&v->h, VIRTIO_MMIO_STATUS), EVERYTHING | NEEDS_RESET);
    assert_int_equal(v->failures, 1);
}

static void assert_fails_at(uint32_t request, enum lie lie)
{
    static struct vhost v;

    prepare(&v, 0, TRUTH);
    vhost_attach(&v);
    atomic_store(&v.backend.lie, lie);
    atomic_store(&v.backend.lie_at, request);
    bring_up_unchecked(&v);
    if (request == VHOST_GET_VRING_BASE)
        put(&v.h, VIRTIO_MMIO_STATUS, 0);
    else
        assert_int_equal(get(&v.h, VIRTIO_MMIO_STATUS),
                         EVERYTHING | NEEDS_RESET);
    assert_failed(&v, code_of(lie));
    vhost_tear_down(&v);
    assert_true(v.closed);
}

static void a_lie_when_the_driver_is_ready_fails_the_device(void **state)
{
    static const uint32_t requests[] = {
        VHOST_SET_FEATURES,   VHOST_SET_MEM_TABLE,   VHOST_SET_VRING_NUM,
        VHOST_SET_VRING_BASE, VHOST_SET_VRING_ADDR,  VHOST_SET_VRING_CALL,
        VHOST_SET_VRING_KICK, VHOST_SET_VRING_ENABLE};

    (void)state;
    for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++)
        for (size_t j = 0; j < LIES; j++)
            if (lies[j] != HANGS)
                assert_fails_at(requests[i], lies[j]);
}

static void a_lie_at_a_reset_fails_the_device(void **state)
{
    (void)state;
    for (size_t j = 0; j < LIES; j++)
        if (lies[j] != HANGS && lies[j] != REFUSES)
            assert_fails_at(VHOST_GET_VRING_BASE, lies[j]);
    /* Another queue than asked for: REFUSES writes a 1 there. */
    assert_fails_at(VHOST_GET_VRING_BASE, REFUSES);
}

static void one_that_hangs_holds_a_driver_up_for_its_deadline_only(void **state)
{
    static const uint32_t requests[] = {VHOST_SET_MEM_TABLE,
                                        VHOST_SET_VRING_KICK};
    static struct vhost v;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        prepare(&v, requests[i], HANGS);
        vhost_attach(&v);
        bring_up_unchecked(&v);
        assert_int_equal(get(&v.h, VIRTIO_MMIO_STATUS),
                         EVERYTHING | NEEDS_RESET);
        assert_failed(&v, ETIMEDOUT);
        vhost_tear_down(&v);
    }
    prepare(&v, VHOST_GET_VRING_BASE, HANGS);
    vhost_attach(&v);
    bring_up_unchecked(&v);
    put(&v.h, VIRTIO_MMIO_STATUS, 0);
    assert_failed(&v, ETIMEDOUT);
    vhost_tear_down(&v);
}

static void a_lie_at_a_write_of_the_configuration_fails_the_device(void **state)
{
    const uint32_t wce = offsetof(struct virtio_blk_config, wce);
    static struct vhost v;
    const uint8_t one = 1;

    (void)state;
    if (driver_over_pci)
        return; /* that driver has words only */
    for (size_t j = 0; j < LIES; j++) {
        prepare(&v, VHOST_SET_CONFIG, lies[j]);
        vhost_attach(&v);
        bring_up_unchecked(&v);
        vmm_bus_write(v.h.bus, BASE + VIRTIO_MMIO_CONFIG + wce, &one, 1);
        assert_failed(&v, code_of(lies[j]));
        vhost_tear_down(&v);
    }
}

/* ---- between messages -----------------------------------------------------
 */

static void one_that_dies_makes_the_device_ask_for_a_reset(void **state)
{
    static struct vhost v;

    (void)state;
    prepare(&v, 0, TRUTH);
    vhost_attach(&v);
    bring_up(&v.h, 0);
    unsigned pulses = v.h.wire.pulses;
    shutdown(v.backend.fd, SHUT_RDWR);
    AWAIT(&v, v.failures);
    assert_int_equal(get(&v.h, VIRTIO_MMIO_STATUS), EVERYTHING | NEEDS_RESET);
    assert_true(v.h.wire.pulses > pulses);
    /* What the driver does meanwhile goes nowhere. */
    driver_offer_buffer(&v.h.driver, 0, DATA, 16, WRITE);
    put(&v.h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    while (vmm_loop_step(v.h.loop, 0) > 0)
        ;
    assert_failed(&v, ECONNRESET);
    vhost_tear_down(&v);
}

static void an_unused_one_that_dies_is_told_as_well(void **state)
{
    static struct vhost v;

    (void)state;
    prepare(&v, 0, TRUTH);
    vhost_attach(&v);
    shutdown(v.backend.fd, SHUT_RDWR);
    AWAIT(&v, v.failures);
    assert_failed(&v, ECONNRESET);
    vhost_tear_down(&v);
}

static void a_request_that_is_none_fails_the_device(void **state)
{
    static const struct vhost_header bad[] = {
        {VHOST_BACKEND_CONFIG_CHANGE, VHOST_VERSION, 257},
        {VHOST_BACKEND_CONFIG_CHANGE, VHOST_VERSION, UINT32_MAX},
        {VHOST_BACKEND_CONFIG_CHANGE, 2, 0},
    };
    static struct vhost v;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        prepare(&v, 0, TRUTH);
        vhost_attach(&v);
        send(v.backend.channel, &bad[i], sizeof(bad[i]), MSG_NOSIGNAL);
        AWAIT(&v, v.failures);
        assert_failed(&v, EPROTO);
        vhost_tear_down(&v);
    }
}

static void a_lie_about_the_new_configuration_fails_the_device(void **state)
{
    const struct vhost_header change = {VHOST_BACKEND_CONFIG_CHANGE,
                                        VHOST_VERSION, 0};
    static struct vhost v;

    (void)state;
    for (size_t j = 0; j < LIES; j++) {
        if (lies[j] == REFUSES || lies[j] == HANGS)
            continue;
        prepare(&v, 0, TRUTH);
        vhost_attach(&v);
        atomic_store(&v.backend.lie, lies[j]);
        atomic_store(&v.backend.lie_at, VHOST_GET_CONFIG);
        send(v.backend.channel, &change, sizeof(change), MSG_NOSIGNAL);
        AWAIT(&v, v.failures);
        assert_failed(&v, code_of(lies[j]));
        vhost_tear_down(&v);
    }
}

static void calls_without_end_and_a_closed_channel_do_no_harm(void **state)
{
    static struct vhost v;

    (void)state;
    prepare(&v, 0, TRUTH);
    vhost_attach(&v);
    bring_up(&v.h, 0);
    for (int i = 0; i < 100; i++) {
        eventfd_write(v.backend.call, 1);
        vmm_loop_step(v.h.loop, 0);
    }
    shutdown(v.backend.channel, SHUT_RDWR);
    while (vmm_loop_step(v.h.loop, 0) > 0)
        ;
    assert_string_equal(failure(&v), "");
    vhost_tear_down(&v);
}

static void take_call_back(void *context, uint32_t events)
{
    eventfd_t count;

    (void)events;
    eventfd_read(((struct vhost *)context)->backend.call, &count);
}

static void a_call_that_it_takes_back_holds_up_nobody(void **state)
{
    static struct vhost v;
    struct vmm_watch *watch;
    struct vmm_error err;

    (void)state;
    prepare(&v, 0, TRUTH);
    vhost_attach(&v);
    bring_up(&v.h, 0);
    /* Its file's flags are ours: now it is one that blocks. */
    MUST(fcntl(v.backend.call, F_SETFL, 0));
    int fd = eventfd(0, EFD_CLOEXEC);
    MUST(vmm_loop_watch(v.h.loop, fd, EPOLLIN | EPOLLET, take_call_back, &v,
                        &watch, &err));
    alarm(60); /* a loop that waits for it ends this program */
    /* Both are found ready at once, and called one after the other. */
    eventfd_write(fd, 1);
    eventfd_write(v.backend.call, 1);
    while (vmm_loop_step(v.h.loop, 0) > 0)
        ;
    alarm(0);
    vmm_watch_remove(watch);
    close(fd);
    vhost_tear_down(&v);
}

static unsigned open_files(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned count = 0;

    while (readdir(folder))
        count++;
    closedir(folder);
    return count;
}

static void files_that_nobody_asked_for_are_closed(void **state)
{
    static struct vhost v;
    struct vhost_header change = {VHOST_BACKEND_CONFIG_CHANGE, VHOST_VERSION,
                                  0};

    (void)state;
    prepare(&v, VHOST_GET_CONFIG, WITH_FILES);
    vhost_attach(&v);
    unsigned before = open_files();
    for (unsigned i = 1; i < 20; i++) {
        send(v.backend.channel, &change, sizeof(change), MSG_NOSIGNAL);
        AWAIT(&v, v.backend.seen[VHOST_GET_CONFIG] > i);
        vmm_loop_step(v.h.loop, 0);
    }
    /* The back end's own ends are closed by its thread, behind its answer. */
    AWAIT(&v, open_files() <= before);
    assert_string_equal(failure(&v), "");
    vhost_tear_down(&v);
}

/* ---- a hostile guest ------------------------------------------------------
 */

static void rings_that_are_not_memory_are_not_handed_on(void **state)
{
    static const uint32_t bad[][2] = {
        {VIRTIO_MMIO_QUEUE_DESC_LOW, RAM_END},      /* the hole */
        {VIRTIO_MMIO_QUEUE_USED_LOW, RAM_END - 8},  /* into it */
        {VIRTIO_MMIO_QUEUE_AVAIL_HIGH, 0xffffffff}, /* beyond all */
        {VIRTIO_MMIO_QUEUE_USED_LOW, DESC},         /* overlaps */
        {VIRTIO_MMIO_QUEUE_DESC_LOW, DESC + 8},     /* not aligned */
        {VIRTIO_MMIO_QUEUE_NUM, RING_SIZE - 1},     /* no power of two */
        {VIRTIO_MMIO_QUEUE_NUM, 0x8000},            /* larger than told */
    };
    static struct vhost v;

    (void)state;
    prepare(&v, 0, TRUTH);
    vhost_attach(&v);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        negotiate(&v.h, VERSION_1);
        put(&v.h, VIRTIO_MMIO_QUEUE_SEL, 0);
        put(&v.h, VIRTIO_MMIO_QUEUE_NUM, RING_SIZE);
        put(&v.h, VIRTIO_MMIO_QUEUE_DESC_LOW, DESC);
        put(&v.h, VIRTIO_MMIO_QUEUE_AVAIL_LOW, AVAIL);
        put(&v.h, VIRTIO_MMIO_QUEUE_USED_LOW, USED);
        put(&v.h, bad[i][0], bad[i][1]);
        put(&v.h, VIRTIO_MMIO_QUEUE_READY, 1);
        drive_ok(&v.h);
        put(&v.h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
        assert_int_equal(get(&v.h, VIRTIO_MMIO_STATUS),
                         EVERYTHING | NEEDS_RESET);
        assert_int_equal(v.backend.seen[VHOST_SET_VRING_ADDR], 0);
    }
    /* It is the guest's mistake, not the back end's. */
    assert_string_equal(failure(&v), "");
    bring_up(&v.h, 0);
    assert_int_equal(v.backend.seen[VHOST_SET_VRING_ADDR], 1);
    vhost_tear_down(&v);
}

static void registers_of_a_ring_in_use_do_not_change_it(void **state)
{
    static struct vhost v;
    uint32_t id, len;

    (void)state;
    prepare(&v, 0, TRUTH);
    vhost_attach(&v);
    bring_up(&v.h, 0);
    put(&v.h, VIRTIO_MMIO_QUEUE_SEL, 0);
    put(&v.h, VIRTIO_MMIO_QUEUE_DESC_LOW, 0);
    put(&v.h, VIRTIO_MMIO_QUEUE_READY, 0);
    put(&v.h, VIRTIO_MMIO_QUEUE_READY, 1);
    put(&v.h, VIRTIO_MMIO_QUEUE_NOTIFY, 63);
    put(&v.h, VIRTIO_MMIO_QUEUE_NOTIFY, UINT32_MAX);
    assert_int_equal(v.backend.seen[VHOST_SET_VRING_ADDR], 1);
    assert_int_equal(v.backend.seen[VHOST_GET_VRING_BASE], 0);
    driver_offer_buffer(&v.h.driver, 0, DATA, 16, WRITE);
    put(&v.h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    AWAIT(&v, driver_collect(&v.h.driver, &id, &len));
    vhost_tear_down(&v);
}

/* ---- a process of ours ----------------------------------------------------
 */

static void a_process_that_ends_is_quoted(void **state)
{
    static struct vhost v;
    struct vmm_virtio *virtio;
    struct vmm_error err;
    const char *argv[] = {"sh", "-c", "echo 'disk is on fire' >&2; exit 9",
                          NULL};

    (void)state;
    prepare(&v, 0, TRUTH);
    close(v.backend.front);
    if (vmm_vhost_user_start(argv, &v.config.socket, &v.config.process, &err))
        fail_msg("%s", err.text);
    assert_int_equal(vmm_vhost_user_new(&v.config, &virtio, &err), -ECONNRESET);
    assert_string_equal(
        err.text,
        "test disk: the daemon ended with exit code 9: disk is on fire");
    backend_start(&v.backend);
    vhost_give_up(&v);
}

static void a_process_that_does_not_answer_is_ended(void **state)
{
    static struct vhost v;
    struct vmm_virtio *virtio;
    struct vmm_error err;
    const char *argv[] = {"sleep", "1000", NULL};

    (void)state;
    prepare(&v, 0, HANGS);
    close(v.backend.front);
    if (vmm_vhost_user_start(argv, &v.config.socket, &v.config.process, &err))
        fail_msg("%s", err.text);
    /* It has the socket that ours is connected to, and never accepts. */
    assert_int_equal(vmm_vhost_user_new(&v.config, &virtio, &err), -ETIMEDOUT);
    assert_string_equal(
        err.text,
        "test disk: the daemon has not answered GET_FEATURES within 0.05 s");
    backend_start(&v.backend);
    vhost_give_up(&v);
}

int main(void)
{
#define TEST(name) cmocka_unit_test(name)
    static const struct CMUnitTest tests[] = {
        TEST(a_lie_while_we_get_acquainted_is_an_error),
        TEST(its_text_says_what_was_wrong),
        TEST(a_lie_when_the_driver_is_ready_fails_the_device),
        TEST(a_lie_at_a_reset_fails_the_device),
        TEST(one_that_hangs_holds_a_driver_up_for_its_deadline_only),
        TEST(a_lie_at_a_write_of_the_configuration_fails_the_device),
        TEST(one_that_dies_makes_the_device_ask_for_a_reset),
        TEST(an_unused_one_that_dies_is_told_as_well),
        TEST(a_request_that_is_none_fails_the_device),
        TEST(a_lie_about_the_new_configuration_fails_the_device),
        TEST(calls_without_end_and_a_closed_channel_do_no_harm),
        TEST(a_call_that_it_takes_back_holds_up_nobody),
        TEST(files_that_nobody_asked_for_are_closed),
        TEST(rings_that_are_not_memory_are_not_handed_on),
        TEST(registers_of_a_ring_in_use_do_not_change_it),
        TEST(a_process_that_ends_is_quoted),
        TEST(a_process_that_does_not_answer_is_ended),
    };

    return RUN_OVER_BOTH("hostile vhost-user", tests);
}
