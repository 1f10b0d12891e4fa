/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * A program for Linux guests whose kernel has no /dev/port:
 *
 *   ports in8|in16|in32 PORT           prints what it reads, in hex
 *   ports out8|out16|out32 PORT VALUE
 *   ports text PORT TEXT               a byte for each character
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>

static int usage(void)
{
    fputs("usage: ports in8|in16|in32 PORT | out8|out16|out32 PORT VALUE | "
          "text PORT TEXT\n",
          stderr);
    return 2;
}

static void print_port(const char *width, uint16_t port)
{
    if (strcmp(width, "8") == 0)
        printf("%02x\n", inb(port));
    else if (strcmp(width, "16") == 0)
        printf("%04x\n", inw(port));
    else
        printf("%08x\n", inl(port));
}

static void write_port(const char *width, uint16_t port, uint32_t value)
{
    if (strcmp(width, "8") == 0)
        outb((uint8_t)value, port);
    else if (strcmp(width, "16") == 0)
        outw((uint16_t)value, port);
    else
        outl(value, port);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return usage();
    const char *what = argv[1];
    uint16_t port = (uint16_t)strtoul(argv[2], NULL, 0);

    if (iopl(3) < 0) {
        perror("iopl");
        return 1;
    }
    if (argc == 3 && strncmp(what, "in", 2) == 0)
        print_port(what + 2, port);
    else if (argc == 4 && strncmp(what, "out", 3) == 0)
        write_port(what + 3, port, (uint32_t)strtoul(argv[3], NULL, 0));
    else if (argc == 4 && strcmp(what, "text") == 0)
        for (const char *byte = argv[3]; *byte; byte++)
            outb((uint8_t)*byte, port);
    else
        return usage();
    return 0;
}
