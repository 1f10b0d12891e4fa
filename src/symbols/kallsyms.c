/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * Decoding of the kernel's own table of symbols.  A name is a length and that
 * many bytes, each the number of a token; the tokens' texts, put together, are
 * nm's letter and the name.
 *
 *   names:        | n | t1 | t2 .. tn | n | t1 ..
 *   token_index:  offset of each token in token_table
 *   token_table:  "text\0text\0..."
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include <vmm/symbols.h>

#include "base/endian.h"

#define TOKENS 256
/* A length whose high bit is set has seven more bits in the next byte; kernels
 * before 6.1 never set it. */
#define LONG_LENGTH 0x80

struct token {
    const uint8_t *text;
    size_t bytes;
};

struct decoder {
    const struct vmm_kallsyms *tables;
    struct token tokens[TOKENS];
    bool absolute_percpu;
    size_t position; /* in names */
};

static int read_tokens(struct decoder *decoder, struct vmm_error *err)
{
    const struct vmm_kallsyms *tables = decoder->tables;

    for (unsigned i = 0; i < TOKENS; i++) {
        size_t at = load_le16(tables->token_index + (size_t)2 * i);
        if (at >= tables->token_table_bytes)
            return vmm_error_set(
                err, ENOEXEC, "kallsyms: token %u at %zu is outside its table",
                i, at);
        const uint8_t *text = tables->token_table + at;
        const uint8_t *end = memchr(text, '\0', tables->token_table_bytes - at);
        if (!end)
            return vmm_error_set(err, ENOEXEC, "kallsyms: token %u has no end",
                                 i);
        decoder->tokens[i] = (struct token){text, (size_t)(end - text)};
    }
    return 0;
}

/* Of kernels with absolute per-CPU symbols, few are not negative. */
static bool mostly_negative(const struct vmm_kallsyms *tables)
{
    uint32_t negative = 0;

    for (uint32_t i = 0; i < tables->count; i++)
        negative += load_le32(tables->offsets + (size_t)4 * i) >> 31;
    return negative > tables->count / 2;
}

static uint64_t address_of(const struct decoder *decoder, uint32_t index)
{
    const struct vmm_kallsyms *tables = decoder->tables;
    uint32_t offset = load_le32(tables->offsets + (size_t)4 * index);

    if (!decoder->absolute_percpu)
        return tables->relative_base + offset;
    if (!(offset >> 31))
        return offset;
    return tables->relative_base - 1 - (uint64_t)(int64_t)(int32_t)offset;
}

/* The next name's token numbers; false when they lie outside. */
static bool next_name(struct decoder *decoder, const uint8_t **numbers,
                      size_t *count)
{
    const struct vmm_kallsyms *tables = decoder->tables;
    size_t at = decoder->position;

    if (at >= tables->names_bytes)
        return false;
    *count = tables->names[at++];
    if (*count & LONG_LENGTH) {
        if (at >= tables->names_bytes)
            return false;
        *count = (*count & ~(size_t)LONG_LENGTH) | (size_t)tables->names[at++]
                                                       << 7;
    }
    if (*count > tables->names_bytes - at)
        return false;
    *numbers = tables->names + at;
    decoder->position = at + *count;
    return true;
}

/* Put the tokens' texts together: how many bytes, or 0 when it is too long. */
static size_t expand(const struct decoder *decoder, const uint8_t *numbers,
                     size_t count, char text[VMM_SYMBOLS_NAME_BYTES_MAX])
{
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        const struct token *token = &decoder->tokens[numbers[i]];
        if (token->bytes > VMM_SYMBOLS_NAME_BYTES_MAX - used)
            return 0;
        memcpy(text + used, token->text, token->bytes);
        used += token->bytes;
    }
    return used;
}

int vmm_symbols_add_kallsyms(struct vmm_symbols *symbols,
                             const struct vmm_kallsyms *tables,
                             struct vmm_error *err)
{
    struct decoder decoder = {.tables = tables};
    char text[VMM_SYMBOLS_NAME_BYTES_MAX];

    vmm_error_clear(err);
    int ret = read_tokens(&decoder, err);
    decoder.absolute_percpu = mostly_negative(tables);
    for (uint32_t i = 0; i < tables->count && !ret; i++) {
        const uint8_t *numbers;
        size_t count;
        if (!next_name(&decoder, &numbers, &count))
            return vmm_error_set(err, ENOEXEC,
                                 "kallsyms: the name of symbol %" PRIu32
                                 " of %" PRIu32 " is outside its table",
                                 i, tables->count);
        size_t bytes = expand(&decoder, numbers, count, text);
        if (bytes < 2)
            return vmm_error_set(err, ENOEXEC,
                                 "kallsyms: symbol %" PRIu32 " of %" PRIu32
                                 " has no name, or one beyond %d bytes",
                                 i, tables->count, VMM_SYMBOLS_NAME_BYTES_MAX);
        ret = vmm_symbols_add(symbols, address_of(&decoder, i), 0, text[0],
                              text + 1, bytes - 1, err);
    }
    return ret;
}
