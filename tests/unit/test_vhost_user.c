/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Devices of another process, with a back end that does as it should. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/un.h>

#include <cmocka.h>

#include "vhost_driver.h"

#define WRITE VRING_DESC_F_WRITE

static int set_up(void **state)
{
    static struct vhost v;

    vhost_prepare(&v, VIRTIO_ID_BLOCK);
    v.backend.features |= UINT64_C(1) << VIRTIO_BLK_F_FLUSH |
                          UINT64_C(1) << VIRTIO_BLK_F_CONFIG_WCE;
    vhost_attach(&v);
    *state = &v;
    return 0;
}

static int tear_down(void **state)
{
    vhost_tear_down(*state);
    return 0;
}

static uint64_t offered(struct host *h)
{
    put(h, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
    uint64_t high = get(h, VIRTIO_MMIO_DEVICE_FEATURES);
    put(h, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
    return high << 32 | get(h, VIRTIO_MMIO_DEVICE_FEATURES);
}

/* The back end fills a buffer, and the driver is interrupted. */
static void assert_served(struct vhost *v, uint64_t gpa)
{
    unsigned pulses = v->h.wire.pulses;
    uint8_t bytes[16] = {0};
    uint32_t id, len;

    driver_offer_buffer(&v->h.driver, 3, gpa, sizeof(bytes), WRITE);
    put(&v->h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    AWAIT(v,
          v->h.wire.pulses > pulses && driver_collect(&v->h.driver, &id, &len));
    assert_int_equal(id, 3);
    assert_int_equal(len, sizeof(bytes));
    MUST(vmm_memory_read(v->h.driver.memory, gpa, bytes, sizeof(bytes)));
    for (size_t i = 0; i < sizeof(bytes); i++)
        assert_int_equal(bytes[i], FILL);
}

static void the_back_end_serves_the_rings_and_interrupts(void **state)
{
    struct vhost *v = *state;

    bring_up(&v->h, 0);
    assert_served(v, DATA);
    assert_served(v, DATA + 0x100);
    /* Memory beyond the hole is its, too. */
    assert_served(v, ISLAND + 0x800);
    assert_string_equal(failure(v), "");
}

static void it_offers_what_the_back_end_has_and_no_more(void **state)
{
    struct vhost *v = *state;

    assert_int_equal(get(&v->h, VIRTIO_MMIO_DEVICE_ID), 2);
    /* No event index, for the back end has none; no feature of the protocol. */
    assert_int_equal(offered(&v->h), VERSION_1 | INDIRECT_BIT |
                                         UINT64_C(1) << VIRTIO_BLK_F_FLUSH |
                                         UINT64_C(1)
                                             << VIRTIO_BLK_F_CONFIG_WCE);
}

static void the_back_end_is_told_what_the_driver_accepts(void **state)
{
    struct vhost *v = *state;

    bring_up(&v->h, INDIRECT_BIT);
    assert_served(v, DATA);
    vmm_virtio_close(v->h.virtio);
    backend_end(&v->backend);
    assert_int_equal(v->backend.driver_features,
                     VERSION_1 | INDIRECT_BIT | UINT64_C(1) << 30);
    backend_init(&v->backend);
    backend_start(&v->backend);
    close(v->backend.front);
}

static void
a_reset_takes_the_ring_back_and_a_new_start_begins_anew(void **state)
{
    struct vhost *v = *state;

    for (int i = 0; i < 100; i++) {
        bring_up(&v->h, 0);
        assert_served(v, DATA);
        put(&v->h, VIRTIO_MMIO_STATUS, 0);
        assert_int_equal(v->backend.seen[VHOST_GET_VRING_BASE], i + 1);
    }
    assert_int_equal(v->failures, 0);
}

static void a_kick_before_the_driver_is_ready_is_served_then(void **state)
{
    struct vhost *v = *state;
    uint32_t id, len;

    v->h.driver.next = v->h.driver.seen = 0;
    MUST(vmm_memory_fill(v->h.driver.memory, DESC, 0, INDIRECT - DESC));
    negotiate(&v->h, VERSION_1);
    set_up_queue(&v->h, 0, RING_SIZE);
    driver_offer_buffer(&v->h.driver, 0, DATA, 8, WRITE);
    put(&v->h, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
    assert_int_equal(v->backend.served, 0);
    drive_ok(&v->h);
    AWAIT(v, driver_collect(&v->h.driver, &id, &len));
}

/* ---- configuration --------------------------------------------------------
 */

static uint32_t told_at(struct vhost *v, uint32_t offset)
{
    return get(&v->h, VIRTIO_MMIO_CONFIG + offset);
}

static void a_new_configuration_is_read_when_the_back_end_says_so(void **state)
{
    struct vhost *v = *state;
    const struct vhost_header change = {VHOST_BACKEND_CONFIG_CHANGE,
                                        VHOST_VERSION | VHOST_NEED_REPLY, 0};
    struct {
        struct vhost_header header;
        uint32_t status[2];
    } reply;

    bring_up(&v->h, 0);
    assert_int_equal(told_at(v, 0) & 0xff, 0);
    unsigned pulses = v->h.wire.pulses;
    atomic_store(&v->backend.capacity, 77);
    assert_true(atomic_load(&v->backend.has_channel));
    assert_int_equal(
        send(v->backend.channel, &change, sizeof(change), MSG_NOSIGNAL),
        sizeof(change));
    AWAIT(v, (told_at(v, 0) & 0xff) == 77);
    assert_true(v->h.wire.pulses > pulses);
    assert_int_equal(recv(v->backend.channel, &reply, sizeof(reply), 0), 20);
    assert_int_equal(reply.header.flags, VHOST_VERSION | VHOST_REPLY);
    assert_int_equal(reply.status[0], 0);
}

static void a_request_that_we_do_not_know_is_refused(void **state)
{
    struct vhost *v = *state;
    const struct {
        struct vhost_header header;
        uint32_t payload[4];
    } ask = {{77, VHOST_VERSION | VHOST_NEED_REPLY, 16}, {0}};
    struct {
        struct vhost_header header;
        uint32_t status[2];
    } reply = {0};

    /* In two pieces. */
    assert_int_equal(send(v->backend.channel, &ask, 14, MSG_NOSIGNAL), 14);
    vmm_loop_step(v->h.loop, SECOND);
    assert_int_equal(
        send(v->backend.channel, (const uint8_t *)&ask + 14, 14, MSG_NOSIGNAL),
        14);
    AWAIT(v,
          recv(v->backend.channel, &reply, sizeof(reply), MSG_DONTWAIT) == 20);
    assert_int_equal(reply.header.request, 77);
    assert_int_equal(reply.status[0], 1);
    assert_string_equal(failure(v), "");
}

static void
the_driver_may_turn_the_write_cache_off_and_nothing_else(void **state)
{
    struct vhost *v = *state;
    const uint32_t wce = offsetof(struct virtio_blk_config, wce);
    const uint8_t ones[4] = {0xff, 0xff, 0xff, 0xff};

    if (v->h.over_pci)
        return; /* that driver has words only */
    bring_up(&v->h, UINT64_C(1) << VIRTIO_BLK_F_CONFIG_WCE);
    for (uint32_t at = 0; at < 64; at += 4)
        vmm_bus_write(v->h.bus, BASE + VIRTIO_MMIO_CONFIG + at, ones, 4);
    for (uint32_t at = 0; at < 64; at++)
        if (at != wce)
            vmm_bus_write(v->h.bus, BASE + VIRTIO_MMIO_CONFIG + at, ones, 1);
    assert_int_equal(v->backend.seen[VHOST_SET_CONFIG], 0);
    vmm_bus_write(v->h.bus, BASE + VIRTIO_MMIO_CONFIG + wce, ones, 1);
    assert_int_equal(v->backend.seen[VHOST_SET_CONFIG], 1);
    assert_int_equal(v->backend.wce, 0x11);
    assert_int_equal(told_at(v, wce) & 0xff, 1);
}

static void a_file_system_has_its_tag_and_queues(void **state)
{
    static struct vhost v;

    (void)state;
    vhost_prepare(&v, VIRTIO_ID_FS);
    v.config.queues = 2;
    /* What does without any protocol features. */
    v.backend.protocol = 0;
    v.backend.features &= ~(UINT64_C(1) << 30);
    v.backend.enabled = true;
    vhost_attach(&v);
    assert_int_equal(get(&v.h, VIRTIO_MMIO_DEVICE_ID), 26);
    assert_int_equal(told_at(&v, 0), 'd' | 'a' << 8 | 't' << 16 | 'a' << 24);
    assert_int_equal(told_at(&v, 4), 0);
    assert_int_equal(told_at(&v, 36), 2);
    put(&v.h, VIRTIO_MMIO_QUEUE_SEL, 2);
    assert_int_equal(get(&v.h, VIRTIO_MMIO_QUEUE_NUM_MAX), 1024);
    put(&v.h, VIRTIO_MMIO_QUEUE_SEL, 3);
    assert_int_equal(get(&v.h, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
    assert_int_equal(offered(&v.h), VERSION_1 | INDIRECT_BIT);
    bring_up(&v.h, 0);
    assert_served(&v, DATA);
    vhost_tear_down(&v);
}

/* Secure erase and zones have theirs beyond it. */
static void
features_of_a_disk_without_their_configuration_are_not_offered(void **state)
{
    static struct vhost v;

    (void)state;
    vhost_prepare(&v, VIRTIO_ID_BLOCK);
    v.backend.features |= UINT64_C(1) << VIRTIO_BLK_F_WRITE_ZEROES |
                          UINT64_C(1) << 16 | UINT64_C(1) << 17;
    vhost_attach(&v);
    assert_int_equal(offered(&v.h), VERSION_1 | INDIRECT_BIT |
                                        UINT64_C(1)
                                            << VIRTIO_BLK_F_WRITE_ZEROES);
    vhost_tear_down(&v);
}

static void a_disk_has_as_many_queues_as_were_asked_for(void **state)
{
    static struct vhost v;

    (void)state;
    vhost_prepare(&v, VIRTIO_ID_BLOCK);
    v.backend.features |= UINT64_C(1) << VIRTIO_BLK_F_MQ;
    memset(v.backend.config, 0xee, sizeof(v.backend.config));
    v.config.queues = 3;
    vhost_attach(&v);
    const uint32_t at = offsetof(struct virtio_blk_config, num_queues);
    assert_int_equal(told_at(&v, at & ~3u) >> 8 * (at % 4) & 0xffff, 3);
    assert_int_equal(told_at(&v, 60), 0);
    vhost_tear_down(&v);
}

/* ---- what is asked for ----------------------------------------------------
 */

static void assert_refused(struct vhost *v, int code, const char *text)
{
    struct vmm_virtio *virtio;
    struct vmm_error err;

    backend_start(&v->backend);
    assert_int_equal(vmm_vhost_user_new(&v->config, &virtio, &err), code);
    assert_null(virtio);
    assert_string_equal(err.text, text);
    /* Its socket has been closed. */
    pthread_join(v->backend.thread, NULL);
    assert_int_equal(v->failures, 0);
    backend_start(&v->backend);
    vhost_give_up(v);
}

static void memory_that_is_not_shared_is_an_error(void **state)
{
    static struct vhost v;

    (void)state;
    vhost_prepare(&v, VIRTIO_ID_BLOCK);
    driver_tear_down(&v.h.driver);
    driver_shares_memory = false;
    driver_set_up(&v.h.driver, RING_SIZE, 0);
    v.config.memory = v.h.driver.memory;
    assert_refused(&v, -EINVAL,
                   "test disk: guest memory must be shared with the daemon "
                   "(memory.shared)");
}

static void more_queues_than_the_back_end_has_are_an_error(void **state)
{
    static struct vhost v;

    (void)state;
    vhost_prepare(&v, VIRTIO_ID_FS);
    v.config.queues = 4;
    assert_refused(&v, -ENOTSUP,
                   "test disk: the daemon has up to 4 queues, not 5");
    vhost_prepare(&v, VIRTIO_ID_BLOCK);
    v.config.queues = 2; /* and no VIRTIO_BLK_F_MQ */
    assert_refused(&v, -ENOTSUP,
                   "test disk: the daemon has up to 1 queues, not 2");
    vhost_prepare(&v, VIRTIO_ID_BLOCK);
    v.config.queues = 17;
    assert_refused(&v, -EINVAL, "test disk: 17 queues: 1 to 16 are possible");
}

static void a_back_end_that_lacks_what_is_needed_is_an_error(void **state)
{
    static struct vhost v;

    (void)state;
    vhost_prepare(&v, VIRTIO_ID_BLOCK);
    v.backend.features = UINT64_C(1) << 30;
    assert_refused(&v, -ENOTSUP,
                   "test disk: the daemon does not know virtio 1 (features "
                   "0x40000000)");
    vhost_prepare(&v, VIRTIO_ID_BLOCK);
    v.backend.protocol &= ~(UINT64_C(1) << VHOST_PROTOCOL_F_CONFIG);
    assert_refused(&v, -ENOTSUP,
                   "test disk: the daemon does not tell how its disk is: it is "
                   "not one of vhost-user-blk");
}

static void other_devices_have_no_failures(void **state)
{
    struct vmm_virtio *virtio;
    struct vmm_error err;
    struct host h;

    (void)state;
    host_set_up(&h);
    if (vmm_virtio_rng_new(h.driver.memory, h.loop, 0, &virtio, &err))
        fail_msg("%s", err.text);
    assert_int_equal(vmm_vhost_user_failure(virtio, &err), -ENOTTY);
    host_attach(&h, virtio);
    host_tear_down(&h);
}

static void a_socket_that_nobody_listens_on_is_an_error(void **state)
{
    struct vmm_error err;
    int fd;

    (void)state;
    assert_int_equal(vmm_vhost_user_connect("/nowhere/socket", &fd, &err),
                     -ENOENT);
    assert_string_equal(err.text,
                        "cannot connect to /nowhere/socket: No such file or "
                        "directory");
    assert_int_equal(fd, -1);
}

static void one_that_accepts_nobody_is_an_error(void **state)
{
    char path[] = "/tmp/vmm-accepts-XXXXXX";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct vmm_error err;
    int waiting, fd;

    (void)state;
    close(mkstemp(path));
    unlink(path);
    memcpy(address.sun_path, path, sizeof(path));
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    MUST(bind(listener, (const struct sockaddr *)&address, sizeof(address)));
    MUST(listen(listener, 0));
    MUST(vmm_vhost_user_connect(path, &waiting, &err));
    alarm(60); /* one that waits for it ends this program */
    assert_int_equal(vmm_vhost_user_connect(path, &fd, &err), -EAGAIN);
    alarm(0);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, "accepts nobody"));
    assert_int_equal(fd, -1);
    close(waiting);
    close(listener);
    unlink(path);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        TEST(the_back_end_serves_the_rings_and_interrupts),
        TEST(it_offers_what_the_back_end_has_and_no_more),
        TEST(the_back_end_is_told_what_the_driver_accepts),
        TEST(a_reset_takes_the_ring_back_and_a_new_start_begins_anew),
        TEST(a_kick_before_the_driver_is_ready_is_served_then),
        TEST(a_new_configuration_is_read_when_the_back_end_says_so),
        TEST(a_request_that_we_do_not_know_is_refused),
        TEST(the_driver_may_turn_the_write_cache_off_and_nothing_else),
        cmocka_unit_test(a_file_system_has_its_tag_and_queues),
        cmocka_unit_test(
            features_of_a_disk_without_their_configuration_are_not_offered),
        cmocka_unit_test(a_disk_has_as_many_queues_as_were_asked_for),
        cmocka_unit_test(memory_that_is_not_shared_is_an_error),
        cmocka_unit_test(more_queues_than_the_back_end_has_are_an_error),
        cmocka_unit_test(a_back_end_that_lacks_what_is_needed_is_an_error),
        cmocka_unit_test(other_devices_have_no_failures),
        cmocka_unit_test(a_socket_that_nobody_listens_on_is_an_error),
        cmocka_unit_test(one_that_accepts_nobody_is_an_error),
    };

    return RUN_OVER_BOTH("vhost-user", tests);
}
