/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Makes KVM give up on any host: CMPXCHG16B on device memory, which has to be
 * emulated, by an emulator that lacks it. */
    .section .start, "ax"
    .globl _start
_start:
    movl $0xd0000000, %esi  /* DEVICE_HOLE of guest.h */
    lock cmpxchg16b (%rsi)
    hlt

    .section .note.GNU-stack, "", @progbits
