/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Sums and products that say when they do not fit; bits. */
#ifndef VMM_BASE_ARITH_H
#define VMM_BASE_ARITH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BIT(number) (UINT64_C(1) << (number))

/*
 * Each returns true and sets *result when the exact result fits its type, and
 * returns false otherwise (*result then means nothing), so that the natural
 * use is `if (!add_u64(gpa, len, &end)) return -EFAULT;`.
 */
__attribute__((warn_unused_result)) static inline bool
add_u64(uint64_t a, uint64_t b, uint64_t *result)
{
    return !__builtin_add_overflow(a, b, result);
}

__attribute__((warn_unused_result)) static inline bool
mul_u64(uint64_t a, uint64_t b, uint64_t *result)
{
    return !__builtin_mul_overflow(a, b, result);
}

__attribute__((warn_unused_result)) static inline bool
add_size(size_t a, size_t b, size_t *result)
{
    return !__builtin_add_overflow(a, b, result);
}

__attribute__((warn_unused_result)) static inline bool
mul_size(size_t a, size_t b, size_t *result)
{
    return !__builtin_mul_overflow(a, b, result);
}

/* alignment is a power of two. */
static inline bool is_aligned(uint64_t value, uint64_t alignment)
{
    return (value & (alignment - 1)) == 0;
}

static inline uint64_t align_down(uint64_t value, uint64_t alignment)
{
    return value & ~(alignment - 1);
}

/* Round up to a multiple of alignment (a power of two), as above. */
__attribute__((warn_unused_result)) static inline bool
align_up(uint64_t value, uint64_t alignment, uint64_t *result)
{
    if (!add_u64(value, alignment - 1, result))
        return false;
    *result = align_down(*result, alignment);
    return true;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

#endif
