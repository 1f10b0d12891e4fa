/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * Fuzzes the decoding of kallsyms, as a guest may have them: the input is cut
 * into the tables.  What is decoded must be found again.
 *
 *   | count, u16 | token table's bytes, u16 | relative base, u64 |
 *   | token_index, 512 | token_table | offsets, 4 each | names ...
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/symbols.h>

#include "../../src/base/arith.h"
#include "../../src/base/endian.h"
#include "require.h"

struct input {
    const uint8_t *data;
    size_t size;
};

/* The next bytes in a buffer of just their size, so that a read beyond them is
 * seen; NULL when there are not as many. */
static uint8_t *take(struct input *input, size_t bytes)
{
    uint8_t *copy = NULL;

    if (bytes <= input->size && (copy = malloc(bytes ? bytes : 1))) {
        memcpy(copy, input->data, bytes);
        input->data += bytes;
        input->size -= bytes;
    }
    return copy;
}

static void check(const struct vmm_symbols *symbols)
{
    uint64_t before = 0;

    for (size_t i = 0; i < vmm_symbols_count(symbols); i++) {
        struct vmm_symbol symbol = vmm_symbols_get(symbols, i), found;

        REQUIRE(symbol.address >= before);
        REQUIRE(strlen(symbol.name) < VMM_SYMBOLS_NAME_BYTES_MAX);
        REQUIRE(vmm_symbols_find(symbols, symbol.name, &found) >= 1);
        REQUIRE(strcmp(symbol.name, found.name) == 0);
        REQUIRE(found.address <= symbol.address);
        /* An absolute symbol is no place: another one may reach over it. */
        if (symbol.type != 'A' && symbol.type != 'a')
            REQUIRE(vmm_symbols_at(symbols, symbol.address, &found) == 0 &&
                    found.address == symbol.address);
        before = symbol.address;
    }
}

static void decode(struct vmm_kallsyms *tables, struct input *input,
                   const uint8_t *header)
{
    uint8_t *index = take(input, VMM_KALLSYMS_INDEX_BYTES);
    uint8_t *tokens = take(input, load_le16(header + 2));
    uint8_t *offsets = take(input, (size_t)4 * load_le16(header));
    size_t names_bytes = input->size;
    uint8_t *names = take(input, names_bytes);
    struct vmm_symbols *symbols;
    struct vmm_error err;

    REQUIRE(vmm_symbols_new(&symbols, NULL) == 0);
    if (index && tokens && offsets && names) {
        tables->token_index = index;
        tables->token_table = tokens;
        tables->offsets = offsets;
        tables->names = names;
        tables->names_bytes = names_bytes;
        int ret = vmm_symbols_add_kallsyms(symbols, tables, &err);
        REQUIRE(-ret == err.code);
        REQUIRE(ret || vmm_symbols_count(symbols) == tables->count);
        REQUIRE(vmm_symbols_finish(symbols, NULL) == 0);
        check(symbols);
    }
    vmm_symbols_free(symbols);
    free(index);
    free(tokens);
    free(offsets);
    free(names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    uint8_t *header = take(&input, 12);

    if (!header)
        return 0;
    struct vmm_kallsyms tables = {
        .count = load_le16(header),
        .token_table_bytes = load_le16(header + 2),
        .relative_base = load_le64(header + 4),
    };
    decode(&tables, &input, header);
    free(header);
    return 0;
}
