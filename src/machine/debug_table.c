/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Which bytes of guest memory are traps of ours, and what was there before. */
#include <errno.h>
#include <stdlib.h>

#include "machine/debug_table.h"

static struct debug_site *find(const struct debug_table *table, vmm_gpa_t gpa)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->sites[i].gpa == gpa)
            return &table->sites[i];
    return NULL;
}

static int grow(struct debug_table *table)
{
    size_t room = table->room ? 2 * table->room : 16;

    if (table->count < table->room)
        return 0;
    struct debug_site *sites =
        realloc(table->sites, room * sizeof(*table->sites));
    if (!sites)
        return -ENOMEM;
    table->sites = sites;
    table->room = room;
    return 0;
}

int debug_table_add(struct debug_table *table, struct vmm_memory *memory,
                    vmm_gpa_t gpa)
{
    struct debug_site *site = find(table, gpa);
    uint8_t original;

    if (site) {
        site->users++;
        return 0;
    }
    int rc = vmm_memory_load_u8(memory, gpa, &original);
    if (rc == 0)
        rc = grow(table);
    if (rc == 0)
        rc = vmm_memory_store_u8(memory, gpa, table->trap);
    if (rc)
        return rc;
    table->sites[table->count++] =
        (struct debug_site){.gpa = gpa, .original = original, .users = 1};
    return 0;
}

static void lift(const struct debug_table *table, struct debug_site *site,
                 struct vmm_memory *memory)
{
    uint8_t byte;

    if (site->lifted || vmm_memory_load_u8(memory, site->gpa, &byte) ||
        byte != table->trap)
        return;
    site->lifted = vmm_memory_store_u8(memory, site->gpa, site->original) == 0;
}

static void cover(const struct debug_table *table, struct debug_site *site,
                  struct vmm_memory *memory)
{
    if (!site->lifted)
        return;
    site->lifted = false;
    if (vmm_memory_load_u8(memory, site->gpa, &site->original) == 0)
        vmm_memory_store_u8(memory, site->gpa, table->trap);
}

void debug_table_remove(struct debug_table *table, struct vmm_memory *memory,
                        vmm_gpa_t gpa)
{
    struct debug_site *site = find(table, gpa);

    if (!site || --site->users)
        return;
    lift(table, site, memory);
    *site = table->sites[--table->count];
}

bool debug_table_has(const struct debug_table *table, vmm_gpa_t gpa)
{
    return find(table, gpa) != NULL;
}

bool debug_table_is_lifted(const struct debug_table *table, vmm_gpa_t gpa)
{
    const struct debug_site *site = find(table, gpa);

    return site && site->lifted;
}

void debug_table_lift(struct debug_table *table, struct vmm_memory *memory,
                      vmm_gpa_t gpa)
{
    struct debug_site *site = find(table, gpa);

    if (site)
        lift(table, site, memory);
}

void debug_table_cover(struct debug_table *table, struct vmm_memory *memory,
                       vmm_gpa_t gpa)
{
    struct debug_site *site = find(table, gpa);

    if (site)
        cover(table, site, memory);
}

void debug_table_lift_all(struct debug_table *table, struct vmm_memory *memory)
{
    for (size_t i = 0; i < table->count; i++)
        lift(table, &table->sites[i], memory);
}

void debug_table_cover_all(struct debug_table *table, struct vmm_memory *memory)
{
    for (size_t i = 0; i < table->count; i++)
        cover(table, &table->sites[i], memory);
}

void debug_table_hide(const struct debug_table *table, vmm_gpa_t gpa,
                      uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct debug_site *site = &table->sites[i];
        uint64_t offset = site->gpa - gpa; /* huge when it lies before */

        if (offset < len && bytes[offset] == table->trap)
            bytes[offset] = site->original;
    }
}

void debug_table_fini(struct debug_table *table)
{
    free(table->sites);
    *table = (struct debug_table){0};
}
