/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The file behind a block device: opened, locked, measured. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arith.h"
#include "virtio/block.h"

/* What file systems ask of direct I/O, at most. */
#define DIRECT_BYTES_MAX 4096u

/* ---- open -----------------------------------------------------------------
 */

static int check_kind(const struct block_file *file, const struct stat *st,
                      struct vmm_error *err)
{
    if (S_ISDIR(st->st_mode))
        return vmm_error_set(err, EISDIR, "%s: is a directory", file->path);
    if (!S_ISBLK(st->st_mode) && !S_ISREG(st->st_mode))
        return vmm_error_set(err, EINVAL,
                             "%s: is neither a file nor a block device",
                             file->path);
    return 0;
}

static int refuse(const struct block_file *file, struct vmm_error *err)
{
    if (errno == EINVAL && file->direct)
        return vmm_error_set(
            err, EINVAL, "%s: its file system has no direct I/O", file->path);
    if ((errno == EACCES || errno == EROFS) && !file->read_only)
        return vmm_error_errno(err, "%s: cannot be opened for writing",
                               file->path);
    return vmm_error_errno(err, "%s: cannot be opened", file->path);
}

/* O_EXCL: a block device that is mounted, say, is not to be written.
 * O_NONBLOCK: should it be another file by now, a FIFO that waits, say. */
static int open_path(struct block_file *file, struct stat *st,
                     struct vmm_error *err)
{
    int flags = O_CLOEXEC | O_NONBLOCK | O_NOCTTY |
                (file->read_only ? O_RDONLY : O_RDWR) |
                (file->direct ? O_DIRECT : 0);

    if (stat(file->path, st))
        return refuse(file, err);
    int rc = check_kind(file, st, err);
    if (rc)
        return rc;
    file->block_device = S_ISBLK(st->st_mode);
    if (file->block_device && !file->read_only)
        flags |= O_EXCL;
    file->fd = open(file->path, flags);
    if (file->fd < 0)
        return refuse(file, err);
    if (fstat(file->fd, st))
        return vmm_error_errno(err, "%s: fstat", file->path);
    if (S_ISBLK(st->st_mode) != file->block_device)
        return vmm_error_set(err, EINVAL, "%s: has been replaced", file->path);
    if (fcntl(file->fd, F_SETFL, flags & ~O_NONBLOCK))
        return vmm_error_errno(err, "%s: fcntl", file->path);
    return check_kind(file, st, err);
}

/* A lock of the open file: also against another disk of this process. */
static int lock(const struct block_file *file, struct vmm_error *err)
{
    struct flock range = {.l_type =
                              (short)(file->read_only ? F_RDLCK : F_WRLCK),
                          .l_whence = SEEK_SET};

    if (fcntl(file->fd, F_OFD_SETLK, &range) == 0)
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return vmm_error_set(err, EBUSY,
                             file->read_only
                                 ? "%s: is in use: somebody writes it"
                                 : "%s: is in use: somebody reads or writes it",
                             file->path);
    return vmm_error_errno(err, "%s: cannot be locked", file->path);
}

/* ---- geometry -------------------------------------------------------------
 */

/* The smallest unit that direct reads take: tried, as not all hosts tell. */
static int probe_direct(struct block_file *file, struct vmm_error *err)
{
    void *buffer;

    if (posix_memalign(&buffer, DIRECT_BYTES_MAX, DIRECT_BYTES_MAX))
        return vmm_error_set(err, ENOMEM, "%s: out of memory", file->path);
    while (file->logical_bytes <= DIRECT_BYTES_MAX &&
           pread(file->fd, buffer, file->logical_bytes, 0) < 0 &&
           errno == EINVAL)
        file->logical_bytes *= 2;
    free(buffer);
    if (file->logical_bytes <= DIRECT_BYTES_MAX)
        return 0;
    return vmm_error_set(err, EINVAL, "%s: its file system has no direct I/O",
                         file->path);
}

static int find_geometry(struct block_file *file, const struct stat *st,
                         struct vmm_error *err)
{
    uint32_t physical = (uint32_t)min_u64((uint64_t)st->st_blksize, 65536);
    int logical;

    file->logical_bytes = SECTOR_BYTES;
    if (file->block_device) {
        if (ioctl(file->fd, BLKSSZGET, &logical) ||
            ioctl(file->fd, BLKPBSZGET, &physical))
            return vmm_error_errno(err, "%s: its block size", file->path);
        file->logical_bytes =
            (uint32_t)max_u64((uint64_t)logical, SECTOR_BYTES);
    }
    int rc = file->direct ? probe_direct(file, err) : 0;
    if (rc)
        return rc;
    /* Both are powers of two for the driver. */
    file->physical_bytes = file->logical_bytes;
    while (file->physical_bytes * 2 <= physical)
        file->physical_bytes *= 2;
    return 0;
}

int block_file_measure(const struct block_file *file, uint64_t *size,
                       struct vmm_error *err)
{
    struct stat st;

    if (file->fd < 0)
        return vmm_error_set(err, EBADF, "the disk is closed");
    if (file->block_device) {
        if (ioctl(file->fd, BLKGETSIZE64, size))
            return vmm_error_errno(err, "%s: its size", file->path);
    } else {
        if (fstat(file->fd, &st))
            return vmm_error_errno(err, "%s: its size", file->path);
        *size = (uint64_t)st.st_size;
    }
    if (*size % file->logical_bytes)
        return vmm_error_set(
            err, EINVAL, "%s: its %llu bytes are no multiple of %u", file->path,
            (unsigned long long)*size, file->logical_bytes);
    return 0;
}

int block_file_truncate(const struct block_file *file, uint64_t size,
                        struct vmm_error *err)
{
    if (file->fd < 0)
        return vmm_error_set(err, EBADF, "the disk is closed");
    if (file->read_only)
        return vmm_error_set(err, EROFS, "%s: the disk is read-only",
                             file->path);
    if (file->block_device)
        return vmm_error_set(
            err, ENOTSUP, "%s: a block device has the size it has", file->path);
    if (size % file->logical_bytes || size > INT64_MAX)
        return vmm_error_set(err, EINVAL,
                             "%s: %llu bytes are no multiple of %u", file->path,
                             (unsigned long long)size, file->logical_bytes);
    if (ftruncate(file->fd, (off_t)size))
        return vmm_error_errno(err, "%s: cannot become %llu bytes long",
                               file->path, (unsigned long long)size);
    return 0;
}

/* ---- life -----------------------------------------------------------------
 */

int block_file_open(const struct vmm_virtio_block_config *config,
                    struct block_file *file, struct vmm_error *err)
{
    struct stat st;

    vmm_error_clear(err);
    *file = (struct block_file){.fd = -1,
                                .read_only = config->read_only,
                                .direct = config->direct,
                                .path = strdup(config->path)};
    if (!file->path)
        return vmm_error_set(err, ENOMEM, "%s: out of memory", config->path);
    int rc = open_path(file, &st, err);
    if (rc == 0)
        rc = lock(file, err);
    if (rc == 0)
        rc = find_geometry(file, &st, err);
    if (rc == 0)
        rc = block_file_measure(file, &file->size, err);
    if (rc)
        block_file_close(file);
    return rc;
}

void block_file_close(struct block_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    free(file->path);
    file->fd = -1;
    file->path = NULL;
}
