/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Payloads of each format: they come back whole, within bounds, and bad ones
 * are refused. */
#include "packed.h"

#include <errno.h>

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

/* As the kernel's build does it: packed, and the size appended. */
static struct buffer pack(const struct format *format, const uint8_t *bytes,
                          size_t size)
{
    struct buffer packed = packed_by(format->command, bytes, size);

    if (!format->carries_size)
        append_u32(&packed, (uint32_t)size);
    return packed;
}

static void comes_back_whole(void **state)
{
    const struct format *format = *state;
    struct buffer elf = elf_of(UNPACKED_BYTES);
    struct buffer packed = pack(format, elf.bytes, UNPACKED_BYTES);

    expect_unpacked(&packed, BZIMAGE_INIT_SIZE, elf.bytes, UNPACKED_BYTES);
    free(elf.bytes);
}

static void comes_back_without_the_size_appended(void **state)
{
    const struct format *format = *state;
    struct buffer elf = elf_of(UNPACKED_BYTES);
    struct buffer packed =
        packed_by(format->command, elf.bytes, UNPACKED_BYTES);

    expect_unpacked(&packed, BZIMAGE_INIT_SIZE, elf.bytes, UNPACKED_BYTES);
    free(elf.bytes);
}

static void may_fill_init_size(void **state)
{
    const struct format *format = *state;
    struct buffer elf = elf_of(UNPACKED_BYTES);
    struct buffer packed = pack(format, elf.bytes, UNPACKED_BYTES);

    expect_unpacked(&packed, UNPACKED_BYTES, elf.bytes, UNPACKED_BYTES);
    free(elf.bytes);
}

static void must_not_exceed_init_size(void **state)
{
    const struct format *format = *state;
    struct buffer elf = elf_of(UNPACKED_BYTES);
    struct buffer packed = pack(format, elf.bytes, UNPACKED_BYTES);
    char text[200];

    snprintf(text, sizeof(text),
             "bzImage: the %s payload at offset 0x700 unpacks to more than "
             "0x4e1f bytes, the limit (init_size, offset 0x260, and at most "
             "1 GiB)",
             format->name);
    expect_refused(&packed, UNPACKED_BYTES - 1, EFBIG, text);
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
    struct buffer elf = elf_of(UNPACKED_BYTES);
    struct buffer packed =
        packed_by(format->command, elf.bytes, UNPACKED_BYTES);
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
    struct buffer elf = elf_of(UNPACKED_BYTES);
    struct buffer packed = pack(format, elf.bytes, UNPACKED_BYTES);
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
    struct buffer elf = elf_of(UNPACKED_BYTES);
    struct buffer packed =
        packed_by(format->command, elf.bytes, UNPACKED_BYTES);
    char text[200];

    snprintf(text, sizeof(text),
             "bzImage: the size at offset 0x%zx says 0x4e21 bytes, but the %s "
             "payload unpacked to 0x4e20",
             BZIMAGE_PAYLOAD + packed.size, format->name);
    append_u32(&packed, UNPACKED_BYTES + 1);
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
    static char names[LEN(per_format) * LEN(formats)][60];
    struct CMUnitTest tests[LEN(per_format) * LEN(formats)];
    size_t count = 0;

    for (size_t p = 0; p < LEN(per_format); p++) {
        for (size_t f = 0; f < LEN(formats); f++) {
            snprintf(names[count], sizeof(names[0]), "%s_%s", formats[f].name,
                     per_format[p].name);
            tests[count] = (struct CMUnitTest){
                .name = names[count],
                .test_func = per_format[p].function,
                .initial_state = (void *)(uintptr_t)&formats[f],
            };
            count++;
        }
    }
    return _cmocka_run_group_tests("unpack", tests, count, NULL, NULL);
}
