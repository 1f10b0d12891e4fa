/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A library of the host, and its functions by name. */
#include <dlfcn.h>
#include <errno.h>

#include "base/library.h"

int library_open(void **library, const char *file, int more_flags,
                 const struct library_function *functions, size_t count,
                 const char **lacking)
{
    *library = dlopen(file, RTLD_NOW | RTLD_LOCAL | more_flags);
    if (!*library)
        return -ENOENT;
    for (size_t i = 0; i < count; i++) {
        *functions[i].pointer = dlsym(*library, functions[i].name);
        if (*functions[i].pointer)
            continue;
        if (lacking)
            *lacking = functions[i].name;
        library_close(library);
        return -ENOSYS;
    }
    return 0;
}

void library_close(void **library)
{
    if (*library)
        dlclose(*library);
    *library = NULL;
}
