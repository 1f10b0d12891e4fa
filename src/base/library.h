/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Libraries of the host that are opened on first use: few runs need them. */
#ifndef VMM_BASE_LIBRARY_H
#define VMM_BASE_LIBRARY_H

#include <stddef.h>

struct library_function {
    const char *name;
    void **pointer; /* a function pointer: POSIX says that it may be one */
};

#define LIBRARY_FUNCTION(name, pointer)                                        \
    {                                                                          \
        name, (void **)(pointer)                                               \
    }

/*
 * Open a file ("libelf.so.1") with RTLD_NOW, RTLD_LOCAL and more_flags, and
 * look count functions up.  0 with all pointers set; or, with *library NULL:
 * -ENOENT, it is not installed; -ENOSYS, it has no *lacking (may be NULL).
 */
int library_open(void **library, const char *file, int more_flags,
                 const struct library_function *functions, size_t count,
                 const char **lacking);
/* Idempotent. */
void library_close(void **library);

#endif
