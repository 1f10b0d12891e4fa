/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Entered by Linux's 64-bit boot protocol, prints what the zero page says:
 * "cmdline ...", "initrd ADDRESS SIZE", "rsdp ADDRESS", and a line
 * "e820 BASE SIZE TYPE" for each entry (numbers hexadecimal).
 * (Documentation/x86/boot.rst and zero-page.rst.) */
#include "lib/guest.h"

#define ZP_RSDP            0x070
#define ZP_EXT_INITRD      0x0c0
#define ZP_EXT_INITRD_SIZE 0x0c4
#define ZP_EXT_CMDLINE     0x0c8
#define ZP_E820_ENTRIES    0x1e8
#define ZP_BOOT_FLAG       0x1fe
#define ZP_HEADER          0x202
#define ZP_TYPE_OF_LOADER  0x210
#define ZP_INITRD          0x218
#define ZP_INITRD_SIZE     0x21c
#define ZP_CMDLINE         0x228
#define ZP_E820            0x2d0
#define E820_ENTRY_SIZE    20

static const uint8_t *zero_page;

static uint64_t get(size_t offset, size_t size)
{
    uint64_t value = 0;

    while (size--)
        value = value << 8 | zero_page[offset + size];
    return value;
}

static void print(const char *name, uint64_t a, uint64_t b)
{
    put(name);
    put_hex(a);
    put_char(' ');
    put_hex(b);
}

void guest(void *rsi)
{
    zero_page = rsi;
    expect("boot_flag", get(ZP_BOOT_FLAG, 2), 0xaa55);
    expect("header", get(ZP_HEADER, 4), 0x53726448); /* "HdrS" */
    expect("type_of_loader", get(ZP_TYPE_OF_LOADER, 1), 0xff);
    put("cmdline ");
    put((const char *)(get(ZP_EXT_CMDLINE, 4) << 32 | get(ZP_CMDLINE, 4)));
    print("\ninitrd ", get(ZP_EXT_INITRD, 4) << 32 | get(ZP_INITRD, 4),
          get(ZP_EXT_INITRD_SIZE, 4) << 32 | get(ZP_INITRD_SIZE, 4));
    put("\nrsdp ");
    put_hex(get(ZP_RSDP, 8));
    for (size_t i = 0; i < get(ZP_E820_ENTRIES, 1); i++) {
        size_t entry = ZP_E820 + i * E820_ENTRY_SIZE;

        print("\ne820 ", get(entry, 8), get(entry + 8, 8));
        put_char(' ');
        put_hex(get(entry + 16, 4));
    }
    put("\n");
    pass();
}
