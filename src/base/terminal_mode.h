/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The mechanism below struct vmm_terminal: its settings, ours or as found. */
#ifndef VMM_BASE_TERMINAL_MODE_H
#define VMM_BASE_TERMINAL_MODE_H

#include "base/terminal.h"

/* Make it ours if that is wanted and ours to do: 0, or -1 and errno.  Both are
 * async-signal-safe. */
int terminal_enter_mode(struct vmm_terminal *terminal);
/* As it was found, unless the foreground is another's. */
void terminal_leave_mode(struct vmm_terminal *terminal);

/* The file status flags of 0, 1 and 2; -1 unknown, which is left alone. */
void terminal_get_flags(int flags[3]);
void terminal_set_flags(const int flags[3]);

/* Block every signal that may be put off, so that a change of mode is not
 * interrupted half-way (terminal.c). */
void terminal_block_signals(sigset_t *former);

#endif
