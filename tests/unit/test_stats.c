/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* KVM's binary statistics: read from files that are as its fds, or lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vmm/stats.h>

#define NAME_BYTES 16

/* A file as KVM would give it: two statistics of one and of three values. */
struct file {
    struct kvm_stats_header header;
    struct {
        uint32_t flags;
        int16_t exponent;
        uint16_t size;
        uint32_t offset;
        uint32_t bucket_size;
        char name[NAME_BYTES];
    } desc[2];
    uint64_t data[4];
};

static const struct file sample = {
    .header = {.name_size = NAME_BYTES,
               .num_desc = 2,
               .desc_offset = offsetof(struct file, desc),
               .data_offset = offsetof(struct file, data)},
    .desc = {{KVM_STATS_TYPE_INSTANT | KVM_STATS_UNIT_SECONDS, -9, 1, 0, 0,
              "wait_ns"},
             {KVM_STATS_TYPE_LOG_HIST | KVM_STATS_BASE_POW2 |
                  KVM_STATS_UNIT_BYTES,
              10, 3, 8, 0, "a name with 16 b"}},
    .data = {42, 1, 2, 3},
};

static int file_with(const struct file *file, size_t bytes)
{
    int fd = memfd_create("stats", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, file, bytes), bytes);
    return fd;
}

struct seen {
    unsigned count;
    uint64_t sum;
    char names[2][64];
    struct vmm_stat stats[2];
};

static void see(void *context, const struct vmm_stat *stat)
{
    struct seen *seen = context;

    if (seen->count < 2) {
        strncpy(seen->names[seen->count], stat->name, 63);
        seen->stats[seen->count] = *stat;
    }
    seen->count++;
    for (size_t i = 0; i < stat->count; i++)
        seen->sum += stat->values[i];
}

static int read_file(const struct file *file, size_t bytes, struct seen *seen)
{
    int fd = file_with(file, bytes);
    int r = vmm_stats_each(fd, see, seen);

    close(fd);
    return r;
}

static void every_statistic_is_given_as_it_describes_itself(void **state)
{
    struct seen seen = {0};

    (void)state;
    assert_int_equal(read_file(&sample, sizeof(sample), &seen), 0);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.sum, 48);
    assert_string_equal(seen.names[0], "wait_ns");
    assert_int_equal(seen.stats[0].kind, VMM_STAT_INSTANT);
    assert_int_equal(seen.stats[0].unit, VMM_STAT_SECONDS);
    assert_int_equal(seen.stats[0].base, 10);
    assert_int_equal(seen.stats[0].exponent, -9);
    assert_string_equal(seen.names[1], "a name with 16 b");
    assert_int_equal(seen.stats[1].kind, VMM_STAT_LOG_HISTOGRAM);
    assert_int_equal(seen.stats[1].base, 2);
    assert_int_equal(seen.stats[1].count, 3);
}

static void a_kind_of_a_later_kernel_is_left_out(void **state)
{
    struct file file = sample;
    struct seen seen = {0};

    (void)state;
    file.desc[0].flags = KVM_STATS_TYPE_MAX + 1;
    assert_int_equal(read_file(&file, sizeof(file), &seen), 0);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.names[0], "a name with 16 b");
}

static void refused(const struct file *file, size_t bytes, int code)
{
    struct seen seen = {0};

    assert_int_equal(read_file(file, bytes, &seen), code);
    assert_int_equal(seen.count, 0);
}

static void a_file_that_ends_early_is_refused(void **state)
{
    (void)state;
    refused(&sample, 0, -EPROTO);
    refused(&sample, sizeof(sample.header), -EPROTO);
    refused(&sample, offsetof(struct file, data) + 8, -EPROTO);
}

static void sizes_of_no_kernel_are_refused(void **state)
{
    struct file file = sample;

    (void)state;
    file.header.name_size = 1u << 31;
    refused(&file, sizeof(file), -EPROTO);
    file.header.name_size = 0;
    refused(&file, sizeof(file), -EPROTO);
    file = sample;
    file.header.num_desc = UINT32_MAX;
    refused(&file, sizeof(file), -EPROTO);
    file = sample;
    file.desc[1].offset = UINT32_MAX - 7;
    refused(&file, sizeof(file), -EPROTO);
    file = sample;
    file.desc[1].offset = 9;
    refused(&file, sizeof(file), -EPROTO);
}

static void what_is_no_file_gives_its_error(void **state)
{
    struct seen seen = {0};

    (void)state;
    assert_int_equal(vmm_stats_each(-1, see, &seen), -EBADF);
    assert_int_equal(vmm_stats_open(-1), -EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_statistic_is_given_as_it_describes_itself),
        cmocka_unit_test(a_kind_of_a_later_kernel_is_left_out),
        cmocka_unit_test(a_file_that_ends_early_is_refused),
        cmocka_unit_test(sizes_of_no_kernel_are_refused),
        cmocka_unit_test(what_is_no_file_gives_its_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
