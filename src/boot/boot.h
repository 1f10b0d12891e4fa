/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What the loaders share: bounds, RAM checks, the parsed ELF, payload
 * formats. */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

#include <elf.h>
#include <string.h>

#include <vmm/boot.h>

#include "base/arith.h"
#include "base/endian.h"

#define BOOT_PAGE_BYTES 4096u

/* True when [offset, offset + len) lies within size bytes. */
static inline bool boot_within(uint64_t offset, uint64_t len, uint64_t size)
{
    uint64_t end;

    return add_u64(offset, len, &end) && end <= size;
}

/* Copy name into image->name; of a long one the end is kept. */
void boot_image_set_name(struct vmm_image *image, const char *name);

/* Zeroed, lazily backed pages as image->priv; 0 or -ENOMEM. */
int boot_image_reserve(struct vmm_image *image, uint64_t room_bytes,
                       struct vmm_error *err);

/*
 * 0 when [gpa, gpa + len) is RAM, else -EFAULT saying that `what` of image
 * does not lie in RAM, and where RAM is.
 */
int boot_require_ram(const struct vmm_memory *memory, vmm_gpa_t gpa,
                     uint64_t len, const struct vmm_image *image,
                     const char *what, struct vmm_error *err);

/* "[0x0, 0x10000000), ..." of at most four regions. */
#define BOOT_RAM_TEXT_BYTES 200
void boot_ram_text(const struct vmm_memory *memory,
                   char text[BOOT_RAM_TEXT_BYTES]);

/* ---- ELF ----------------------------------------------------------------- */

#define BOOT_ELF_HEADERS_MAX 128

/* A PT_LOAD that passed every check on its own and against the others. */
struct boot_segment {
    unsigned index; /* of its program header */
    uint64_t offset, file_bytes;
    uint64_t virtual_address;
    vmm_gpa_t gpa; /* p_paddr */
    uint64_t memory_bytes;
};

struct boot_elf {
    const struct vmm_image *image;
    uint64_t entry;
    uint64_t headers_offset;
    unsigned header_count;
    uint64_t end; /* where the ELF ends in the file: what follows is not ELF */
    struct boot_segment segments[BOOT_ELF_HEADERS_MAX]; /* by gpa, ascending */
    size_t segment_count;
};

/* Read and check the header, the program headers and the PT_LOADs. */
int boot_elf_parse(const struct vmm_image *image, struct boot_elf *elf,
                   struct vmm_error *err);
/* Program header number index, < header_count. */
Elf64_Phdr boot_elf_header(const struct boot_elf *elf, unsigned index);
/* The segment that holds guest physical [gpa, gpa + len), or NULL. */
const struct boot_segment *boot_elf_find(const struct boot_elf *elf,
                                         vmm_gpa_t gpa, uint64_t len);
/* Fill info's PVH fields from the PT_NOTEs. */
int boot_elf_find_pvh(const struct boot_elf *elf, struct vmm_elf_info *info,
                      struct vmm_error *err);

/* ---- payload --------------------------------------------------------------
 */

enum boot_unpack_result {
    BOOT_UNPACK_OK,
    BOOT_UNPACK_CORRUPT,
    BOOT_UNPACK_CUT_SHORT, /* the input ended before the compressed data did */
    BOOT_UNPACK_TOO_BIG,   /* the output does not fit */
    BOOT_UNPACK_NO_MEMORY,
};

/* One call: compressed bytes in, at most room bytes out. */
struct boot_unpack {
    const uint8_t *in;
    size_t in_bytes;
    uint8_t *out;
    size_t room;
    size_t in_used;  /* set also on errors: how far it came */
    size_t out_used; /* bytes produced */
};

/* Each by its library, straight into the output. */
enum boot_unpack_result boot_unpack_gzip(struct boot_unpack *unpack);
enum boot_unpack_result boot_unpack_xz(struct boot_unpack *unpack);
enum boot_unpack_result boot_unpack_lzma(struct boot_unpack *unpack);
enum boot_unpack_result boot_unpack_bzip2(struct boot_unpack *unpack);
enum boot_unpack_result boot_unpack_lz4(struct boot_unpack *unpack);
enum boot_unpack_result boot_unpack_zstd(struct boot_unpack *unpack);
/* The result when a library wants more, though nothing is wrong with what it
 * had. */
enum boot_unpack_result boot_unpack_starved(const struct boot_unpack *unpack);

struct boot_format {
    const char *name;
    uint8_t magic[6];
    size_t magic_bytes;
    const char *feature; /* of the build that unpacks it, or NULL: none does */
    /* NULL: known by name, but not unpacked in this build */
    enum boot_unpack_result (*unpack)(struct boot_unpack *unpack);
};
/* The format of a payload by its first bytes, or NULL. */
const struct boot_format *boot_format_of(const uint8_t *bytes,
                                         uint64_t size_bytes);

#endif
