/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Symbols of an ELF file, by libelf when the host has it. */
#include <errno.h>
#include <gelf.h>
#include <string.h>

#include <vmm/symbols.h>

#include "base/library.h"

struct libelf {
    void *library;
    unsigned (*version)(unsigned);
    Elf *(*memory)(char *, size_t);
    int (*end)(Elf *);
    Elf_Scn *(*next_section)(Elf *, Elf_Scn *);
    GElf_Shdr *(*header)(Elf_Scn *, GElf_Shdr *);
    Elf_Data *(*data)(Elf_Scn *, Elf_Data *);
    GElf_Sym *(*symbol)(Elf_Data *, int, GElf_Sym *);
    char *(*text)(Elf *, size_t, size_t);
};

static int load(struct libelf *libelf, struct vmm_error *err)
{
    const struct library_function functions[] = {
        LIBRARY_FUNCTION("elf_version", &libelf->version),
        LIBRARY_FUNCTION("elf_memory", &libelf->memory),
        LIBRARY_FUNCTION("elf_end", &libelf->end),
        LIBRARY_FUNCTION("elf_nextscn", &libelf->next_section),
        LIBRARY_FUNCTION("gelf_getshdr", &libelf->header),
        LIBRARY_FUNCTION("elf_getdata", &libelf->data),
        LIBRARY_FUNCTION("gelf_getsym", &libelf->symbol),
        LIBRARY_FUNCTION("elf_strptr", &libelf->text),
    };
    const char *lacking;

    int rc = library_open(&libelf->library, "libelf.so.1", 0, functions,
                          sizeof(functions) / sizeof(*functions), &lacking);
    if (rc == -ENOENT)
        return vmm_error_set(err, ENOSYS,
                             "symbols of an ELF file need libelf (Debian: "
                             "libelf1), which is not installed");
    return rc ? vmm_error_set(err, ENOSYS, "libelf has no %s", lacking) : 0;
}

/* nm's letter, as far as the symbol alone tells. */
static char type_of(const GElf_Sym *symbol)
{
    char letter = 'd';

    if (symbol->st_shndx == SHN_ABS)
        letter = 'a';
    else if (GELF_ST_TYPE(symbol->st_info) == STT_FUNC)
        letter = 't';
    return GELF_ST_BIND(symbol->st_info) == STB_LOCAL ? letter
                                                      : (char)(letter - 32);
}

static int add_symbol(const struct libelf *libelf, Elf *elf, size_t strings,
                      const GElf_Sym *symbol, struct vmm_symbols *symbols,
                      uint64_t slide, struct vmm_error *err)
{
    int kind = GELF_ST_TYPE(symbol->st_info);
    const char *name = libelf->text(elf, strings, symbol->st_name);

    if (symbol->st_shndx == SHN_UNDEF || kind == STT_SECTION ||
        kind == STT_FILE || kind == STT_TLS || !name || !*name)
        return 0;
    char type = type_of(symbol);
    return vmm_symbols_add(
        symbols, symbol->st_value + (type == 'A' || type == 'a' ? 0 : slide),
        symbol->st_size, type, name, strlen(name), err);
}

/* The section of this type, or NULL; *header is its header. */
static Elf_Scn *find_section(const struct libelf *libelf, Elf *elf,
                             uint32_t type, GElf_Shdr *header)
{
    Elf_Scn *section = NULL;

    while ((section = libelf->next_section(elf, section)))
        if (libelf->header(section, header) && header->sh_type == type)
            return section;
    return NULL;
}

static int add_all(const struct libelf *libelf, Elf *elf,
                   struct vmm_symbols *symbols, const struct vmm_image *image,
                   uint64_t slide, struct vmm_error *err)
{
    GElf_Shdr header;
    Elf_Scn *section = find_section(libelf, elf, SHT_SYMTAB, &header);
    GElf_Sym symbol;

    if (!section)
        section = find_section(libelf, elf, SHT_DYNSYM, &header);
    Elf_Data *data = section ? libelf->data(section, NULL) : NULL;
    if (!data)
        return vmm_error_set(err, ENOENT, "%s has no symbols", image->name);
    for (int i = 0;
         i < (int)VMM_SYMBOLS_MAX && libelf->symbol(data, i, &symbol); i++) {
        int ret = add_symbol(libelf, elf, header.sh_link, &symbol, symbols,
                             slide, err);
        if (ret)
            return ret;
    }
    return 0;
}

int vmm_symbols_add_elf(struct vmm_symbols *symbols,
                        const struct vmm_image *image, uint64_t slide,
                        struct vmm_error *err)
{
    struct libelf libelf = {0};
    Elf *elf = NULL;

    vmm_error_clear(err);
    int ret = load(&libelf, err);
    if (!ret) {
        libelf.version(EV_CURRENT);
        /* It writes nothing to a file that is not its own. */
        elf = libelf.memory((char *)(uintptr_t)image->bytes,
                            (size_t)image->size_bytes);
        ret = elf ? add_all(&libelf, elf, symbols, image, slide, err)
                  : vmm_error_set(err, ENOEXEC, "%s is not an ELF file",
                                  image->name);
    }
    if (elf)
        libelf.end(elf);
    library_close(&libelf.library);
    return ret;
}
