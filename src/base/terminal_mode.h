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

#endif
