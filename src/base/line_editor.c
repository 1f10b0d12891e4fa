/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* libedit on a thread that runs by turns with its caller's. */
#include "base/line_editor.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/libedit.h"

enum command {
    BEGIN,
    KEY,
    ANSWER, /* of a completion */
    CANCEL,
    REFRESH,
    RESIZE,
    REMEMBER,
    QUIT,
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

    enum command command;
    uint8_t key;
    const char *text; /* of BEGIN and REMEMBER; to insert */
    const char *list;
    char *prompt;
    mbstate_t decoding;

    enum vmm_line_event event;
    char *result;
    char *output;
    size_t output_len;
};

/* ---- turns -------------------------------------------------------------- */

static void pass_turn(struct vmm_line_editor *editor, bool theirs)
{
    pthread_mutex_lock(&editor->lock);
    editor->theirs = theirs;
    pthread_cond_broadcast(&editor->turned);
    while (editor->theirs == theirs)
        pthread_cond_wait(&editor->turned, &editor->lock);
    pthread_mutex_unlock(&editor->lock);
}

/* On libedit's thread: tell what it waits for, return what it is to do. */
static enum command await(struct vmm_line_editor *editor,
                          enum vmm_line_event event)
{
    editor->event = event;
    pass_turn(editor, false);
    return editor->command;
}

/* On the caller's. */
static enum vmm_line_event run(struct vmm_line_editor *editor,
                               enum command command)
{
    editor->output_len = 0;
    editor->command = command;
    pass_turn(editor, true);
    return editor->event;
}

/* ---- on libedit's thread ------------------------------------------------ */

static void set_size(const struct vmm_line_editor *editor)
{
    editor->lib.resize(editor->el);
}

/* Make a character of bytes in UTF-8; false: there are not enough yet. */
static bool decode(struct vmm_line_editor *editor, wchar_t *character)
{
    const char byte = (char)editor->key;
    size_t len = mbrtowc(character, &byte, 1, &editor->decoding);

    if (len == 0)
        *character = L'\0';
    if (len == (size_t)-1)
        editor->decoding = (mbstate_t){0};
    return len <= 1;
}

/* EL_GETCFN */
static int next_character(EditLine *el, wchar_t *character)
{
    struct vmm_line_editor *editor = libedit_client_data(el);

    while (editor) {
        switch (await(editor, VMM_LINE_KEY)) {
        case KEY:
            if (decode(editor, character))
                return 1;
            break;
        case RESIZE:
            set_size(editor);
            break;
        case REFRESH:
            fputc('\n', editor->out);
            editor->lib.set(el, EL_REFRESH);
            break;
        case BEGIN:
        case ANSWER:
        case CANCEL:
        case REMEMBER:
        case QUIT:
            errno = ECANCELED;
            return -1;
        }
    }
    return -1;
}

/* EL_PROMPT */
static char *show_prompt(EditLine *el)
{
    struct vmm_line_editor *editor = libedit_client_data(el);
    static char none[] = "";

    return editor && editor->prompt ? editor->prompt : none;
}

static void set_result(struct vmm_line_editor *editor, const char *text,
                       size_t len)
{
    free(editor->result);
    editor->result = strndup(text, len);
}

/* EL_ADDFN, for Tab */
static unsigned char complete(EditLine *el, int key)
{
    struct vmm_line_editor *editor = libedit_client_data(el);

    (void)key;
    if (!editor)
        return CC_ERROR;
    const LineInfo *line = editor->lib.line(el);
    set_result(editor, line->buffer, (size_t)(line->cursor - line->buffer));
    if (await(editor, VMM_LINE_COMPLETE) != ANSWER)
        return CC_EOF;
    if (editor->list[0]) {
        fprintf(editor->out, "\n%s", editor->list);
        editor->lib.set(el, EL_REFRESH);
    }
    if (editor->text[0] && editor->lib.insert(el, editor->text) == 0)
        return CC_REFRESH;
    return editor->list[0] ? CC_NORM : CC_ERROR;
}

static enum vmm_line_event read_line(struct vmm_line_editor *editor)
{
    int len = 0;
    const char *line;

    free(editor->prompt);
    editor->prompt = strdup(editor->text);
    editor->decoding = (mbstate_t){0};
    line = editor->lib.gets(editor->el, &len);
    if (!line || len <= 0)
        return VMM_LINE_END;
    if (line[len - 1] == '\n')
        len--;
    set_result(editor, line, (size_t)len);
    return VMM_LINE_DONE;
}

static void remember(struct vmm_line_editor *editor)
{
    HistEvent event;

    editor->lib.history(editor->history, &event, H_ENTER, editor->text);
}

static ssize_t show(void *context, const char *bytes, size_t len)
{
    struct vmm_line_editor *editor = context;
    char *output = realloc(editor->output, editor->output_len + len);

    if (output) {
        memcpy(output + editor->output_len, bytes, len);
        editor->output = output;
        editor->output_len += len;
    }
    return (ssize_t)len; /* else what could not be shown would pile up */
}

static void bind(const struct vmm_line_editor *editor, const char *key,
                 const char *function)
{
    editor->lib.set(editor->el, EL_BIND, key, function, NULL);
}

/* As the shells have it; the user's ~/.editrc may say otherwise. */
static void configure(struct vmm_line_editor *editor)
{
    const struct libedit *lib = &editor->lib;
    EditLine *el = editor->el;

    lib->set(el, EL_CLIENTDATA, editor);
    lib->set(el, EL_EDITOR, "emacs");
    lib->set(el, EL_PROMPT, show_prompt);
    lib->set(el, EL_GETCFN, next_character);
    lib->set(el, EL_HIST, lib->history, editor->history);
    /* Of narrow strings it would make copies that nobody frees. */
    lib->wset(el, EL_ADDFN, L"vmm-complete", L"complete a Lua name", complete);
    bind(editor, "^I", "vmm-complete");
    bind(editor, "^R", "em-inc-search-prev");
    bind(editor, "^S", "em-inc-search-next");
    bind(editor, "^W", "ed-delete-prev-word");
    lib->set(el, EL_SIGNAL, 0);
}

static bool open_editor(struct vmm_line_editor *editor)
{
    const cookie_io_functions_t functions = {.write = show};
    HistEvent event;

    editor->out = fopencookie(editor, "w", functions);
    if (!editor->out)
        return false;
    editor->history = editor->lib.history_init();
    editor->el =
        editor->lib.init("vmm-reference", stdin, editor->out, editor->out,
                         editor->tty, editor->tty, editor->tty);
    if (!editor->history || !editor->el)
        return false;
    editor->lib.history(editor->history, &event, H_SETSIZE,
                        editor->history_lines);
    editor->lib.history(editor->history, &event, H_SETUNIQUE, 1);
    configure(editor);
    return true;
}

static void close_editor(struct vmm_line_editor *editor)
{
    if (editor->el)
        editor->lib.end(editor->el);
    if (editor->history)
        editor->lib.history_end(editor->history);
    if (editor->out)
        fclose(editor->out);
}

static void serve(struct vmm_line_editor *editor)
{
    enum vmm_line_event event = VMM_LINE_END;

    /* Once it is to quit it is not asked again: a line that is being read
     * ends, with the command that ended it. */
    while (editor->command != QUIT) {
        enum command command = await(editor, event);

        if (command == BEGIN)
            event = read_line(editor);
        else if (command == RESIZE)
            set_size(editor);
        else if (command == REMEMBER)
            remember(editor);
        fflush(editor->out);
    }
}

/* What is typed and shown is UTF-8, whatever the process's locale is. */
static void *edit(void *context)
{
    struct vmm_line_editor *editor = context;
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);

    if (utf8)
        uselocale(utf8);
    editor->is_open = open_editor(editor);
    if (editor->is_open)
        serve(editor);
    close_editor(editor);
    uselocale(LC_GLOBAL_LOCALE);
    if (utf8)
        freelocale(utf8);
    pthread_mutex_lock(&editor->lock);
    editor->theirs = false;
    pthread_cond_broadcast(&editor->turned);
    pthread_mutex_unlock(&editor->lock);
    return NULL;
}

/* ---- on the caller's ---------------------------------------------------- */

bool vmm_line_editor_busy(const struct vmm_line_editor *editor)
{
    return editor->event == VMM_LINE_KEY || editor->event == VMM_LINE_COMPLETE;
}

enum vmm_line_event vmm_line_editor_begin(struct vmm_line_editor *editor,
                                          const char *prompt)
{
    editor->text = prompt;
    return run(editor, BEGIN);
}

enum vmm_line_event vmm_line_editor_key(struct vmm_line_editor *editor,
                                        uint8_t byte)
{
    editor->key = byte;
    return run(editor, KEY);
}

enum vmm_line_event vmm_line_editor_complete(struct vmm_line_editor *editor,
                                             const char *insert,
                                             const char *list)
{
    editor->text = insert;
    editor->list = list;
    return run(editor, ANSWER);
}

enum vmm_line_event vmm_line_editor_cancel(struct vmm_line_editor *editor)
{
    return run(editor, CANCEL);
}

enum vmm_line_event vmm_line_editor_refresh(struct vmm_line_editor *editor)
{
    return run(editor, REFRESH);
}

void vmm_line_editor_resize(struct vmm_line_editor *editor, unsigned rows,
                            unsigned columns)
{
    const struct winsize size = {.ws_row = (unsigned short)rows,
                                 .ws_col = (unsigned short)columns};

    ioctl(editor->tty, TIOCSWINSZ, &size);
    run(editor, RESIZE);
}

void vmm_line_editor_remember(struct vmm_line_editor *editor, const char *line)
{
    editor->text = line;
    run(editor, REMEMBER);
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
    code = pthread_create(&editor->thread, NULL, edit, editor);
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
    run(editor, QUIT);
    pthread_join(editor->thread, NULL);
    destroy(editor);
}
