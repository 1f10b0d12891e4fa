/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* kallsyms tables as the kernel's build makes them, for tests: one token per
 * character, and some longer ones. */
#ifndef TESTS_UNIT_KALLSYMS_TABLES_H
#define TESTS_UNIT_KALLSYMS_TABLES_H

#include <stdint.h>
#include <string.h>

#include <vmm/symbols.h>

#define TABLES_BASE UINT64_C(0xffffffff81000000)

struct tables {
    uint8_t names[4096];
    size_t names_used;
    char token_table[1024];
    uint8_t token_index[VMM_KALLSYMS_INDEX_BYTES];
    uint8_t offsets[256];
    struct vmm_kallsyms kallsyms;
};

/* Token i is the character i, but 1 is "sys_" and 2 is "Tdo_". */
static inline void tables_init(struct tables *tables)
{
    size_t at = 0;

    memset(tables, 0, sizeof(*tables));
    for (unsigned i = 0; i < 256; i++) {
        char text[5] = {(char)i};
        if (i == 1)
            strcpy(text, "sys_");
        else if (i == 2)
            strcpy(text, "Tdo_");
        tables->token_index[2 * i] = (uint8_t)at;
        tables->token_index[2 * i + 1] = (uint8_t)(at >> 8);
        strcpy(tables->token_table + at, text);
        at += strlen(text) + 1;
    }
    tables->kallsyms = (struct vmm_kallsyms){
        .names = tables->names,
        .token_table = (const uint8_t *)tables->token_table,
        .token_table_bytes = at,
        .token_index = tables->token_index,
        .offsets = tables->offsets,
        .relative_base = TABLES_BASE,
    };
}

/* Add a symbol of these token numbers, with this word in kallsyms_offsets. */
static inline void tables_add(struct tables *tables, const char *numbers,
                              int32_t offset)
{
    uint8_t *offsets = tables->offsets + 4 * tables->kallsyms.count++;
    size_t count = strlen(numbers);

    if (count < 0x80) {
        tables->names[tables->names_used++] = (uint8_t)count;
    } else {
        tables->names[tables->names_used++] = (uint8_t)(count | 0x80);
        tables->names[tables->names_used++] = (uint8_t)(count >> 7);
    }
    memcpy(tables->names + tables->names_used, numbers, count);
    tables->names_used += count;
    tables->kallsyms.names_bytes = tables->names_used;
    for (unsigned i = 0; i < 4; i++)
        offsets[i] = (uint8_t)((uint32_t)offset >> (8 * i));
}

#endif
