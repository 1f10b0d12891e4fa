/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Payloads: what is particular to one format, and what is no payload at all. */
#include "packed.h"

#include <errno.h>

static void bytes_after_the_data_are_refused(void **state)
{
    struct buffer elf = elf_of(UNPACKED_BYTES);
    struct buffer packed =
        packed_by("gzip -n -9 -c", elf.bytes, UNPACKED_BYTES);
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
    struct buffer elf = elf_of(UNPACKED_BYTES);
    struct buffer packed =
        packed_by("gzip -n -9 -c", elf.bytes, UNPACKED_BYTES);
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
    struct buffer elf = elf_of(UNPACKED_BYTES);
    struct buffer packed = packed_by("lz4 -l -q -c", elf.bytes, 10000);
    struct buffer second = packed_by("lz4 -l -q -c", elf.bytes + 10000, 10000);
    (void)state;

    append(&packed, second.bytes, second.size);
    append_u32(&packed, UNPACKED_BYTES);
    expect_unpacked(&packed, BZIMAGE_INIT_SIZE, elf.bytes, UNPACKED_BYTES);
    free(second.bytes);
    free(elf.bytes);
}

/* A block whose match begins before the data does. */
static struct buffer broken_lz4(void)
{
    struct buffer packed = {0};

    append_u32(&packed, 0x184c2102);
    append_u32(&packed, 8);
    append(&packed,
           "\x04"
           "1234567",
           8);
    return packed;
}

static void broken_lz4_block_is_refused(void **state)
{
    struct buffer packed = broken_lz4();
    (void)state;

    expect_refused(&packed, 32u << 20, ENOEXEC,
                   "bzImage: the lz4 payload at offset 0x700 is corrupt near "
                   "offset 0x708");
}

static void broken_lz4_block_is_not_called_too_big(void **state)
{
    struct buffer packed = broken_lz4();
    (void)state;

    expect_refused(&packed, BZIMAGE_INIT_SIZE, ENOEXEC,
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
    struct buffer elf = elf_of(UNPACKED_BYTES);
    struct buffer packed = packed_by("xz --lzma2=preset=0,dict=256MiB -c",
                                     elf.bytes, UNPACKED_BYTES);
    (void)state;

    expect_refused(&packed, BZIMAGE_INIT_SIZE, ENOMEM,
                   "bzImage: not enough memory to unpack the xz payload at "
                   "offset 0x700");
    free(elf.bytes);
}

static void plain_elf_is_copied(void **state)
{
    struct buffer elf = elf_of(UNPACKED_BYTES), payload = {0};
    (void)state;

    append(&payload, elf.bytes, UNPACKED_BYTES);
    expect_unpacked(&payload, UNPACKED_BYTES, elf.bytes, UNPACKED_BYTES);
    free(elf.bytes);
}

static void plain_elf_loses_the_size_appended(void **state)
{
    struct buffer elf = elf_of(UNPACKED_BYTES), payload = {0};
    (void)state;

    append(&payload, elf.bytes, UNPACKED_BYTES);
    append_u32(&payload, UNPACKED_BYTES);
    expect_unpacked(&payload, UNPACKED_BYTES, elf.bytes, UNPACKED_BYTES);
    free(elf.bytes);
}

static void plain_elf_beyond_init_size_is_refused(void **state)
{
    struct buffer elf = elf_of(1u << 20);
    (void)state;

    expect_refused(&elf, 0x1000, EFBIG,
                   "bzImage: the elf payload at offset 0x700 unpacks to more "
                   "than 0x1000 bytes, the limit (init_size, offset 0x260, and "
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
    packed = packed_by("lz4 -l -9 -q -c", elf.bytes, elf.size);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_after_the_data_are_refused),
        cmocka_unit_test(wrong_gzip_checksum_is_refused),
        cmocka_unit_test(lz4_of_many_blocks_comes_back_whole),
        cmocka_unit_test(lz4_frames_in_a_row_are_one),
        cmocka_unit_test(broken_lz4_block_is_refused),
        cmocka_unit_test(broken_lz4_block_is_not_called_too_big),
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

    return cmocka_run_group_tests_name("unpack_single", tests, NULL, NULL);
}
