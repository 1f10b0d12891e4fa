/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Starts all other processors by INIT and SIPI (Intel SDM volume 3, section
 * 8.4.4) and prints how many run, "cpus N", itself included.  Needs the
 * in-kernel irqchip. */
#include "lib/guest.h"

#define LAPIC_ICR    ((volatile uint32_t *)0xfee00300)
#define ICR_INIT     0x000c4500 /* all but self, level assert */
#define ICR_START    0x000c4600
#define TRAMPOLINE   0x10000 /* a page below 1 MiB: vector 0x10 */
#define COUNTER      0xff0   /* in it */
#define QUIET_CYCLES 200000000

/* Real mode, CS at the trampoline: count, then sleep. */
static const uint8_t trampoline[] = {
    0xfa,                               /* cli */
    0xf0, 0x2e, 0xff, 0x06, 0xf0, 0x0f, /* lock incw %cs:0xff0 */
    0xf4,                               /* hlt */
    0xeb, 0xfd,                         /* jmp to the hlt */
};

static uint64_t cycles(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

void guest(void *rsi)
{
    uint8_t *page = (uint8_t *)TRAMPOLINE;
    volatile uint16_t *counter = (volatile uint16_t *)(page + COUNTER);
    uint16_t seen = 0;

    (void)rsi;
    for (size_t i = 0; i < sizeof(trampoline); i++)
        page[i] = trampoline[i];
    *counter = 0;
    *LAPIC_ICR = ICR_INIT;
    *LAPIC_ICR = ICR_START | TRAMPOLINE >> 12;
    /* Nobody knows how many there are: wait until no more come. */
    for (uint64_t since = cycles(); cycles() - since < QUIET_CYCLES;) {
        if (*counter == seen)
            continue;
        seen = *counter;
        since = cycles();
    }
    put("cpus ");
    put_decimal(seen + 1u);
    put("\n");
    pass();
}
