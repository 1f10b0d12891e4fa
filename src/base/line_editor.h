/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A line that a user types and edits, key by key: libedit without its wait. */
#ifndef VMM_BASE_LINE_EDITOR_H
#define VMM_BASE_LINE_EDITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>

/*
 * libedit asks for keys from deep within; whoever edits here hands them over
 * one at a time and is never kept waiting.  So libedit runs on a thread of its
 * own, as a coroutine would: a call below lets it run until it needs something,
 * and only one of the two ever runs.
 *
 * It touches no terminal: what it wants to show is handed out, and the settings
 * that it makes are those of a pseudo-terminal that nobody else sees.  The
 * caller makes the real one ready (vmm_terminal_edit()).
 */
struct vmm_line_editor;

enum vmm_line_event {
    VMM_LINE_KEY,      /* it waits for a key */
    VMM_LINE_COMPLETE, /* Tab: it waits for vmm_line_editor_complete() */
    VMM_LINE_DONE,     /* the line is whole; no line is edited any more */
    VMM_LINE_END,      /* so is the input: Ctrl-D on an empty line, or cancel */
};

/* history_lines: how many are kept.  0, -ENOENT when the host has no libedit,
 * or another -errno. */
int vmm_line_editor_new(int history_lines, struct vmm_line_editor **editor,
                        struct vmm_error *err);
/* Whatever it waits for; NULL does nothing. */
void vmm_line_editor_free(struct vmm_line_editor *editor);

/* Is there a line that waits for a key or a completion? */
bool vmm_line_editor_busy(const struct vmm_line_editor *editor);

/* Begin a line, when none is edited; the prompt is copied. */
enum vmm_line_event vmm_line_editor_begin(struct vmm_line_editor *editor,
                                          const char *prompt);
/* The next three answer the event of their names. */
enum vmm_line_event vmm_line_editor_key(struct vmm_line_editor *editor,
                                        uint8_t byte);
/* What to insert at the cursor, and what to show below the line ("": nothing);
 * copied. */
enum vmm_line_event vmm_line_editor_complete(struct vmm_line_editor *editor,
                                             const char *insert,
                                             const char *list);
/* While it waits for a key: give the line up / show it anew on a fresh line. */
enum vmm_line_event vmm_line_editor_cancel(struct vmm_line_editor *editor);
enum vmm_line_event vmm_line_editor_refresh(struct vmm_line_editor *editor);
/* At any time but a completion. */
void vmm_line_editor_resize(struct vmm_line_editor *editor, unsigned rows,
                            unsigned columns);
/* When no line is edited. */
void vmm_line_editor_remember(struct vmm_line_editor *editor, const char *line);

/* After VMM_LINE_DONE: the line without its end; after VMM_LINE_COMPLETE: what
 * stands before the cursor.  Until the next call. */
const char *vmm_line_editor_text(const struct vmm_line_editor *editor);
/* What the last call wants to show. */
const char *vmm_line_editor_output(const struct vmm_line_editor *editor,
                                   size_t *len);

#endif
