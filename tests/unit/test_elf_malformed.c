/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* ELF: how each malformed one is refused. */
#include "images.h"

#include <errno.h>
#include <inttypes.h>

static const struct malformed malformed[] = {
    {"a cut ELF header is refused",
     {{0}},
     63,
     ENOEXEC,
     "vmlinux: the ELF header is cut short: the file has 63 bytes, the header "
     "alone has 64"},
    {"a wrong magic is refused",
     {{1, 1, 'X'}},
     0,
     ENOEXEC,
     "vmlinux: not an ELF file: it begins with 7f 58 4c 46, not with "
     "7f 45 4c 46"},
    {"a 32-bit ELF is refused",
     {{4, 1, 1}},
     0,
     ENOEXEC,
     "vmlinux: e_ident[EI_CLASS] (offset 0x4) is 1, must be 2 (64-bit)"},
    {"a big-endian ELF is refused",
     {{5, 1, 2}},
     0,
     ENOEXEC,
     "vmlinux: e_ident[EI_DATA] (offset 0x5) is 2, must be 1 (little-endian)"},
    {"a wrong ident version is refused",
     {{6, 1, 0}},
     0,
     ENOEXEC,
     "vmlinux: e_ident[EI_VERSION] (offset 0x6) is 0, must be 1 (current)"},
    {"a wrong version is refused",
     {{0x14, 4, 0x10001}},
     0,
     ENOEXEC,
     "vmlinux: e_version (offset 0x14) is 65537, must be 1 (current)"},
    {"another machine's ELF is refused",
     {{0x12, 2, 183}},
     0,
     ENOEXEC,
     "vmlinux: e_machine (offset 0x12) is 183, must be 62 (x86-64)"},
    {"a relocatable object is refused",
     {{0x10, 2, 1}},
     0,
     ENOEXEC,
     "vmlinux: e_type (offset 0x10) is 1, must be 2 (ET_EXEC) or 3 (ET_DYN)"},
    {"a core file is refused",
     {{0x10, 2, 4}},
     0,
     ENOEXEC,
     "vmlinux: e_type (offset 0x10) is 4, must be 2 (ET_EXEC) or 3 (ET_DYN)"},
    {"a wrong program header size is refused",
     {{0x36, 2, 32}},
     0,
     ENOEXEC,
     "vmlinux: e_phentsize (offset 0x36) is 32, must be 56 (bytes of an "
     "Elf64_Phdr)"},
    {"no program headers are refused",
     {{0x38, 2, 0}},
     0,
     ENOEXEC,
     "vmlinux: e_phnum (offset 0x38) is 0, must be 1 to 128"},
    {"too many program headers are refused",
     {{0x38, 2, 129}},
     0,
     ENOEXEC,
     "vmlinux: e_phnum (offset 0x38) is 129, must be 1 to 128"},
    {"the extended program header count is refused",
     {{0x38, 2, 0xffff}},
     0,
     ENOEXEC,
     "vmlinux: e_phnum (offset 0x38) is 65535, must be 1 to 128"},
    {"program headers past the end are refused",
     {{0x20, 8, 0x5b1}},
     0,
     ENOEXEC,
     "vmlinux: e_phoff (offset 0x20) is 0x5b1: 3 program headers there end "
     "past the end of the file (0x658 bytes)"},
    {"program headers that wrap around are refused",
     {{0x20, 8, 0xffffffffffffffc0}},
     0,
     ENOEXEC,
     "vmlinux: e_phoff (offset 0x20) is 0xffffffffffffffc0: 3 program headers "
     "there end past the end of the file (0x658 bytes)"},
    {"program headers cut off are refused",
     {{0}},
     0x80,
     ENOEXEC,
     "vmlinux: e_phoff (offset 0x20) is 0x40: 3 program headers there end past "
     "the end of the file (0x80 bytes)"},
    {"no loadable segment is refused",
     {{ELF_HEADER(0), 4, 6}, {ELF_HEADER(1), 4, 6}},
     0,
     ENOEXEC,
     "vmlinux: none of the 3 program headers is a PT_LOAD with bytes in "
     "memory: nothing to load"},
    {"only empty segments are refused",
     {{ELF_HEADER(0), 4, 6},
      {ELF_HEADER(1) + 32, 8, 0},
      {ELF_HEADER(1) + 40, 8, 0}},
     0,
     ENOEXEC,
     "vmlinux: none of the 3 program headers is a PT_LOAD with bytes in "
     "memory: nothing to load"},
    {"a segment larger in the file than in memory is refused",
     {{ELF_HEADER(0) + 40, 8, 0x2ff}},
     0,
     ENOEXEC,
     "vmlinux: program header 0: p_filesz 0x300 is more than p_memsz 0x2ff"},
    {"a segment that ends past the end of the file is refused",
     {{ELF_HEADER(1) + 8, 8, 0x559}},
     0,
     ENOEXEC,
     "vmlinux: program header 1: p_offset 0x559 + p_filesz 0x100 is past the "
     "end of the file (0x658 bytes)"},
    {"a segment that starts past the end of the file is refused",
     {{ELF_HEADER(1) + 8, 8, 0x10000}},
     0,
     ENOEXEC,
     "vmlinux: program header 1: p_offset 0x10000 + p_filesz 0x100 is past the "
     "end of the file (0x658 bytes)"},
    {"a segment whose file range wraps around is refused",
     {{ELF_HEADER(1) + 8, 8, 0xffffffffffffff80}},
     0,
     ENOEXEC,
     "vmlinux: program header 1: p_offset 0xffffffffffffff80 + p_filesz 0x100 "
     "is past the end of the file (0x658 bytes)"},
    {"a huge file size is refused",
     {{ELF_HEADER(1) + 32, 8, 0x7fffffffffffffff},
      {ELF_HEADER(1) + 40, 8, 0x7fffffffffffffff}},
     0,
     ENOEXEC,
     "vmlinux: program header 1: p_offset 0x500 + p_filesz 0x7fffffffffffffff "
     "is past the end of the file (0x658 bytes)"},
    {"a physical range that wraps around is refused",
     {{ELF_HEADER(1) + 24, 8, 0xfffffffffffff000}},
     0,
     ENOEXEC,
     "vmlinux: program header 1: p_paddr 0xfffffffffffff000 + p_memsz 0x2000 "
     "wraps around"},
    {"a huge memory size is refused",
     {{ELF_HEADER(1) + 40, 8, 0xffffffffffffffff}},
     0,
     ENOEXEC,
     "vmlinux: program header 1: p_paddr 0x200000 + p_memsz "
     "0xffffffffffffffff wraps around"},
    {"a virtual range that wraps around is refused",
     {{ELF_HEADER(1) + 16, 8, 0xffffffffffffe001}},
     0,
     ENOEXEC,
     "vmlinux: program header 1: p_vaddr 0xffffffffffffe001 + p_memsz 0x2000 "
     "wraps around"},
    {"a segment that begins inside another is refused",
     {{ELF_HEADER(1) + 24, 8, 0x1002ff}},
     0,
     ENOEXEC,
     "vmlinux: program headers 0 [0x100000, 0x100300) and 1 [0x1002ff, "
     "0x1022ff) overlap in physical memory"},
    {"a segment that ends inside another is refused",
     {{ELF_HEADER(1) + 24, 8, 0xfe001}},
     0,
     ENOEXEC,
     "vmlinux: program headers 0 [0x100000, 0x100300) and 1 [0xfe001, "
     "0x100001) overlap in physical memory"},
    {"a segment that covers another is refused",
     {{ELF_HEADER(1) + 24, 8, 0xff000}},
     0,
     ENOEXEC,
     "vmlinux: program headers 0 [0x100000, 0x100300) and 1 [0xff000, "
     "0x101000) overlap in physical memory"},
    {"two segments at one address are refused",
     {{ELF_HEADER(1) + 24, 8, 0x100000}},
     0,
     ENOEXEC,
     "vmlinux: program headers 0 [0x100000, 0x100300) and 1 [0x100000, "
     "0x102000) overlap in physical memory"},
    {"an entry outside of every segment is refused",
     {{0x18, 8, 0x100300}},
     0,
     ENOEXEC,
     "vmlinux: e_entry (offset 0x18) is 0x100300: no PT_LOAD has that virtual "
     "or physical address"},
    {"an entry just past a virtual range is refused",
     {{0x18, 8, 0xffffffff80202000}},
     0,
     ENOEXEC,
     "vmlinux: e_entry (offset 0x18) is 0xffffffff80202000: no PT_LOAD has "
     "that virtual or physical address"},
    {"notes past the end of the file are refused",
     {{ELF_HEADER(2) + 8, 8, 0x629}},
     0,
     ENOEXEC,
     "vmlinux: program header 2 (PT_NOTE): p_offset 0x629 + p_filesz 0x30 is "
     "past the end of the file (0x658 bytes)"},
    {"notes whose range wraps around are refused",
     {{ELF_HEADER(2) + 32, 8, 0xffffffffffffffff}},
     0,
     ENOEXEC,
     "vmlinux: program header 2 (PT_NOTE): p_offset 0x400 + p_filesz "
     "0xffffffffffffffff is past the end of the file (0x658 bytes)"},
    {"a cut note header is refused",
     {{ELF_HEADER(2) + 32, 8, 24 + 11}},
     0,
     ENOEXEC,
     "vmlinux: program header 2: the note at offset 0x418 is cut short: 11 "
     "bytes left of 12"},
    {"a note name past the notes' end is refused",
     {{ELF_NOTES, 4, 0xffffffff}},
     0,
     ENOEXEC,
     "vmlinux: program header 2: the note at offset 0x400 (n_namesz "
     "0xffffffff, n_descsz 0x5) does not fit the 0x30 bytes left"},
    {"a note value past the notes' end is refused",
     {{ELF_NOTES + 4, 4, 0x21}},
     0,
     ENOEXEC,
     "vmlinux: program header 2: the note at offset 0x400 (n_namesz 0x4, "
     "n_descsz 0x21) does not fit the 0x30 bytes left"},
    {"a PVH value of wrong size is refused",
     {{ELF_PVH_NOTE + 4, 4, 2}},
     0,
     ENOEXEC,
     "vmlinux: the PVH note at offset 0x418 has 0x2 bytes of value, must have "
     "4 or 8"},
    {"a PVH entry outside of every segment is refused",
     {{ELF_PVH_NOTE + 16, 8, 0x202000}},
     0,
     ENOEXEC,
     "vmlinux: the PVH note at offset 0x418 has entry 0x202000: no PT_LOAD has "
     "that physical address below 4 GiB"},
    {"a PVH entry beyond 4 GiB is refused",
     {{ELF_PVH_NOTE + 16, 8, 0x100100040},
      {ELF_HEADER(1) + 24, 8, 0x100100000}},
     0,
     ENOEXEC,
     "vmlinux: the PVH note at offset 0x418 has entry 0x100100040: no PT_LOAD "
     "has that physical address below 4 GiB"},
};

static void is_refused(void **state)
{
    const struct malformed *row = *state;
    uint8_t bytes[ELF_BYTES];
    struct vmm_elf_info info;
    struct vmm_image image;
    struct vmm_error err;

    put_elf(bytes);
    apply_patches(bytes, row->patches);
    image = image_of(bytes, row->keep_bytes ? row->keep_bytes : ELF_BYTES,
                     "vmlinux");
    expect_failure(vmm_elf_inspect(&image, &info, &err), &err, row->code,
                   row->text);
    free_image(&image);
}

/* So long that scanning it for each of many headers would take minutes. */
static void more_notes_than_a_kernel_has_are_refused(void **state)
{
    uint64_t size = ELF_NOTES + 0x100001;
    uint8_t *bytes = calloc(1, size);
    uint64_t notes_bytes = 0x100001;
    struct vmm_elf_info info;
    struct vmm_error err;
    (void)state;

    put_elf(bytes);
    memcpy(bytes + ELF_HEADER(2) + 32, &notes_bytes, sizeof(notes_bytes));
    struct vmm_image image = image_of(bytes, size, "vmlinux");
    expect_failure(vmm_elf_inspect(&image, &info, &err), &err, ENOEXEC,
                   "vmlinux: program header 2 (PT_NOTE): 0x100001 bytes of "
                   "notes, may have 0x100000 at most");
    free_image(&image);
    free(bytes);
}

static void every_shorter_file_is_refused_or_read_inside(void **state)
{
    uint8_t bytes[ELF_BYTES];
    (void)state;

    put_elf(bytes);
    for (uint64_t size = 0; size < 0x600; size++) {
        struct vmm_image image = image_of(bytes, size, "vmlinux");
        struct vmm_elf_info info;

        if (vmm_elf_inspect(&image, &info, NULL) != -ENOEXEC)
            fail_msg("the first %" PRIu64 " bytes were taken", size);
        free_image(&image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_notes_than_a_kernel_has_are_refused),
        cmocka_unit_test(every_shorter_file_is_refused_or_read_inside),
    };

    return run_with_table("elf_malformed", tests, LEN(tests), malformed,
                          LEN(malformed), is_refused);
}
