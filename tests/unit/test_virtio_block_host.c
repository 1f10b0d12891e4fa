/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What a block device asks of its host, seen by a host that refuses just that:
 * a process with a seccomp filter. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "block_driver.h"

/* A system call that fails with EIO, if its last argument is value (-1: is
 * anything). */
struct refusal {
    uint32_t number;
    int value;
};

enum { FINE, NO_SECCOMP, WRONG };

static bool refuse(const struct refusal *refusal)
{
    const uint8_t other = refusal->value < 0 ? 1 : 3;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refusal->number, 0, other),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 offsetof(struct seccomp_data, args[5])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)refusal->value, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };

    if (refusal->value < 0) {
        filter[2] = filter[4];
        filter[3] = filter[5];
    }
    struct sock_fprog program = {sizeof(filter) / sizeof(*filter), filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* Run check in a process of its own, which has a disk and the refusal. */
static void assert_with(struct disk *d, const struct refusal *refusal,
                        bool (*check)(struct disk *d))
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        if (!refuse(refusal))
            _exit(NO_SECCOMP);
        host_set_up(&d->host); /* it has none of its parent's guest memory */
        disk_attach(d);
        _exit(check(d) ? FINE : WRONG);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == NO_SECCOMP)
        skip();
    assert_int_equal(WEXITSTATUS(status), FINE);
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

    disk_attach(d); /* what the tear-down takes apart */
    disk_tear_down(d);
    return 0;
}

static bool has_threads(struct disk *d)
{
    bring_up(&d->host, FLUSH_BIT);
    return strcmp(vmm_virtio_block_engine(d->host.virtio), "threads") == 0 &&
           disk_read(d, 7, SECTOR) == VIRTIO_BLK_S_OK;
}

static void a_host_without_io_uring_has_threads(void **state)
{
    assert_with(*state, &(struct refusal){SYS_io_uring_setup, -1}, has_threads);
}

static bool tells_of_a_failed_flush(struct disk *d)
{
    bring_up(&d->host, FLUSH_BIT);
    return disk_write(d, 1, SECTOR) == VIRTIO_BLK_S_OK &&
           disk_request(d, VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0) ==
               VIRTIO_BLK_S_IOERR &&
           disk_read(d, 7, SECTOR) == VIRTIO_BLK_S_OK;
}

static void a_flush_is_answered_once_the_host_has_synced(void **state)
{
    struct disk *d = *state;

    d->config.threads = true;
    assert_with(d, &(struct refusal){SYS_fdatasync, -1},
                tells_of_a_failed_flush);
}

/* Of the writes of a driver that does not flush, and of one that has chosen
 * not to, each is synced; others are not. */
static bool syncs_writes_where_it_should(struct disk *d)
{
    const uint64_t by_choice = FLUSH_BIT | UINT64_C(1)
                                               << VIRTIO_BLK_F_CONFIG_WCE;
    const uint8_t through = 0;

    bring_up(&d->host, FLUSH_BIT);
    if (disk_write(d, 1, SECTOR) != VIRTIO_BLK_S_OK)
        return false;
    bring_up(&d->host, 0);
    if (disk_write(d, 1, SECTOR) != VIRTIO_BLK_S_IOERR)
        return false;
    bring_up(&d->host, by_choice);
    if (disk_write(d, 1, SECTOR) != VIRTIO_BLK_S_OK)
        return false;
    vmm_bus_write(
        d->host.bus,
        config_byte(&d->host, offsetof(struct virtio_blk_config, wce)),
        &through, 1);
    return disk_write(d, 1, SECTOR) == VIRTIO_BLK_S_IOERR;
}

static void writes_are_synced_for_a_driver_that_does_not_flush(void **state)
{
    struct disk *d = *state;

    d->config.threads = true;
    assert_with(d, &(struct refusal){SYS_pwritev2, RWF_DSYNC},
                syncs_writes_where_it_should);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_host_without_io_uring_has_threads),
        TEST(a_flush_is_answered_once_the_host_has_synced),
        TEST(writes_are_synced_for_a_driver_that_does_not_flush),
    };

    return RUN_OVER_BOTH("virtio_block_host", tests);
}
