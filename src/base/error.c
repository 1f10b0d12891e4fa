/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The error text: first setter wins. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <vmm/error.h>

void vmm_error_clear(struct vmm_error *err)
{
    if (!err)
        return;
    err->code = 0;
    err->text[0] = '\0';
}

__attribute__((format(printf, 3, 0))) static void
set(struct vmm_error *err, int code, const char *format, va_list args)
{
    if (!err || err->code)
        return;
    err->code = code;
    vsnprintf(err->text, sizeof(err->text), format, args);
}

int vmm_error_set(struct vmm_error *err, int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    set(err, code, format, args);
    va_end(args);
    return -code;
}

int vmm_error_errno(struct vmm_error *err, const char *format, ...)
{
    int code = errno;
    va_list args;

    if (!err || err->code)
        return -code;
    va_start(args, format);
    set(err, code, format, args);
    va_end(args);

    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, ": %s",
             strerror(code));
    return -code;
}
