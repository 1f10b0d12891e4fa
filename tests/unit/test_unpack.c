/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Payloads: every format comes back whole, made by the tools that the kernel's
 * build uses; bad ones are refused and bombs are bounded.  (Dictionaries are
 * smaller than the kernel's: its encoders take hundreds of MiB.) */
#include "images.h"

#include <errno.h>
#include <unistd.h>

struct format {
    const char *name;
    const char *command; /* packs the file whose name is appended */
    bool carries_size;   /* in itself: the build appends none */
    /* One byte that spoils it, and the offset in the file named for that. */
    size_t spoiled_byte;
    uint8_t spoiled_value;
    unsigned spoiled_offset;
};

static const struct format formats[] = {
    /* byte 2 is the method; zlib reads it with the flags */
    {"gzip", "gzip -n -9 -c", true, 2, 9, BZIMAGE_PAYLOAD + 4},
    /* the stream flags, within the stream header's 12 bytes */
    {"xz", "xz --check=crc32 --x86 --lzma2=dict=1MiB -c", false, 7, 0xff,
     BZIMAGE_PAYLOAD + 12},
    /* the range coder's first byte, after the 13 of the header */
    {"lzma", "xz --format=lzma --lzma1=dict=1MiB -c", false, 13, 0xff,
     BZIMAGE_PAYLOAD + 13},
    /* the block size, '1' to '9' */
    {"bzip2", "bzip2 -9 -c", false, 3, '0', BZIMAGE_PAYLOAD + 4},
    /* the first block's size, beyond what 8 MiB can need */
    {"lz4", "lz4 -l -9 -q -c", false, 7, 0xff, BZIMAGE_PAYLOAD + 8},
    /* a reserved bit of the frame header */
    {"zstd", "zstd -19 -q -c", false, 4, 0x08, BZIMAGE_PAYLOAD},
};

struct buffer {
    uint8_t *bytes;
    size_t size;
};

static void append(struct buffer *buffer, const void *bytes, size_t size)
{
    buffer->bytes = realloc(buffer->bytes, buffer->size + size + 1);
    assert_non_null(buffer->bytes);
    memcpy(buffer->bytes + buffer->size, bytes, size);
    buffer->size += size;
}

static void append_u32(struct buffer *buffer, uint32_t value)
{
    uint8_t bytes[4];

    store_le32(bytes, value);
    append(buffer, bytes, sizeof(bytes));
}

/* What a command makes of a file with these bytes. */
static struct buffer packed_by(const char *command, const uint8_t *bytes,
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

/* As the kernel's build does it: packed, and the size appended. */
static struct buffer pack(const struct format *format, const uint8_t *bytes,
                          size_t size)
{
    struct buffer packed = packed_by(format->command, bytes, size);

    if (!format->carries_size)
        append_u32(&packed, (uint32_t)size);
    return packed;
}

/* An ELF of size bytes: the mini vmlinux, then bytes that pack badly. */
static struct buffer elf_of(size_t size)
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
static struct vmm_image bzimage_of(struct buffer *payload, uint32_t init_size)
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

static void expect_unpacked(struct buffer *payload, uint32_t init_size,
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

static void expect_refused(struct buffer *payload, uint32_t init_size, int code,
                           const char *text)
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

/* ---- each format -----------------------------------------------------------
 */

#define SIZE 20000

static void comes_back_whole(void **state)
{
    const struct format *format = *state;
    struct buffer elf = elf_of(SIZE);
    struct buffer packed = pack(format, elf.bytes, SIZE);

    expect_unpacked(&packed, BZIMAGE_INIT_SIZE, elf.bytes, SIZE);
    free(elf.bytes);
}

static void comes_back_without_the_size_appended(void **state)
{
    const struct format *format = *state;
    struct buffer elf = elf_of(SIZE);
    struct buffer packed = packed_by(format->command, elf.bytes, SIZE);

    expect_unpacked(&packed, BZIMAGE_INIT_SIZE, elf.bytes, SIZE);
    free(elf.bytes);
}

static void may_fill_init_size(void **state)
{
    const struct format *format = *state;
    struct buffer elf = elf_of(SIZE);
    struct buffer packed = pack(format, elf.bytes, SIZE);

    expect_unpacked(&packed, SIZE, elf.bytes, SIZE);
    free(elf.bytes);
}

static void must_not_exceed_init_size(void **state)
{
    const struct format *format = *state;
    struct buffer elf = elf_of(SIZE);
    struct buffer packed = pack(format, elf.bytes, SIZE);
    char text[200];

    snprintf(text, sizeof(text),
             "bzImage: the %s payload at offset 0x700 unpacks to more than "
             "0x4e1f bytes, the limit (init_size, offset 0x260, and at most "
             "1 GiB)",
             format->name);
    expect_refused(&packed, SIZE - 1, EFBIG, text);
    free(elf.bytes);
}

static void bomb_is_bounded(void **state)
{
    const struct format *format = *state;
    size_t size = 16u << 20;
    uint8_t *zeros = calloc(1, size);
    struct buffer packed = pack(format, zeros, size);
    char text[200];

    snprintf(text, sizeof(text),
             "bzImage: the %s payload at offset 0x700 unpacks to more than "
             "0x100000 bytes, the limit (init_size, offset 0x260, and at most "
             "1 GiB)",
             format->name);
    expect_refused(&packed, BZIMAGE_INIT_SIZE, EFBIG, text);
    free(zeros);
}

static void cut_short_is_refused(void **state)
{
    const struct format *format = *state;
    struct buffer elf = elf_of(SIZE);
    struct buffer packed = packed_by(format->command, elf.bytes, SIZE);
    char text[200];

    packed.size = 0x1000;
    snprintf(text, sizeof(text),
             "bzImage: the %s payload at offset 0x700 is cut short: its 0x1000 "
             "bytes end amid compressed data",
             format->name);
    expect_refused(&packed, BZIMAGE_INIT_SIZE, ENOEXEC, text);
    free(elf.bytes);
}

static void spoiled_is_refused(void **state)
{
    const struct format *format = *state;
    struct buffer elf = elf_of(SIZE);
    struct buffer packed = pack(format, elf.bytes, SIZE);
    char text[200];

    packed.bytes[format->spoiled_byte] = format->spoiled_value;
    snprintf(text, sizeof(text),
             "bzImage: the %s payload at offset 0x700 is corrupt near offset "
             "0x%x",
             format->name, format->spoiled_offset);
    expect_refused(&packed, BZIMAGE_INIT_SIZE, ENOEXEC, text);
    free(elf.bytes);
}

static void wrong_size_appended_is_refused(void **state)
{
    const struct format *format = *state;
    struct buffer elf = elf_of(SIZE);
    struct buffer packed = packed_by(format->command, elf.bytes, SIZE);
    char text[200];

    snprintf(text, sizeof(text),
             "bzImage: the size at offset 0x%zx says 0x4e21 bytes, but the %s "
             "payload unpacked to 0x4e20",
             BZIMAGE_PAYLOAD + packed.size, format->name);
    append_u32(&packed, SIZE + 1);
    expect_refused(&packed, BZIMAGE_INIT_SIZE, ENOEXEC, text);
    free(elf.bytes);
}

static void payload_that_is_no_elf_is_refused(void **state)
{
    const struct format *format = *state;
    static const uint8_t zeros[100];
    struct buffer packed = pack(format, zeros, sizeof(zeros));
    char text[200];

    snprintf(text, sizeof(text),
             "bzImage: the %s payload at offset 0x700 does not hold an ELF "
             "file",
             format->name);
    expect_refused(&packed, BZIMAGE_INIT_SIZE, ENOEXEC, text);
}

/* Any single byte wrong: refused, or unpacked within bounds (not all formats
 * carry a checksum); ASan watches. */
static void any_byte_spoiled_stays_in_bounds(void **state)
{
    const struct format *format = *state;
    struct buffer elf = elf_of(ELF_BYTES);
    struct buffer packed = pack(format, elf.bytes, ELF_BYTES);

    for (size_t i = 0; i < packed.size; i++) {
        struct buffer spoiled = {0};
        struct vmm_image image, vmlinux;

        append(&spoiled, packed.bytes, packed.size);
        spoiled.bytes[i] ^= 0x55;
        image = bzimage_of(&spoiled, 0x2000);
        if (vmm_bzimage_unpack(&image, &vmlinux, NULL) == 0 &&
            vmlinux.size_bytes > 0x2000)
            fail_msg("%s: 0x%zx bytes unpacked with byte %zu spoiled",
                     format->name, (size_t)vmlinux.size_bytes, i);
        vmm_image_close(&vmlinux);
        free_image(&image);
    }
    free(packed.bytes);
    free(elf.bytes);
}

/* ---- single formats --------------------------------------------------------
 */

static void bytes_after_the_data_are_refused(void **state)
{
    struct buffer elf = elf_of(SIZE);
    struct buffer packed = packed_by("gzip -n -9 -c", elf.bytes, SIZE);
    char text[200];
    (void)state;

    snprintf(
        text, sizeof(text),
        "bzImage: 0x5 bytes follow the gzip data at offset 0x%zx; only the "
        "size (4 bytes) may",
        BZIMAGE_PAYLOAD + packed.size);
    append(&packed, "hello", 5);
    expect_refused(&packed, BZIMAGE_INIT_SIZE, ENOEXEC, text);
    free(elf.bytes);
}

static void wrong_gzip_checksum_is_refused(void **state)
{
    struct buffer elf = elf_of(SIZE);
    struct buffer packed = packed_by("gzip -n -9 -c", elf.bytes, SIZE);
    char text[200];
    (void)state;

    packed.bytes[packed.size - 8] ^= 1;
    /* The checksum has been read, the size after it has not. */
    snprintf(text, sizeof(text),
             "bzImage: the gzip payload at offset 0x700 is corrupt near offset "
             "0x%zx",
             BZIMAGE_PAYLOAD + packed.size - 4);
    expect_refused(&packed, BZIMAGE_INIT_SIZE, ENOEXEC, text);
    free(elf.bytes);
}

static void lz4_of_many_blocks_comes_back_whole(void **state)
{
    size_t size = (16u << 20) + 5; /* three blocks of at most 8 MiB */
    struct buffer elf = {calloc(1, size), size}, packed;
    (void)state;

    put_elf(elf.bytes);
    for (size_t at = ELF_BYTES; at < size - 4; at += 4096)
        store_le32(elf.bytes + at, (uint32_t)at);
    packed = packed_by("lz4 -l -1 -q -c", elf.bytes, size);
    append_u32(&packed, (uint32_t)size);
    expect_unpacked(&packed, 32u << 20, elf.bytes, size);
    free(elf.bytes);
}

static void lz4_frames_in_a_row_are_one(void **state)
{
    struct buffer elf = elf_of(SIZE);
    struct buffer packed = packed_by("lz4 -l -q -c", elf.bytes, 10000);
    struct buffer second = packed_by("lz4 -l -q -c", elf.bytes + 10000, 10000);
    (void)state;

    append(&packed, second.bytes, second.size);
    append_u32(&packed, SIZE);
    expect_unpacked(&packed, BZIMAGE_INIT_SIZE, elf.bytes, SIZE);
    free(second.bytes);
    free(elf.bytes);
}

static void broken_lz4_block_is_refused(void **state)
{
    struct buffer packed = {0};
    (void)state;

    append_u32(&packed, 0x184c2102);
    append_u32(&packed, 8);
    append(&packed,
           "\x04"
           "1234567",
           8); /* a match before the beginning */
    expect_refused(&packed, 32u << 20, ENOEXEC,
                   "bzImage: the lz4 payload at offset 0x700 is corrupt near "
                   "offset 0x708");
}

static void lz4_block_past_the_end_is_refused(void **state)
{
    struct buffer packed = {0};
    (void)state;

    append_u32(&packed, 0x184c2102);
    append_u32(&packed, 0x100);
    append_u32(&packed, 0);
    expect_refused(&packed, BZIMAGE_INIT_SIZE, ENOEXEC,
                   "bzImage: the lz4 payload at offset 0x700 is cut short: its "
                   "0xc bytes end amid compressed data");
}

static void xz_dictionary_beyond_the_limit_is_refused(void **state)
{
    struct buffer elf = elf_of(SIZE);
    struct buffer packed =
        packed_by("xz --lzma2=preset=0,dict=256MiB -c", elf.bytes, SIZE);
    (void)state;

    expect_refused(&packed, BZIMAGE_INIT_SIZE, ENOMEM,
                   "bzImage: not enough memory to unpack the xz payload at "
                   "offset 0x700");
    free(elf.bytes);
}

static void plain_elf_is_copied(void **state)
{
    struct buffer elf = elf_of(SIZE), payload = {0};
    (void)state;

    append(&payload, elf.bytes, SIZE);
    expect_unpacked(&payload, SIZE, elf.bytes, SIZE);
    free(elf.bytes);
}

static void plain_elf_loses_the_size_appended(void **state)
{
    struct buffer elf = elf_of(SIZE), payload = {0};
    (void)state;

    append(&payload, elf.bytes, SIZE);
    append_u32(&payload, SIZE);
    expect_unpacked(&payload, SIZE, elf.bytes, SIZE);
    free(elf.bytes);
}

static void plain_elf_beyond_init_size_is_refused(void **state)
{
    struct buffer elf = elf_of(SIZE);
    (void)state;

    expect_refused(&elf, SIZE - 2, EFBIG,
                   "bzImage: the elf payload at offset 0x700 unpacks to more "
                   "than 0x4e1e bytes, the limit (init_size, offset 0x260, and "
                   "at most 1 GiB)");
}

static void lzo_is_named_but_not_unpacked(void **state)
{
    struct buffer payload = {0};
    (void)state;

    append(&payload, "\x89LZO\0\r\n\x1a\n", 9);
    expect_refused(&payload, BZIMAGE_INIT_SIZE, ENOTSUP,
                   "bzImage: the payload at offset 0x700 has format lzo, which "
                   "cannot be unpacked here");
}

static void unknown_format_is_refused(void **state)
{
    struct buffer payload = {0};
    (void)state;

    append(&payload, "what is it?", 11);
    expect_refused(&payload, BZIMAGE_INIT_SIZE, ENOTSUP,
                   "bzImage: the payload at offset 0x700 has an unknown "
                   "format");
}

static void image_without_payload_is_refused(void **state)
{
    struct buffer payload = {0};
    struct vmm_image image, vmlinux;
    struct vmm_error err;
    (void)state;

    append(&payload, "x", 1);
    image = bzimage_of(&payload, BZIMAGE_INIT_SIZE);
    memset((uint8_t *)(uintptr_t)image.bytes + 0x248, 0, 4);
    expect_failure(vmm_bzimage_unpack(&image, &vmlinux, &err), &err, ENOTSUP,
                   "bzImage: payload_offset (offset 0x248) is 0: no payload to "
                   "unpack");
    free_image(&image);
}

static void unpacked_vmlinux_loads_and_relocates(void **state)
{
    struct buffer elf = {malloc(ELF_BYTES), ELF_BYTES};
    struct vmm_memory *memory = memory_of(0, 0x1000000);
    struct vmm_image image, vmlinux;
    struct vmm_elf_info info;
    struct buffer packed;
    struct vmm_error err;
    uint64_t field;
    (void)state;

    put_elf(elf.bytes);
    packed = pack(&formats[4], elf.bytes, elf.size);
    image = bzimage_of(&packed, BZIMAGE_INIT_SIZE);
    expect_success(vmm_bzimage_unpack(&image, &vmlinux, &err), &err);
    expect_success(vmm_elf_load(&vmlinux, memory, 0, 0x200000, &info, &err),
                   &err);
    expect_success(vmm_elf_relocate(&vmlinux, memory, 0x200000, &err), &err);
    assert_int_equal(
        vmm_memory_load_u64(memory, ELF_FIELD_64_GPA + 0x200000, &field), 0);
    assert_int_equal(field, 0xffffffff80300020);
    vmm_image_close(&vmlinux);
    free_image(&image);
    vmm_memory_unref(memory);
    free(elf.bytes);
}

/* ---- one test per format and property --------------------------------------
 */

#define PER_FORMAT(function)                                                   \
    {                                                                          \
#function, function                                                    \
    }

static const struct {
    const char *name;
    CMUnitTestFunction function;
} per_format[] = {
    PER_FORMAT(comes_back_whole),
    PER_FORMAT(comes_back_without_the_size_appended),
    PER_FORMAT(may_fill_init_size),
    PER_FORMAT(must_not_exceed_init_size),
    PER_FORMAT(bomb_is_bounded),
    PER_FORMAT(cut_short_is_refused),
    PER_FORMAT(spoiled_is_refused),
    PER_FORMAT(wrong_size_appended_is_refused),
    PER_FORMAT(payload_that_is_no_elf_is_refused),
    PER_FORMAT(any_byte_spoiled_stays_in_bounds),
};

int main(void)
{
    static const struct CMUnitTest single[] = {
        cmocka_unit_test(bytes_after_the_data_are_refused),
        cmocka_unit_test(wrong_gzip_checksum_is_refused),
        cmocka_unit_test(lz4_of_many_blocks_comes_back_whole),
        cmocka_unit_test(lz4_frames_in_a_row_are_one),
        cmocka_unit_test(broken_lz4_block_is_refused),
        cmocka_unit_test(lz4_block_past_the_end_is_refused),
        cmocka_unit_test(xz_dictionary_beyond_the_limit_is_refused),
        cmocka_unit_test(plain_elf_is_copied),
        cmocka_unit_test(plain_elf_loses_the_size_appended),
        cmocka_unit_test(plain_elf_beyond_init_size_is_refused),
        cmocka_unit_test(lzo_is_named_but_not_unpacked),
        cmocka_unit_test(unknown_format_is_refused),
        cmocka_unit_test(image_without_payload_is_refused),
        cmocka_unit_test(unpacked_vmlinux_loads_and_relocates),
    };
    struct CMUnitTest tests[LEN(single) + LEN(per_format) * LEN(formats)];
    static char names[LEN(per_format) * LEN(formats)][60];
    size_t count = LEN(single);

    memcpy(tests, single, sizeof(single));
    for (size_t p = 0; p < LEN(per_format); p++) {
        for (size_t f = 0; f < LEN(formats); f++) {
            char *name = names[count - LEN(single)];

            snprintf(name, sizeof(names[0]), "%s_%s", formats[f].name,
                     per_format[p].name);
            tests[count++] = (struct CMUnitTest){
                .name = name,
                .test_func = per_format[p].function,
                .initial_state = (void *)(uintptr_t)&formats[f],
            };
        }
    }
    return _cmocka_run_group_tests("unpack", tests, count, NULL, NULL);
}
