/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Says that it runs, then jumps in place for ever without an exit: what only
 * a kick takes out of the guest. */
    .section .start, "ax"
    .globl _start
_start:
    leaq text(%rip), %rsi
    movl $(text_end - text), %ecx
    movw $0x3f8, %dx
    rep outsb
1:  jmp 1b

text:
    .ascii "spinning\n"
text_end:

    .section .note.GNU-stack, "", @progbits
