/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Images: a file read whole or bytes borrowed, and what kind they are. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot/boot.h"

void boot_image_set_name(struct vmm_image *image, const char *name)
{
    size_t room = sizeof(image->name) - 1;
    size_t len = strlen(name);

    if (len <= room)
        snprintf(image->name, sizeof(image->name), "%s", name);
    else
        snprintf(image->name, sizeof(image->name), "...%s",
                 name + len - (room - 3));
}

int boot_image_reserve(struct vmm_image *image, uint64_t room_bytes,
                       struct vmm_error *err)
{
    void *pages = mmap(NULL, room_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (pages == MAP_FAILED)
        return vmm_error_errno(err, "%s: cannot allocate %" PRIu64 " bytes",
                               image->name, room_bytes);
    /* A hint only: page faults cost more than what they are taken for. */
    madvise(pages, room_bytes, MADV_HUGEPAGE);
    image->priv = pages;
    image->priv_bytes = room_bytes;
    return 0;
}

/* The size of the regular file behind fd, 1 .. VMM_IMAGE_BYTES_MAX. */
static int file_size(int fd, const char *name, uint64_t *size_bytes,
                     struct vmm_error *err)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return vmm_error_errno(err, "cannot stat %s", name);
    if (S_ISDIR(status.st_mode))
        return vmm_error_set(err, EISDIR, "%s is a directory, not a file",
                             name);
    if (!S_ISREG(status.st_mode))
        return vmm_error_set(err, EINVAL, "%s is not a regular file", name);
    if (status.st_size == 0)
        return vmm_error_set(err, EINVAL, "%s is empty", name);
    *size_bytes = (uint64_t)status.st_size;
    if (*size_bytes > VMM_IMAGE_BYTES_MAX)
        return vmm_error_set(err, EFBIG,
                             "%s has %" PRIu64
                             " bytes; an image may have at most %" PRIu64,
                             name, *size_bytes, VMM_IMAGE_BYTES_MAX);
    return 0;
}

static int read_whole(int fd, const char *name, uint8_t *bytes,
                      uint64_t size_bytes, struct vmm_error *err)
{
    uint64_t done = 0;

    while (done < size_bytes) {
        ssize_t got = read(fd, bytes + done, size_bytes - done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return vmm_error_errno(err, "cannot read %s", name);
        if (got == 0)
            return vmm_error_set(err, EIO,
                                 "%s shrank while it was read: %" PRIu64
                                 " bytes of %" PRIu64,
                                 name, done, size_bytes);
        done += (uint64_t)got;
    }
    return 0;
}

int vmm_image_open(const char *path, struct vmm_image *image,
                   struct vmm_error *err)
{
    int fd, ret;

    vmm_error_clear(err);
    memset(image, 0, sizeof(*image));
    boot_image_set_name(image, path);
    /* O_NONBLOCK: a FIFO must be refused, not waited for. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return vmm_error_errno(err, "cannot open %s", image->name);

    ret = file_size(fd, image->name, &image->size_bytes, err);
    if (ret == 0)
        ret = boot_image_reserve(image, image->size_bytes, err);
    if (ret == 0)
        ret = read_whole(fd, image->name, image->priv, image->size_bytes, err);
    close(fd);
    image->bytes = image->priv;
    if (ret < 0)
        vmm_image_close(image);
    return ret;
}

void vmm_image_borrow(const void *bytes, uint64_t size_bytes, const char *name,
                      struct vmm_image *image)
{
    memset(image, 0, sizeof(*image));
    boot_image_set_name(image, name);
    image->bytes = bytes;
    image->size_bytes = size_bytes;
}

void vmm_image_close(struct vmm_image *image)
{
    if (image->priv)
        munmap(image->priv, image->priv_bytes);
    memset(image, 0, sizeof(*image));
}

enum vmm_image_kind vmm_image_kind(const struct vmm_image *image)
{
    const uint8_t *bytes = image->bytes;

    if (image->size_bytes >= SELFMAG && !memcmp(bytes, ELFMAG, SELFMAG))
        return VMM_IMAGE_ELF;
    if (image->size_bytes >= 0x206 && load_le16(bytes + 0x1fe) == 0xaa55 &&
        !memcmp(bytes + 0x202, "HdrS", 4))
        return VMM_IMAGE_BZIMAGE;
    return VMM_IMAGE_RAW;
}
