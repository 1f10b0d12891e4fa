/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A driver of a block device over a file of the test's own. */
#ifndef BLOCK_DRIVER_H
#define BLOCK_DRIVER_H

#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vmm/virtio_block.h>

#include "virtio_driver.h"

#define SECTOR  512u
#define SECTORS 256u /* of the disk */

/* Where a request's parts are in guest memory. */
#define HEADER DATA
#define STATUS (DATA + 0x800)
#define BUFFER (DATA + 0x1000)

#define FLUSH_BIT (UINT64_C(1) << VIRTIO_BLK_F_FLUSH)
#define TRIM_BITS                                                              \
    (UINT64_C(1) << VIRTIO_BLK_F_DISCARD | UINT64_C(1)                         \
                                               << VIRTIO_BLK_F_WRITE_ZEROES)

struct disk {
    struct host host;
    char path[64];
    int fd; /* of the file, for the test to look at */
    struct vmm_virtio_block_config config;
};

static inline void disk_file(struct disk *d, const char *folder)
{
    snprintf(d->path, sizeof(d->path), "%s/vmm-block-XXXXXX", folder);
    d->fd = mkstemp(d->path);
    assert_true(d->fd >= 0);
    for (unsigned i = 0; i < SECTORS; i++) {
        uint8_t bytes[SECTOR];

        memset(bytes, (int)(i + 1), SECTOR);
        assert_int_equal(pwrite(d->fd, bytes, SECTOR, i * SECTOR), SECTOR);
    }
}

/* With what the test has set in d->config. */
static inline void disk_attach(struct disk *d)
{
    struct vmm_virtio *virtio;
    struct vmm_error err;

    d->config.memory = d->host.driver.memory;
    d->config.loop = d->host.loop;
    d->config.path = d->path;
    if (!d->config.queues)
        d->config.queues = 1;
    if (vmm_virtio_block_new(&d->config, &virtio, &err))
        fail_msg("%s", err.text);
    host_attach(&d->host, virtio);
}

static inline void disk_set_up_in(struct disk *d, const char *folder)
{
    host_set_up(&d->host);
    d->config = (struct vmm_virtio_block_config){0};
    disk_file(d, folder);
}

static inline void disk_tear_down(struct disk *d)
{
    host_tear_down(&d->host);
    close(d->fd);
    unlink(d->path);
}

/* Wait until the device has given a chain back. */
static inline void disk_await(struct disk *d, uint32_t *id, uint32_t *len)
{
    struct pollfd loop = {vmm_loop_fd(d->host.loop), POLLIN, 0};

    serve(&d->host);
    while (!driver_collect(&d->host.driver, id, len)) {
        assert_int_equal(poll(&loop, 1, 10000), 1);
        serve(&d->host);
    }
}

static inline void disk_header(struct disk *d, uint32_t type, uint64_t sector)
{
    struct virtio_blk_outhdr header = {.type = type, .sector = sector};

    MUST(vmm_memory_write(d->host.driver.memory, HEADER, &header,
                          sizeof(header)));
    MUST(vmm_memory_fill(d->host.driver.memory, STATUS, 0xee, 1));
}

static inline uint8_t disk_status(struct disk *d)
{
    uint8_t status;

    MUST(vmm_memory_load_u8(d->host.driver.memory, STATUS, &status));
    return status;
}

#define OUT VRING_DESC_F_NEXT
#define IN  (VRING_DESC_F_NEXT | VRING_DESC_F_WRITE)

/* Offer header, data (len 0: none) and status as descriptors 0, 1, 2. */
static inline void disk_offer(struct disk *d, uint32_t type, uint64_t sector,
                              uint64_t gpa, uint32_t len, uint16_t flags)
{
    struct driver *driver = &d->host.driver;

    disk_header(d, type, sector);
    driver_desc(driver, 0, HEADER, 16, OUT, len ? 1 : 2);
    driver_desc(driver, 1, gpa, len, flags, 2);
    driver_desc(driver, 2, STATUS, 1, VRING_DESC_F_WRITE, 0);
    driver_offer(driver, 0);
    put(&d->host, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
}

/* Carry a request out; returns its status. */
static inline uint8_t disk_request(struct disk *d, uint32_t type,
                                   uint64_t sector, uint64_t gpa, uint32_t len,
                                   uint16_t flags)
{
    uint32_t id = 99, used;

    disk_offer(d, type, sector, gpa, len, flags);
    disk_await(d, &id, &used);
    assert_int_equal(id, 0);
    return disk_status(d);
}

static inline uint8_t disk_read(struct disk *d, uint64_t sector, uint32_t len)
{
    return disk_request(d, VIRTIO_BLK_T_IN, sector, BUFFER, len, IN);
}

static inline uint8_t disk_write(struct disk *d, uint64_t sector, uint32_t len)
{
    return disk_request(d, VIRTIO_BLK_T_OUT, sector, BUFFER, len, OUT);
}

static inline void disk_fill(struct disk *d, uint8_t byte, uint32_t len)
{
    MUST(vmm_memory_fill(d->host.driver.memory, BUFFER, byte, len));
}

static inline void assert_buffer(struct disk *d, uint32_t offset, uint8_t byte)
{
    uint8_t value;

    MUST(vmm_memory_load_u8(d->host.driver.memory, BUFFER + offset, &value));
    assert_int_equal(value, byte);
}

/* What a sector of the file begins and ends with. */
static inline void assert_file(struct disk *d, uint64_t sector, uint8_t byte)
{
    uint8_t bytes[SECTOR];

    assert_int_equal(pread(d->fd, bytes, SECTOR, (off_t)(sector * SECTOR)),
                     SECTOR);
    assert_int_equal(bytes[0], byte);
    assert_int_equal(bytes[SECTOR - 1], byte);
}

/* A valid request works. */
static inline void assert_disk_works(struct disk *d)
{
    disk_fill(d, 0, SECTOR);
    assert_int_equal(disk_read(d, 7, SECTOR), VIRTIO_BLK_S_OK);
    assert_buffer(d, 0, 8);
    assert_buffer(d, SECTOR - 1, 8);
}

#endif
