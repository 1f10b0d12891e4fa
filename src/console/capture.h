/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The last bytes of a stream, by position in it, with their times of arrival.
 */
#ifndef CONSOLE_CAPTURE_H
#define CONSOLE_CAPTURE_H

#include <stddef.h>
#include <stdint.h>

struct vmm_capture_mark;

/* Not locked: the console does that. */
struct vmm_capture {
    uint8_t *bytes; /* a ring of `size`, a power of two, at least `keep` */
    size_t size;
    size_t keep;
    uint64_t total; /* bytes added so far */

    struct vmm_capture_mark *marks; /* a ring: what arrived when */
    size_t marks_size;
    uint64_t marks_total;
};

/* keep: how many of the last bytes; 0 only counts.  0 or -ENOMEM. */
int vmm_capture_init(struct vmm_capture *capture, size_t keep);
void vmm_capture_fini(struct vmm_capture *capture);

void vmm_capture_add(struct vmm_capture *capture, const uint8_t *bytes,
                     size_t len, uint64_t now_ns);
/*
 * Copy up to max bytes from *position on, or from the oldest byte kept if
 * that is later; advance *position past them.  *time_ns (may be NULL): when
 * the first of them arrived, or, that mark being lost, when the bytes next
 * marked did.  Returns the number of bytes.
 */
size_t vmm_capture_read(const struct vmm_capture *capture, uint64_t *position,
                        uint8_t *bytes, size_t max, uint64_t *time_ns);

#endif
