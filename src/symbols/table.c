/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The table of symbols: collected, then sorted by address and by name. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <vmm/symbols.h>

#include "base/arith.h"

/* The size of a symbol that nothing follows nearby. */
#define LAST_BYTES 4096
/* No symbol of a kernel is larger: what is farther away is another place. */
#define SIZE_MAX_BYTES (UINT64_C(1) << 30)

struct entry {
    uint64_t address;
    uint64_t size;
    uint32_t name; /* offset in text: ascends in the order of adding */
    char type;
};

struct vmm_symbols {
    struct entry *entries;
    size_t count, room;
    char *text;
    size_t text_used, text_room;
    /* Indices of entries; NULL until finished. */
    uint32_t *by_name;
    uint32_t *places; /* all but absolute ones, by address */
    size_t place_count;
};

int vmm_symbols_new(struct vmm_symbols **symbols, struct vmm_error *err)
{
    vmm_error_clear(err);
    *symbols = calloc(1, sizeof(**symbols));
    if (!*symbols)
        return vmm_error_set(err, ENOMEM, "no memory for a table of symbols");
    return 0;
}

void vmm_symbols_free(struct vmm_symbols *symbols)
{
    if (!symbols)
        return;
    free(symbols->entries);
    free(symbols->text);
    free(symbols->by_name);
    free(symbols->places);
    free(symbols);
}

/* Make room for more than used items; an array that is doubled costs each item
 * a constant. */
static bool grow(void **items, size_t *room, size_t used, size_t more,
                 size_t item_bytes)
{
    size_t wanted = used + more, bytes = *room ? *room : 1024;
    void *new;

    if (wanted <= *room)
        return true;
    while (bytes < wanted)
        bytes *= 2;
    new = reallocarray(*items, bytes, item_bytes);
    if (!new)
        return false;
    *items = new;
    *room = bytes;
    return true;
}

/* Names are shown on terminals, which are not to obey a guest's. */
static void copy_name(char *to, const char *name, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = name[i] > ' ' && name[i] <= '~' ? name[i] : '?';
    to[bytes] = '\0';
}

int vmm_symbols_add(struct vmm_symbols *symbols, uint64_t address,
                    uint64_t size, char type, const char *name,
                    size_t name_bytes, struct vmm_error *err)
{
    void *entries = symbols->entries, *text = symbols->text;

    if (name_bytes >= VMM_SYMBOLS_NAME_BYTES_MAX)
        return vmm_error_set(
            err, E2BIG, "a symbol's name of %zu bytes is too long", name_bytes);
    if (symbols->count == VMM_SYMBOLS_MAX)
        return vmm_error_set(err, E2BIG, "more than %u symbols",
                             VMM_SYMBOLS_MAX);
    if (symbols->text_used + name_bytes >= VMM_SYMBOLS_TEXT_BYTES_MAX)
        return vmm_error_set(err, E2BIG, "the symbols' names are too long");
    if (!grow(&entries, &symbols->room, symbols->count, 1,
              sizeof(struct entry)))
        return vmm_error_set(err, ENOMEM, "no memory for symbols");
    symbols->entries = entries;
    if (!grow(&text, &symbols->text_room, symbols->text_used, name_bytes + 1,
              1))
        return vmm_error_set(err, ENOMEM, "no memory for symbols' names");
    symbols->text = text;

    symbols->entries[symbols->count++] =
        (struct entry){.address = address,
                       .size = size,
                       .name = (uint32_t)symbols->text_used,
                       .type = type};
    copy_name(symbols->text + symbols->text_used, name, name_bytes);
    symbols->text_used += name_bytes + 1;
    return 0;
}

static int compare_addresses(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    return x->name < y->name ? -1 : x->name > y->name;
}

static const char *name_of(const struct vmm_symbols *symbols, size_t index)
{
    return symbols->text + symbols->entries[index].name;
}

static int compare_names(const void *a, const void *b, void *context)
{
    const uint32_t *x = a, *y = b;
    int order = strcmp(name_of(context, *x), name_of(context, *y));

    return order ? order : (*x < *y ? -1 : *x > *y);
}

static bool is_place(const struct entry *entry)
{
    return entry->type != 'A' && entry->type != 'a';
}

/* From the highest down, the next address is at hand. */
static void fill_sizes(struct vmm_symbols *symbols)
{
    uint64_t next = UINT64_MAX, at = UINT64_MAX;

    for (size_t i = symbols->place_count; i > 0; i--) {
        struct entry *entry = &symbols->entries[symbols->places[i - 1]];
        if (entry->address != at) {
            next = i == symbols->place_count ? UINT64_MAX : at;
            at = entry->address;
        }
        uint64_t room = next - at; /* 0: at the very end */
        if (!entry->size)
            entry->size = room && room <= SIZE_MAX_BYTES ? room : LAST_BYTES;
    }
}

/* Which entries are places, still by their addresses. */
static void list_places(struct vmm_symbols *symbols)
{
    symbols->place_count = 0;
    for (size_t i = 0; i < symbols->count; i++)
        if (is_place(&symbols->entries[i]))
            symbols->places[symbols->place_count++] = (uint32_t)i;
    fill_sizes(symbols);
}

int vmm_symbols_finish(struct vmm_symbols *symbols, struct vmm_error *err)
{
    vmm_error_clear(err);
    if (symbols->count)
        qsort(symbols->entries, symbols->count, sizeof(struct entry),
              compare_addresses);
    free(symbols->by_name);
    free(symbols->places);
    symbols->by_name = calloc(symbols->count + 1, sizeof(uint32_t));
    symbols->places = calloc(symbols->count + 1, sizeof(uint32_t));
    symbols->place_count = 0;
    if (!symbols->by_name || !symbols->places)
        return vmm_error_set(err, ENOMEM, "no memory to sort symbols");
    for (size_t i = 0; i < symbols->count; i++)
        symbols->by_name[i] = (uint32_t)i;
    list_places(symbols);
    qsort_r(symbols->by_name, symbols->count, sizeof(uint32_t), compare_names,
            symbols);
    return 0;
}

size_t vmm_symbols_count(const struct vmm_symbols *symbols)
{
    return symbols->count;
}

struct vmm_symbol vmm_symbols_get(const struct vmm_symbols *symbols,
                                  size_t index)
{
    const struct entry *entry = &symbols->entries[index];

    return (struct vmm_symbol){.address = entry->address,
                               .size = entry->size,
                               .name = name_of(symbols, index),
                               .type = entry->type};
}

size_t vmm_symbols_find(const struct vmm_symbols *symbols, const char *name,
                        struct vmm_symbol *symbol)
{
    size_t low = 0, high = symbols->by_name ? symbols->count : 0, count = 0;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(name_of(symbols, symbols->by_name[middle]), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    while (symbols->by_name && low + count < symbols->count &&
           strcmp(name_of(symbols, symbols->by_name[low + count]), name) == 0)
        count++;
    if (count)
        *symbol = vmm_symbols_get(symbols, symbols->by_name[low]);
    return count;
}

static const struct entry *place(const struct vmm_symbols *symbols,
                                 size_t index)
{
    return &symbols->entries[symbols->places[index]];
}

int vmm_symbols_at(const struct vmm_symbols *symbols, uint64_t address,
                   struct vmm_symbol *symbol)
{
    size_t low = 0, high = symbols->place_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (place(symbols, middle)->address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low)
        return -ENOENT;
    size_t index = low - 1;
    while (index &&
           place(symbols, index - 1)->address == place(symbols, index)->address)
        index--;
    *symbol = vmm_symbols_get(symbols, symbols->places[index]);
    return address - symbol->address < symbol->size ? 0 : -ENOENT;
}
