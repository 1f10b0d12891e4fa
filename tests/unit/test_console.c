/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The console: capture, texts, sinks and sources with their back-pressure. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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

static int set_up_sizes(void **state, size_t out, size_t in, size_t capture)
{
    const struct vmm_console_config config = {out, in, capture};
    struct fixture *f = calloc(1, sizeof(*f));

    *state = f;
    if (vmm_loop_new(&f->loop, &f->err))
        return -1;
    return vmm_console_new(f->loop, &config, &f->console, &f->err);
}

static int set_up(void **state)
{
    return set_up_sizes(state, 0, 0, 4096);
}

static int set_up_small(void **state)
{
    return set_up_sizes(state, 16, 16, 100);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    vmm_console_free(f->console);
    vmm_loop_free(f->loop);
    free(f);
    return 0;
}

/* Do whatever can be done at once. */
static void settle(struct fixture *f)
{
    vmm_console_flush(f->console, 0);
    while (vmm_loop_step(f->loop, 0) > 0)
        ;
}

static size_t output(struct fixture *f, const char *text)
{
    return vmm_console_output(f->console, (const uint8_t *)text, strlen(text));
}

static void assert_captured(struct fixture *f, uint64_t position,
                            uint64_t expected_position, const char *expected)
{
    char bytes[8192];
    size_t len = vmm_console_capture_read(
        f->console, &position, (uint8_t *)bytes, sizeof(bytes) - 1, NULL);

    bytes[len] = 0;
    assert_string_equal(bytes, expected);
    assert_int_equal(position, expected_position + strlen(expected));
}

static void attach(struct fixture *f, struct vmm_console_stream stream)
{
    if (vmm_console_attach(f->console, &stream, &f->err))
        fail_msg("attach: %s", f->err.text);
}

static void assert_readable_text(int fd, const char *expected)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    char bytes[8192];
    ssize_t len = 0;

    if (poll(&readable, 1, 0) == 1)
        len = read(fd, bytes, sizeof(bytes) - 1);
    bytes[len > 0 ? len : 0] = 0;
    assert_string_equal(bytes, expected);
}

static void count(void *context)
{
    ++*(int *)context;
}

/* ---- capture ------------------------------------------------------------ */

static void output_is_captured_by_position(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(output(f, "hello "), 6);
    assert_captured(f, 0, 0, "hello ");
    assert_int_equal(output(f, "world"), 5);
    assert_captured(f, 0, 0, "hello world");
    assert_captured(f, 6, 6, "world");
    assert_captured(f, 11, 11, "");
    assert_int_equal(vmm_console_output_total(f->console), 11);
}

static void only_the_last_bytes_are_kept(void **state)
{
    struct fixture *f = *state; /* keeps 100, in a ring of 128 */
    char last[101];

    for (int i = 0; i < 300; i++) {
        char byte[2] = {(char)('a' + i % 26), 0};

        assert_int_equal(output(f, byte), 1);
        settle(f);
        if (i >= 200)
            last[i - 200] = byte[0];
    }
    last[100] = 0;
    assert_captured(f, 0, 200, last);
    assert_captured(f, 250, 250, last + 50);
    assert_int_equal(vmm_console_output_total(f->console), 300);
}

static void captured_bytes_know_when_they_arrived(void **state)
{
    struct fixture *f = *state;
    uint64_t times[4] = {0}, position, time_ns = 0;
    uint8_t byte;

    for (int i = 0; i < 3; i++) {
        times[i] = vmm_now_ns();
        output(f, "line\n");
        settle(f);
    }
    times[3] = vmm_now_ns();
    for (uint64_t i = 0; i < 15; i++) {
        position = i;
        assert_int_equal(
            vmm_console_capture_read(f->console, &position, &byte, 1, &time_ns),
            1);
        assert_in_range(time_ns, times[i / 5], times[i / 5 + 1]);
    }
}

static void a_listener_hears_of_output(void **state)
{
    struct fixture *f = *state;
    int heard = 0;
    struct vmm_console_listener listener = {.on_output = count,
                                            .context = &heard};

    vmm_console_listen(f->console, &listener);
    output(f, "a");
    output(f, "b");
    settle(f);
    assert_int_equal(heard, 1);
    vmm_console_listen(f->console, NULL);
    output(f, "c");
    settle(f);
    assert_int_equal(heard, 1);
}

/* ---- texts -------------------------------------------------------------- */

static void a_text_is_found_across_drains_and_overlapping_itself(void **state)
{
    struct fixture *f = *state;
    int found[2] = {0, 0};

    assert_int_equal(
        vmm_console_watch_text(f->console, "abab", count, &found[0], &f->err),
        0);
    assert_int_equal(
        vmm_console_watch_text(f->console, "b", count, &found[1], &f->err), 0);
    output(f, "xaba");
    settle(f);
    assert_int_equal(found[0], 0);
    output(f, "babab aabab");
    settle(f);
    assert_int_equal(found[0], 4); /* abab|abab|abab, then abab */
    assert_int_equal(found[1], 6);
}

static void texts_out_of_bounds_are_refused(void **state)
{
    struct fixture *f = *state;
    char long_text[257];
    int found = 0;

    memset(long_text, 'x', 256);
    long_text[256] = 0;
    assert_int_equal(
        vmm_console_watch_text(f->console, long_text, count, &found, &f->err),
        -EINVAL);
    assert_string_equal(f->err.text,
                        "a text to watch for has 1 to 255 bytes, this one 256");
    assert_int_equal(
        vmm_console_watch_text(f->console, "", count, &found, &f->err),
        -EINVAL);
    for (int i = 0; i < 16; i++)
        assert_int_equal(vmm_console_watch_text(f->console, long_text + 1,
                                                count, &found, &f->err),
                         0);
    assert_int_equal(
        vmm_console_watch_text(f->console, "y", count, &found, &f->err),
        -ENOSPC);
    assert_string_equal(f->err.text, "a console watches for at most 16 texts");
    output(f, long_text);
    settle(f);
    assert_int_equal(found, 32);
}

/* ---- sinks -------------------------------------------------------------- */

static void output_goes_to_every_sink(void **state)
{
    struct fixture *f = *state;
    int fds[2][2];

    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipe(fds[i]), 0);
        attach(f, (struct vmm_console_stream){
                      .in_fd = -1, .out_fd = fds[i][1], .escape = -1});
    }
    output(f, "to both");
    settle(f);
    assert_readable_text(fds[0][0], "to both");
    assert_readable_text(fds[1][0], "to both");
    for (int i = 0; i < 2; i++) {
        close(fds[i][0]);
        close(fds[i][1]);
    }
}

/* A pipe that nobody reads holds 64 KiB, the ring another 16 bytes. */
static void a_slow_sink_makes_output_take_less_until_it_is_read(void **state)
{
    struct fixture *f = *state;
    int ready = 0;
    struct vmm_console_port port = {.output_ready = count, .context = &ready};
    size_t taken = 0, read_bytes = 0, step_taken;
    char bytes[4096];
    ssize_t len;
    int fds[2];

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    vmm_console_connect(f->console, &port);
    attach(f, (struct vmm_console_stream){
                  .in_fd = -1, .out_fd = fds[1], .escape = -1});
    do {
        step_taken = output(f, "0123456789");
        taken += step_taken;
        settle(f);
    } while (step_taken);
    assert_int_equal(ready, 0);
    assert_int_equal(taken, 65536 + 16);
    assert_int_equal(vmm_console_output_total(f->console), taken);

    while (read_bytes < taken) {
        len = read(fds[0], bytes, sizeof(bytes));
        assert_true(len > 0);
        for (ssize_t i = 0; i < len; i++)
            assert_int_equal(bytes[i], '0' + (read_bytes + (size_t)i) % 10);
        read_bytes += (size_t)len;
        settle(f);
    }
    assert_int_equal(ready, 1);
    assert_int_equal(output(f, "more"), 4);
    close(fds[0]);
    close(fds[1]);
}

struct end {
    int ends;
    int code;
};

static void note_end(void *context, int code)
{
    struct end *end = context;

    end->ends++;
    end->code = code;
}

static void a_sink_that_closes_is_dropped_and_the_others_go_on(void **state)
{
    struct fixture *f = *state;
    struct end end = {0, 0};
    int fds[2][2];

    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipe(fds[i]), 0);
        attach(f, (struct vmm_console_stream){.in_fd = -1,
                                              .out_fd = fds[i][1],
                                              .escape = -1,
                                              .on_output_end = note_end,
                                              .context = &end});
    }
    close(fds[0][0]);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(output(f, "0123456789"), 10);
        settle(f);
        assert_readable_text(fds[1][0], "0123456789");
    }
    assert_int_equal(end.ends, 1);
    assert_int_equal(end.code, EPIPE);
    close(fds[0][1]);
    close(fds[1][0]);
    close(fds[1][1]);
}

/* ---- sources ------------------------------------------------------------ */

static void assert_pulled(struct fixture *f, const char *expected)
{
    char bytes[256];
    size_t len =
        vmm_console_pull(f->console, (uint8_t *)bytes, sizeof(bytes) - 1);

    bytes[len] = 0;
    assert_string_equal(bytes, expected);
}

static void input_reaches_the_device_and_its_end_is_told(void **state)
{
    struct fixture *f = *state;
    int ready = 0, ended = 0;
    struct vmm_console_port port = {.input_ready = count, .context = &ready};
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    vmm_console_connect(f->console, &port);
    attach(f, (struct vmm_console_stream){.in_fd = fds[0],
                                          .out_fd = -1,
                                          .escape = -1,
                                          .on_input_end = count,
                                          .context = &ended});
    assert_int_equal(write(fds[1], "typed", 5), 5);
    settle(f);
    assert_int_equal(ready, 1);
    assert_int_equal(ended, 0);
    assert_pulled(f, "typed");
    assert_pulled(f, "");
    close(fds[1]);
    settle(f);
    assert_int_equal(ended, 1);
    close(fds[0]);
}

struct keys {
    char pressed[16];
    size_t len;
};

static void note_key(void *context, uint8_t key)
{
    struct keys *keys = context;

    keys->pressed[keys->len++] = (char)key;
}

static void the_escape_byte_takes_the_next_one_with_it(void **state)
{
    struct fixture *f = *state;
    struct keys keys = {.len = 0};
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    attach(f, (struct vmm_console_stream){.in_fd = fds[0],
                                          .out_fd = -1,
                                          .escape = 1,
                                          .on_escape = note_key,
                                          .context = &keys});
    assert_int_equal(write(fds[1], "a\1xb\1\1c\1", 8), 8);
    settle(f);
    assert_pulled(f, "ab\1c");
    assert_string_equal(keys.pressed, "x");
    assert_int_equal(write(fds[1], "yz", 2), 2);
    settle(f);
    assert_string_equal(keys.pressed, "xy");
    assert_pulled(f, "z");
    close(fds[0]);
    close(fds[1]);
}

static void send_takes_what_fits_and_tells_when_there_is_room(void **state)
{
    struct fixture *f = *state; /* 16 bytes */
    int room = 0;
    struct vmm_console_listener listener = {.on_room = count, .context = &room};

    vmm_console_listen(f->console, &listener);
    assert_int_equal(vmm_console_send(f->console,
                                      (const uint8_t *)"0123456789abcdefghij",
                                      20),
                     16);
    settle(f);
    assert_int_equal(room, 0);
    assert_pulled(f, "0123456789abcdef");
    settle(f);
    assert_int_equal(room, 1);
    assert_int_equal(vmm_console_send(f->console, (const uint8_t *)"ghij", 4),
                     4);
    assert_pulled(f, "ghij");
}

/* ---- configuration ------------------------------------------------------ */

static void bad_configurations_are_refused(void **state)
{
    struct fixture *f = *state;
    struct vmm_console_config config = {.out_ring_bytes = 1000};
    struct vmm_console *console = NULL;

    assert_int_equal(vmm_console_new(f->loop, &config, &console, &f->err),
                     -EINVAL);
    assert_string_equal(
        f->err.text,
        "the console's output ring of 1000 bytes is not a power of two");
    assert_null(console);
    assert_int_equal(
        vmm_console_attach(f->console,
                           &(struct vmm_console_stream){
                               .in_fd = 0, .out_fd = 1, .escape = 256},
                           &f->err),
        -EINVAL);
    assert_string_equal(f->err.text,
                        "escape byte 256 is not -1 (none) or 0 to 255");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_SMALL(name)                                                       \
    cmocka_unit_test_setup_teardown(name, set_up_small, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(output_is_captured_by_position),
        TEST_SMALL(only_the_last_bytes_are_kept),
        TEST(captured_bytes_know_when_they_arrived),
        TEST(a_listener_hears_of_output),
        TEST(a_text_is_found_across_drains_and_overlapping_itself),
        TEST(texts_out_of_bounds_are_refused),
        TEST(output_goes_to_every_sink),
        TEST_SMALL(a_slow_sink_makes_output_take_less_until_it_is_read),
        TEST_SMALL(a_sink_that_closes_is_dropped_and_the_others_go_on),
        TEST(input_reaches_the_device_and_its_end_is_told),
        TEST(the_escape_byte_takes_the_next_one_with_it),
        TEST_SMALL(send_takes_what_fits_and_tells_when_there_is_room),
        TEST(bad_configurations_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
