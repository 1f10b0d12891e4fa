/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Writes a byte to port 0x500 as often as the 32-bit count at offset 4 of the
 * image says, then halts: one exit for each, for benchmarks. */
    .code32
    .section .start, "ax"
    .globl _start
_start:
    jmp 1f
    .org 4
count:
    .long 10000
1:  movl count, %ecx
    movw $0x500, %dx
2:  outb %al, %dx
    decl %ecx
    jnz 2b
3:  cli
    hlt
    jmp 3b

    .section .note.GNU-stack, "", @progbits
