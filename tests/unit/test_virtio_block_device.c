/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A block device of the host as a disk: a loop device, where there are any. */
#include <errno.h>
#include <linux/loop.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include <cmocka.h>

#include "block_driver.h"

/* The disk's file behind a loop device, whose path the disk gets; the loop
 * device goes with its last user. */
static bool make_loop(struct disk *d)
{
    struct loop_config config = {
        .fd = (uint32_t)d->fd,
        .info = {.lo_flags = LO_FLAGS_AUTOCLEAR},
    };
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    bool made = false;

    for (int i = 0; control >= 0 && i < 10 && !made; i++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        char path[64];

        snprintf(path, sizeof(path), "/dev/loop%d", number);
        int loop = open(path, O_RDWR | O_CLOEXEC);
        if (loop < 0)
            break;
        made = ioctl(loop, LOOP_CONFIGURE, &config) == 0;
        if (made) {
            unlink(d->path);
            memcpy(d->path, path, sizeof(path));
            d->config.path = d->path;
            disk_attach(d);
        }
        close(loop);
    }
    if (control >= 0)
        close(control);
    return made;
}

static int set_up(void **state)
{
    static struct disk d;

    disk_set_up_in(&d, "/dev/shm");
    *state = &d;
    return 0;
}

static int tear_down(void **state)
{
    struct disk *d = *state;

    if (d->path[5] == 'l')
        d->path[0] = 0; /* /dev/loop*: nothing to unlink */
    disk_tear_down(d);
    return 0;
}

static void a_block_device_is_read_written_and_discarded(void **state)
{
    struct disk *d = *state;
    const struct virtio_blk_discard_write_zeroes range = {64, 32, 0};
    struct stat before, after;

    if (!make_loop(d))
        skip();
    bring_up(&d->host, FLUSH_BIT | TRIM_BITS);
    assert_disk_works(d);
    disk_fill(d, 0x42, 8 * SECTOR);
    assert_int_equal(disk_write(d, 16, 8 * SECTOR), VIRTIO_BLK_S_OK);
    assert_int_equal(disk_request(d, VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0),
                     VIRTIO_BLK_S_OK);
    assert_file(d, 16, 0x42);
    assert_file(d, 23, 0x42);

    assert_int_equal(fstat(d->fd, &before), 0);
    MUST(
        vmm_memory_write(d->host.driver.memory, BUFFER, &range, sizeof(range)));
    assert_int_equal(
        disk_request(d, VIRTIO_BLK_T_DISCARD, 0, BUFFER, sizeof(range), OUT),
        VIRTIO_BLK_S_OK);
    assert_int_equal(fstat(d->fd, &after), 0);
    assert_int_equal(before.st_blocks - after.st_blocks, 32);
    assert_int_equal(disk_request(d, VIRTIO_BLK_T_WRITE_ZEROES, 0, BUFFER,
                                  sizeof(range), OUT),
                     VIRTIO_BLK_S_OK);
    assert_file(d, 63, 64);
    assert_file(d, 64, 0);
    assert_file(d, 95, 0);
    assert_file(d, 96, 97);
}

static void a_block_device_cannot_be_made_longer_but_seen_to_be(void **state)
{
    struct disk *d = *state;
    struct vmm_error err;

    if (!make_loop(d))
        skip();
    bring_up(&d->host, FLUSH_BIT);
    assert_int_equal(
        vmm_virtio_block_resize(d->host.virtio, 2 * SECTORS * SECTOR, &err),
        -ENOTSUP);
    assert_int_equal(ftruncate(d->fd, 2 * SECTORS * SECTOR), 0);
    int loop = open(d->path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(ioctl(loop, LOOP_SET_CAPACITY, 0), 0);
    close(loop);
    MUST(vmm_virtio_block_refresh(d->host.virtio, &err));
    assert_int_equal(vmm_virtio_block_size(d->host.virtio),
                     2 * SECTORS * SECTOR);
}

static void a_block_device_that_is_in_use_is_not_written(void **state)
{
    struct disk *d = *state;
    struct vmm_virtio *other;
    struct vmm_error err;

    if (!make_loop(d))
        skip();
    assert_int_equal(vmm_virtio_block_new(&d->config, &other, &err), -EBUSY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_block_device_is_read_written_and_discarded),
        TEST(a_block_device_cannot_be_made_longer_but_seen_to_be),
        TEST(a_block_device_that_is_in_use_is_not_written),
    };

    return RUN_OVER_BOTH("virtio_block_device", tests);
}
