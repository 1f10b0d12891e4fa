/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* ELF64 executables: the header and the loadable segments, checked before
 * anything is believed. */
#include <errno.h>
#include <inttypes.h>

#include "boot/boot.h"

/* A field of the ELF header that has just one right value. */
struct header_rule {
    const char *field;
    uint64_t offset;
    size_t bytes;
    uint64_t want;
    const char *meaning; /* of the right value */
};

static const struct header_rule header_rules[] = {
    {"e_ident[EI_CLASS]", EI_CLASS, 1, ELFCLASS64, "64-bit"},
    {"e_ident[EI_DATA]", EI_DATA, 1, ELFDATA2LSB, "little-endian"},
    {"e_ident[EI_VERSION]", EI_VERSION, 1, EV_CURRENT, "current"},
    {"e_machine", offsetof(Elf64_Ehdr, e_machine), 2, EM_X86_64, "x86-64"},
    {"e_version", offsetof(Elf64_Ehdr, e_version), 4, EV_CURRENT, "current"},
    {"e_phentsize", offsetof(Elf64_Ehdr, e_phentsize), 2, sizeof(Elf64_Phdr),
     "bytes of an Elf64_Phdr"},
};

static uint64_t field_value(const uint8_t *bytes, size_t size)
{
    return size == 1   ? bytes[0]
           : size == 2 ? load_le16(bytes)
                       : load_le32(bytes);
}

static int check_magic(const struct vmm_image *image, struct vmm_error *err)
{
    const uint8_t *b = image->bytes;

    if (image->size_bytes < sizeof(Elf64_Ehdr))
        return vmm_error_set(err, ENOEXEC,
                             "%s: the ELF header is cut short: the file has "
                             "%" PRIu64 " bytes, the header alone has %zu",
                             image->name, image->size_bytes,
                             sizeof(Elf64_Ehdr));
    if (memcmp(b, ELFMAG, SELFMAG))
        return vmm_error_set(err, ENOEXEC,
                             "%s: not an ELF file: it begins with %02x %02x "
                             "%02x %02x, not with 7f 45 4c 46",
                             image->name, b[0], b[1], b[2], b[3]);
    return 0;
}

static int check_header(const struct vmm_image *image, struct vmm_error *err)
{
    uint16_t type;
    int ret = check_magic(image, err);

    if (ret < 0)
        return ret;
    for (size_t i = 0; i < sizeof(header_rules) / sizeof(*header_rules); i++) {
        const struct header_rule *rule = &header_rules[i];
        uint64_t value = field_value(image->bytes + rule->offset, rule->bytes);

        if (value != rule->want)
            return vmm_error_set(err, ENOEXEC,
                                 "%s: %s (offset 0x%" PRIx64 ") is %" PRIu64
                                 ", must be %" PRIu64 " (%s)",
                                 image->name, rule->field, rule->offset, value,
                                 rule->want, rule->meaning);
    }
    type = load_le16(image->bytes + offsetof(Elf64_Ehdr, e_type));
    if (type != ET_EXEC && type != ET_DYN)
        return vmm_error_set(err, ENOEXEC,
                             "%s: e_type (offset 0x10) is %u, must be 2 "
                             "(ET_EXEC) or 3 (ET_DYN)",
                             image->name, type);
    return 0;
}

/* Where the program headers and, last in the file, the section headers are. */
static int find_tables(struct boot_elf *elf, struct vmm_error *err)
{
    const struct vmm_image *image = elf->image;
    const uint8_t *b = image->bytes;
    uint64_t sections = load_le64(b + offsetof(Elf64_Ehdr, e_shoff));
    uint64_t section_bytes =
        (uint64_t)load_le16(b + offsetof(Elf64_Ehdr, e_shnum)) *
        load_le16(b + offsetof(Elf64_Ehdr, e_shentsize));
    uint64_t header_bytes;

    elf->entry = load_le64(b + offsetof(Elf64_Ehdr, e_entry));
    elf->headers_offset = load_le64(b + offsetof(Elf64_Ehdr, e_phoff));
    elf->header_count = load_le16(b + offsetof(Elf64_Ehdr, e_phnum));
    if (elf->header_count == 0 || elf->header_count > BOOT_ELF_HEADERS_MAX)
        return vmm_error_set(
            err, ENOEXEC, "%s: e_phnum (offset 0x38) is %u, must be 1 to %d",
            image->name, elf->header_count, BOOT_ELF_HEADERS_MAX);
    header_bytes = (uint64_t)elf->header_count * sizeof(Elf64_Phdr);
    if (!boot_within(elf->headers_offset, header_bytes, image->size_bytes))
        return vmm_error_set(err, ENOEXEC,
                             "%s: e_phoff (offset 0x20) is 0x%" PRIx64
                             ": %u program headers there end past the end of "
                             "the file (0x%" PRIx64 " bytes)",
                             image->name, elf->headers_offset,
                             elf->header_count, image->size_bytes);

    elf->end = elf->headers_offset + header_bytes;
    if (boot_within(sections, section_bytes, image->size_bytes) &&
        sections + section_bytes > elf->end)
        elf->end = sections + section_bytes;
    return 0;
}

Elf64_Phdr boot_elf_header(const struct boot_elf *elf, unsigned index)
{
    const uint8_t *b = elf->image->bytes + elf->headers_offset +
                       (uint64_t)index * sizeof(Elf64_Phdr);

    return (Elf64_Phdr){
        .p_type = load_le32(b + offsetof(Elf64_Phdr, p_type)),
        .p_offset = load_le64(b + offsetof(Elf64_Phdr, p_offset)),
        .p_vaddr = load_le64(b + offsetof(Elf64_Phdr, p_vaddr)),
        .p_paddr = load_le64(b + offsetof(Elf64_Phdr, p_paddr)),
        .p_filesz = load_le64(b + offsetof(Elf64_Phdr, p_filesz)),
        .p_memsz = load_le64(b + offsetof(Elf64_Phdr, p_memsz)),
        .p_align = load_le64(b + offsetof(Elf64_Phdr, p_align)),
    };
}

static int check_load(const struct boot_elf *elf, unsigned index,
                      const Elf64_Phdr *header, struct vmm_error *err)
{
    const char *name = elf->image->name;
    uint64_t end;

    if (header->p_filesz > header->p_memsz)
        return vmm_error_set(err, ENOEXEC,
                             "%s: program header %u: p_filesz 0x%" PRIx64
                             " is more than p_memsz 0x%" PRIx64,
                             name, index, header->p_filesz, header->p_memsz);
    if (!boot_within(header->p_offset, header->p_filesz,
                     elf->image->size_bytes))
        return vmm_error_set(err, ENOEXEC,
                             "%s: program header %u: p_offset 0x%" PRIx64
                             " + p_filesz 0x%" PRIx64
                             " is past the end of the file (0x%" PRIx64
                             " bytes)",
                             name, index, header->p_offset, header->p_filesz,
                             elf->image->size_bytes);
    if (!add_u64(header->p_paddr, header->p_memsz, &end))
        return vmm_error_set(err, ENOEXEC,
                             "%s: program header %u: p_paddr 0x%" PRIx64
                             " + p_memsz 0x%" PRIx64 " wraps around",
                             name, index, header->p_paddr, header->p_memsz);
    /* The last virtual address may be 2^64 - 1: kernels live up there. */
    if (header->p_memsz && !add_u64(header->p_vaddr, header->p_memsz - 1, &end))
        return vmm_error_set(err, ENOEXEC,
                             "%s: program header %u: p_vaddr 0x%" PRIx64
                             " + p_memsz 0x%" PRIx64 " wraps around",
                             name, index, header->p_vaddr, header->p_memsz);
    return 0;
}

/* Keep the segments sorted by gpa; refuse one that overlaps another. */
static int insert(struct boot_elf *elf, const struct boot_segment *segment,
                  struct vmm_error *err)
{
    struct boot_segment *segments = elf->segments;
    const struct boot_segment *other = NULL;
    size_t at = elf->segment_count;

    while (at > 0 && segments[at - 1].gpa > segment->gpa)
        at--;
    if (at > 0 &&
        segments[at - 1].gpa + segments[at - 1].memory_bytes > segment->gpa)
        other = &segments[at - 1];
    if (at < elf->segment_count &&
        segment->gpa + segment->memory_bytes > segments[at].gpa)
        other = &segments[at];
    if (other)
        return vmm_error_set(err, ENOEXEC,
                             "%s: program headers %u [0x%" PRIx64 ", 0x%" PRIx64
                             ") and %u [0x%" PRIx64 ", 0x%" PRIx64
                             ") overlap in physical memory",
                             elf->image->name, other->index, other->gpa,
                             other->gpa + other->memory_bytes, segment->index,
                             segment->gpa,
                             segment->gpa + segment->memory_bytes);
    memmove(&segments[at + 1], &segments[at],
            (elf->segment_count - at) * sizeof(*segments));
    segments[at] = *segment;
    elf->segment_count++;
    return 0;
}

static int add_load(struct boot_elf *elf, unsigned index,
                    const Elf64_Phdr *header, struct vmm_error *err)
{
    int ret = check_load(elf, index, header, err);

    if (ret < 0 || header->p_memsz == 0)
        return ret;
    if (header->p_offset + header->p_filesz > elf->end)
        elf->end = header->p_offset + header->p_filesz;
    return insert(elf,
                  &(struct boot_segment){
                      .index = index,
                      .offset = header->p_offset,
                      .file_bytes = header->p_filesz,
                      .virtual_address = header->p_vaddr,
                      .gpa = header->p_paddr,
                      .memory_bytes = header->p_memsz,
                  },
                  err);
}

int boot_elf_parse(const struct vmm_image *image, struct boot_elf *elf,
                   struct vmm_error *err)
{
    int ret = check_header(image, err);

    elf->image = image;
    elf->segment_count = 0;
    if (ret == 0)
        ret = find_tables(elf, err);
    for (unsigned i = 0; ret == 0 && i < elf->header_count; i++) {
        Elf64_Phdr header = boot_elf_header(elf, i);

        if (header.p_type == PT_LOAD)
            ret = add_load(elf, i, &header, err);
    }
    if (ret == 0 && elf->segment_count == 0)
        ret = vmm_error_set(err, ENOEXEC,
                            "%s: none of the %u program headers is a PT_LOAD "
                            "with bytes in memory: nothing to load",
                            image->name, elf->header_count);
    return ret;
}

const struct boot_segment *boot_elf_find(const struct boot_elf *elf,
                                         vmm_gpa_t gpa, uint64_t len)
{
    size_t low = 0, high = elf->segment_count;

    while (low < high) { /* ends past the last segment that starts <= gpa */
        size_t middle = low + (high - low) / 2;

        if (elf->segments[middle].gpa <= gpa)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return NULL;

    const struct boot_segment *segment = &elf->segments[low - 1];

    return boot_within(gpa - segment->gpa, len, segment->memory_bytes) ? segment
                                                                       : NULL;
}
