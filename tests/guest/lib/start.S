/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * The 64-bit entry of a guest in C: a stack of its own, guest(rsi), the end.
 * Linux's 64-bit boot protocol hands the zero page over in RSI.
 */
    .section .start, "ax"
    .globl _start
_start:
    cld
    leaq stack_top(%rip), %rsp
    movq %rsi, %rdi
    call guest
    call guest_end

    .bss
    .balign 16
    .skip 8192
stack_top:

    .section .note.GNU-stack, "", @progbits
