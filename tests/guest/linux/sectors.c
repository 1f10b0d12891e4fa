/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Reads or writes sectors of a disk, each by a request of its own that goes
 * past the page cache, and says of each how it went.
 *
 * usage: sectors read|write DEVICE FIRST COUNT
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR 512

int main(int argc, char **argv)
{
    static char bytes[SECTOR] __attribute__((aligned(4096)));

    if (argc != 5)
        return 2;
    int writes = strcmp(argv[1], "write") == 0;
    int fd = open(argv[2], (writes ? O_WRONLY : O_RDONLY) | O_DIRECT);
    if (fd < 0) {
        perror(argv[2]);
        return 1;
    }
    off_t first = (off_t)atoll(argv[3]), end = first + (off_t)atoll(argv[4]);
    for (off_t sector = first; sector < end; sector++) {
        ssize_t moved = writes ? pwrite(fd, bytes, SECTOR, sector * SECTOR)
                               : pread(fd, bytes, SECTOR, sector * SECTOR);

        puts(moved == SECTOR ? "ok" : moved < 0 ? strerror(errno) : "short");
    }
    return 0;
}
