/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A 32-bit entry at 1 MiB: protected mode, no paging, flat segments. */
#include "lib/text.inc"

    .code32
    .section .start, "ax"
    .globl _start
_start:
    movl %cr0, %eax
    andl $0x80000001, %eax  /* PG, PE */
    cmpl $1, %eax
    movl $wrong_mode, %esi
    movl $(wrong_mode_end - wrong_mode), %ecx
    jne say

    pushl $0x12345678
    popl %ebx
    cmpl $0x12345678, %ebx
    movl $wrong_stack, %esi
    movl $(wrong_stack_end - wrong_stack), %ecx
    jne say

    movl $right, %esi
    movl $(right_end - right), %ecx
say:
    send_text
    end_guest

right:
    .ascii "Hello from protected mode\nPASS\n"
right_end:
wrong_mode:
    .ascii "FAIL CR0: not protected mode without paging\n"
wrong_mode_end:
wrong_stack:
    .ascii "FAIL the stack does not keep what is pushed\n"
wrong_stack_end:

    .section .note.GNU-stack, "", @progbits
