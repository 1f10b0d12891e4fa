/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Token buckets: how much may be done by now. */
#include "virtio/limit.h"
#include "base/arith.h"

#define NS_PER_S UINT64_C(1000000000)
/* No sum of tokens comes near what an int64_t holds. */
#define TOKENS_MAX (INT64_MAX / 4)

__extension__ typedef unsigned __int128 wide;

/* a * b / c, up to UINT64_MAX. */
static uint64_t scale(uint64_t a, uint64_t b, uint64_t c)
{
    wide exact = (wide)a * b / c;

    return exact > UINT64_MAX ? UINT64_MAX : (uint64_t)exact;
}

/* In how many nanoseconds, rounded up, a rate gives so many tokens. */
static uint64_t time_of(uint64_t tokens, uint64_t rate)
{
    wide exact = ((wide)tokens * NS_PER_S + rate - 1) / rate;

    return exact > UINT64_MAX ? UINT64_MAX : (uint64_t)exact;
}

/* ---- one ------------------------------------------------------------------
 */

/* The time of whole tokens only is used up, so that asking often costs none. */
static void fill(struct bucket *bucket, uint64_t now_ns)
{
    if (now_ns <= bucket->filled_ns)
        return;
    uint64_t passed = now_ns - bucket->filled_ns;
    uint64_t room = (uint64_t)((int64_t)bucket->burst - bucket->tokens);
    uint64_t earned = scale(passed, bucket->rate, NS_PER_S);

    if (earned >= room) {
        bucket->tokens = (int64_t)bucket->burst;
        bucket->filled_ns = now_ns;
        return;
    }
    bucket->tokens += (int64_t)earned;
    bucket->filled_ns += time_of(earned, bucket->rate); /* <= passed */
}

void bucket_set(struct bucket *bucket, uint64_t rate, uint64_t burst,
                uint64_t now_ns)
{
    bool is_new = bucket->rate == 0;

    if (!is_new)
        fill(bucket, now_ns);
    bucket->rate = rate;
    bucket->burst = min_u64(max_u64(burst, 1), TOKENS_MAX);
    if (is_new || bucket->tokens > (int64_t)bucket->burst)
        bucket->tokens = (int64_t)bucket->burst;
    bucket->filled_ns = now_ns;
}

uint64_t bucket_level(struct bucket *bucket, uint64_t now_ns)
{
    if (!bucket->rate)
        return UINT64_MAX;
    fill(bucket, now_ns);
    return bucket->tokens > 0 ? (uint64_t)bucket->tokens : 0;
}

void bucket_take(struct bucket *bucket, uint64_t tokens)
{
    if (!bucket->rate)
        return;
    bucket->tokens -= (int64_t)min_u64(tokens, TOKENS_MAX);
    if (bucket->tokens < -TOKENS_MAX)
        bucket->tokens = -TOKENS_MAX;
}

uint64_t bucket_wait_ns(struct bucket *bucket, uint64_t now_ns)
{
    if (bucket_level(bucket, now_ns))
        return 0;
    uint64_t lacking = (uint64_t)(1 - bucket->tokens);
    uint64_t wait = time_of(lacking, bucket->rate);

    return wait -
           min_u64(now_ns - min_u64(bucket->filled_ns, now_ns), wait - 1);
}

/* ---- one for bytes, one for items -----------------------------------------
 */

void limit_set(struct limit *limit, const struct vmm_limit *to, uint64_t now_ns)
{
    bucket_set(&limit->bytes, to->bytes,
               scale(to->bytes, to->burst_ns, NS_PER_S), now_ns);
    bucket_set(&limit->items, to->items,
               scale(to->items, to->burst_ns, NS_PER_S), now_ns);
}

uint64_t limit_wait_ns(struct limit *limit, uint64_t now_ns)
{
    return max_u64(bucket_wait_ns(&limit->bytes, now_ns),
                   bucket_wait_ns(&limit->items, now_ns));
}

void limit_take(struct limit *limit, uint64_t bytes)
{
    bucket_take(&limit->bytes, bytes);
    bucket_take(&limit->items, 1);
}
