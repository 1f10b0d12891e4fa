/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* ELF: what is read from a good one. */
#include "images.h"

static void inspect_reports_entry_range_and_pvh(void **state)
{
    uint8_t bytes[ELF_BYTES];
    struct vmm_elf_info info;
    struct vmm_image image;
    struct vmm_error err;
    (void)state;

    put_elf(bytes);
    vmm_image_borrow(bytes, sizeof(bytes), "vmlinux", &image);
    expect_success(vmm_elf_inspect(&image, &info, &err), &err);
    assert_int_equal(info.entry, 0x100000);
    assert_int_equal(info.entry_gpa, 0x100000);
    assert_int_equal(info.low, 0x100000);
    assert_int_equal(info.high, 0x202000);
    assert_true(info.has_pvh);
    assert_int_equal(info.pvh_entry, 0x100040);
}

/* Inspect the ELF with patches; it must be taken. */
static struct vmm_elf_info inspect_patched(const struct patch *patches)
{
    uint8_t bytes[ELF_BYTES];
    struct vmm_elf_info info;
    struct vmm_image image;
    struct vmm_error err;

    put_elf(bytes);
    apply_patches(bytes, patches);
    vmm_image_borrow(bytes, sizeof(bytes), "vmlinux", &image);
    expect_success(vmm_elf_inspect(&image, &info, &err), &err);
    return info;
}

static void virtual_entry_is_translated_by_its_segment(void **state)
{
    const struct patch patches[] = {{0x18, 8, 0xffffffff80200abc}, {0}};
    struct vmm_elf_info info = inspect_patched(patches);
    (void)state;

    assert_int_equal(info.entry, 0xffffffff80200abc);
    assert_int_equal(info.entry_gpa, 0x200abc);
}

static void segment_may_end_at_the_last_virtual_address(void **state)
{
    const struct patch patches[] = {
        {ELF_HEADER(1) + 16, 8, 0xffffffffffffe000},
        {0x18, 8, UINT64_MAX},
        {0},
    };
    struct vmm_elf_info info = inspect_patched(patches);
    (void)state;

    assert_int_equal(info.entry_gpa, 0x201fff);
}

static void position_independent_type_is_taken(void **state)
{
    const struct patch patches[] = {{0x10, 2, 3}, {0}};
    (void)state;

    assert_int_equal(inspect_patched(patches).high, ELF_HIGH_GPA);
}

static void segments_need_no_order(void **state)
{
    const struct patch patches[] = {{ELF_HEADER(0) + 24, 8, 0x300000},
                                    {0x18, 8, 0x300000},
                                    {ELF_PVH_NOTE + 16, 8, 0x300040},
                                    {0}};
    struct vmm_elf_info info = inspect_patched(patches);
    (void)state;

    assert_int_equal(info.low, 0x200000);
    assert_int_equal(info.high, 0x300300);
}

static void segment_may_begin_where_another_ends(void **state)
{
    const struct patch patches[] = {{ELF_HEADER(1) + 24, 8, 0x100300}, {0}};
    (void)state;

    assert_int_equal(inspect_patched(patches).high, 0x102300);
}

static void segment_may_end_where_another_begins(void **state)
{
    const struct patch patches[] = {{ELF_HEADER(1) + 24, 8, 0xfe000}, {0}};
    (void)state;

    assert_int_equal(inspect_patched(patches).low, 0xfe000);
}

static void segment_without_memory_is_left_out(void **state)
{
    const struct patch patches[] = {
        {ELF_HEADER(1) + 32, 8, 0}, {ELF_HEADER(1) + 40, 8, 0}, {0}};
    struct vmm_elf_info info = inspect_patched(patches);
    (void)state;

    assert_int_equal(info.high, 0x100300);
}

static void pvh_note_of_four_bytes_is_read(void **state)
{
    const struct patch patches[] = {
        {ELF_PVH_NOTE + 4, 4, 4}, {ELF_PVH_NOTE + 20, 4, 0xffffffff}, {0}};
    struct vmm_elf_info info = inspect_patched(patches);
    (void)state;

    assert_true(info.has_pvh);
    assert_int_equal(info.pvh_entry, 0x100040);
}

static void pvh_note_of_another_owner_is_not_pvh(void **state)
{
    const struct patch patches[] = {{ELF_PVH_NOTE + 12, 4, 0x006e6559}, {0}};
    struct vmm_elf_info info = inspect_patched(patches);
    (void)state;

    assert_false(info.has_pvh);
    assert_int_equal(info.pvh_entry, 0);
}

static void xen_note_of_another_type_is_not_pvh(void **state)
{
    const struct patch patches[] = {{ELF_PVH_NOTE + 8, 4, 17}, {0}};
    (void)state;

    assert_false(inspect_patched(patches).has_pvh);
}

static void notes_aligned_to_four_are_walked_so(void **state)
{
    /* With a value of 4 bytes the first note ends at 20: so the PVH note, 8
     * bytes a line, begins there. */
    const struct patch patches[] = {
        {ELF_NOTES + 4, 4, 4},
        {ELF_NOTES + 20, 8, 0x0000000800000004},
        {ELF_NOTES + 28, 8, 0x006e655800000012},
        {ELF_NOTES + 36, 8, 0x100080},
        {0},
    };
    (void)state;

    assert_int_equal(inspect_patched(patches).pvh_entry, 0x100080);
}

static void notes_aligned_to_eight_are_walked_so(void **state)
{
    /* With a value of 4 bytes the first note ends at 20: the next begins at
     * 24 instead. */
    const struct patch patches[] = {
        {ELF_HEADER(2) + 48, 8, 8}, {ELF_NOTES + 4, 4, 4}, {0}};
    (void)state;

    assert_true(inspect_patched(patches).has_pvh);
}

static void last_note_needs_no_padding(void **state)
{
    const struct patch patches[] = {
        {ELF_HEADER(2) + 8, 8, ELF_NOTES}, {ELF_HEADER(2) + 32, 8, 21}, {0}};
    (void)state;

    assert_false(inspect_patched(patches).has_pvh);
}

static void elf_without_notes_has_no_pvh(void **state)
{
    const struct patch patches[] = {{ELF_HEADER(2), 4, 0}, {0}};
    (void)state;

    assert_false(inspect_patched(patches).has_pvh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inspect_reports_entry_range_and_pvh),
        cmocka_unit_test(virtual_entry_is_translated_by_its_segment),
        cmocka_unit_test(segment_may_end_at_the_last_virtual_address),
        cmocka_unit_test(position_independent_type_is_taken),
        cmocka_unit_test(segments_need_no_order),
        cmocka_unit_test(segment_may_begin_where_another_ends),
        cmocka_unit_test(segment_may_end_where_another_begins),
        cmocka_unit_test(segment_without_memory_is_left_out),
        cmocka_unit_test(pvh_note_of_four_bytes_is_read),
        cmocka_unit_test(pvh_note_of_another_owner_is_not_pvh),
        cmocka_unit_test(xen_note_of_another_type_is_not_pvh),
        cmocka_unit_test(notes_aligned_to_four_are_walked_so),
        cmocka_unit_test(notes_aligned_to_eight_are_walked_so),
        cmocka_unit_test(last_note_needs_no_padding),
        cmocka_unit_test(elf_without_notes_has_no_pvh),
    };

    return cmocka_run_group_tests_name("elf", tests, NULL, NULL);
}
