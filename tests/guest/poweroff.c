/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Powers off through the ACPI sleep control register (ACPI 6.4, 4.8.3.7). */
#include "lib/guest.h"

#define SLP_EN  (1 << 5)
#define SLP_TYP 2 /* shift of the sleep type */
#define S5      5

void guest(void *rsi)
{
    (void)rsi;
    put("powering off\n");
    outb(ACPI_SLEEP_CONTROL, SLP_EN | S5 << SLP_TYP);
    for (int i = 0; i < 1000; i++)
        __asm__ volatile("pause");
    put("FAIL still running after the power-off\n");
}
