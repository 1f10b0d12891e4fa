/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A console whose input is held leaves its sources alone; whose output is held,
 * its sinks. */
#include "console_fixture.h"

struct source {
    int writer;
    int ended;
};

static void attach_pipe(struct fixture *f, struct source *source)
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    *source = (struct source){.writer = fds[1]};
    attach(f, (struct vmm_console_stream){.in_fd = fds[0],
                                          .out_fd = -1,
                                          .owns = true,
                                          .escape = -1,
                                          .on_input_end = count,
                                          .context = &source->ended});
}

static void type(const struct source *source, const char *text)
{
    assert_int_equal(write(source->writer, text, strlen(text)), strlen(text));
}

static void held_input_stays_in_its_source(void **state)
{
    struct fixture *f = *state;
    struct source source;

    attach_pipe(f, &source);
    vmm_console_hold_input(f->console, true);
    type(&source, "print(1)");
    settle(f);
    assert_pulled(f, "");
    vmm_console_hold_input(f->console, false);
    settle(f);
    assert_pulled(f, "print(1)");
    close(source.writer);
}

static void input_from_before_still_arrives(void **state)
{
    struct fixture *f = *state;
    struct source source;

    attach_pipe(f, &source);
    type(&source, "before");
    settle(f);
    vmm_console_hold_input(f->console, true);
    assert_pulled(f, "before");
    close(source.writer);
}

static void a_source_attached_meanwhile_waits_too(void **state)
{
    struct fixture *f = *state;
    struct source source;

    vmm_console_hold_input(f->console, true);
    attach_pipe(f, &source);
    type(&source, "later");
    settle(f);
    assert_pulled(f, "");
    vmm_console_hold_input(f->console, false);
    settle(f);
    assert_pulled(f, "later");
    close(source.writer);
}

static void room_in_the_ring_does_not_end_the_hold(void **state)
{
    struct fixture *f = *state;
    struct source source;

    attach_pipe(f, &source);
    type(&source, "0123456789abcdefgh"); /* two more than the ring holds */
    settle(f);
    vmm_console_hold_input(f->console, true);
    assert_pulled(f, "0123456789abcdef");
    settle(f);
    assert_pulled(f, "");
    vmm_console_hold_input(f->console, false);
    settle(f);
    assert_pulled(f, "gh");
    close(source.writer);
}

static void
an_end_is_reported_after_the_hold_and_costs_no_time_in_it(void **state)
{
    struct fixture *f = *state;
    struct source source;

    attach_pipe(f, &source);
    vmm_console_hold_input(f->console, true);
    close(source.writer);
    settle(f);
    assert_int_equal(vmm_loop_step(f->loop, 0), 0);
    assert_int_equal(source.ended, 0);
    vmm_console_hold_input(f->console, false);
    step_until(f, &source.ended, 1);
}

static void input_sent_by_the_host_is_not_held(void **state)
{
    struct fixture *f = *state;

    vmm_console_hold_input(f->console, true);
    assert_int_equal(vmm_console_send(f->console, (const uint8_t *)"hi", 2), 2);
    assert_pulled(f, "hi");
}

/* ---- output ------------------------------------------------------------- */

static int attach_sink(struct fixture *f)
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    attach(f, (struct vmm_console_stream){
                  .in_fd = -1, .out_fd = fds[1], .owns = true, .escape = -1});
    return fds[0];
}

static void assert_captured(struct fixture *f, uint64_t *position,
                            const char *expected)
{
    char bytes[256];
    size_t len = vmm_console_capture_read(
        f->console, position, (uint8_t *)bytes, sizeof(bytes) - 1, NULL);

    bytes[len] = 0;
    assert_string_equal(bytes, expected);
}

static void held_output_is_only_captured(void **state)
{
    struct fixture *f = *state;
    int reader = attach_sink(f);

    output(f, "before");
    settle(f);
    uint64_t position = vmm_console_hold_output(f->console);
    assert_int_equal(position, 6);
    output(f, "meanwhile");
    settle(f);
    assert_readable_text(reader, "before");
    assert_captured(f, &position, "meanwhile");
    assert_true(vmm_console_release_output(f->console, position));
    output(f, "after");
    settle(f);
    assert_readable_text(reader, "after");
    close(reader);
}

static void output_that_no_sink_had_yet_is_held_too(void **state)
{
    struct fixture *f = *state;
    int reader = attach_sink(f);

    output(f, "early");
    assert_int_equal(vmm_console_hold_output(f->console), 0);
    settle(f);
    assert_readable_text(reader, "");
    close(reader);
}

static void the_hold_goes_on_while_there_is_newer_output(void **state)
{
    struct fixture *f = *state;
    int reader = attach_sink(f);
    uint64_t position = vmm_console_hold_output(f->console);

    output(f, "one");
    assert_false(vmm_console_release_output(f->console, position));
    assert_captured(f, &position, "one");
    assert_true(vmm_console_release_output(f->console, position));
    settle(f);
    assert_readable_text(reader, "");
    output(f, "two");
    settle(f);
    assert_readable_text(reader, "two");
    close(reader);
}

static void a_guest_is_not_stopped_by_held_output(void **state)
{
    struct fixture *f = *state;
    int reader = attach_sink(f);

    vmm_console_hold_output(f->console);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(output(f, "0123456789"), 10);
        settle(f);
    }
    assert_true(vmm_console_release_output(f->console, UINT64_MAX));
    output(f, "end");
    settle(f);
    assert_readable_text(reader, "end");
    close(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_SMALL(held_input_stays_in_its_source),
        TEST_SMALL(input_from_before_still_arrives),
        TEST_SMALL(a_source_attached_meanwhile_waits_too),
        TEST_SMALL(room_in_the_ring_does_not_end_the_hold),
        TEST_SMALL(an_end_is_reported_after_the_hold_and_costs_no_time_in_it),
        TEST_SMALL(input_sent_by_the_host_is_not_held),
        TEST(held_output_is_only_captured),
        TEST(output_that_no_sink_had_yet_is_held_too),
        TEST(the_hold_goes_on_while_there_is_newer_output),
        TEST_SMALL(a_guest_is_not_stopped_by_held_output),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
