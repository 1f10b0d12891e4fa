/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Small well-formed images for the loaders' tests, and tables of patches that
 * spoil them. */
#ifndef TESTS_UNIT_IMAGES_H
#define TESTS_UNIT_IMAGES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <vmm/boot.h>
#include <vmm/memory.h>

#include "../../src/base/endian.h"

#define LEN(array) (sizeof(array) / sizeof((array)[0]))

/*
 * The ELF, a vmlinux in miniature:
 *
 *   0x0000  ELF header, entry 0x100000 (physical, as Linux has it)
 *   0x0040  program header 0: LOAD  text
 *   0x0078  program header 1: LOAD  data and bss
 *   0x00b0  program header 2: NOTE
 *   0x0200  text, 0x300 bytes, linked at 0xffffffff80100000 for 0x100000;
 *           at 0x400 in it the notes: one of GNU, then Xen's PVH entry
 *   0x0500  data, 0x100 bytes, for 0x200000, with 0x1f00 bytes of bss
 *   0x0600  one section header, and the ELF ends at
 *   0x0640  six words of relocations
 */
#define ELF_NOTES              0x400
#define ELF_PVH_NOTE           0x418
#define ELF_END                0x640
#define ELF_BYTES              0x658
#define ELF_HEADER(n)          (0x40 + 56 * (n))
#define ELF_TEXT_GPA           0x100000
#define ELF_DATA_GPA           0x200000
#define ELF_BSS_GPA            0x200100
#define ELF_HIGH_GPA           0x202000
#define ELF_FIELD_64_GPA       0x100010 /* holds 0xffffffff80100020 */
#define ELF_FIELD_NEGATIVE_GPA 0x100018 /* holds 0x7ff00000 */
#define ELF_FIELD_32_GPA       0x200008 /* holds 0x80200010 */

static inline void put_header(uint8_t *b, uint32_t type, uint64_t offset,
                              uint64_t virtual_address, uint64_t gpa,
                              uint64_t file_bytes, uint64_t memory_bytes)
{
    store_le32(b, type);
    store_le64(b + 8, offset);
    store_le64(b + 16, virtual_address);
    store_le64(b + 24, gpa);
    store_le64(b + 32, file_bytes);
    store_le64(b + 40, memory_bytes);
    store_le64(b + 48, 4);
}

static inline void put_notes(uint8_t *b)
{
    static const uint8_t gnu[24] = "\4\0\0\0\5\0\0\0\3\0\0\0GNU\0hello";
    static const uint8_t xen[24] = "\4\0\0\0\10\0\0\0\22\0\0\0Xen\0\100\0\20";

    memcpy(b, gnu, sizeof(gnu));
    memcpy(b + sizeof(gnu), xen, sizeof(xen));
}

static inline void put_elf(uint8_t b[ELF_BYTES])
{
    static const uint8_t ident[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    static const uint32_t relocations[] = {0,          0x80100010, 0,
                                           0x80100018, 0,          0x80200008};

    memset(b, 0, ELF_BYTES);
    memset(b + 0x200, 0x90, 0x300);
    memset(b + 0x500, 0xda, 0x100);
    memcpy(b, ident, sizeof(ident));
    store_le16(b + 0x10, 2);  /* e_type */
    store_le16(b + 0x12, 62); /* e_machine */
    store_le32(b + 0x14, 1);  /* e_version */
    store_le64(b + 0x18, ELF_TEXT_GPA);
    store_le64(b + 0x20, 0x40);  /* e_phoff */
    store_le64(b + 0x28, 0x600); /* e_shoff */
    store_le16(b + 0x36, 56);    /* e_phentsize */
    store_le16(b + 0x38, 3);     /* e_phnum */
    store_le16(b + 0x3a, 64);    /* e_shentsize */
    store_le16(b + 0x3c, 1);     /* e_shnum */
    put_header(b + ELF_HEADER(0), 1, 0x200, 0xffffffff80100000, ELF_TEXT_GPA,
               0x300, 0x300);
    put_header(b + ELF_HEADER(1), 1, 0x500, 0xffffffff80200000, ELF_DATA_GPA,
               0x100, 0x2000);
    put_header(b + ELF_HEADER(2), 4, ELF_NOTES, 0, 0, 48, 48);
    put_notes(b + ELF_NOTES);
    store_le64(b + 0x210, 0xffffffff80100020);
    store_le32(b + 0x218, 0x7ff00000);
    store_le32(b + 0x508, 0x80200010);
    for (size_t i = 0; i < LEN(relocations); i++)
        store_le32(b + ELF_END + 4 * i, relocations[i]);
}

/*
 * The bzImage: boot sector and one sector of setup, then 0x300 bytes of
 * protected-mode code, then the payload.
 */
#define BZIMAGE_KERNEL        0x400
#define BZIMAGE_PAYLOAD       0x700
#define BZIMAGE_INIT_SIZE     0x100000
#define BZIMAGE_BYTES(packed) ((BZIMAGE_PAYLOAD + (packed) + 15) & ~(size_t)15)

static inline void put_bzimage(uint8_t *b, const uint8_t *payload,
                               size_t payload_bytes)
{
    size_t bytes = BZIMAGE_BYTES(payload_bytes);

    memset(b, 0, bytes);
    memset(b + BZIMAGE_KERNEL, 0x90, 0x300);
    memcpy(b + BZIMAGE_PAYLOAD, payload, payload_bytes);
    b[0x1f1] = 1; /* setup_sects */
    store_le32(b + 0x1f4, (uint32_t)((bytes - BZIMAGE_KERNEL) / 16));
    store_le16(b + 0x1fe, 0xaa55);
    b[0x200] = 0xeb; /* jmp to the end of the header, 0x26c */
    b[0x201] = 0x6a;
    memcpy(b + 0x202, "HdrS", 4);
    store_le16(b + 0x206, 0x020f);
    b[0x211] = 0x01;                   /* loadflags: LOADED_HIGH */
    store_le32(b + 0x22c, 0x7fffffff); /* initrd_addr_max */
    store_le32(b + 0x230, 0x200000);   /* kernel_alignment */
    b[0x234] = 1;                      /* relocatable_kernel */
    store_le16(b + 0x236, 0x007f);     /* xloadflags */
    store_le32(b + 0x238, 2047);       /* cmdline_size */
    store_le32(b + 0x248, 0x300);      /* payload_offset */
    store_le32(b + 0x24c, (uint32_t)payload_bytes);
    store_le64(b + 0x258, 0x400000); /* pref_address */
    store_le32(b + 0x260, BZIMAGE_INIT_SIZE);
}

/* ---- spoiling --------------------------------------------------------------
 */

/* Store size bytes of value at offset; size 0 ends a list. */
struct patch {
    uint64_t offset;
    size_t size;
    uint64_t value;
};

/* One malformed image and what is to be said of it. */
struct malformed {
    const char *name;
    struct patch patches[6];
    uint64_t keep_bytes; /* cut the file there; 0: keep all */
    int code;            /* errno */
    const char *text;
};

static inline void apply_patches(uint8_t *b, const struct patch *patches)
{
    for (const struct patch *p = patches; p->size; p++) {
        uint8_t value[8];

        store_le64(value, p->value);
        memcpy(b + p->offset, value, p->size);
    }
}

static inline void expect_failure(int ret, const struct vmm_error *err,
                                  int code, const char *text)
{
    assert_string_equal(err->text, text);
    assert_int_equal(err->code, code);
    assert_int_equal(ret, -code);
}

static inline void expect_success(int ret, const struct vmm_error *err)
{
    if (ret)
        fail_msg("%d: %s", ret, err->text);
}

/* A copy in a heap block of just that size, for ASan to guard its end. */
static inline struct vmm_image image_of(const uint8_t *bytes, uint64_t size,
                                        const char *name)
{
    struct vmm_image image;
    uint8_t *copy = malloc(size ? size : 1);

    assert_non_null(copy);
    memcpy(copy, bytes, size);
    vmm_image_borrow(copy, size, name, &image);
    return image;
}

static inline void free_image(struct vmm_image *image)
{
    free((void *)(uintptr_t)image->bytes);
}

static inline struct vmm_memory *memory_of(uint64_t base, uint64_t size)
{
    struct vmm_memory_range range = {base, size};
    struct vmm_memory_config config = {.ranges = &range, .range_count = 1};
    struct vmm_memory *memory;
    struct vmm_error err;

    if (vmm_memory_new(&config, &memory, &err))
        fail_msg("vmm_memory_new: %s", err.text);
    return memory;
}

/* Run the tests, then one test per row of a table. */
static inline int run_with_table(const char *group,
                                 const struct CMUnitTest *tests, size_t count,
                                 const struct malformed *rows, size_t row_count,
                                 void (*run_row)(void **state))
{
    struct CMUnitTest *all = calloc(count + row_count, sizeof(*all));
    int failed;

    if (!all)
        return 1;
    memcpy(all, tests, count * sizeof(*all));
    for (size_t i = 0; i < row_count; i++)
        all[count + i] = (struct CMUnitTest){
            .name = rows[i].name,
            .test_func = run_row,
            .initial_state = (void *)(uintptr_t)&rows[i],
        };
    failed = _cmocka_run_group_tests(group, all, count + row_count, NULL, NULL);
    free(all);
    return failed;
}

#endif
