/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* An ELF with a PVH entry: checks the start info's magic and the mode, prints
 * the command line.  The ELF's own, 64-bit entry says FAIL.
 * (Xen: docs/misc/pvh.pandoc, public/arch-x86/hvm/start_info.h.) */
#include "lib/text.inc"

#define START_MAGIC            0x336ec578
#define START_CMDLINE          24 /* offset of cmdline_paddr */
#define XEN_ELFNOTE_PHYS32_ENTRY 18

    .section .start, "ax"
    .globl _start
_start:
    leaq wrong_entry(%rip), %rsi
    movl $(wrong_entry_end - wrong_entry), %ecx
    send_text
    end_guest

    .code32
pvh_entry:
    movl $stack_top, %esp
    movl %cr0, %eax
    andl $0x80000001, %eax  /* PG, PE */
    cmpl $1, %eax
    movl $wrong_mode, %esi
    movl $(wrong_mode_end - wrong_mode), %ecx
    jne say
    cmpl $START_MAGIC, (%ebx)
    movl $wrong_magic, %esi
    movl $(wrong_magic_end - wrong_magic), %ecx
    jne say

    movl START_CMDLINE(%ebx), %edi
    movl %edi, %esi
    xorl %ecx, %ecx
1:  cmpb $0, (%edi,%ecx)
    je 2f
    incl %ecx
    jmp 1b
2:  jecxz 3f
    send_text
3:  movl $right, %esi
    movl $(right_end - right), %ecx
say:
    send_text
    end_guest

right:
    .ascii "\nPASS\n"
right_end:
wrong_entry:
    .ascii "FAIL entered by the 64-bit entry\n"
wrong_entry_end:
wrong_mode:
    .ascii "FAIL CR0: not protected mode without paging\n"
wrong_mode_end:
wrong_magic:
    .ascii "FAIL EBX: no start info there\n"
wrong_magic_end:

    .section .note.Xen, "a", @note
    .long 4, 8, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad pvh_entry

    .bss
    .balign 16
    .skip 256
stack_top:

    .section .note.GNU-stack, "", @progbits
