/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Token buckets.  They know no clock: who asks says what time it is. */
#ifndef VMM_VIRTIO_LIMIT_H
#define VMM_VIRTIO_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include <vmm/limit.h>

/* ---- one ------------------------------------------------------------------
 */

struct bucket {
    uint64_t rate;      /* tokens a second; 0: no limit */
    uint64_t burst;     /* what it holds at the most */
    int64_t tokens;     /* < 0: a debt, which is to be earned first */
    uint64_t filled_ns; /* when tokens was up to date */
};

/* The rate, from now on; burst: at least one token is made of it.  A bucket
 * that had no rate is full, another one keeps what it has, up to burst. */
void bucket_set(struct bucket *bucket, uint64_t rate, uint64_t burst,
                uint64_t now_ns);
/* Tokens that it has now; UINT64_MAX without a limit. */
uint64_t bucket_level(struct bucket *bucket, uint64_t now_ns);
/* Take them, also more than there are. */
void bucket_take(struct bucket *bucket, uint64_t tokens);
/* How long until there is one; 0: there is. */
uint64_t bucket_wait_ns(struct bucket *bucket, uint64_t now_ns);

/* ---- one for bytes, one for items -----------------------------------------
 */

struct limit {
    struct bucket bytes, items;
};

void limit_set(struct limit *limit, const struct vmm_limit *to,
               uint64_t now_ns);
static inline bool limit_is_set(const struct limit *limit)
{
    return (limit->bytes.rate | limit->items.rate) != 0;
}
/* How long to wait before one more item; 0: it may be done now. */
uint64_t limit_wait_ns(struct limit *limit, uint64_t now_ns);
/* One item is done that has these bytes. */
void limit_take(struct limit *limit, uint64_t bytes);

#endif
