/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Prints its command line, and hangs: HLT with interrupts off, for ever.
 * (Documentation/x86/zero-page.rst.) */
#include "lib/guest.h"

#define ZP_CMDLINE 0x228

void guest(void *rsi)
{
    const uint8_t *pointer = (const uint8_t *)rsi + ZP_CMDLINE;
    uint64_t address = 0;

    for (int i = 3; i >= 0; i--)
        address = address << 8 | pointer[i];
    put((const char *)address);
    for (;;)
        __asm__ volatile("cli; hlt");
}
