/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A bounded queue of frames.  Its owner locks it; a frame that was peeked at
 * stays where it is until it is taken, also while others are put. */
#ifndef NET_FRAMES_H
#define NET_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define FRAMES_BYTES (512u * 1024)

struct frames {
    uint8_t *bytes; /* FRAMES_BYTES of them */
    size_t head;    /* of the oldest frame */
    size_t tail;    /* where the next one goes */
    size_t used;    /* bytes, with what is skipped at the end */
};

/* 0 or -ENOMEM */
int frames_init(struct frames *frames);
void frames_fini(struct frames *frames);
/* Add a frame; false: it is full (or the frame is larger than any). */
bool frames_put(struct frames *frames, const struct iovec *frame, int count);
/* The oldest frame's length, 0: there is none. */
size_t frames_peek(struct frames *frames, const uint8_t **frame);
void frames_take(struct frames *frames);
void frames_clear(struct frames *frames);

/* The sum of pieces. */
size_t iovec_bytes(const struct iovec *pieces, int count);
/* Copy pieces one after the other; returns the sum. */
size_t iovec_gather(const struct iovec *pieces, int count, uint8_t *to);

#endif
