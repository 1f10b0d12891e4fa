/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Packed payloads for the tests of unpacking: made by the tools that the
 * kernel's build uses, wrapped into a bzImage.  (Dictionaries are smaller than
 * the kernel's: its encoders take hundreds of MiB.) */
#ifndef TESTS_UNIT_PACKED_H
#define TESTS_UNIT_PACKED_H

#include <unistd.h>

#include "images.h"

/* Bytes of the ELFs that are packed. */
#define UNPACKED_BYTES 20000

struct buffer {
    uint8_t *bytes;
    size_t size;
};

static inline void append(struct buffer *buffer, const void *bytes, size_t size)
{
    buffer->bytes = realloc(buffer->bytes, buffer->size + size + 1);
    assert_non_null(buffer->bytes);
    memcpy(buffer->bytes + buffer->size, bytes, size);
    buffer->size += size;
}

static inline void append_u32(struct buffer *buffer, uint32_t value)
{
    uint8_t bytes[4];

    store_le32(bytes, value);
    append(buffer, bytes, sizeof(bytes));
}

/* What a command makes of a file with these bytes. */
static inline struct buffer packed_by(const char *command, const uint8_t *bytes,
                                      size_t size)
{
    char path[] = "/tmp/test_unpack.XXXXXX", line[200], chunk[4096];
    struct buffer out = {0};
    int fd = mkstemp(path);
    FILE *pipe;
    size_t got;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
    snprintf(line, sizeof(line), "%s %s", command, path);
    pipe = popen(line, "r");
    assert_non_null(pipe);
    while ((got = fread(chunk, 1, sizeof(chunk), pipe)) > 0)
        append(&out, chunk, got);
    assert_int_equal(pclose(pipe), 0);
    unlink(path);
    return out;
}

/* An ELF of size bytes: the mini vmlinux, then bytes that pack badly. */
static inline struct buffer elf_of(size_t size)
{
    struct buffer elf = {malloc(size), size};
    uint32_t random = 1;

    assert_non_null(elf.bytes);
    for (size_t i = 0; i < size; i++) {
        random = random * 1664525 + 1013904223;
        elf.bytes[i] = (uint8_t)(random >> 24);
    }
    put_elf(elf.bytes);
    return elf;
}

/* A bzImage around a payload, which it frees. */
static inline struct vmm_image bzimage_of(struct buffer *payload,
                                          uint32_t init_size)
{
    size_t size = BZIMAGE_BYTES(payload->size);
    uint8_t *bytes = malloc(size);
    struct vmm_image image;

    assert_non_null(bytes);
    put_bzimage(bytes, payload->bytes, payload->size);
    store_le32(bytes + 0x260, init_size);
    vmm_image_borrow(bytes, size, "bzImage", &image);
    free(payload->bytes);
    return image;
}

static inline void expect_unpacked(struct buffer *payload, uint32_t init_size,
                                   const uint8_t *want, size_t size)
{
    struct vmm_image image = bzimage_of(payload, init_size);
    struct vmm_image vmlinux;
    struct vmm_error err;

    expect_success(vmm_bzimage_unpack(&image, &vmlinux, &err), &err);
    assert_int_equal(vmlinux.size_bytes, size);
    assert_memory_equal(vmlinux.bytes, want, size);
    assert_string_equal(vmlinux.name, "bzImage (unpacked)");
    vmm_image_close(&vmlinux);
    free_image(&image);
}

static inline void expect_refused(struct buffer *payload, uint32_t init_size,
                                  int code, const char *text)
{
    struct vmm_image image = bzimage_of(payload, init_size);
    struct vmm_image vmlinux;
    struct vmm_error err;

    expect_failure(vmm_bzimage_unpack(&image, &vmlinux, &err), &err, code,
                   text);
    assert_null(vmlinux.priv);
    assert_null(vmlinux.bytes);
    free_image(&image);
}

#endif
