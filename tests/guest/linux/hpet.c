/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * A program for Linux guests: has /dev/hpet interrupt.
 *
 *   hpet FREQUENCY COUNT [periodic]   waits for COUNT interrupts and prints how
 *                                     many there were and the milliseconds
 */
#include <fcntl.h>
#include <linux/hpet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static int die(const char *what)
{
    perror(what);
    return 1;
}

static long long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fputs("usage: hpet FREQUENCY COUNT [periodic]\n", stderr);
        return 2;
    }
    unsigned long frequency = strtoul(argv[1], NULL, 10);
    unsigned long count = strtoul(argv[2], NULL, 10);
    unsigned long seen = 0;
    int fd = open("/dev/hpet", O_RDONLY);

    if (fd < 0)
        return die("/dev/hpet");
    if (ioctl(fd, HPET_IRQFREQ, frequency) < 0)
        return die("HPET_IRQFREQ");
    if (argc > 3 && strcmp(argv[3], "periodic") == 0 &&
        ioctl(fd, HPET_EPI, 0) < 0)
        return die("HPET_EPI");
    long long begin = now_ms();
    if (ioctl(fd, HPET_IE_ON, 0) < 0)
        return die("HPET_IE_ON");
    while (seen < count) {
        unsigned long more;
        if (read(fd, &more, sizeof(more)) != (ssize_t)sizeof(more))
            return die("read of /dev/hpet");
        seen += more;
    }
    printf("%lu interrupts in %lld ms\n", seen, now_ms() - begin);
    system("grep hpet /proc/interrupts");
    return 0;
}
