/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Writes 32 bits to device memory at 0xd0000000 as often as the 32-bit count
 * at offset 4 of the image says, then halts: one exit for each, for
 * benchmarks. */
    .code32
    .section .start, "ax"
    .globl _start
_start:
    jmp 1f
    .org 4
count:
    .long 10000
1:  movl count, %ecx
    movl $0xd0000000, %edi  /* DEVICE_HOLE of guest.h */
2:  movl %eax, (%edi)
    decl %ecx
    jnz 2b
3:  cli
    hlt
    jmp 3b

    .section .note.GNU-stack, "", @progbits
