/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Symbols: names of addresses, from a kernel's kallsyms, an ELF file or a
 * System.map. */
#ifndef VMM_SYMBOLS_H
#define VMM_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

#include <vmm/boot.h>
#include <vmm/error.h>
#include <vmm/export.h>

/*
 * A table of symbols.  It is filled by the adders, all of which may be called
 * in any order, then made ready by vmm_symbols_finish, and does not change
 * after that: look-ups may be made by any thread.
 */
struct vmm_symbols;

struct vmm_symbol {
    uint64_t address;
    uint64_t size;    /* bytes; where unknown, up to the next address, or of
                         absolute ones 0 */
    const char *name; /* as long as the table lives */
    char type;        /* nm's letter: 'T' text, 'D' data, 'A' absolute, ... */
};

#define VMM_SYMBOLS_MAX            (2U << 20)
#define VMM_SYMBOLS_NAME_BYTES_MAX 512
/* All names of a table, each with its final 0. */
#define VMM_SYMBOLS_TEXT_BYTES_MAX (UINT64_C(128) << 20)

VMM_API int vmm_symbols_new(struct vmm_symbols **symbols,
                            struct vmm_error *err);
/* symbols may be NULL. */
VMM_API void vmm_symbols_free(struct vmm_symbols *symbols);

/* Add one; the name is copied, what is no printable ASCII in it as '?'; it may
 * hold no 0.  -E2BIG beyond a limit above,
 * -ENOMEM. */
VMM_API int vmm_symbols_add(struct vmm_symbols *symbols, uint64_t address,
                            uint64_t size, char type, const char *name,
                            size_t name_bytes, struct vmm_error *err);

/* Sort: those of one address stay in the order in which they were added. */
VMM_API int vmm_symbols_finish(struct vmm_symbols *symbols,
                               struct vmm_error *err);

VMM_API size_t vmm_symbols_count(const struct vmm_symbols *symbols);
/* By address; index < vmm_symbols_count(). */
VMM_API struct vmm_symbol vmm_symbols_get(const struct vmm_symbols *symbols,
                                          size_t index);
/* How many symbols have this name; *symbol is the first, that of the lowest
 * address, as the kernel's own look-up gives it. */
VMM_API size_t vmm_symbols_find(const struct vmm_symbols *symbols,
                                const char *name, struct vmm_symbol *symbol);
/* The symbol that address lies in: the first added of those at the highest
 * address below or at it; absolute ones are no places.  0, or -ENOENT. */
VMM_API int vmm_symbols_at(const struct vmm_symbols *symbols, uint64_t address,
                           struct vmm_symbol *symbol);

/* ---- where they come from --------------------------------------------------
 */

/*
 * The tables behind /proc/kallsyms, as bytes out of a guest (all of it hostile;
 * scripts/kallsyms.c of Linux 4.6 and later makes them).
 */
struct vmm_kallsyms {
    uint32_t count;       /* kallsyms_num_syms */
    const uint8_t *names; /* per symbol a length, and that many token numbers */
    size_t names_bytes;   /* what follows the last name is not looked at */
    const uint8_t *token_table; /* texts, each with its final 0 */
    size_t token_table_bytes;
    const uint8_t *token_index; /* 256 offsets into it, 16 bits each */
    const uint8_t *offsets;     /* count times 32 bits */
    uint64_t relative_base;
};
#define VMM_KALLSYMS_INDEX_BYTES 512

/*
 * Offsets count from relative_base.  In kernels whose per-CPU symbols are
 * absolute (x86 before 6.15) all others have negative ones, which tells them.
 * -ENOEXEC for tables that contradict themselves: the text says where.
 */
VMM_API int vmm_symbols_add_kallsyms(struct vmm_symbols *symbols,
                                     const struct vmm_kallsyms *tables,
                                     struct vmm_error *err);

/* Lines "address type name [module]" as in System.map and /proc/kallsyms; slide
 * is added to all but absolute ones.  -ENOEXEC names the line. */
VMM_API int vmm_symbols_add_map(struct vmm_symbols *symbols,
                                const struct vmm_image *image, uint64_t slide,
                                struct vmm_error *err);

/* The .symtab of an ELF file, or its .dynsym, by libelf, which is opened on
 * first use: -ENOSYS where it is not installed. */
VMM_API int vmm_symbols_add_elf(struct vmm_symbols *symbols,
                                const struct vmm_image *image, uint64_t slide,
                                struct vmm_error *err);

#endif
