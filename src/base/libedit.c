/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Loads libedit: most runs of a program never ask a user for a line. */
#include <dlfcn.h>
#include <errno.h>

#include "base/libedit.h"
#include "base/library.h"

#define LIBRARY "libedit.so.2"

int libedit_load(struct libedit *lib, struct vmm_error *err)
{
    const struct library_function functions[] = {
        LIBRARY_FUNCTION("el_init_fd", &lib->init),
        LIBRARY_FUNCTION("el_end", &lib->end),
        LIBRARY_FUNCTION("el_set", &lib->set),
        LIBRARY_FUNCTION("el_wset", &lib->wset),
        LIBRARY_FUNCTION("el_get", &lib->get),
        LIBRARY_FUNCTION("el_gets", &lib->gets),
        LIBRARY_FUNCTION("el_line", &lib->line),
        LIBRARY_FUNCTION("el_insertstr", &lib->insert),
        LIBRARY_FUNCTION("el_resize", &lib->resize),
        LIBRARY_FUNCTION("history_init", &lib->history_init),
        LIBRARY_FUNCTION("history_end", &lib->history_end),
        LIBRARY_FUNCTION("history", &lib->history),
    };

    *lib = (struct libedit){0};
    /* It stays: its libtinfo keeps what it knows of the terminal, and would
     * keep it again each time. */
    int rc = library_open(&lib->library, LIBRARY, RTLD_NODELETE, functions,
                          sizeof(functions) / sizeof(*functions), NULL);
    if (rc == -ENOENT)
        return vmm_error_set(err, ENOENT, "%s is not installed", LIBRARY);
    return rc ? vmm_error_set(err, ENOENT, "%s lacks a function", LIBRARY) : 0;
}

void libedit_unload(struct libedit *lib)
{
    library_close(&lib->library);
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
