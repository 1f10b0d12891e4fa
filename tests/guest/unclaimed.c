/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Where no device is, reads give all-ones and writes change nothing, for every
 * width, on ports and in memory space. */
#include "lib/guest.h"

#define PORT 0x5c8

static void check_ports(void)
{
    outb(PORT, 0x12);
    outw(PORT, 0x1234);
    outl(PORT, 0x12345678);
    expect("inb", inb(PORT), 0xff);
    expect("inw", inw(PORT), 0xffff);
    expect("inl", inl(PORT), 0xffffffff);
    expect("inb of the last port", inb(0xffff), 0xff);
}

static void check_memory(uintptr_t at)
{
    *(volatile uint8_t *)at = 0x12;
    *(volatile uint16_t *)at = 0x1234;
    *(volatile uint32_t *)at = 0x12345678;
    *(volatile uint64_t *)at = 0x123456789abcdef0;
    expect("8-bit load", *(volatile uint8_t *)at, 0xff);
    expect("16-bit load", *(volatile uint16_t *)at, 0xffff);
    expect("32-bit load", *(volatile uint32_t *)at, 0xffffffff);
    expect("64-bit load", *(volatile uint64_t *)at, 0xffffffffffffffff);
}

void guest(void *rsi)
{
    (void)rsi;
    check_ports();
    check_memory(DEVICE_HOLE);
    check_memory(DEVICE_HOLE + 3);     /* unaligned */
    check_memory(DEVICE_HOLE + 0xffc); /* 64 bits: over the page's end */
    pass();
}
