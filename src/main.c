/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The program vmm-reference: the command line in Lua, the terminal left sane.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/terminal.h"
#include "lua/terminal.h"

/* Where a signal handler finds it: the one mutable state of file scope. */
static struct vmm_terminal terminal;

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)context;
    vmm_terminal_on_signal(&terminal, number, info);
}

/* A script may call os.exit(). */
static void restore(void)
{
    vmm_terminal_restore(&terminal);
}

int main(int argc, char **argv)
{
    struct vmm_error err;
    int status;

    if (vmm_terminal_init(&terminal, 0, on_signal, &err) < 0) {
        fprintf(stderr, "vmm-reference: %s\n", err.text);
        return EXIT_FAILURE;
    }
    atexit(restore);
    status = program_main(argc, argv, NULL, &terminal);
    vmm_terminal_fini(&terminal);
    return status;
}
