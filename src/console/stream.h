/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The fds attached to a console: sources of its input, sinks of its output. */
#ifndef CONSOLE_STREAM_H
#define CONSOLE_STREAM_H

#include <stdint.h>

#include <vmm/console.h>

/* All with console->lock held. */

/* Write what the sinks take of the output before end.  Returns the position
 * that the slowest has reached. */
uint64_t vmm_streams_write(struct vmm_console *console, uint64_t end);
/* There is room for input again. */
void vmm_streams_resume(struct vmm_console *console);
/* console->closing is set: write what the sinks take, close all.  Drops the
 * lock meanwhile. */
void vmm_streams_close(struct vmm_console *console);

/* Without the lock, on the loop's thread: report the ends of streams, and
 * free those of which both ends are gone. */
void vmm_streams_report(struct vmm_console *console);

#endif
