/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Images: files read or refused, their kinds, and raw images in RAM. */
#include "images.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder of its own for each test. */
struct folder {
    char path[40];
    char file[60];
};

static int set_up(void **state)
{
    struct folder *t = calloc(1, sizeof(*t));

    strcpy(t->path, "/tmp/test_image.XXXXXX");
    if (!mkdtemp(t->path))
        return -1;
    snprintf(t->file, sizeof(t->file), "%s/kernel", t->path);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct folder *t = *state;

    unlink(t->file);
    rmdir(t->path);
    free(t);
    return 0;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void file_is_read_whole_and_kept(void **state)
{
    struct folder *t = *state;
    struct vmm_image image;
    struct vmm_error err;

    write_file(t->file, "hello, kernel");
    expect_success(vmm_image_open(t->file, &image, &err), &err);
    write_file(t->file, "changed");
    assert_int_equal(image.size_bytes, 13);
    assert_memory_equal(image.bytes, "hello, kernel", 13);
    assert_string_equal(image.name, t->file);
    vmm_image_close(&image);
}

static void closing_twice_is_fine(void **state)
{
    struct folder *t = *state;
    struct vmm_image image;
    struct vmm_error err;

    write_file(t->file, "x");
    expect_success(vmm_image_open(t->file, &image, &err), &err);
    vmm_image_close(&image);
    vmm_image_close(&image);
    assert_null(image.bytes);
    assert_int_equal(image.size_bytes, 0);
}

static void expect_open_fails(const char *path, int code, const char *text)
{
    struct vmm_image image;
    struct vmm_error err;

    expect_failure(vmm_image_open(path, &image, &err), &err, code, text);
    assert_null(image.priv);
}

static void missing_file_is_named(void **state)
{
    (void)state;
    expect_open_fails("/no/such/kernel", ENOENT,
                      "cannot open /no/such/kernel: No such file or directory");
}

static void folder_is_refused(void **state)
{
    (void)state;
    expect_open_fails("/", EISDIR, "/ is a directory, not a file");
}

static void device_is_refused(void **state)
{
    (void)state;
    expect_open_fails("/dev/zero", EINVAL, "/dev/zero is not a regular file");
}

static void fifo_is_refused_without_waiting(void **state)
{
    struct folder *t = *state;
    char text[100];

    assert_int_equal(mkfifo(t->file, 0600), 0);
    snprintf(text, sizeof(text), "%s is not a regular file", t->file);
    expect_open_fails(t->file, EINVAL, text);
}

static void empty_file_is_refused(void **state)
{
    struct folder *t = *state;
    char text[100];

    write_file(t->file, "");
    snprintf(text, sizeof(text), "%s is empty", t->file);
    expect_open_fails(t->file, EINVAL, text);
}

static void huge_file_is_refused(void **state)
{
    struct folder *t = *state;
    char text[200];

    write_file(t->file, "");
    assert_int_equal(truncate(t->file, 4294967297), 0);
    snprintf(text, sizeof(text),
             "%s has 4294967297 bytes; an image may have at most 4294967296",
             t->file);
    expect_open_fails(t->file, EFBIG, text);
}

static void file_that_ends_early_is_refused(void **state)
{
    /* sysfs says 4096 bytes of every file and delivers fewer. */
    static const char path[] = "/sys/devices/system/cpu/online";
    struct vmm_image image;
    struct vmm_error err;
    struct stat status;
    (void)state;

    if (stat(path, &status) < 0 || status.st_size != 4096)
        skip();
    assert_int_equal(vmm_image_open(path, &image, &err), -EIO);
    assert_non_null(strstr(err.text, "/sys/devices/system/cpu/online shrank "
                                     "while it was read: "));
    assert_non_null(strstr(err.text, " bytes of 4096"));
}

static void long_name_keeps_its_end(void **state)
{
    struct vmm_image image;
    char name[201];
    (void)state;

    memset(name, 'a', sizeof(name));
    strcpy(name + 190, "/vmlinuz-6");
    vmm_image_borrow("x", 1, name, &image);
    assert_int_equal(strlen(image.name), 127);
    assert_memory_equal(image.name, "...aaa", 6);
    assert_string_equal(image.name + 117, "/vmlinuz-6");
}

static void name_that_just_fits_is_kept(void **state)
{
    struct vmm_image image;
    char name[128];
    (void)state;

    memset(name, 'a', sizeof(name));
    name[127] = '\0';
    vmm_image_borrow("x", 1, name, &image);
    assert_string_equal(image.name, name);
}

static enum vmm_image_kind kind_of(const void *bytes, uint64_t size)
{
    struct vmm_image image = image_of(bytes, size, "image");
    enum vmm_image_kind kind = vmm_image_kind(&image);

    free_image(&image);
    return kind;
}

static void kind_is_told_by_magic(void **state)
{
    uint8_t elf[ELF_BYTES], bzimage[BZIMAGE_BYTES(1)];
    (void)state;

    put_elf(elf);
    put_bzimage(bzimage, (const uint8_t *)"x", 1);
    assert_int_equal(kind_of(elf, sizeof(elf)), VMM_IMAGE_ELF);
    assert_int_equal(kind_of(elf, 4), VMM_IMAGE_ELF);
    assert_int_equal(kind_of(elf, 3), VMM_IMAGE_RAW);
    assert_int_equal(kind_of(bzimage, sizeof(bzimage)), VMM_IMAGE_BZIMAGE);
    assert_int_equal(kind_of(bzimage, 0x206), VMM_IMAGE_BZIMAGE);
    assert_int_equal(kind_of(bzimage, 0x205), VMM_IMAGE_RAW);
    bzimage[0x1fe] = 0;
    assert_int_equal(kind_of(bzimage, sizeof(bzimage)), VMM_IMAGE_RAW);
    assert_int_equal(kind_of("", 0), VMM_IMAGE_RAW);
}

/* ---- raw -------------------------------------------------------------------
 */

static void raw_image_is_copied_to_its_address(void **state)
{
    struct vmm_memory *memory = memory_of(0, 0x2000);
    struct vmm_image image;
    struct vmm_error err;
    uint8_t got[7];
    (void)state;

    vmm_image_borrow("\xf4\xeb\xfd", 3, "flat.bin", &image);
    expect_success(vmm_raw_load(&image, memory, 0x1ffd, &err), &err);
    assert_int_equal(vmm_memory_read(memory, 0x1ff9, got, 7), 0);
    assert_memory_equal(got, "\0\0\0\0\xf4\xeb\xfd", 7);
    vmm_memory_unref(memory);
}

static void raw_image_past_rams_end_is_refused(void **state)
{
    struct vmm_memory *memory = memory_of(0, 0x2000);
    struct vmm_image image;
    struct vmm_error err;
    uint8_t got[2];
    (void)state;

    vmm_image_borrow("\xf4\xeb\xfd", 3, "flat.bin", &image);
    expect_failure(vmm_raw_load(&image, memory, 0x1ffe, &err), &err, EFAULT,
                   "flat.bin: the image needs 0x3 bytes of RAM at 0x1ffe; RAM "
                   "is [0x0, 0x2000)");
    assert_int_equal(vmm_memory_read(memory, 0x1ffe, got, 2), 0);
    assert_memory_equal(got, "\0\0", 2);
    vmm_memory_unref(memory);
}

static void raw_image_that_wraps_is_refused(void **state)
{
    struct vmm_memory *memory = memory_of(0x1000, 0x1000);
    struct vmm_image image;
    struct vmm_error err;
    (void)state;

    vmm_image_borrow("\xf4\xeb\xfd", 3, "flat.bin", &image);
    expect_failure(vmm_raw_load(&image, memory, UINT64_MAX, &err), &err, EFAULT,
                   "flat.bin: the image needs 0x3 bytes of RAM at "
                   "0xffffffffffffffff; RAM is [0x1000, 0x2000)");
    vmm_memory_unref(memory);
}

#define TEST(function)                                                         \
    cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(file_is_read_whole_and_kept),
        TEST(closing_twice_is_fine),
        cmocka_unit_test(missing_file_is_named),
        cmocka_unit_test(folder_is_refused),
        cmocka_unit_test(device_is_refused),
        TEST(fifo_is_refused_without_waiting),
        TEST(empty_file_is_refused),
        TEST(huge_file_is_refused),
        cmocka_unit_test(file_that_ends_early_is_refused),
        cmocka_unit_test(long_name_keeps_its_end),
        cmocka_unit_test(name_that_just_fits_is_kept),
        cmocka_unit_test(kind_is_told_by_magic),
        cmocka_unit_test(raw_image_is_copied_to_its_address),
        cmocka_unit_test(raw_image_past_rams_end_is_refused),
        cmocka_unit_test(raw_image_that_wraps_is_refused),
    };

    return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
