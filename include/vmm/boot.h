/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Loaders: images from files into guest memory, and what they say of
 * themselves. */
#ifndef VMM_BOOT_H
#define VMM_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/export.h>
#include <vmm/memory.h>

/*
 * An image: a whole file mapped or a buffer, read-only.  Everything in it is
 * hostile; errors say what is wrong and at which offset, and nothing outside
 * the image is read nor outside guest memory written.
 */
struct vmm_image {
    const uint8_t *bytes;
    uint64_t size_bytes;
    void *priv; /* owned storage: mapping or heap; NULL when borrowed */
    uint64_t priv_bytes;
    char name[128]; /* for messages: the path, shortened */
};

#define VMM_IMAGE_BYTES_MAX (UINT64_C(4) << 30)

/*
 * Read a regular file of 1 .. VMM_IMAGE_BYTES_MAX bytes whole (private copy:
 * the file may change meanwhile).  On failure the image is closed.
 */
VMM_API int vmm_image_open(const char *path, struct vmm_image *image,
                           struct vmm_error *err);
/* Borrow bytes that outlive the image. */
VMM_API void vmm_image_borrow(const void *bytes, uint64_t size_bytes,
                              const char *name, struct vmm_image *image);
/* Idempotent; a zeroed image is closed. */
VMM_API void vmm_image_close(struct vmm_image *image);

enum vmm_image_kind {
    VMM_IMAGE_RAW,
    VMM_IMAGE_ELF,
    VMM_IMAGE_BZIMAGE,
};
/* By magic only; what matches nothing is raw. */
VMM_API enum vmm_image_kind vmm_image_kind(const struct vmm_image *image);

/* ---- ELF64 x86-64 ---------------------------------------------------------
 * Errors: -ENOEXEC for a malformed file, the text says which field of what.
 */
struct vmm_elf_info {
    uint64_t entry;      /* e_entry, virtual or (Linux's vmlinux) physical */
    vmm_gpa_t entry_gpa; /* entry translated by its PT_LOAD: where 64-bit
                            execution starts */
    vmm_gpa_t low, high; /* [low, high) of all PT_LOAD by p_paddr, bss too */
    bool has_pvh;        /* XEN_ELFNOTE_PHYS32_ENTRY found, below 4 GiB */
    uint64_t pvh_entry;  /* its value: 32-bit physical entry */
};
/* Look, load nothing. */
VMM_API int vmm_elf_inspect(const struct vmm_image *image,
                            struct vmm_elf_info *info, struct vmm_error *err);
/*
 * Copy each PT_LOAD to p_paddr + slide and clear its bss; nothing is written
 * unless all fit in RAM (-EFAULT).
 * min_gpa: the lowest address a segment may have (himem_start).  An ELF has
 * fixed addresses: it is not moved up to there but refused when a segment
 * would start below (-ERANGE).  0 allows all.
 * slide: added to every address (0 normally); info comes back slid.  -EINVAL
 * when an address wraps.  What the code at the entries thinks of being moved is
 * its own matter: see vmm_elf_relocate.
 */
VMM_API int vmm_elf_load(const struct vmm_image *image,
                         struct vmm_memory *memory, vmm_gpa_t min_gpa,
                         uint64_t slide, struct vmm_elf_info *info,
                         struct vmm_error *err);

/* ---- bzImage, boot protocol >= 2.12 ----------------------------------------
 */
struct vmm_bzimage_info {
    uint16_t protocol; /* 0x020c and up */
    bool loadable_64;  /* XLF_KERNEL_64 */
    bool relocatable;
    uint64_t preferred_gpa;    /* pref_address */
    uint32_t alignment;        /* kernel_alignment */
    uint32_t init_size;        /* bytes needed from the load address */
    uint32_t initrd_addr_max;  /* highest byte address of the initrd */
    uint32_t cmdline_size_max; /* bytes without the NUL */
    uint64_t payload_offset;   /* in the file; 0 when none */
    uint64_t payload_bytes;
    char payload_format[8];    /* "gzip" "xz" "lzma" "bzip2" "lz4" "zstd" "elf"
                                  "lzo" (not unpacked) or "" when unknown */
    uint8_t setup_header[512]; /* from offset 0x1f1 of the file, to copy to the
                                  zero page at 0x1f1 */
    uint32_t setup_header_bytes;
    uint64_t kernel_offset; /* protected-mode code in the file */
    uint64_t kernel_bytes;
};
/* Look, load nothing.  -ENOEXEC for a malformed file. */
VMM_API int vmm_bzimage_inspect(const struct vmm_image *image,
                                struct vmm_bzimage_info *info,
                                struct vmm_error *err);
/*
 * Copy the protected-mode part to gpa (the 64-bit entry is gpa + 0x200).
 * -EFAULT unless it fits in RAM there, and init_size bytes fit where it will
 * run: at pref_address, or when the kernel is relocatable and gpa rounded up to
 * kernel_alignment is higher, there.
 */
VMM_API int vmm_bzimage_load(const struct vmm_image *image,
                             struct vmm_memory *memory, vmm_gpa_t gpa,
                             struct vmm_bzimage_info *info,
                             struct vmm_error *err);
/*
 * Unpack the payload into a new image: the ELF vmlinux, followed by the
 * relocation table where the kernel has one.  At most init_size bytes come out
 * (and never over 1 GiB), whatever the payload says of itself (-EFBIG).
 * -ENOEXEC when it is malformed, -ENOMEM, -ENOTSUP when there is no payload or
 * its format is unknown.
 */
VMM_API int vmm_bzimage_unpack(const struct vmm_image *image,
                               struct vmm_image *vmlinux,
                               struct vmm_error *err);
/* The names of the formats this build unpacks, by index from 0; NULL past the
 * last. */
VMM_API const char *vmm_bzimage_unpack_format(size_t index);
/*
 * Apply the relocations that trail an unpacked vmlinux to the kernel that
 * vmm_elf_load put at its addresses + slide, so that it also runs at its
 * virtual addresses + slide (KASLR).  slide: a multiple of 2 MiB that keeps the
 * kernel's end within 1 GiB (-EINVAL, -ERANGE).  -ENODATA when the image
 * carries no table, -ENOEXEC for a malformed one.  A failure may leave the
 * kernel half relocated: load it again.
 */
VMM_API int vmm_elf_relocate(const struct vmm_image *vmlinux,
                             struct vmm_memory *memory, uint64_t slide,
                             struct vmm_error *err);

/* ---- raw --------------------------------------------------------------------
 */
/* Copy the whole image to gpa; -EFAULT unless all of it fits in RAM. */
VMM_API int vmm_raw_load(const struct vmm_image *image,
                         struct vmm_memory *memory, vmm_gpa_t gpa,
                         struct vmm_error *err);

/*
 * Place an initrd as high as the kernel takes it: the highest page-aligned gpa
 * such that [gpa, gpa + size) is RAM of one region, at or above min_gpa, and
 * ends at or below max_gpa + 1 (initrd_addr_max).  -ENOSPC with the numbers.
 */
VMM_API int vmm_initrd_load(const struct vmm_image *image,
                            struct vmm_memory *memory, vmm_gpa_t min_gpa,
                            vmm_gpa_t max_gpa, vmm_gpa_t *gpa,
                            struct vmm_error *err);

#endif
