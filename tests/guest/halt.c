/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Halts as Linux does: says so, then HLT with interrupts off, for ever. Without
 * an in-kernel irqchip the VMM sees the HLT; with one it has to look. */
#include "lib/guest.h"

void guest(void *rsi)
{
    (void)rsi;
    pass();
    put("reboot: System halted\n");
    for (;;)
        __asm__ volatile("cli; hlt");
}
