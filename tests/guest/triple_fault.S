/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Triple-faults: an undefined instruction with an IDT that holds no gate. */
    .section .start, "ax"
    .globl _start
_start:
    lidt no_gates(%rip)
    ud2
    hlt

no_gates:
    .word 0
    .quad 0

    .section .note.GNU-stack, "", @progbits
