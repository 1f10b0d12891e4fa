/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A helper process: a daemon that serves a device of ours, with a socket. */
#ifndef VMM_PROCESS_H
#define VMM_PROCESS_H

#include <stddef.h>
#include <stdint.h>

#include <vmm/error.h>
#include <vmm/export.h>

struct vmm_process;

/* The one file beside stdin, stdout and stderr that the process has. */
#define VMM_PROCESS_FD 3

/*
 * Run argv (NULL-terminated, argv[0] is looked for in PATH) with fd as its
 * VMM_PROCESS_FD, no signal blocked, a process group of its own, an empty
 * stdin, and stdout and stderr going to a file in memory that holds the first
 * 64 KiB.  fd stays the caller's.  -ENOENT and other errors of the host when it
 * cannot be started; a program that ends at once has been started.
 */
VMM_API int vmm_process_start(const char *const *argv, int fd,
                              struct vmm_process **process,
                              struct vmm_error *err);
/* 0 once it has ended; -ETIMEDOUT after timeout_ns (< 0: for ever). */
VMM_API int vmm_process_wait(struct vmm_process *process, int64_t timeout_ns);
/* Send it a signal, unless it has ended. */
VMM_API void vmm_process_signal(struct vmm_process *process, int signal);
/*
 * How it has ended, with the last line that it wrote: "ended with exit code 1:
 * no such directory".  "is still running" while it does.  Always terminated.
 */
VMM_API void vmm_process_describe(struct vmm_process *process, char *text,
                                  size_t size);
/* SIGTERM, or after grace_ns SIGKILL to all of its group; wait for its end,
 * free.  May be NULL. */
VMM_API void vmm_process_end(struct vmm_process *process, int64_t grace_ns);

#endif
