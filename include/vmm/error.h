/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What went wrong, in one line a human can act on. */
#ifndef VMM_ERROR_H
#define VMM_ERROR_H

#include <vmm/export.h>

/*
 * Fallible set-up functions return 0 or a negative errno and describe a
 * failure in a caller-provided vmm_error (which may be NULL).  They clear it on
 * entry; afterwards the first setter wins, so that the innermost cause is what
 * the user reads.  Hot paths return a bare negative errno.
 */
#define VMM_ERROR_TEXT_BYTES 512

struct vmm_error {
    int code; /* errno value, positive; 0 means no error */
    char text[VMM_ERROR_TEXT_BYTES];
};

/* Forget a former error.  err may be NULL. */
VMM_API void vmm_error_clear(struct vmm_error *err);

/*
 * Describe a failure unless one is described already.
 * code: errno value, positive.  Returns -code, so that callers can write
 * `return vmm_error_set(err, EINVAL, "...")`.
 */
VMM_API int vmm_error_set(struct vmm_error *err, int code, const char *format,
                          ...) __attribute__((format(printf, 3, 4)));

/*
 * Same, for a failed system call: code is errno as found, and ": strerror"
 * is appended to the text.  Returns -errno.
 */
VMM_API int vmm_error_errno(struct vmm_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
