/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Finds a text in a stream that arrives in pieces (Knuth, Morris, Pratt). */
#ifndef CONSOLE_TEXT_MATCH_H
#define CONSOLE_TEXT_MATCH_H

#include <stddef.h>
#include <stdint.h>

#define VMM_TEXT_BYTES_MAX 255

struct vmm_text_match {
    uint8_t text[VMM_TEXT_BYTES_MAX];
    uint8_t len;
    uint8_t matched; /* of the text, as a suffix of the stream so far */
    /* border[n]: the longest proper prefix of the text that its first n
     * bytes end in. */
    uint8_t border[VMM_TEXT_BYTES_MAX + 1];
};

/* len: 1..VMM_TEXT_BYTES_MAX. */
void vmm_text_match_init(struct vmm_text_match *match, const char *text,
                         size_t len);
/* The next bytes of the stream.  Returns how many occurrences end in them;
 * they may overlap. */
size_t vmm_text_match_feed(struct vmm_text_match *match, const uint8_t *bytes,
                           size_t len);

#endif
