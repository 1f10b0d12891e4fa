/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The functions of libedit that the line editor uses, opened on first use. */
#ifndef VMM_BASE_LIBEDIT_H
#define VMM_BASE_LIBEDIT_H

#include <histedit.h>

#include <vmm/error.h>

struct libedit {
    void *library; /* NULL: not loaded */
    EditLine *(*init)(const char *, FILE *, FILE *, FILE *, int, int, int);
    void (*end)(EditLine *);
    int (*set)(EditLine *, int, ...);
    int (*wset)(EditLine *, int, ...);
    int (*get)(EditLine *, int, ...);
    const char *(*gets)(EditLine *, int *);
    const LineInfo *(*line)(EditLine *);
    int (*insert)(EditLine *, const char *);
    void (*resize)(EditLine *);
    History *(*history_init)(void);
    void (*history_end)(History *);
    int (*history)(History *, HistEvent *, int, ...);
};

/* Load it; -ENOENT when the host does not have it. */
int libedit_load(struct libedit *lib, struct vmm_error *err);
void libedit_unload(struct libedit *lib);

/* The EL_CLIENTDATA of an object, for a callback, which is given nothing else;
 * NULL when there is none. */
void *libedit_client_data(EditLine *el);

#endif
