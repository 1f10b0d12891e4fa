/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The entry of COM1's interrupt for guests in C: serial_interrupt() is called
 * with interrupts off. */
    .text
    .globl serial_interrupt_entry
    .hidden serial_interrupt_entry
serial_interrupt_entry:
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    call serial_interrupt
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rax
    iretq

    .section .note.GNU-stack, "", @progbits
