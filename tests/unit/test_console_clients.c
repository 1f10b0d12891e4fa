/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Clients of a console: they come and go by a pseudo-terminal or a socket. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>

#include "console_fixture.h"

/* Step until the device side has pulled all of expected. */
static void step_until_pulled(struct fixture *f, const char *expected)
{
    uint64_t deadline = vmm_now_ns() + PATIENCE;
    char bytes[256] = "";
    size_t len = 0;

    while (len < strlen(expected) && vmm_now_ns() < deadline) {
        vmm_loop_step(f->loop, 100 * MS);
        len += vmm_console_pull(f->console, (uint8_t *)bytes + len,
                                sizeof(bytes) - 1 - len);
    }
    bytes[len] = 0;
    assert_string_equal(bytes, expected);
}

/* A round trip: the console has seen whoever came, and all they wrote. */
static void greet(struct fixture *f, int client, const char *text)
{
    assert_int_equal(write(client, text, strlen(text)), strlen(text));
    step_until_pulled(f, text);
}

/* Output that nobody takes must not hold up the guest. */
static void assert_output_flows(struct fixture *f)
{
    for (int i = 0; i < 20000; i++) {
        if (output(f, "0123456789") != 10)
            fail_msg("output was refused in round %d", i);
        settle(f);
    }
}

/* Soon there is nothing to do any more, not even for a while. */
static void assert_idle(struct fixture *f)
{
    int calls = 1;

    for (int i = 0; calls && i < 10; i++)
        calls = vmm_loop_step(f->loop, 20 * MS);
    assert_int_equal(calls, 0);
}

/* ---- pseudo-terminals --------------------------------------------------- */

static void attach_pty(struct fixture *f, char *path, size_t path_bytes)
{
    if (vmm_console_attach_pty(f->console, path, path_bytes, &f->err))
        fail_msg("attach_pty: %s", f->err.text);
}

static int open_terminal(const char *path)
{
    int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        fail_msg("open %s: %s", path, strerror(errno));
    return fd;
}

static void a_pty_client_talks_both_ways_in_raw_mode(void **state)
{
    struct fixture *f = *state;
    char path[64];
    int client;

    attach_pty(f, path, sizeof(path));
    client = open_terminal(path);
    greet(f, client, "raw\n\3\4");
    output(f, "line\n");
    vmm_console_flush(f->console, PATIENCE);
    assert_readable_text(client, "line\n");
    assert_readable_text(client, ""); /* no echo of the input */
    close(client);
}

static void a_pty_without_a_client_takes_output_and_no_time(void **state)
{
    struct fixture *f = *state;
    char path[64];

    attach_pty(f, path, sizeof(path));
    assert_output_flows(f);
    assert_idle(f);
}

static void a_pty_client_may_leave_and_come_back(void **state)
{
    struct fixture *f = *state;
    char path[64];

    attach_pty(f, path, sizeof(path));
    for (int i = 0; i < 3; i++) {
        int client = open_terminal(path);

        greet(f, client, "hello");
        output(f, "seen");
        vmm_console_flush(f->console, PATIENCE);
        assert_readable_text(client, "seen");
        output(f, "left in the terminal");
        vmm_console_flush(f->console, PATIENCE);
        close(client);
        settle(f);
        assert_output_flows(f);
        assert_idle(f);
    }
}

static void
a_pty_client_that_does_not_read_holds_output_till_it_goes(void **state)
{
    struct fixture *f = *state;
    char path[64];
    int client, ready = 0;
    struct vmm_console_port port = {.output_ready = count, .context = &ready};

    vmm_console_connect(f->console, &port);
    attach_pty(f, path, sizeof(path));
    client = open_terminal(path);
    greet(f, client, "x");
    while (output(f, "0123456789") == 10)
        settle(f);
    assert_int_equal(ready, 0);
    close(client);
    step_until(f, &ready, 1);
    assert_output_flows(f);
}

static void input_of_a_pty_client_that_left_at_once_arrives(void **state)
{
    struct fixture *f = *state; /* 16 bytes at a time */
    char path[64];
    int client;

    attach_pty(f, path, sizeof(path));
    client = open_terminal(path);
    assert_int_equal(write(client, "0123456789abcdefghijklmnopqrst", 30), 30);
    close(client);
    step_until_pulled(f, "0123456789abcdefghijklmnopqrst");
    assert_idle(f);
}

/* The source still waits for room when the next client comes: that one must
 * get its output all the same. */
static void a_pty_client_follows_one_whose_input_still_waits(void **state)
{
    struct fixture *f = *state;
    char path[64];
    int client;

    attach_pty(f, path, sizeof(path));
    client = open_terminal(path);
    assert_int_equal(write(client, "0123456789abcdefghij", 20), 20);
    settle(f);
    close(client);
    settle(f);
    client = open_terminal(path);
    settle(f);
    output(f, "to the second");
    vmm_console_flush(f->console, PATIENCE);
    assert_readable_text(client, "to the second");
    step_until_pulled(f, "0123456789abcdefghij");
    greet(f, client, "more");
    close(client);
}

static void a_short_buffer_for_the_pty_path_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[4];

    assert_int_equal(
        vmm_console_attach_pty(f->console, path, sizeof(path), &f->err),
        -ERANGE);
    assert_string_equal(f->err.text, "4 bytes are too few for the path of a "
                                     "pseudo-terminal");
}

/* ---- unix sockets ------------------------------------------------------- */

struct place {
    char folder[32];
    char path[64];
};

static void make_place(struct place *place)
{
    strcpy(place->folder, "/tmp/test_console.XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->path, sizeof(place->path), "%s/socket", place->folder);
}

/* The socket must have gone with its console. */
static void close_console(struct fixture *f, struct place *place)
{
    vmm_console_free(f->console);
    f->console = NULL;
    assert_int_equal(rmdir(place->folder), 0);
}

static void attach_unix(struct fixture *f, struct place *place)
{
    make_place(place);
    if (vmm_console_attach_unix(f->console, place->path, &f->err))
        fail_msg("attach_unix: %s", f->err.text);
}

static int dial(const struct place *place)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    strcpy(address.sun_path, place->path);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        fail_msg("connect %s: %s", place->path, strerror(errno));
    return fd;
}

static void a_unix_client_may_leave_and_come_back(void **state)
{
    struct fixture *f = *state;
    struct place place;

    attach_unix(f, &place);
    assert_output_flows(f);
    for (int i = 0; i < 3; i++) {
        int client = dial(&place);

        greet(f, client, "hello");
        output(f, "seen");
        vmm_console_flush(f->console, PATIENCE);
        assert_readable_text(client, "seen");
        close(client);
        settle(f);
        assert_output_flows(f);
        assert_idle(f);
    }
    close_console(f, &place);
}

static void a_second_unix_client_waits_for_the_first_to_leave(void **state)
{
    struct fixture *f = *state;
    struct place place;
    int first, second;

    attach_unix(f, &place);
    first = dial(&place);
    greet(f, first, "first");
    second = dial(&place);
    assert_int_equal(write(second, "second", 6), 6);
    assert_idle(f);
    assert_pulled(f, "");
    output(f, "to one");
    vmm_console_flush(f->console, PATIENCE);
    assert_readable_text(first, "to one");
    assert_readable_text(second, "");
    close(first);
    step_until_pulled(f, "second");
    close(second);
    close_console(f, &place);
}

/* As `echo command | nc -N -U socket` does. */
static void a_unix_client_that_has_said_all_still_listens(void **state)
{
    struct fixture *f = *state;
    struct place place;
    int client;

    attach_unix(f, &place);
    client = dial(&place);
    greet(f, client, "command");
    shutdown(client, SHUT_WR);
    settle(f);
    assert_idle(f);
    output(f, "answer");
    vmm_console_flush(f->console, PATIENCE);
    assert_readable_text(client, "answer");
    close(client);
    settle(f);
    client = dial(&place); /* it is noticed without any output */
    greet(f, client, "next");
    close(client);
    close_console(f, &place);
}

static void
a_unix_client_that_does_not_read_holds_output_till_it_goes(void **state)
{
    struct fixture *f = *state;
    struct place place;
    int client, ready = 0;
    struct vmm_console_port port = {.output_ready = count, .context = &ready};

    vmm_console_connect(f->console, &port);
    attach_unix(f, &place);
    client = dial(&place);
    greet(f, client, "x");
    while (output(f, "0123456789") == 10)
        settle(f);
    assert_int_equal(ready, 0);
    close(client);
    step_until(f, &ready, 1);
    assert_output_flows(f);
    close_console(f, &place);
}

static void a_path_that_exists_is_refused_and_left_alone(void **state)
{
    struct fixture *f = *state;
    struct place place;
    char expected[160];
    FILE *file;

    make_place(&place);
    file = fopen(place.path, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(vmm_console_attach_unix(f->console, place.path, &f->err),
                     -EADDRINUSE);
    snprintf(expected, sizeof(expected),
             "cannot listen on %s: it exists already; remove it or choose "
             "another path",
             place.path);
    assert_string_equal(f->err.text, expected);
    assert_int_equal(unlink(place.path), 0);
    assert_int_equal(rmdir(place.folder), 0);
}

static void a_path_too_long_for_a_socket_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[120], expected[200];

    memset(path, 'x', sizeof(path));
    path[108] = 0;
    assert_int_equal(vmm_console_attach_unix(f->console, path, &f->err),
                     -ENAMETOOLONG);
    snprintf(expected, sizeof(expected),
             "a socket path has 1 to 107 bytes, this one has 108: %s", path);
    assert_string_equal(f->err.text, expected);
    assert_int_equal(vmm_console_attach_unix(f->console, "", &f->err),
                     -ENAMETOOLONG);
    assert_int_equal(
        vmm_console_attach_unix(f->console, "/no/such/folder/socket", &f->err),
        -ENOENT);
    assert_string_equal(f->err.text, "cannot listen on /no/such/folder/socket: "
                                     "No such file or directory");
}

static void what_has_taken_the_sockets_place_stays(void **state)
{
    struct fixture *f = *state;
    struct place place;
    FILE *file;

    attach_unix(f, &place);
    assert_int_equal(unlink(place.path), 0);
    file = fopen(place.path, "w");
    assert_non_null(file);
    fclose(file);
    vmm_console_free(f->console);
    f->console = NULL;
    assert_int_equal(unlink(place.path), 0);
    assert_int_equal(rmdir(place.folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_pty_client_talks_both_ways_in_raw_mode),
        TEST_SMALL(a_pty_without_a_client_takes_output_and_no_time),
        TEST_SMALL(a_pty_client_may_leave_and_come_back),
        TEST_SMALL(a_pty_client_that_does_not_read_holds_output_till_it_goes),
        TEST_SMALL(input_of_a_pty_client_that_left_at_once_arrives),
        TEST_SMALL(a_pty_client_follows_one_whose_input_still_waits),
        TEST(a_short_buffer_for_the_pty_path_is_refused),
        TEST_SMALL(a_unix_client_may_leave_and_come_back),
        TEST(a_second_unix_client_waits_for_the_first_to_leave),
        TEST(a_unix_client_that_has_said_all_still_listens),
        TEST_SMALL(a_unix_client_that_does_not_read_holds_output_till_it_goes),
        TEST(a_path_that_exists_is_refused_and_left_alone),
        TEST(a_path_too_long_for_a_socket_is_refused),
        TEST(what_has_taken_the_sockets_place_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
