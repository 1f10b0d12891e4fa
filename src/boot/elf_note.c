/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* ELF notes: the PVH entry point (Xen's "ELF note" interface, elfnote.h). */
#include <errno.h>
#include <inttypes.h>

#include "boot/boot.h"

/* A kernel has some hundreds of bytes of them; no image may keep us reading. */
#define NOTES_BYTES_MAX 0x100000

#define NOTE_OWNER_XEN  "Xen" /* with its NUL in the note */
#define NOTE_PHYS32     18    /* XEN_ELFNOTE_PHYS32_ENTRY */
#define NOTE_HEAD_BYTES sizeof(Elf64_Nhdr)

/* One note within the file. */
struct note {
    uint64_t offset;
    uint32_t name_bytes, desc_bytes, type;
    uint64_t desc_offset;
    uint64_t next; /* at or past the end when this is the last */
};

/* Read the note at offset of a PT_NOTE that ends at end; both in the file. */
static int read_note(const struct boot_elf *elf, unsigned index,
                     uint64_t offset, uint64_t end, uint64_t align,
                     struct note *note, struct vmm_error *err)
{
    const uint8_t *b = elf->image->bytes + offset;
    uint64_t left = end - offset, desc, used;

    if (left < NOTE_HEAD_BYTES)
        return vmm_error_set(
            err, ENOEXEC,
            "%s: program header %u: the note at offset "
            "0x%" PRIx64 " is cut short: %" PRIu64 " bytes left of %zu",
            elf->image->name, index, offset, left, NOTE_HEAD_BYTES);
    note->offset = offset;
    note->name_bytes = load_le32(b);
    note->desc_bytes = load_le32(b + 4);
    note->type = load_le32(b + 8);
    /* 32-bit values in 64 bits: these sums cannot wrap. */
    desc = NOTE_HEAD_BYTES + note->name_bytes;
    desc = align_down(desc + align - 1, align);
    used = desc + note->desc_bytes;
    if (used > left)
        return vmm_error_set(err, ENOEXEC,
                             "%s: program header %u: the note at offset "
                             "0x%" PRIx64 " (n_namesz 0x%x, n_descsz 0x%x) "
                             "does not fit the 0x%" PRIx64 " bytes left",
                             elf->image->name, index, offset, note->name_bytes,
                             note->desc_bytes, left);
    note->desc_offset = offset + desc;
    note->next = offset + align_down(used + align - 1, align);
    return 0;
}

static bool is_pvh(const struct boot_elf *elf, const struct note *note)
{
    return note->type == NOTE_PHYS32 &&
           note->name_bytes == sizeof(NOTE_OWNER_XEN) &&
           !memcmp(elf->image->bytes + note->offset + NOTE_HEAD_BYTES,
                   NOTE_OWNER_XEN, sizeof(NOTE_OWNER_XEN));
}

static int take_pvh(const struct boot_elf *elf, const struct note *note,
                    struct vmm_elf_info *info, struct vmm_error *err)
{
    const uint8_t *desc = elf->image->bytes + note->desc_offset;
    uint64_t entry;

    if (note->desc_bytes != 4 && note->desc_bytes != 8)
        return vmm_error_set(err, ENOEXEC,
                             "%s: the PVH note at offset 0x%" PRIx64
                             " has 0x%x bytes of value, must have 4 or 8",
                             elf->image->name, note->offset, note->desc_bytes);
    entry = note->desc_bytes == 4 ? load_le32(desc) : load_le64(desc);
    if (entry > UINT32_MAX || !boot_elf_find(elf, entry, 1))
        return vmm_error_set(err, ENOEXEC,
                             "%s: the PVH note at offset 0x%" PRIx64
                             " has entry 0x%" PRIx64
                             ": no PT_LOAD has that physical address below "
                             "4 GiB",
                             elf->image->name, note->offset, entry);
    info->has_pvh = true;
    info->pvh_entry = entry;
    return 0;
}

/* The notes of one PT_NOTE; the first PVH note counts. */
static int scan(const struct boot_elf *elf, unsigned index,
                const Elf64_Phdr *header, struct vmm_elf_info *info,
                struct vmm_error *err)
{
    uint64_t align = header->p_align == 8 ? 8 : 4;
    uint64_t offset = header->p_offset, end;
    struct note note = {.next = 0};

    if (!boot_within(offset, header->p_filesz, elf->image->size_bytes))
        return vmm_error_set(
            err, ENOEXEC,
            "%s: program header %u (PT_NOTE): p_offset 0x%" PRIx64
            " + p_filesz 0x%" PRIx64 " is past the end of the file (0x%" PRIx64
            " bytes)",
            elf->image->name, index, offset, header->p_filesz,
            elf->image->size_bytes);
    if (header->p_filesz > NOTES_BYTES_MAX)
        return vmm_error_set(err, ENOEXEC,
                             "%s: program header %u (PT_NOTE): 0x%" PRIx64
                             " bytes of notes, may have 0x%x at most",
                             elf->image->name, index, header->p_filesz,
                             NOTES_BYTES_MAX);
    end = offset + header->p_filesz;
    while (offset < end && !info->has_pvh) {
        int ret = read_note(elf, index, offset, end, align, &note, err);

        if (ret == 0 && is_pvh(elf, &note))
            ret = take_pvh(elf, &note, info, err);
        if (ret < 0)
            return ret;
        offset = note.next;
    }
    return 0;
}

int boot_elf_find_pvh(const struct boot_elf *elf, struct vmm_elf_info *info,
                      struct vmm_error *err)
{
    int ret = 0;

    for (unsigned i = 0; ret == 0 && i < elf->header_count; i++) {
        Elf64_Phdr header = boot_elf_header(elf, i);

        if (header.p_type == PT_NOTE)
            ret = scan(elf, i, &header, info, err);
    }
    return ret;
}
