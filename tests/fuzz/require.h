/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What fuzz targets check: REQUIRE, and by it what the unit tests' mock drivers
 * (tests/unit/..._driver.h) assert. */
#ifndef REQUIRE_H
#define REQUIRE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                     \
    do {                                                                       \
        if (!(condition))                                                      \
            abort();                                                           \
    } while (0)

#define fail_msg(...)                 (printf(__VA_ARGS__), abort())
#define assert_true(a)                REQUIRE(a)
#define assert_int_equal(a, b)        REQUIRE((uint64_t)(a) == (uint64_t)(b))
#define assert_in_range(a, low, high) REQUIRE((a) >= (low) && (a) <= (high))
#define assert_memory_equal(a, b, n)  REQUIRE(memcmp(a, b, n) == 0)
#define assert_string_equal(a, b)     REQUIRE(strcmp(a, b) == 0)

#endif
