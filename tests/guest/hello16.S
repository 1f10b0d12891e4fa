/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A 16-bit entry at 0x7c00: real mode, segments at 0, a stack that works. */
#include "lib/text.inc"

    .code16
    .section .start, "ax"
    .globl _start
_start:
    smsww %ax
    movw $wrong_mode, %si
    movw $(wrong_mode_end - wrong_mode), %cx
    testb $1, %al           /* CR0.PE */
    jnz say

    movw $0x1234, %ax
    pushw %ax
    popw %bx
    cmpw %ax, %bx
    movw $wrong_stack, %si
    movw $(wrong_stack_end - wrong_stack), %cx
    jne say

    movw $right, %si
    movw $(right_end - right), %cx
say:
    send_text
    end_guest

right:
    .ascii "Hello from real mode\nPASS\n"
right_end:
wrong_mode:
    .ascii "FAIL CR0.PE is set\n"
wrong_mode_end:
wrong_stack:
    .ascii "FAIL the stack does not keep what is pushed\n"
wrong_stack_end:

    .section .note.GNU-stack, "", @progbits
