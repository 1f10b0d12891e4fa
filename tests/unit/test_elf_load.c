/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* ELF: where segments go, with and without a slide, and which are refused. */
#include "images.h"

#include <errno.h>

struct loaded {
    uint8_t bytes[ELF_BYTES];
    struct vmm_image image;
    struct vmm_memory *memory;
    struct vmm_elf_info info;
    struct vmm_error err;
};

static int set_up(void **state)
{
    struct loaded *t = calloc(1, sizeof(*t));

    put_elf(t->bytes);
    vmm_image_borrow(t->bytes, sizeof(t->bytes), "vmlinux", &t->image);
    t->memory = memory_of(0, 0x1000000);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct loaded *t = *state;

    vmm_memory_unref(t->memory);
    free(t);
    return 0;
}

static void expect_bytes(const struct vmm_memory *memory, vmm_gpa_t gpa,
                         const uint8_t *want, size_t len)
{
    uint8_t *got = malloc(len);

    assert_int_equal(vmm_memory_read(memory, gpa, got, len), 0);
    assert_memory_equal(got, want, len);
    free(got);
}

static void load_copies_segments_and_clears_bss(void **state)
{
    static const uint8_t zeros[0x1f00];
    struct loaded *t = *state;
    uint8_t after;

    assert_int_equal(vmm_memory_fill(t->memory, 0x200000, 0xff, 0x3000), 0);
    expect_success(vmm_elf_load(&t->image, t->memory, 0, 0, &t->info, &t->err),
                   &t->err);
    expect_bytes(t->memory, ELF_TEXT_GPA, t->bytes + 0x200, 0x300);
    expect_bytes(t->memory, ELF_DATA_GPA, t->bytes + 0x500, 0x100);
    expect_bytes(t->memory, ELF_BSS_GPA, zeros, sizeof(zeros));
    assert_int_equal(vmm_memory_load_u8(t->memory, ELF_HIGH_GPA, &after), 0);
    assert_int_equal(after, 0xff);
}

static void slide_moves_segments_and_info(void **state)
{
    struct loaded *t = *state;

    expect_success(
        vmm_elf_load(&t->image, t->memory, 0, 0x600000, &t->info, &t->err),
        &t->err);
    expect_bytes(t->memory, 0x700000, t->bytes + 0x200, 0x300);
    expect_bytes(t->memory, 0x800000, t->bytes + 0x500, 0x100);
    assert_int_equal(t->info.entry, 0x700000);
    assert_int_equal(t->info.entry_gpa, 0x700000);
    assert_int_equal(t->info.low, 0x700000);
    assert_int_equal(t->info.high, 0x802000);
    assert_int_equal(t->info.pvh_entry, 0x700040);
}

static void slide_past_4gib_leaves_no_pvh_entry(void **state)
{
    struct vmm_memory *high = memory_of(0x100000000, 0x1000000);
    struct loaded *t = *state;

    expect_success(
        vmm_elf_load(&t->image, high, 0, 0x100000000, &t->info, &t->err),
        &t->err);
    assert_int_equal(t->info.entry_gpa, 0x100100000);
    assert_false(t->info.has_pvh);
    vmm_memory_unref(high);
}

static void slide_that_wraps_is_refused(void **state)
{
    struct loaded *t = *state;

    expect_failure(vmm_elf_load(&t->image, t->memory, 0, 0xffffffffffe00000,
                                &t->info, &t->err),
                   &t->err, EINVAL,
                   "vmlinux: a slide of 0xffffffffffe00000 makes its addresses "
                   "wrap around");
}

static void segment_below_the_lowest_address_is_refused(void **state)
{
    struct loaded *t = *state;

    expect_failure(
        vmm_elf_load(&t->image, t->memory, 0x100001, 0, &t->info, &t->err),
        &t->err, ERANGE,
        "vmlinux: program header 0 loads at 0x100000, below the lowest address "
        "allowed (0x100001)");
}

static void segment_at_the_lowest_address_is_loaded(void **state)
{
    struct loaded *t = *state;

    expect_success(
        vmm_elf_load(&t->image, t->memory, 0x100000, 0, &t->info, &t->err),
        &t->err);
}

static void nothing_is_written_when_a_segment_is_outside_ram(void **state)
{
    struct vmm_memory *small = memory_of(0, 0x201000);
    static const uint8_t zeros[0x300];
    struct loaded *t = *state;

    expect_failure(vmm_elf_load(&t->image, small, 0, 0, &t->info, &t->err),
                   &t->err, EFAULT,
                   "vmlinux: program header 1 needs 0x2000 bytes of RAM at "
                   "0x200000; RAM is [0x0, 0x201000)");
    expect_bytes(small, ELF_TEXT_GPA, zeros, sizeof(zeros));
    vmm_memory_unref(small);
}

static void failure_needs_no_error_to_fill(void **state)
{
    struct loaded *t = *state;

    t->bytes[0] = 0;
    assert_int_equal(vmm_elf_inspect(&t->image, &t->info, NULL), -ENOEXEC);
}

#define TEST(function)                                                         \
    cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(load_copies_segments_and_clears_bss),
        TEST(slide_moves_segments_and_info),
        TEST(slide_past_4gib_leaves_no_pvh_entry),
        TEST(slide_that_wraps_is_refused),
        TEST(segment_below_the_lowest_address_is_refused),
        TEST(segment_at_the_lowest_address_is_loaded),
        TEST(nothing_is_written_when_a_segment_is_outside_ram),
        TEST(failure_needs_no_error_to_fill),
    };

    return cmocka_run_group_tests_name("elf_load", tests, NULL, NULL);
}
