/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* libedit's side of a line editor: it asks, and is told. */
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "base/line_editor_turns.h"

/* Tell what it waits for, return what it is to do. */
static enum line_editor_command await(struct vmm_line_editor *editor,
                                      enum vmm_line_event event)
{
    editor->event = event;
    line_editor_pass_turn(editor, false);
    return editor->command;
}

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
        case LINE_KEY:
            if (decode(editor, character))
                return 1;
            break;
        case LINE_RESIZE:
            set_size(editor);
            break;
        case LINE_REFRESH:
            fputc('\n', editor->out);
            editor->lib.set(el, EL_REFRESH);
            break;
        case LINE_BEGIN:
        case LINE_ANSWER:
        case LINE_CANCEL:
        case LINE_REMEMBER:
        case LINE_QUIT:
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
    if (await(editor, VMM_LINE_COMPLETE) != LINE_ANSWER)
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
    while (editor->command != LINE_QUIT) {
        enum line_editor_command command = await(editor, event);

        if (command == LINE_BEGIN)
            event = read_line(editor);
        else if (command == LINE_RESIZE)
            set_size(editor);
        else if (command == LINE_REMEMBER)
            remember(editor);
        fflush(editor->out);
    }
}

/* What is typed and shown is UTF-8, whatever the process's locale is. */
void *line_editor_thread(void *context)
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
