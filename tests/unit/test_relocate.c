/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* KASLR relocations: the fields they change, the slides and tables refused. */
#include "images.h"

#include <errno.h>

#define SLIDE 0x600000u

struct relocated {
    uint8_t bytes[ELF_BYTES];
    struct vmm_image image;
    struct vmm_memory *memory;
    struct vmm_error err;
};

static int set_up(void **state)
{
    struct relocated *t = calloc(1, sizeof(*t));

    put_elf(t->bytes);
    vmm_image_borrow(t->bytes, sizeof(t->bytes), "vmlinux", &t->image);
    t->memory = memory_of(0, 0x1000000);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct relocated *t = *state;

    vmm_memory_unref(t->memory);
    free(t);
    return 0;
}

/* Load at SLIDE and relocate. */
static int relocate(struct relocated *t)
{
    struct vmm_elf_info info;

    expect_success(vmm_elf_load(&t->image, t->memory, 0, SLIDE, &info, &t->err),
                   &t->err);
    return vmm_elf_relocate(&t->image, t->memory, SLIDE, &t->err);
}

static uint64_t u64_at(struct relocated *t, vmm_gpa_t gpa)
{
    uint64_t value;

    assert_int_equal(vmm_memory_load_u64(t->memory, gpa, &value), 0);
    return value;
}

static uint32_t u32_at(struct relocated *t, vmm_gpa_t gpa)
{
    return (uint32_t)u64_at(t, gpa);
}

static void three_lists_add_subtract_and_add(void **state)
{
    struct relocated *t = *state;

    expect_success(relocate(t), &t->err);
    assert_int_equal(u64_at(t, ELF_FIELD_64_GPA + SLIDE), 0xffffffff80700020);
    assert_int_equal(u32_at(t, ELF_FIELD_NEGATIVE_GPA + SLIDE), 0x7f900000);
    assert_int_equal(u32_at(t, ELF_FIELD_32_GPA + SLIDE), 0x80800010);
}

static void fields_beside_the_relocated_keep_their_bytes(void **state)
{
    struct relocated *t = *state;

    expect_success(relocate(t), &t->err);
    assert_int_equal(u64_at(t, 0x100008 + SLIDE), 0x9090909090909090);
    assert_int_equal(u32_at(t, 0x10001c + SLIDE), 0x90909090);
    assert_int_equal(u32_at(t, 0x20000c + SLIDE), 0xdadadada);
}

static void two_lists_are_64_and_32_bit(void **state)
{
    struct relocated *t = *state;

    t->image.size_bytes = ELF_END + 16; /* 0, 0x80100010, 0, 0x80200008 */
    store_le32(t->bytes + ELF_END + 12, 0x80200008);
    expect_success(relocate(t), &t->err);
    assert_int_equal(u64_at(t, ELF_FIELD_64_GPA + SLIDE), 0xffffffff80700020);
    assert_int_equal(u32_at(t, ELF_FIELD_32_GPA + SLIDE), 0x80800010);
}

static void empty_lists_change_nothing(void **state)
{
    struct relocated *t = *state;

    t->image.size_bytes = ELF_END + 12;
    store_le32(t->bytes + ELF_END + 4, 0);
    expect_success(relocate(t), &t->err);
    assert_int_equal(u64_at(t, ELF_FIELD_64_GPA + SLIDE), 0xffffffff80100020);
}

static void fields_may_end_with_their_segments(void **state)
{
    struct relocated *t = *state;

    store_le32(t->bytes + ELF_END + 4, 0x80201ff4);  /* 12 to 4 bytes */
    store_le32(t->bytes + ELF_END + 20, 0x80201ffc); /* before the bss's end */
    expect_success(relocate(t), &t->err);
    assert_int_equal(u64_at(t, 0x201ff4 + SLIDE), SLIDE);
    assert_int_equal(u32_at(t, 0x201ffc + SLIDE), SLIDE);
    store_le32(t->bytes + ELF_END + 4, 0x80201ff8);
    store_le32(t->bytes + ELF_END + 20, 0x80200008);
    expect_success(relocate(t), &t->err);
    assert_int_equal(u64_at(t, 0x201ff8 + SLIDE), SLIDE);
}

static void slide_of_zero_changes_nothing(void **state)
{
    struct relocated *t = *state;
    struct vmm_elf_info info;

    expect_success(vmm_elf_load(&t->image, t->memory, 0, 0, &info, &t->err),
                   &t->err);
    expect_success(vmm_elf_relocate(&t->image, t->memory, 0, &t->err), &t->err);
    assert_int_equal(u64_at(t, ELF_FIELD_64_GPA), 0xffffffff80100020);
}

static void elf_without_a_table_says_so(void **state)
{
    struct relocated *t = *state;

    t->image.size_bytes = ELF_END;
    expect_failure(relocate(t), &t->err, ENODATA,
                   "vmlinux: no relocation table follows the ELF, which ends "
                   "the file at offset 0x640");
}

static void table_behind_segments_alone_is_found(void **state)
{
    struct relocated *t = *state;

    /* No section headers: the ELF ends with the data, at 0x600. */
    store_le64(t->bytes + 0x28, 0);
    store_le16(t->bytes + 0x3c, 0);
    memmove(t->bytes + 0x600, t->bytes + ELF_END, ELF_BYTES - ELF_END);
    t->image.size_bytes = 0x600 + ELF_BYTES - ELF_END;
    expect_success(relocate(t), &t->err);
    assert_int_equal(u64_at(t, ELF_FIELD_64_GPA + SLIDE), 0xffffffff80700020);
}

static void odd_slide_is_refused(void **state)
{
    struct relocated *t = *state;

    expect_failure(vmm_elf_relocate(&t->image, t->memory, 0x100000, &t->err),
                   &t->err, EINVAL,
                   "vmlinux: a slide of 0x100000 is no multiple of 0x200000");
}

static void slide_out_of_the_kernel_window_is_refused(void **state)
{
    struct relocated *t = *state;

    expect_failure(vmm_elf_relocate(&t->image, t->memory, 0x3fe00000, &t->err),
                   &t->err, ERANGE,
                   "vmlinux: a slide of 0x3fe00000 moves the kernel's end from "
                   "0x202000 past 0x40000000");
}

static void slide_that_wraps_is_refused(void **state)
{
    struct relocated *t = *state;

    expect_failure(
        vmm_elf_relocate(&t->image, t->memory, 0xffffffffffe00000, &t->err),
        &t->err, ERANGE,
        "vmlinux: a slide of 0xffffffffffe00000 moves the kernel's end from "
        "0x202000 past 0x40000000");
}

static void field_outside_ram_is_refused(void **state)
{
    struct relocated *t = *state;

    expect_failure(vmm_elf_relocate(&t->image, t->memory, 0x1000000, &t->err),
                   &t->err, EFAULT,
                   "vmlinux: the field at 0x1100010 to relocate is not in RAM: "
                   "load the kernel first");
}

/* ---- malformed tables ------------------------------------------------------
 */

#define WORD(n) (ELF_END + 4 * (n))

static const struct malformed malformed[] = {
    {"a table of odd length is refused",
     {{0}},
     ELF_BYTES - 1,
     ENODATA,
     "vmlinux: the 0x17 bytes after the ELF at offset 0x640 are no relocation "
     "table"},
    {"a table that begins with an address is refused",
     {{WORD(0), 4, 0x80100010}},
     0,
     ENODATA,
     "vmlinux: the 0x18 bytes after the ELF at offset 0x640 are no relocation "
     "table"},
    {"a table of one list is refused",
     {{0}},
     ELF_END + 8,
     ENOEXEC,
     "vmlinux: the relocation table at offset 0x640 has less than 2 lists, "
     "must have 2 or 3"},
    {"a table of four lists is refused",
     {{WORD(5), 4, 0}},
     0,
     ENOEXEC,
     "vmlinux: the relocation table at offset 0x640 has more than 3 lists, "
     "must have 2 or 3"},
    {"an address outside of the kernel is refused",
     {{WORD(1), 4, 0x80000000}},
     0,
     ENOEXEC,
     "vmlinux: the relocation at offset 0x644 is for 0xffffffff80000000, which "
     "is outside of the kernel"},
    {"an address below the kernel's map is refused",
     {{WORD(1), 4, 0x7fffffff}},
     0,
     ENOEXEC,
     "vmlinux: the relocation at offset 0x644 is for 0x7fffffff, which is "
     "outside of the kernel"},
    {"a 64-bit field that leaves its segment is refused",
     {{WORD(1), 4, 0x80201ff9}},
     0,
     ENOEXEC,
     "vmlinux: the relocation at offset 0x644 is for 0xffffffff80201ff9, which "
     "is outside of the kernel"},
    {"an inverse field that leaves its segment is refused",
     {{WORD(3), 4, 0x80201ffd}},
     0,
     ENOEXEC,
     "vmlinux: the relocation at offset 0x64c is for 0xffffffff80201ffd, which "
     "is outside of the kernel"},
    {"a 32-bit field that leaves its segment is refused",
     {{WORD(5), 4, 0x801002fd}},
     0,
     ENOEXEC,
     "vmlinux: the relocation at offset 0x654 is for 0xffffffff801002fd, which "
     "is outside of the kernel"},
    {"an ELF that is none is refused",
     {{0, 1, 0}},
     0,
     ENOEXEC,
     "vmlinux: not an ELF file: it begins with 00 45 4c 46, not with "
     "7f 45 4c 46"},
};

static void is_refused(void **state)
{
    const struct malformed *row = *state;
    struct vmm_memory *memory = memory_of(0, 0x1000000);
    uint8_t bytes[ELF_BYTES];
    struct vmm_image image;
    struct vmm_error err;

    put_elf(bytes);
    apply_patches(bytes, row->patches);
    image = image_of(bytes, row->keep_bytes ? row->keep_bytes : ELF_BYTES,
                     "vmlinux");
    expect_failure(vmm_elf_relocate(&image, memory, SLIDE, &err), &err,
                   row->code, row->text);
    free_image(&image);
    vmm_memory_unref(memory);
}

#define TEST(function)                                                         \
    cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(three_lists_add_subtract_and_add),
        TEST(fields_beside_the_relocated_keep_their_bytes),
        TEST(two_lists_are_64_and_32_bit),
        TEST(empty_lists_change_nothing),
        TEST(fields_may_end_with_their_segments),
        TEST(slide_of_zero_changes_nothing),
        TEST(elf_without_a_table_says_so),
        TEST(table_behind_segments_alone_is_found),
        TEST(odd_slide_is_refused),
        TEST(slide_out_of_the_kernel_window_is_refused),
        TEST(slide_that_wraps_is_refused),
        TEST(field_outside_ram_is_refused),
    };

    return run_with_table("relocate", tests, LEN(tests), malformed,
                          LEN(malformed), is_refused);
}
