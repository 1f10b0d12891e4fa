/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Guest memory: layouts taken and refused, and every door at its edges. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <vmm/memory.h>

#include "../../src/base/arith.h"
#include "../../src/base/endian.h"

#define KIB        1024ULL
#define MIB        (1024ULL * KIB)
#define LEN(array) (sizeof(array) / sizeof((array)[0]))

/*
 *   0x1000   0x3000   0x5000          0x8000  0x9000
 *     | first  | second | ... hole ... | third |
 */
static const struct vmm_memory_range layout[] = {
    {0x1000, 0x2000}, {0x3000, 0x2000}, {0x8000, 0x1000}};

static struct vmm_memory *new_memory(const struct vmm_memory_range *ranges,
                                     size_t count)
{
    struct vmm_memory_config config = {.ranges = ranges, .range_count = count};
    struct vmm_memory *memory;
    struct vmm_error err;

    if (vmm_memory_new(&config, &memory, &err))
        fail_msg("vmm_memory_new: %s", err.text);
    return memory;
}

static int set_up(void **state)
{
    *state = new_memory(layout, LEN(layout));
    return 0;
}

static int tear_down(void **state)
{
    vmm_memory_unref(*state);
    return 0;
}

/* ---- layouts ---------------------------------------------------------------
 */

static void a_layout_is_kept_as_given(void **state)
{
    struct vmm_memory *memory = *state;
    uint8_t *host;

    assert_int_equal(vmm_memory_region_count(memory), LEN(layout));
    assert_int_equal(vmm_memory_size_bytes(memory), 0x5000);
    for (size_t i = 0; i < LEN(layout); i++) {
        struct vmm_memory_region region = vmm_memory_region(memory, i);

        assert_int_equal(region.base, layout[i].base);
        assert_int_equal(region.size_bytes, layout[i].size_bytes);
        assert_int_equal(region.fd, -1);
        host = region.host;
        assert_int_equal(host[0], 0);
        assert_int_equal(host[region.size_bytes - 1], 0);
        /* Congruent modulo 2 MiB, so that KVM can map large pages. */
        assert_int_equal(((uintptr_t)host - region.base) % (2 * MIB), 0);
    }
}

static void bad_layouts_are_refused_with_the_numbers(void **state)
{
    static const struct {
        struct vmm_memory_range ranges[2];
        size_t count;
        bool huge;
        const char *text;
    } cases[] = {
        {{{0, 0}}, 0, false, "0 memory ranges given, 1 to 32 are possible"},
        {{{0, 0}}, 33, false, "33 memory ranges given, 1 to 32 are possible"},
        {{{0x1000, 0}}, 1, false, "memory range 0 at 0x1000 has size 0"},
        {{{0x800, 0x1000}},
         1,
         false,
         "memory range 0 (base 0x800, size 0x1000): both must be multiples of "
         "0x1000"},
        {{{0, 0x1001}},
         1,
         false,
         "memory range 0 (base 0x0, size 0x1001): both must be multiples of "
         "0x1000"},
        {{{0, 0x201000}},
         1,
         true,
         "memory range 0 (base 0x0, size 0x201000): both must be multiples of "
         "0x200000 with huge pages"},
        {{{0xfffffffffffff000, 0x1000}},
         1,
         false,
         "memory range 0 (base 0xfffffffffffff000, size 0x1000) ends beyond "
         "0x10000000000000, the limit of x86-64 physical addresses"},
        {{{0x1000, 0xfffffffffffff000}},
         1,
         false,
         "memory range 0 (base 0x1000, size 0xfffffffffffff000) ends beyond "
         "0x10000000000000, the limit of x86-64 physical addresses"},
        {{{0, 0x10000000001000}},
         1,
         false,
         "memory range 0 (base 0x0, size 0x10000000001000) ends beyond "
         "0x10000000000000, the limit of x86-64 physical addresses"},
        {{{0, 0x3000}, {0x2000, 0x1000}},
         2,
         false,
         "memory range 1 starts at 0x2000, before range 0 [0x0, 0x3000) ends: "
         "ranges must ascend and not overlap"},
        {{{0x5000, 0x1000}, {0, 0x1000}},
         2,
         false,
         "memory range 1 starts at 0x0, before range 0 [0x5000, 0x6000) ends: "
         "ranges must ascend and not overlap"},
    };

    (void)state;
    for (size_t i = 0; i < LEN(cases); i++) {
        struct vmm_memory_config config = {.ranges = cases[i].ranges,
                                           .range_count = cases[i].count,
                                           .huge_pages = cases[i].huge};
        struct vmm_memory *memory = NULL;
        struct vmm_error err = {0};

        assert_int_equal(vmm_memory_new(&config, &memory, &err), -EINVAL);
        assert_string_equal(err.text, cases[i].text);
        assert_int_equal(err.code, EINVAL);
        assert_null(memory);
    }
}

static void more_than_the_host_can_map_is_refused_with_the_size(void **state)
{
    struct vmm_memory_range range = {0, 1ULL << 51};
    struct vmm_memory_config config = {.ranges = &range, .range_count = 1};
    struct vmm_memory *memory;
    struct vmm_error err;

    (void)state;
    assert_int_equal(vmm_memory_new(&config, &memory, &err), -ENOMEM);
    assert_string_equal(err.text,
                        "the host refuses to map 2147483648 MiB "
                        "(0x8000000000000 bytes) for guest memory at 0x0: "
                        "Cannot allocate memory");
}

static void more_than_the_host_has_is_reserved_but_not_taken(void **state)
{
    uint64_t has = (uint64_t)sysconf(_SC_PHYS_PAGES) * 4096;
    struct vmm_memory_range range = {0, 2 * has};
    struct vmm_memory *memory = new_memory(&range, 1);

    (void)state;
    assert_int_equal(vmm_memory_store_u8(memory, 2 * has - 1, 0xa5), 0);
    vmm_memory_unref(memory);
}

static void the_smallest_memory_is_one_page(void **state)
{
    static const struct vmm_memory_range range = {0, 4 * KIB};
    struct vmm_memory *memory = new_memory(&range, 1);

    (void)state;
    assert_int_equal(vmm_memory_check(memory, 0, 4096), 0);
    assert_int_equal(vmm_memory_check(memory, 0, 4097), -EFAULT);
    vmm_memory_unref(memory);
}

static void the_highest_page_may_be_ram(void **state)
{
    static const struct vmm_memory_range range = {0xffffffffff000, 0x1000};
    struct vmm_memory *memory = new_memory(&range, 1);

    (void)state;
    assert_int_equal(vmm_memory_store_u8(memory, 0xfffffffffffff, 1), 0);
    assert_int_equal(vmm_memory_store_u8(memory, 0x10000000000000, 1), -EFAULT);
    vmm_memory_unref(memory);
}

static void the_last_reference_unmaps(void **state)
{
    struct vmm_memory *memory = new_memory(layout, LEN(layout));
    void *host = vmm_memory_region(memory, 0).host;
    unsigned char resident;

    (void)state;
    assert_ptr_equal(vmm_memory_ref(memory), memory);
    vmm_memory_unref(memory);
    assert_int_equal(mincore(host, 4096, &resident), 0);
    vmm_memory_unref(memory);
    assert_int_equal(mincore(host, 4096, &resident), -1);
    assert_int_equal(errno, ENOMEM);
    vmm_memory_unref(NULL);
}

/* The byte at host, by a system call, which fails where a load would die. */
static int touch(const void *host)
{
    int ends[2];
    int ret;

    assert_int_equal(pipe(ends), 0);
    ret = write(ends[1], host, 1) == 1 ? 0 : -errno;
    close(ends[0]);
    close(ends[1]);
    return ret;
}

static void guard_pages_surround_each_region(void **state)
{
    struct vmm_memory *memory = *state;

    for (size_t i = 0; i < vmm_memory_region_count(memory); i++) {
        struct vmm_memory_region region = vmm_memory_region(memory, i);
        const uint8_t *host = region.host;

        assert_int_equal(touch(host), 0);
        assert_int_equal(touch(host + region.size_bytes - 1), 0);
        assert_int_equal(touch(host - 1), -EFAULT);
        assert_int_equal(touch(host - 4096), -EFAULT);
        assert_int_equal(touch(host + region.size_bytes), -EFAULT);
        assert_int_equal(touch(host + region.size_bytes + 4095), -EFAULT);
    }
}

static void shared_memory_is_a_sealed_memfd_that_others_can_map(void **state)
{
    struct vmm_memory_config config = {
        .ranges = layout, .range_count = LEN(layout), .shared = true};
    struct vmm_memory *memory;
    struct vmm_error err;

    (void)state;
    assert_int_equal(vmm_memory_new(&config, &memory, &err), 0);
    assert_int_equal(vmm_memory_store_u32(memory, 0x8ffc, 0x11223344), 0);

    struct vmm_memory_region third = vmm_memory_region(memory, 2);
    struct stat status;

    assert_int_equal(third.fd_offset, 0x4000);
    assert_int_equal(fstat(third.fd, &status), 0);
    assert_int_equal(status.st_size, 0x5000);

    uint8_t *other = mmap(NULL, 0x1000, PROT_READ, MAP_SHARED, third.fd,
                          (off_t)third.fd_offset);

    assert_ptr_not_equal(other, MAP_FAILED);
    assert_int_equal(load_le32(other + 0xffc), 0x11223344);
    munmap(other, 0x1000);
    assert_int_equal(ftruncate(third.fd, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(fcntl(third.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    vmm_memory_unref(memory);
    assert_int_equal(fcntl(third.fd, F_GETFD), -1);
}

/* Where the host has a pool of huge pages they work; where it has not, the
 * refusal says how many were missing. */
static void huge_pages_come_from_the_pool_or_are_refused(void **state)
{
    static const struct vmm_memory_range range = {0, 4 * MIB};

    (void)state;
    for (int shared = 0; shared < 2; shared++) {
        struct vmm_memory_config config = {.ranges = &range,
                                           .range_count = 1,
                                           .shared = shared,
                                           .huge_pages = true};
        struct vmm_memory *memory;
        struct vmm_error err;
        int ret = vmm_memory_new(&config, &memory, &err);

        if (ret == 0) {
            assert_int_equal(vmm_memory_store_u8(memory, 4 * MIB - 1, 1), 0);
            vmm_memory_unref(memory);
            continue;
        }
        assert_int_equal(ret, -ENOMEM);
        assert_non_null(strstr(err.text,
                               "guest memory at 0x0 needs 2 huge pages of "
                               "2 MiB, the host has "));
    }
}

/* ---- doors -----------------------------------------------------------------
 */

static void ranges_are_checked_to_the_byte(void **state)
{
    static const struct {
        vmm_gpa_t gpa;
        uint64_t len;
        int expect;
    } cases[] = {
        {0x1000, 1, 0},            /* the first byte */
        {0x0fff, 1, -EFAULT},      /* one below */
        {0x0fff, 2, -EFAULT},      /* starts outside, ends inside */
        {0x4fff, 1, 0},            /* the last byte before the hole */
        {0x5000, 1, -EFAULT},      /* one past it */
        {0x4fff, 2, -EFAULT},      /* ends in the hole */
        {0x1000, 0x4000, 0},       /* two adjoining regions, whole */
        {0x1000, 0x4001, -EFAULT}, /* and a byte too many */
        {0x2fff, 2, 0},            /* over the seam */
        {0x4000, 0x4001, -EFAULT}, /* both ends in RAM, a hole between */
        {0x6000, 0x10, -EFAULT},   /* within the hole */
        {0x7fff, 1, -EFAULT},      /* the hole's last byte */
        {0x8000, 0x1000, 0},       /* the last region */
        {0x8fff, 1, 0},            /* its last byte */
        {0x9000, 1, -EFAULT},      /* one past everything */
        {0x8000, UINT64_MAX, -EFAULT},
        {0x8fff, UINT64_MAX - 0x8ffe, -EFAULT}, /* ends at 2^64 */
        {0x8fff, UINT64_MAX - 0x8ffd, -EFAULT}, /* wraps to 1 */
        {0x1000, UINT64_MAX - 0xffe, -EFAULT},  /* wraps into itself */
        {UINT64_MAX, 1, -EFAULT},
        {UINT64_MAX, 2, -EFAULT},
        {UINT64_MAX - 0xfff, 0x3000, -EFAULT},
        {0x1000, 0xffffffff, -EFAULT},
    };
    struct vmm_memory *memory = *state;

    for (size_t i = 0; i < LEN(cases); i++) {
        int got = vmm_memory_check(memory, cases[i].gpa, cases[i].len);

        if (got != cases[i].expect)
            fail_msg("check(0x%" PRIx64 ", 0x%" PRIx64 ") is %d, not %d",
                     cases[i].gpa, cases[i].len, got, cases[i].expect);
    }
}

static void a_length_of_zero_is_fine_in_ram_and_one_past_its_end(void **state)
{
    static const struct {
        vmm_gpa_t gpa;
        int expect;
    } cases[] = {
        {0, -EFAULT}, {0xfff, -EFAULT},  {0x1000, 0},           {0x3000, 0},
        {0x5000, 0},  {0x5001, -EFAULT}, {0x7fff, -EFAULT},     {0x8000, 0},
        {0x9000, 0},  {0x9001, -EFAULT}, {UINT64_MAX, -EFAULT},
    };
    struct vmm_memory *memory = *state;
    struct iovec piece;

    for (size_t i = 0; i < LEN(cases); i++) {
        vmm_gpa_t gpa = cases[i].gpa;
        int expect = cases[i].expect;

        if (vmm_memory_check(memory, gpa, 0) != expect ||
            vmm_memory_read(memory, gpa, NULL, 0) != expect ||
            vmm_memory_write(memory, gpa, NULL, 0) != expect ||
            vmm_memory_fill(memory, gpa, 1, 0) != expect ||
            vmm_memory_iovec(memory, gpa, 0, &piece, 1) != expect)
            fail_msg("length 0 at 0x%" PRIx64 ": not %d at some door", gpa,
                     expect);
    }
}

static void bytes_written_over_a_seam_are_read_back(void **state)
{
    struct vmm_memory *memory = *state;
    uint8_t out[64], in[64];

    for (size_t i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i + 1);
    assert_int_equal(vmm_memory_write(memory, 0x3000 - 20, out, sizeof(out)),
                     0);
    assert_int_equal(vmm_memory_read(memory, 0x3000 - 20, in, sizeof(in)), 0);
    assert_memory_equal(in, out, sizeof(out));

    const uint8_t *first = vmm_memory_region(memory, 0).host;
    const uint8_t *second = vmm_memory_region(memory, 1).host;

    assert_int_equal(first[0x2000 - 1], 20);
    assert_int_equal(second[0], 21);
    assert_int_equal(second[43], 64);
    assert_int_equal(second[44], 0);
}

static void a_write_that_does_not_fit_changes_nothing(void **state)
{
    struct vmm_memory *memory = *state;
    static uint8_t ones[0x3001];
    uint8_t byte = 7;

    memset(ones, 1, sizeof(ones));
    assert_int_equal(vmm_memory_write(memory, 0x2000, ones, sizeof(ones)),
                     -EFAULT);
    assert_int_equal(vmm_memory_fill(memory, 0x2000, 1, sizeof(ones)), -EFAULT);
    for (vmm_gpa_t gpa = 0x2000; gpa < 0x5000; gpa++) {
        assert_int_equal(vmm_memory_load_u8(memory, gpa, &byte), 0);
        assert_int_equal(byte, 0);
    }
}

static void a_read_that_does_not_fit_leaves_the_buffer(void **state)
{
    uint8_t buffer[16], expect[16];

    memset(buffer, 0x5a, sizeof(buffer));
    memset(expect, 0x5a, sizeof(expect));
    assert_int_equal(vmm_memory_read(*state, 0x4ff8, buffer, 16), -EFAULT);
    assert_memory_equal(buffer, expect, 16);
}

static void a_fill_spans_regions_and_stops_at_its_length(void **state)
{
    struct vmm_memory *memory = *state;
    uint8_t edge[4];

    assert_int_equal(vmm_memory_fill(memory, 0x1001, 0xee, 0x3ffe), 0);
    assert_int_equal(vmm_memory_read(memory, 0x1000, edge, 2), 0);
    assert_int_equal(vmm_memory_read(memory, 0x4ffe, edge + 2, 2), 0);
    assert_memory_equal(edge, "\x00\xee\xee\x00", 4);
    assert_int_equal(vmm_memory_read(memory, 0x2ffe, edge, 4), 0);
    assert_memory_equal(edge, "\xee\xee\xee\xee", 4);
}

static void integers_are_little_endian(void **state)
{
    struct vmm_memory *memory = *state;
    uint8_t bytes[8];

    assert_int_equal(vmm_memory_store_u64(memory, 0x1008, 0x0102030405060708),
                     0);
    assert_int_equal(vmm_memory_read(memory, 0x1008, bytes, 8), 0);
    assert_memory_equal(bytes, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
}

/* Every width at every offset around an address, seam or not. */
static void integers_round_trip_around(struct vmm_memory *memory, vmm_gpa_t at)
{
    for (vmm_gpa_t gpa = at - 8; gpa <= at; gpa++) {
        uint8_t u8 = 0;
        uint16_t u16 = 0;
        uint32_t u32 = 0;
        uint64_t u64 = 0;

        assert_int_equal(vmm_memory_store_u64(memory, gpa, 0x8877665544332211),
                         0);
        assert_int_equal(vmm_memory_load_u8(memory, gpa, &u8), 0);
        assert_int_equal(u8, 0x11);
        assert_int_equal(vmm_memory_load_u16(memory, gpa, &u16), 0);
        assert_int_equal(u16, 0x2211);
        assert_int_equal(vmm_memory_load_u32(memory, gpa, &u32), 0);
        assert_int_equal(u32, 0x44332211);
        assert_int_equal(vmm_memory_load_u64(memory, gpa, &u64), 0);
        assert_int_equal(u64, 0x8877665544332211);

        assert_int_equal(vmm_memory_store_u32(memory, gpa, 0xddccbbaa), 0);
        assert_int_equal(vmm_memory_store_u16(memory, gpa, 0x0201), 0);
        assert_int_equal(vmm_memory_store_u8(memory, gpa, 0xff), 0);
        assert_int_equal(vmm_memory_load_u64(memory, gpa, &u64), 0);
        assert_int_equal(u64, 0x88776655ddcc02ff);
    }
}

static void integers_round_trip_at_any_alignment_and_over_a_seam(void **state)
{
    integers_round_trip_around(*state, 0x1100);
    integers_round_trip_around(*state, 0x3000);
}

static void an_integer_that_ends_outside_is_refused(void **state)
{
    struct vmm_memory *memory = *state;
    uint16_t u16 = 1;
    uint32_t u32 = 1;
    uint64_t u64 = 1;

    assert_int_equal(vmm_memory_load_u16(memory, 0x4fff, &u16), -EFAULT);
    assert_int_equal(vmm_memory_load_u32(memory, 0x4ffd, &u32), -EFAULT);
    assert_int_equal(vmm_memory_load_u64(memory, 0x4ff9, &u64), -EFAULT);
    assert_int_equal(u16 + u32 + u64, 3);
    assert_int_equal(vmm_memory_store_u16(memory, 0x4fff, 1), -EFAULT);
    assert_int_equal(vmm_memory_store_u32(memory, 0x4ffd, 1), -EFAULT);
    assert_int_equal(vmm_memory_store_u64(memory, 0x4ff9, 1), -EFAULT);
    assert_int_equal(vmm_memory_load_u64(memory, UINT64_MAX - 3, &u64),
                     -EFAULT);
    assert_int_equal(vmm_memory_load_u64(memory, 0x4ff8, &u64), 0);
    assert_int_equal(u64, 0);
}

static void ring_indices_must_be_aligned_and_in_ram(void **state)
{
    struct vmm_memory *memory = *state;
    uint16_t value = 0;

    assert_int_equal(vmm_memory_store_release_u16(memory, 0x4ffe, 0xbeef), 0);
    assert_int_equal(vmm_memory_load_acquire_u16(memory, 0x4ffe, &value), 0);
    assert_int_equal(value, 0xbeef);
    assert_int_equal(vmm_memory_load_acquire_u16(memory, 0x4ffd, &value),
                     -EINVAL);
    assert_int_equal(vmm_memory_store_release_u16(memory, 0x4ffd, 1), -EINVAL);
    assert_int_equal(vmm_memory_load_acquire_u16(memory, 0x5000, &value),
                     -EFAULT);
    assert_int_equal(vmm_memory_store_release_u16(memory, 0x7ffe, 1), -EFAULT);
}

static void an_iovec_has_one_piece_per_region(void **state)
{
    struct vmm_memory *memory = *state;
    uint8_t *first = vmm_memory_region(memory, 0).host;
    uint8_t *second = vmm_memory_region(memory, 1).host;
    struct iovec pieces[2];

    assert_int_equal(vmm_memory_iovec(memory, 0x2ff0, 0x30, pieces, 2), 2);
    assert_ptr_equal(pieces[0].iov_base, first + 0x1ff0);
    assert_int_equal(pieces[0].iov_len, 0x10);
    assert_ptr_equal(pieces[1].iov_base, second);
    assert_int_equal(pieces[1].iov_len, 0x20);
    assert_int_equal(vmm_memory_iovec(memory, 0x2ff0, 0x10, pieces, 1), 1);
    assert_int_equal(vmm_memory_iovec(memory, 0x2ff0, 0x11, pieces, 1),
                     -ENOBUFS);
    assert_int_equal(vmm_memory_iovec(memory, 0x4ff0, 0x11, pieces, 2),
                     -EFAULT);
}

static void a_file_is_read_into_ram_from_its_offset(void **state)
{
    struct vmm_memory *memory = *state;
    int fd = memfd_create("file", MFD_CLOEXEC);
    uint8_t in[5];

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "0123456789", 10), 10);
    assert_int_equal(vmm_memory_read_file(memory, 0x2ffe, fd, 3, 5), 0);
    assert_int_equal(vmm_memory_read(memory, 0x2ffe, in, 5), 0);
    assert_memory_equal(in, "34567", 5);
    assert_int_equal(vmm_memory_read_file(memory, 0x1000, fd, 3, 8), -ENODATA);
    assert_int_equal(vmm_memory_read_file(memory, 0x1000, fd, 11, 1), -ENODATA);
    assert_int_equal(vmm_memory_read_file(memory, 0x4ffe, fd, 0, 3), -EFAULT);
    assert_int_equal(vmm_memory_read_file(memory, 0x1000, fd, INT64_MAX, 1),
                     -EINVAL);
    assert_int_equal(vmm_memory_read_file(memory, 0x1000, fd, UINT64_MAX, 2),
                     -EINVAL);
    close(fd);
    assert_int_equal(vmm_memory_read_file(memory, 0x1000, fd, 0, 1), -EBADF);
}

/* ---- the look-up against a naive model --------------------------------------
 */

static uint64_t random_u64(uint64_t *seed)
{
    /* xorshift64: any sequence will do, as long as the seed tells it. */
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Page by page: slow and obviously right. */
#define MODEL_PAGES 64
struct model {
    bool ram[MODEL_PAGES + 1];
    struct vmm_memory_range ranges[VMM_MEMORY_RANGES_MAX];
    size_t count;
};

static void random_layout(struct model *model, uint64_t *seed)
{
    size_t page = random_u64(seed) % 4;

    memset(model, 0, sizeof(*model));
    while (model->count < VMM_MEMORY_RANGES_MAX) {
        size_t pages = 1 + random_u64(seed) % 4;

        if (page + pages > MODEL_PAGES)
            break;
        model->ranges[model->count++] =
            (struct vmm_memory_range){page * 4096, pages * 4096};
        memset(model->ram + page, true, pages);
        /* Half of the regions adjoin the next. */
        page += pages + (random_u64(seed) % 2) * (random_u64(seed) % 4);
    }
}

static int model_check(const struct model *model, vmm_gpa_t gpa, uint64_t len)
{
    bool touches = gpa % 4096 == 0 && gpa && gpa / 4096 <= MODEL_PAGES &&
                   model->ram[gpa / 4096 - 1];

    if (len == 0)
        return touches || (gpa / 4096 < MODEL_PAGES && model->ram[gpa / 4096])
                   ? 0
                   : -EFAULT;
    for (uint64_t i = 0; i < len; i++)
        if ((gpa + i) / 4096 >= MODEL_PAGES || !model->ram[(gpa + i) / 4096])
            return -EFAULT;
    return 0;
}

static void compare_look_ups(struct vmm_memory *memory,
                             const struct model *model, uint64_t *seed)
{
    for (int probe = 0; probe < 400; probe++) {
        uint64_t page = random_u64(seed) % (MODEL_PAGES + 2);
        vmm_gpa_t gpa = page * 4096 + random_u64(seed) % 3 - 1;
        uint64_t len = random_u64(seed) % 4 * 4096 + random_u64(seed) % 4;
        int expect = model_check(model, gpa, len);
        int got = vmm_memory_check(memory, gpa, len);

        if (got != expect)
            fail_msg("check(0x%" PRIx64 ", 0x%" PRIx64 ") is %d, the model "
                     "says %d",
                     gpa, len, got, expect);
    }
}

static void the_look_up_agrees_with_a_naive_model(void **state)
{
    const char *given = getenv("VMM_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : 0x9e3779b97f4a7c15;

    (void)state;
    print_message("VMM_TEST_SEED=0x%" PRIx64 "\n", seed);
    for (int round = 0; round < 100; round++) {
        struct model model;

        random_layout(&model, &seed);

        struct vmm_memory *memory = new_memory(model.ranges, model.count);

        compare_look_ups(memory, &model, &seed);
        vmm_memory_unref(memory);
    }
}

/* ---- arithmetic -------------------------------------------------------------
 */

static void arithmetic_says_when_it_does_not_fit(void **state)
{
    uint64_t result;
    size_t size;

    (void)state;
    assert_true(add_u64(UINT64_MAX - 1, 1, &result));
    assert_int_equal(result, UINT64_MAX);
    assert_false(add_u64(UINT64_MAX, 1, &result));
    assert_true(mul_u64(1ULL << 32, (1ULL << 32) - 1, &result));
    assert_int_equal(result, UINT64_MAX - UINT32_MAX);
    assert_false(mul_u64(1ULL << 32, 1ULL << 32, &result));
    assert_false(add_size(SIZE_MAX, 1, &size));
    assert_false(mul_size(SIZE_MAX / 2, 3, &size));
    assert_true(align_up(0x1001, 0x1000, &result));
    assert_int_equal(result, 0x2000);
    assert_true(align_up(0x2000, 0x1000, &result));
    assert_int_equal(result, 0x2000);
    assert_false(align_up(UINT64_MAX, 0x1000, &result));
    assert_int_equal(align_down(0x1fff, 0x1000), 0x1000);
    assert_true(is_aligned(0, 8));
    assert_false(is_aligned(12, 8));
}

#define memory_test(name)                                                      \
    cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        memory_test(a_layout_is_kept_as_given),
        cmocka_unit_test(bad_layouts_are_refused_with_the_numbers),
        cmocka_unit_test(more_than_the_host_can_map_is_refused_with_the_size),
        cmocka_unit_test(more_than_the_host_has_is_reserved_but_not_taken),
        cmocka_unit_test(the_smallest_memory_is_one_page),
        cmocka_unit_test(the_highest_page_may_be_ram),
        cmocka_unit_test(the_last_reference_unmaps),
        memory_test(guard_pages_surround_each_region),
        cmocka_unit_test(shared_memory_is_a_sealed_memfd_that_others_can_map),
        cmocka_unit_test(huge_pages_come_from_the_pool_or_are_refused),
        memory_test(ranges_are_checked_to_the_byte),
        memory_test(a_length_of_zero_is_fine_in_ram_and_one_past_its_end),
        memory_test(bytes_written_over_a_seam_are_read_back),
        memory_test(a_write_that_does_not_fit_changes_nothing),
        memory_test(a_read_that_does_not_fit_leaves_the_buffer),
        memory_test(a_fill_spans_regions_and_stops_at_its_length),
        memory_test(integers_are_little_endian),
        memory_test(integers_round_trip_at_any_alignment_and_over_a_seam),
        memory_test(an_integer_that_ends_outside_is_refused),
        memory_test(ring_indices_must_be_aligned_and_in_ram),
        memory_test(an_iovec_has_one_piece_per_region),
        memory_test(a_file_is_read_into_ram_from_its_offset),
        cmocka_unit_test(the_look_up_agrees_with_a_naive_model),
        cmocka_unit_test(arithmetic_says_when_it_does_not_fit),
    };

    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
