/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Runs INT3 with an IDT that holds no gate: an emulation failure on hosts that
 * emulate ring 0, a triple fault elsewhere. */
    .section .start, "ax"
    .globl _start
_start:
    lidt no_gates(%rip)
    int3
    hlt

no_gates:
    .word 0
    .quad 0

    .section .note.GNU-stack, "", @progbits
