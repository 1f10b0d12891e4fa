/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/*
 * A front end of one's own in C: Linux by one call of libvmm-lua, which takes
 * what the command line takes and returns its exit code.
 *
 *   cc frontend.c $(pkg-config --cflags --libs vmm-lua) -o frontend
 *   ./frontend KERNEL [INITRD]
 */
#include <stdio.h>

#include <vmm/lua.h>

int main(int argc, char **argv)
{
    char kernel[8192];
    char *words[] = {argv[0],  "--name", "frontend", "--memory", "size_mib=512",
                     "--vcpu", "num=1",  "--kernel", kernel,     NULL};
    int len;

    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: frontend KERNEL [INITRD]\n");
        return 2;
    }
    len = snprintf(kernel, sizeof(kernel), "path=%s%s%s", argv[1],
                   argc > 2 ? ",initrd=" : "", argc > 2 ? argv[2] : "");
    if (len < 0 || (size_t)len >= sizeof(kernel)) {
        fprintf(stderr, "frontend: the paths are too long\n");
        return 2;
    }
    return vmm_lua_main((int)(sizeof(words) / sizeof(*words)) - 1, words);
}
