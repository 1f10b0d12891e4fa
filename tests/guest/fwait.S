/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Runs FWAIT, which KVM's emulator lacks: an emulation failure on hosts that
 * emulate ring 0, nothing special elsewhere. */
#include "lib/text.inc"

    .section .start, "ax"
    .globl _start
_start:
    fwait
    leaq text(%rip), %rsi
    movl $(text_end - text), %ecx
    send_text
    end_guest

text:
    .ascii "PASS\n"
text_end:

    .section .note.GNU-stack, "", @progbits
