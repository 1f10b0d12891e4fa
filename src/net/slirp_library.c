/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Opens libslirp by name: few runs need it. */
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

#include "net/slirp_library.h"

int slirp_library_open(struct slirp_library *library, struct vmm_error *err)
{
    void *handle = dlopen("libslirp.so.0", RTLD_NOW | RTLD_LOCAL);

    *library = (struct slirp_library){.handle = handle};
    if (handle) {
        /* dlsym returns an object pointer; POSIX says it may be a function. */
        *(void **)&library->new = dlsym(handle, "slirp_new");
        *(void **)&library->cleanup = dlsym(handle, "slirp_cleanup");
        *(void **)&library->fill = dlsym(handle, "slirp_pollfds_fill");
        *(void **)&library->poll = dlsym(handle, "slirp_pollfds_poll");
        *(void **)&library->input = dlsym(handle, "slirp_input");
        *(void **)&library->forward = dlsym(handle, "slirp_add_hostfwd");
    }
    if (library->new && library->cleanup && library->fill && library->poll &&
        library->input && library->forward)
        return 0;
    slirp_library_close(library);
    return vmm_error_set(err, ENOSYS,
                         "user-mode networking needs libslirp (Debian: "
                         "libslirp0), which is not installed");
}

void slirp_library_close(struct slirp_library *library)
{
    if (library->handle)
        dlclose(library->handle);
    library->handle = NULL;
}
