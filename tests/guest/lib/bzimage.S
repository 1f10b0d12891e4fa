/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * A flat guest (file IMAGE) in the least bzImage that is valid: setup header of
 * boot protocol 2.12, no real-mode code, no payload, a 64-bit entry only
 * (Documentation/x86/boot.rst, "The Real-Mode Kernel Header").
 */
#define SETUP_SECTORS   1 /* beside the boot sector */
#define LOADED_HIGH     0x01
#define XLF_KERNEL_64   0x01
#define XLF_ABOVE_4G    0x02
#define ENTRY_64        0x200 /* from the protected-mode code's start */
#define BSS_ROOM        0x20000 /* guest.ld allows half of it */

    .section .image, "ax"
image:
    .org 0x1f1
    .byte SETUP_SECTORS                     /* setup_sects */
    .org 0x1f4
    .long (image_end - protected_mode + 15) / 16 /* syssize */
    .org 0x1fe
    .word 0xaa55                            /* boot_flag */
    .byte 0xeb, header_end - header         /* jump */
header:
    .ascii "HdrS"
    .word 0x020c                            /* version */
    .org 0x211
    .byte LOADED_HIGH                       /* loadflags */
    .org 0x214
    .long 0x100000                          /* code32_start */
    .org 0x22c
    .long 0x7fffffff                        /* initrd_addr_max */
    .long 0x200000                          /* kernel_alignment */
    .byte 1                                 /* relocatable_kernel */
    .byte 12                                /* min_alignment: 2^12 */
    .word XLF_KERNEL_64 | XLF_ABOVE_4G      /* xloadflags */
    .long 2047                              /* cmdline_size */
    .org 0x258
    .quad 0x1000000                         /* pref_address */
    .long image_end - protected_mode + BSS_ROOM /* init_size */
    .long 0                                 /* handover_offset */
header_end:

    .org (SETUP_SECTORS + 1) * 512
protected_mode:
    cli                                     /* the 32-bit entry: nothing here */
    hlt
    jmp protected_mode
    .org (SETUP_SECTORS + 1) * 512 + ENTRY_64
    .incbin IMAGE
    .balign 16
image_end:

    .section .note.GNU-stack, "", @progbits
