/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* The console: capture, texts, sinks and sources with their back-pressure. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "console_fixture.h"

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

/* The loop would look again a moment after the first byte; this is sooner. */
static void a_ring_half_full_is_drained_at_once(void **state)
{
    struct fixture *f = *state;
    int heard = 0;
    struct vmm_console_listener listener = {.on_output = count,
                                            .context = &heard};

    vmm_console_listen(f->console, &listener);
    output(f, "a");
    settle(f);
    output(f, "01234567");
    assert_int_equal(vmm_loop_step(f->loop, 0), 1);
    assert_int_equal(heard, 2);
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

static void input_left_is_announced_again_when_the_device_asks(void **state)
{
    struct fixture *f = *state;
    int ready = 0;
    struct vmm_console_port port = {.input_ready = count, .context = &ready};

    vmm_console_connect(f->console, &port);
    vmm_console_send(f->console, (const uint8_t *)"left", 4);
    assert_int_equal(ready, 1);
    vmm_console_announce(f->console);
    assert_int_equal(ready, 1); /* it comes from the loop */
    settle(f);
    assert_int_equal(ready, 2);
    assert_pulled(f, "left");
    vmm_console_announce(f->console);
    settle(f);
    assert_int_equal(ready, 2);
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

static void a_file_that_can_not_grow_is_dropped_with_the_reason(void **state)
{
    struct fixture *f = *state;
    struct end end = {0, 0};
    int fd = open("/dev/full", O_WRONLY);

    assert_true(fd >= 0);
    attach(f, (struct vmm_console_stream){.in_fd = -1,
                                          .out_fd = fd,
                                          .owns = true,
                                          .escape = -1,
                                          .on_output_end = note_end,
                                          .context = &end});
    for (int i = 0; i < 3; i++) {
        assert_int_equal(output(f, "0123456789"), 10);
        settle(f);
    }
    assert_int_equal(end.ends, 1);
    assert_int_equal(end.code, ENOSPC);
}

static void a_regular_file_gets_all_output(void **state)
{
    struct fixture *f = *state;
    FILE *file = tmpfile();
    char bytes[101] = "";

    assert_non_null(file);
    attach(f, (struct vmm_console_stream){
                  .in_fd = -1, .out_fd = fileno(file), .escape = -1});
    for (int i = 0; i < 10; i++) {
        assert_int_equal(output(f, "0123456789"), 10);
        settle(f);
    }
    rewind(file);
    assert_int_equal(fread(bytes, 1, sizeof(bytes), file), 100);
    assert_memory_equal(bytes + 85, "567890123456789", 15);
    fclose(file);
}

/* Nothing has run the loop since. */
static void a_free_writes_what_the_sinks_take(void **state)
{
    struct fixture *f = *state;
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    attach(f, (struct vmm_console_stream){
                  .in_fd = -1, .out_fd = fds[1], .owns = true, .escape = -1});
    output(f, "last words");
    vmm_console_free(f->console);
    f->console = NULL;
    assert_readable_text(fds[0], "last words");
    assert_readable_text(fds[0], ""); /* its end: the sink was owned */
    close(fds[0]);
}

/* ---- sources ------------------------------------------------------------ */

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

static void input_that_came_before_the_device_is_announced_to_it(void **state)
{
    struct fixture *f = *state;
    int ready = 0;
    struct vmm_console_port port = {.input_ready = count, .context = &ready};

    vmm_console_send(f->console, (const uint8_t *)"early", 5);
    settle(f);
    vmm_console_connect(f->console, &port);
    settle(f);
    assert_int_equal(ready, 1);
    vmm_console_connect(f->console, NULL);
    vmm_console_send(f->console, (const uint8_t *)"late", 4);
    settle(f);
    assert_int_equal(ready, 1);
    assert_pulled(f, "earlylate");
}

/* 40 bytes through a ring of 16; their writer has gone, which must neither
 * end the stream early nor keep the loop busy. */
static void a_source_waits_for_room_in_the_ring(void **state)
{
    struct fixture *f = *state;
    int ended = 0;
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    attach(f, (struct vmm_console_stream){.in_fd = fds[0],
                                          .out_fd = -1,
                                          .escape = -1,
                                          .on_input_end = count,
                                          .context = &ended});
    assert_int_equal(
        write(fds[1], "0123456789abcdefghijklmnopqrstuvwxyzABCD", 40), 40);
    close(fds[1]);
    settle(f);
    assert_int_equal(vmm_loop_step(f->loop, 0), 0);
    assert_int_equal(ended, 0);
    assert_pulled(f, "0123456789abcdef");
    settle(f);
    assert_pulled(f, "ghijklmnopqrstuv");
    settle(f);
    assert_int_equal(ended, 1);
    assert_pulled(f, "wxyzABCD");
    close(fds[0]);
}

static void dev_null_as_input_ends_at_once(void **state)
{
    struct fixture *f = *state;
    int ended = 0;
    int fd = open("/dev/null", O_RDONLY);

    attach(f, (struct vmm_console_stream){.in_fd = fd,
                                          .out_fd = -1,
                                          .owns = true,
                                          .escape = -1,
                                          .on_input_end = count,
                                          .context = &ended});
    step_until(f, &ended, 1);
    assert_int_equal(vmm_loop_step(f->loop, 0), 0);
}

static void one_socket_serves_both_ways(void **state)
{
    struct fixture *f = *state;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    attach(f,
           (struct vmm_console_stream){
               .in_fd = fds[0], .out_fd = fds[0], .owns = true, .escape = -1});
    output(f, "out");
    assert_int_equal(write(fds[1], "in", 2), 2);
    settle(f);
    assert_readable_text(fds[1], "out");
    assert_pulled(f, "in");
    assert_int_equal(fcntl(fds[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    close(fds[1]);
    settle(f);
    assert_int_equal(fcntl(fds[0], F_GETFL), -1);
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

/* ---- flush -------------------------------------------------------------- */

static void a_flush_gives_up_on_a_sink_that_takes_nothing(void **state)
{
    struct fixture *f = *state;
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    attach(f, (struct vmm_console_stream){
                  .in_fd = -1, .out_fd = fds[1], .escape = -1});
    assert_int_equal(vmm_console_flush(f->console, 0), 0);
    while (output(f, "0123456789"))
        settle(f);
    assert_int_equal(vmm_console_flush(f->console, 2 * MS), -ETIMEDOUT);
    close(fds[0]);
    assert_int_equal(vmm_console_flush(f->console, PATIENCE), 0);
    close(fds[1]);
}

struct flushed {
    struct fixture *f;
    int ret;
};

static void flush_in_callback(void *context)
{
    struct flushed *flushed = context;

    output(flushed->f, "more");
    flushed->ret = vmm_console_flush(flushed->f->console, PATIENCE);
}

static void a_flush_within_a_callback_is_refused(void **state)
{
    struct fixture *f = *state;
    struct flushed flushed = {f, 0};

    assert_int_equal(vmm_console_watch_text(f->console, "x", flush_in_callback,
                                            &flushed, &f->err),
                     0);
    output(f, "x");
    settle(f);
    assert_int_equal(flushed.ret, -EBUSY);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(output_is_captured_by_position),
        TEST_SMALL(only_the_last_bytes_are_kept),
        TEST(captured_bytes_know_when_they_arrived),
        TEST(a_listener_hears_of_output),
        TEST_SMALL(a_ring_half_full_is_drained_at_once),
        TEST(a_text_is_found_across_drains_and_overlapping_itself),
        TEST(texts_out_of_bounds_are_refused),
        TEST(output_goes_to_every_sink),
        TEST_SMALL(a_slow_sink_makes_output_take_less_until_it_is_read),
        TEST_SMALL(a_sink_that_closes_is_dropped_and_the_others_go_on),
        TEST(a_file_that_can_not_grow_is_dropped_with_the_reason),
        TEST_SMALL(a_regular_file_gets_all_output),
        TEST(a_free_writes_what_the_sinks_take),
        TEST(input_reaches_the_device_and_its_end_is_told),
        TEST(input_that_came_before_the_device_is_announced_to_it),
        TEST(input_left_is_announced_again_when_the_device_asks),
        TEST_SMALL(a_source_waits_for_room_in_the_ring),
        TEST(dev_null_as_input_ends_at_once),
        TEST(one_socket_serves_both_ways),
        TEST(the_escape_byte_takes_the_next_one_with_it),
        TEST_SMALL(send_takes_what_fits_and_tells_when_there_is_room),
        TEST_SMALL(a_flush_gives_up_on_a_sink_that_takes_nothing),
        TEST(a_flush_within_a_callback_is_refused),
        TEST(bad_configurations_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
