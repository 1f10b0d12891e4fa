/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The inside of a line editor, shared by the two threads that take turns. */
#ifndef VMM_BASE_LINE_EDITOR_TURNS_H
#define VMM_BASE_LINE_EDITOR_TURNS_H

#include <pthread.h>
#include <stdbool.h>
#include <wchar.h>

#include "base/libedit.h"
#include "base/line_editor.h"

enum line_editor_command {
    LINE_BEGIN,
    LINE_KEY,
    LINE_ANSWER, /* of a completion */
    LINE_CANCEL,
    LINE_REFRESH,
    LINE_RESIZE,
    LINE_REMEMBER,
    LINE_QUIT,
};

struct vmm_line_editor {
    struct libedit lib;
    int history_lines;
    int tty;   /* the pseudo-terminal whose settings libedit makes */
    FILE *out; /* what it shows goes to `output` */
    EditLine *el;
    History *history;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t turned;
    bool theirs; /* the turn is libedit's */
    bool is_open;

    enum line_editor_command command;
    uint8_t key;
    const char *text; /* of LINE_BEGIN and LINE_REMEMBER; to insert */
    const char *list;
    char *prompt;
    mbstate_t decoding;

    enum vmm_line_event event;
    char *result;
    char *output;
    size_t output_len;
};

/* Give the turn to libedit's thread, or back; return when it has come again. */
void line_editor_pass_turn(struct vmm_line_editor *editor, bool theirs);

/* What libedit's thread runs, until LINE_QUIT; its argument is the editor. */
void *line_editor_thread(void *editor);

#endif
