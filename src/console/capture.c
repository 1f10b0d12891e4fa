/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A ring of bytes beside a ring of (position, time) marks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "console/capture.h"

/* Bytes from `position` on, up to the next mark's, arrived at time_ns. */
struct vmm_capture_mark {
    uint64_t position;
    uint64_t time_ns;
};

/* A mark costs 16 bytes; lines of console output have about 40. */
#define BYTES_PER_MARK 32
#define MIN_MARKS      64

static size_t round_up_to_power_of_two(size_t value)
{
    size_t power = 1;

    while (power && power < value)
        power *= 2;
    return power;
}

int vmm_capture_init(struct vmm_capture *capture, size_t keep)
{
    *capture = (struct vmm_capture){.keep = keep};
    if (!keep)
        return 0;
    capture->size = round_up_to_power_of_two(keep);
    capture->marks_size = capture->size / BYTES_PER_MARK;
    if (capture->marks_size < MIN_MARKS)
        capture->marks_size = MIN_MARKS;
    /* Pages not yet needed are not yet there. */
    capture->bytes = capture->size ? malloc(capture->size) : NULL;
    capture->marks = calloc(capture->marks_size, sizeof(*capture->marks));
    if (!capture->bytes || !capture->marks) {
        vmm_capture_fini(capture);
        return -ENOMEM;
    }
    return 0;
}

void vmm_capture_fini(struct vmm_capture *capture)
{
    free(capture->bytes);
    free(capture->marks);
    capture->bytes = NULL;
    capture->marks = NULL;
}

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static struct vmm_capture_mark *mark_at(const struct vmm_capture *capture,
                                        uint64_t index)
{
    return &capture->marks[index & (capture->marks_size - 1)];
}

void vmm_capture_add(struct vmm_capture *capture, const uint8_t *bytes,
                     size_t len, uint64_t now_ns)
{
    if (!len)
        return;
    if (!capture->keep) {
        capture->total += len;
        return;
    }
    *mark_at(capture, capture->marks_total++) =
        (struct vmm_capture_mark){capture->total, now_ns};
    while (len) {
        size_t offset = capture->total & (capture->size - 1);
        size_t piece = min(len, capture->size - offset);

        memcpy(capture->bytes + offset, bytes, piece);
        capture->total += piece;
        bytes += piece;
        len -= piece;
    }
}

/* The time of the last mark at or before position, by bisection. */
static uint64_t time_of(const struct vmm_capture *capture, uint64_t position)
{
    uint64_t low =
        capture->marks_total - min(capture->marks_total, capture->marks_size);
    uint64_t high = capture->marks_total;

    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;

        if (mark_at(capture, middle)->position <= position)
            low = middle;
        else
            high = middle;
    }
    return mark_at(capture, low)->time_ns;
}

size_t vmm_capture_read(const struct vmm_capture *capture, uint64_t *position,
                        uint8_t *bytes, size_t max, uint64_t *time_ns)
{
    uint64_t oldest = capture->total - min(capture->total, capture->keep);
    size_t copied = 0;

    if (*position < oldest)
        *position = oldest;
    if (*position >= capture->total)
        return 0;
    if (time_ns)
        *time_ns = time_of(capture, *position);
    max = min(max, capture->total - *position);
    while (copied < max) {
        size_t offset = *position & (capture->size - 1);
        size_t piece = min(max - copied, capture->size - offset);

        memcpy(bytes + copied, capture->bytes + offset, piece);
        copied += piece;
        *position += piece;
    }
    return copied;
}
