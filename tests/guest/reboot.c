/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Asks for a reset as Linux does with reboot=k: command 0xfe to the i8042, once
 * its input buffer is empty. */
#include "lib/guest.h"

#define I8042_COMMAND 0x64 /* also its status */
#define I8042_IBF     0x02 /* input buffer full */

void guest(void *rsi)
{
    (void)rsi;
    put("rebooting\n");
    for (int i = 0; i < 1000 && (inb(I8042_COMMAND) & I8042_IBF); i++)
        ;
    expect("i8042 status: input buffer full", inb(I8042_COMMAND) & I8042_IBF,
           0);
    outb(I8042_COMMAND, 0xfe);
    for (int i = 0; i < 1000; i++)
        __asm__ volatile("pause");
    put("FAIL still running after the reset\n");
}
