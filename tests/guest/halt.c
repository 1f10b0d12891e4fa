/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Halts with interrupts off: without an in-kernel irqchip the VMM sees HLT. */
#include "lib/guest.h"

void guest(void *rsi)
{
    (void)rsi;
    pass();
    for (;;)
        __asm__ volatile("cli; hlt");
}
