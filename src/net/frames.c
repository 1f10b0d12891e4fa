/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A bounded queue of frames, in one ring of bytes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/net.h>

#include "net/frames.h"

/*
 *   | len | frame | pad | len | frame | pad | ...  | SKIP | unused |
 *
 * A frame is in one piece: what does not fit before the end begins anew at the
 * start.  Everything is aligned to the length's size.
 */
typedef uint32_t word_t;
#define SKIP UINT32_MAX

static size_t record_bytes(size_t len)
{
    return (sizeof(word_t) + len + sizeof(word_t) - 1) & ~(sizeof(word_t) - 1);
}

size_t iovec_bytes(const struct iovec *pieces, int count)
{
    size_t sum = 0;

    for (int i = 0; i < count; i++)
        sum += pieces[i].iov_len;
    return sum;
}

size_t iovec_gather(const struct iovec *pieces, int count, uint8_t *to)
{
    size_t sum = 0;

    for (int i = 0; i < count; i++) {
        if (pieces[i].iov_len)
            memcpy(to + sum, pieces[i].iov_base, pieces[i].iov_len);
        sum += pieces[i].iov_len;
    }
    return sum;
}

int frames_init(struct frames *frames)
{
    *frames = (struct frames){.bytes = malloc(FRAMES_BYTES)};
    return frames->bytes ? 0 : -ENOMEM;
}

void frames_fini(struct frames *frames)
{
    free(frames->bytes);
    frames->bytes = NULL;
}

static word_t load(const struct frames *frames, size_t at)
{
    word_t word;

    memcpy(&word, frames->bytes + at, sizeof(word));
    return word;
}

static void store(struct frames *frames, size_t at, size_t value)
{
    word_t word = (word_t)value;

    memcpy(frames->bytes + at, &word, sizeof(word));
}

bool frames_put(struct frames *frames, const struct iovec *frame, int count)
{
    size_t len = iovec_bytes(frame, count);
    size_t need = record_bytes(len);
    size_t to_end = FRAMES_BYTES - frames->tail;

    if (len == 0 || len > VMM_NET_FRAME_MAX)
        return false;
    if (need > to_end) { /* to_end is a word at least */
        if (frames->used + to_end + need > FRAMES_BYTES)
            return false;
        store(frames, frames->tail, SKIP);
        frames->used += to_end;
        frames->tail = 0;
    } else if (frames->used + need > FRAMES_BYTES) {
        return false;
    }
    store(frames, frames->tail, len);
    iovec_gather(frame, count, frames->bytes + frames->tail + sizeof(word_t));
    frames->tail = (frames->tail + need) % FRAMES_BYTES;
    frames->used += need;
    return true;
}

/* The oldest frame is at the head, or there is none. */
static bool settle(struct frames *frames)
{
    if (frames->used && load(frames, frames->head) == SKIP) {
        frames->used -= FRAMES_BYTES - frames->head;
        frames->head = 0;
    }
    return frames->used != 0;
}

size_t frames_peek(struct frames *frames, const uint8_t **frame)
{
    if (!settle(frames))
        return 0;
    *frame = frames->bytes + frames->head + sizeof(word_t);
    return load(frames, frames->head);
}

void frames_take(struct frames *frames)
{
    if (!settle(frames))
        return;
    size_t bytes = record_bytes(load(frames, frames->head));
    frames->head = (frames->head + bytes) % FRAMES_BYTES;
    frames->used -= bytes;
}

void frames_clear(struct frames *frames)
{
    frames->head = frames->tail = frames->used = 0;
}
