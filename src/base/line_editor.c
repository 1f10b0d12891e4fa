/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* libedit on a thread that runs by turns with its caller's. */
#include "base/line_editor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/line_editor_turns.h"

void line_editor_pass_turn(struct vmm_line_editor *editor, bool theirs)
{
    pthread_mutex_lock(&editor->lock);
    editor->theirs = theirs;
    pthread_cond_broadcast(&editor->turned);
    while (editor->theirs == theirs)
        pthread_cond_wait(&editor->turned, &editor->lock);
    pthread_mutex_unlock(&editor->lock);
}

static enum vmm_line_event run(struct vmm_line_editor *editor,
                               enum line_editor_command command)
{
    editor->output_len = 0;
    editor->command = command;
    line_editor_pass_turn(editor, true);
    return editor->event;
}

bool vmm_line_editor_busy(const struct vmm_line_editor *editor)
{
    return editor->event == VMM_LINE_KEY || editor->event == VMM_LINE_COMPLETE;
}

enum vmm_line_event vmm_line_editor_begin(struct vmm_line_editor *editor,
                                          const char *prompt)
{
    editor->text = prompt;
    return run(editor, LINE_BEGIN);
}

enum vmm_line_event vmm_line_editor_key(struct vmm_line_editor *editor,
                                        uint8_t byte)
{
    editor->key = byte;
    return run(editor, LINE_KEY);
}

enum vmm_line_event vmm_line_editor_complete(struct vmm_line_editor *editor,
                                             const char *insert,
                                             const char *list)
{
    editor->text = insert;
    editor->list = list;
    return run(editor, LINE_ANSWER);
}

enum vmm_line_event vmm_line_editor_cancel(struct vmm_line_editor *editor)
{
    return run(editor, LINE_CANCEL);
}

enum vmm_line_event vmm_line_editor_refresh(struct vmm_line_editor *editor)
{
    return run(editor, LINE_REFRESH);
}

void vmm_line_editor_resize(struct vmm_line_editor *editor, unsigned rows,
                            unsigned columns)
{
    const struct winsize size = {.ws_row = (unsigned short)rows,
                                 .ws_col = (unsigned short)columns};

    ioctl(editor->tty, TIOCSWINSZ, &size);
    run(editor, LINE_RESIZE);
}

void vmm_line_editor_remember(struct vmm_line_editor *editor, const char *line)
{
    editor->text = line;
    run(editor, LINE_REMEMBER);
}

const char *vmm_line_editor_text(const struct vmm_line_editor *editor)
{
    return editor->result ? editor->result : "";
}

const char *vmm_line_editor_output(const struct vmm_line_editor *editor,
                                   size_t *len)
{
    *len = editor->output_len;
    return editor->output_len ? editor->output : "";
}

/* ---- life --------------------------------------------------------------- */

/* Start the thread, which must not be given the program's signals, and have it
 * open libedit. */
static int start(struct vmm_line_editor *editor, struct vmm_error *err)
{
    sigset_t all, former;
    int code;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former);
    editor->theirs = true;
    code = pthread_create(&editor->thread, NULL, line_editor_thread, editor);
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    if (code)
        return vmm_error_set(err, code, "starting a thread to edit lines: %s",
                             strerror(code));
    pthread_mutex_lock(&editor->lock);
    while (editor->theirs)
        pthread_cond_wait(&editor->turned, &editor->lock);
    pthread_mutex_unlock(&editor->lock);
    if (editor->is_open)
        return 0;
    pthread_join(editor->thread, NULL);
    return vmm_error_set(err, ENOMEM, "libedit does not start");
}

static void destroy(struct vmm_line_editor *editor)
{
    if (editor->tty >= 0)
        close(editor->tty);
    libedit_unload(&editor->lib);
    pthread_cond_destroy(&editor->turned);
    pthread_mutex_destroy(&editor->lock);
    free(editor->prompt);
    free(editor->result);
    free(editor->output);
    free(editor);
}

int vmm_line_editor_new(int history_lines, struct vmm_line_editor **editor,
                        struct vmm_error *err)
{
    struct vmm_line_editor *new;
    int ret;

    vmm_error_clear(err);
    new = calloc(1, sizeof(*new));
    if (!new)
        return vmm_error_set(err, ENOMEM, "no memory for a line editor");
    new->history_lines = history_lines;
    pthread_mutex_init(&new->lock, NULL);
    pthread_cond_init(&new->turned, NULL);
    new->tty = -1;
    ret = libedit_load(&new->lib, err);
    if (ret == 0) {
        new->tty = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (new->tty < 0)
            ret = vmm_error_errno(err, "opening a pseudo-terminal");
    }
    if (ret == 0)
        ret = start(new, err);
    if (ret < 0) {
        destroy(new);
        return ret;
    }
    *editor = new;
    return 0;
}

void vmm_line_editor_free(struct vmm_line_editor *editor)
{
    if (!editor)
        return;
    run(editor, LINE_QUIT);
    pthread_join(editor->thread, NULL);
    destroy(editor);
}
