/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* bzImage: what its header says and where it is loaded. */
#include "images.h"

#include <errno.h>

/* Unknown to every format: the header is what is tested here. */
static const uint8_t payload[0x100] = "payload";

#define BYTES  0x800u
#define KERNEL (BYTES - BZIMAGE_KERNEL)

struct fixture {
    uint8_t bytes[BYTES];
    struct vmm_image image;
    struct vmm_memory *memory;
    struct vmm_bzimage_info info;
    struct vmm_error err;
};

static int set_up(void **state)
{
    struct fixture *t = calloc(1, sizeof(*t));

    put_bzimage(t->bytes, payload, sizeof(payload));
    vmm_image_borrow(t->bytes, sizeof(t->bytes), "bzImage", &t->image);
    t->memory = memory_of(0, 0x1000000);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *t = *state;

    vmm_memory_unref(t->memory);
    free(t);
    return 0;
}

static void inspect(struct fixture *t)
{
    expect_success(vmm_bzimage_inspect(&t->image, &t->info, &t->err), &t->err);
}

static void inspect_reports_the_header_fields(void **state)
{
    struct fixture *t = *state;

    inspect(t);
    assert_int_equal(t->info.protocol, 0x020f);
    assert_true(t->info.loadable_64);
    assert_true(t->info.relocatable);
    assert_int_equal(t->info.preferred_gpa, 0x400000);
    assert_int_equal(t->info.alignment, 0x200000);
    assert_int_equal(t->info.init_size, 0x100000);
    assert_int_equal(t->info.initrd_addr_max, 0x7fffffff);
    assert_int_equal(t->info.cmdline_size_max, 2047);
    assert_int_equal(t->info.kernel_offset, 0x400);
    assert_int_equal(t->info.kernel_bytes, 0x400);
    assert_int_equal(t->info.payload_offset, 0x700);
    assert_int_equal(t->info.payload_bytes, 0x100);
    assert_string_equal(t->info.payload_format, "");
}

static void setup_header_is_copied_from_1f1_to_its_end(void **state)
{
    struct fixture *t = *state;

    inspect(t);
    assert_int_equal(t->info.setup_header_bytes, 0x26c - 0x1f1);
    assert_memory_equal(t->info.setup_header, t->bytes + 0x1f1, 0x26c - 0x1f1);
}

static void longest_setup_header_fills_the_zero_pages_hole(void **state)
{
    struct fixture *t = *state;

    t->bytes[0x201] = 0x8e;
    inspect(t);
    assert_int_equal(t->info.setup_header_bytes, 0x290 - 0x1f1);
}

static void setup_sects_of_zero_means_four(void **state)
{
    struct fixture *t = *state;
    uint8_t bytes[0xe00];

    memset(bytes, 0, sizeof(bytes));
    memcpy(bytes, t->bytes, BZIMAGE_KERNEL);
    memcpy(bytes + 0xa00, t->bytes + BZIMAGE_KERNEL, KERNEL);
    bytes[0x1f1] = 0;
    vmm_image_borrow(bytes, sizeof(bytes), "bzImage", &t->image);
    inspect(t);
    assert_int_equal(t->info.kernel_offset, 0xa00);
    assert_int_equal(t->info.payload_offset, 0xd00);
}

static void bytes_after_the_kernel_are_not_loaded(void **state)
{
    struct fixture *t = *state;

    store_le32(t->bytes + 0x1f4, 0x380 / 16); /* a signature may follow */
    store_le32(t->bytes + 0x24c, 0x80);
    inspect(t);
    assert_int_equal(t->info.kernel_bytes, 0x380);
}

static void kernel_without_payload_is_taken(void **state)
{
    struct fixture *t = *state;

    store_le32(t->bytes + 0x248, 0);
    inspect(t);
    assert_int_equal(t->info.payload_offset, 0);
    assert_int_equal(t->info.payload_bytes, 0);
}

static void flags_say_what_the_kernel_cannot(void **state)
{
    struct fixture *t = *state;

    t->bytes[0x234] = 0;
    t->bytes[0x236] = 0x7e;
    inspect(t);
    assert_false(t->info.relocatable);
    assert_false(t->info.loadable_64);
}

static void payload_formats_are_known_by_their_magic(void **state)
{
    static const struct {
        const char *name;
        const char *magic;
        size_t bytes;
    } formats[] = {
        {"gzip", "\x1f\x8b", 2},
        {"xz",
         "\xfd"
         "7zXZ\0",
         6},
        {"lzma", "\x5d\0\0", 3},
        {"bzip2", "BZh", 3},
        {"lz4", "\x02\x21\x4c\x18", 4},
        {"zstd", "\x28\xb5\x2f\xfd", 4},
        {"elf",
         "\x7f"
         "ELF",
         4},
        {"lzo",
         "\x89"
         "LZO\0",
         5},
        {"", "\x1f", 1},
    };
    struct fixture *t = *state;

    for (size_t i = 0; i < LEN(formats); i++) {
        memset(t->bytes + BZIMAGE_PAYLOAD, 0xaa, 8);
        memcpy(t->bytes + BZIMAGE_PAYLOAD, formats[i].magic, formats[i].bytes);
        inspect(t);
        assert_string_equal(t->info.payload_format, formats[i].name);
    }
}

/* ---- loading ---------------------------------------------------------------
 */

static void expect_kernel_at(struct fixture *t, vmm_gpa_t gpa)
{
    uint8_t got[KERNEL];

    assert_int_equal(vmm_memory_read(t->memory, gpa, got, sizeof(got)), 0);
    assert_memory_equal(got, t->bytes + BZIMAGE_KERNEL, KERNEL);
}

static int load(struct fixture *t, vmm_gpa_t gpa)
{
    return vmm_bzimage_load(&t->image, t->memory, gpa, &t->info, &t->err);
}

static void load_copies_the_kernel_and_only_it(void **state)
{
    struct fixture *t = *state;
    uint8_t after;

    assert_int_equal(vmm_memory_fill(t->memory, 0x200000, 0xff, 0x1000), 0);
    expect_success(load(t, 0x200000), &t->err);
    expect_kernel_at(t, 0x200000);
    assert_int_equal(vmm_memory_load_u8(t->memory, 0x200000 + KERNEL, &after),
                     0);
    assert_int_equal(after, 0xff);
}

static void init_size_must_fit_where_the_kernel_will_run(void **state)
{
    struct fixture *t = *state;

    expect_success(load(t, 0xe00000), &t->err);
    store_le32(t->bytes + 0x260, 0x200001);
    expect_failure(
        load(t, 0xe00000), &t->err, EFAULT,
        "bzImage: the kernel (init_size) needs 0x200001 bytes of RAM "
        "at 0xe00000; RAM is [0x0, 0x1000000)");
}

static void relocatable_kernel_runs_at_its_alignment(void **state)
{
    struct fixture *t = *state;

    expect_failure(
        load(t, 0xe01000), &t->err, EFAULT,
        "bzImage: the kernel (init_size) needs 0x100000 bytes of RAM "
        "at 0x1000000; RAM is [0x0, 0x1000000)");
}

static void
relocatable_kernel_runs_not_below_its_preferred_address(void **state)
{
    struct fixture *t = *state;

    store_le64(t->bytes + 0x258, 0xf00001);
    expect_failure(
        load(t, 0x200000), &t->err, EFAULT,
        "bzImage: the kernel (init_size) needs 0x100000 bytes of RAM "
        "at 0xf00001; RAM is [0x0, 0x1000000)");
}

static void fixed_kernel_runs_at_its_preferred_address(void **state)
{
    struct fixture *t = *state;

    t->bytes[0x234] = 0;
    expect_success(load(t, 0xe01000), &t->err);
    expect_kernel_at(t, 0xe01000);
    store_le64(t->bytes + 0x258, 0x1000000);
    expect_failure(
        load(t, 0xe01000), &t->err, EFAULT,
        "bzImage: the kernel (init_size) needs 0x100000 bytes of RAM "
        "at 0x1000000; RAM is [0x0, 0x1000000)");
}

static void kernel_outside_ram_is_refused(void **state)
{
    struct fixture *t = *state;

    expect_failure(
        load(t, 0x2000000), &t->err, EFAULT,
        "bzImage: the protected-mode kernel needs 0x400 bytes of RAM "
        "at 0x2000000; RAM is [0x0, 0x1000000)");
}

static void load_address_that_wraps_is_refused(void **state)
{
    struct fixture *t = *state;

    expect_failure(load(t, 0xfffffffffffff000), &t->err, EINVAL,
                   "bzImage: load address 0xfffffffffffff000 aligned to "
                   "0x200000 wraps around");
}

#define TEST(function)                                                         \
    cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(inspect_reports_the_header_fields),
        TEST(setup_header_is_copied_from_1f1_to_its_end),
        TEST(longest_setup_header_fills_the_zero_pages_hole),
        TEST(setup_sects_of_zero_means_four),
        TEST(bytes_after_the_kernel_are_not_loaded),
        TEST(kernel_without_payload_is_taken),
        TEST(flags_say_what_the_kernel_cannot),
        TEST(payload_formats_are_known_by_their_magic),
        TEST(load_copies_the_kernel_and_only_it),
        TEST(init_size_must_fit_where_the_kernel_will_run),
        TEST(relocatable_kernel_runs_at_its_alignment),
        TEST(relocatable_kernel_runs_not_below_its_preferred_address),
        TEST(fixed_kernel_runs_at_its_preferred_address),
        TEST(kernel_outside_ram_is_refused),
        TEST(load_address_that_wraps_is_refused),
    };

    return cmocka_run_group_tests_name("bzimage", tests, NULL, NULL);
}
