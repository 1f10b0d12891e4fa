/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Each byte of the stream is looked at once; none is kept. */
#include <string.h>

#include "console/text_match.h"

/* How much of the text is matched after one more byte. */
static uint8_t advance(const struct vmm_text_match *match, uint8_t matched,
                       uint8_t byte)
{
    while (matched && match->text[matched] != byte)
        matched = match->border[matched];
    return (uint8_t)(matched + (match->text[matched] == byte));
}

void vmm_text_match_init(struct vmm_text_match *match, const char *text,
                         size_t len)
{
    uint8_t border = 0;

    memset(match, 0, sizeof(*match));
    memcpy(match->text, text, len);
    match->len = (uint8_t)len;
    for (size_t i = 1; i < len; i++) {
        border = advance(match, border, match->text[i]);
        match->border[i + 1] = border;
    }
}

size_t vmm_text_match_feed(struct vmm_text_match *match, const uint8_t *bytes,
                           size_t len)
{
    const uint8_t *end = bytes + len;
    size_t found = 0;

    while (bytes < end) {
        if (!match->matched) { /* skip to where it may begin */
            bytes = memchr(bytes, match->text[0], (size_t)(end - bytes));
            if (!bytes)
                break;
        }
        match->matched = advance(match, match->matched, *bytes++);
        if (match->matched == match->len) {
            found++;
            match->matched = match->border[match->len];
        }
    }
    return found;
}
