/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* What the tests of the console share: a loop, a console, small steps. */
#ifndef CONSOLE_FIXTURE_H
#define CONSOLE_FIXTURE_H

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <vmm/console.h>

#define MS       INT64_C(1000000)
#define PATIENCE (10000 * MS)

struct fixture {
    struct vmm_loop *loop;
    struct vmm_console *console;
    struct vmm_error err;
};

static inline int set_up_sizes(void **state, size_t out, size_t in,
                               size_t capture)
{
    const struct vmm_console_config config = {out, in, capture};
    struct fixture *f = calloc(1, sizeof(*f));

    *state = f;
    if (vmm_loop_new(&f->loop, &f->err))
        return -1;
    return vmm_console_new(f->loop, &config, &f->console, &f->err);
}

static inline int set_up(void **state)
{
    return set_up_sizes(state, 0, 0, 4096);
}

/* Rings of 16 bytes, the last 100 captured. */
static inline int set_up_small(void **state)
{
    return set_up_sizes(state, 16, 16, 100);
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;

    vmm_console_free(f->console);
    vmm_loop_free(f->loop);
    free(f);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_SMALL(name)                                                       \
    cmocka_unit_test_setup_teardown(name, set_up_small, tear_down)

/* Do whatever can be done at once. */
static inline void settle(struct fixture *f)
{
    vmm_console_flush(f->console, 0);
    while (vmm_loop_step(f->loop, 0) > 0)
        ;
}

/* Step until *value is what it should become. */
static inline void step_until(struct fixture *f, const int *value, int expected)
{
    uint64_t deadline = vmm_now_ns() + PATIENCE;

    while (*value != expected && vmm_now_ns() < deadline)
        vmm_loop_step(f->loop, 100 * MS);
    assert_int_equal(*value, expected);
}

static inline size_t output(struct fixture *f, const char *text)
{
    return vmm_console_output(f->console, (const uint8_t *)text, strlen(text));
}

static inline void attach(struct fixture *f, struct vmm_console_stream stream)
{
    if (vmm_console_attach(f->console, &stream, &f->err))
        fail_msg("attach: %s", f->err.text);
}

/* Read what is there, waiting for its first byte if there should be any. */
static inline void assert_readable_text(int fd, const char *expected)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    char bytes[8192];
    ssize_t len = 0;

    if (poll(&readable, 1, *expected ? 10000 : 0) == 1)
        len = read(fd, bytes, sizeof(bytes) - 1);
    bytes[len > 0 ? len : 0] = 0;
    assert_string_equal(bytes, expected);
}

static inline void assert_pulled(struct fixture *f, const char *expected)
{
    char bytes[256];
    size_t len =
        vmm_console_pull(f->console, (uint8_t *)bytes, sizeof(bytes) - 1);

    bytes[len] = 0;
    assert_string_equal(bytes, expected);
}

static inline void count(void *context)
{
    ++*(int *)context;
}

#endif
