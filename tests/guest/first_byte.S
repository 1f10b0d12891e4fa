/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Sends '!' on COM1 by its third instruction, then asks the i8042 for a reset:
 * for measuring how soon a guest runs.  The code is the same in 32-bit and
 * 64-bit mode, so that the ELF's entry and its PVH note name the same place. */
#define XEN_ELFNOTE_PHYS32_ENTRY 18

    .section .start, "ax"
    .globl _start
_start:
    movw $0x3f8, %dx
    movb $'!', %al
    outb %al, %dx
    movb $0xfe, %al
    outb %al, $0x64
1:  hlt
    jmp 1b

    .section .note.Xen, "a", @note
    .long 4, 8, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad _start

    .section .note.GNU-stack, "", @progbits
