/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Loads libedit: most runs of a program never ask a user for a line. */
#include "base/libedit.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>

#define LIBRARY "libedit.so.2"

/* dlsym returns an object pointer; POSIX says it may be a function. */
static bool find(const struct libedit *lib, void *function, const char *name)
{
    *(void **)function = dlsym(lib->library, name);
    return *(void **)function != NULL;
}

static bool find_all(struct libedit *lib)
{
    return find(lib, &lib->init, "el_init_fd") &&
           find(lib, &lib->end, "el_end") && find(lib, &lib->set, "el_set") &&
           find(lib, &lib->wset, "el_wset") && find(lib, &lib->get, "el_get") &&
           find(lib, &lib->gets, "el_gets") &&
           find(lib, &lib->line, "el_line") &&
           find(lib, &lib->insert, "el_insertstr") &&
           find(lib, &lib->resize, "el_resize") &&
           find(lib, &lib->history_init, "history_init") &&
           find(lib, &lib->history_end, "history_end") &&
           find(lib, &lib->history, "history");
}

int libedit_load(struct libedit *lib, struct vmm_error *err)
{
    *lib = (struct libedit){0};
    /* It stays: its libtinfo keeps what it knows of the terminal, and would
     * keep it again each time. */
    lib->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!lib->library)
        return vmm_error_set(err, ENOENT, "%s is not installed", LIBRARY);
    if (find_all(lib))
        return 0;
    libedit_unload(lib);
    return vmm_error_set(err, ENOENT, "%s lacks a function", LIBRARY);
}

void libedit_unload(struct libedit *lib)
{
    if (lib->library)
        dlclose(lib->library);
    lib->library = NULL;
}

void *libedit_client_data(EditLine *el)
{
    struct libedit lib;
    void *data = NULL;

    /* It is loaded, for it has called: this only finds it again. */
    if (libedit_load(&lib, NULL) < 0)
        return NULL;
    if (lib.get(el, EL_CLIENTDATA, &data) < 0)
        data = NULL;
    libedit_unload(&lib);
    return data;
}
