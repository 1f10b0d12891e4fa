/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Large streams through a console whose loop runs on a thread: nothing lost. */
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>

#include "console_fixture.h"

#define STREAM_BYTES ((size_t)1 << 20)

/* Byte i of the stream that all tests pass along. */
static uint8_t stream_byte(size_t i)
{
    return (uint8_t)(i * 7 + i / 251);
}

static void fill_stream(uint8_t *bytes, size_t position, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = stream_byte(position + i);
}

static void check_stream(const uint8_t *bytes, size_t position, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != stream_byte(position + i))
            fail_msg("byte %zu is %#x, not %#x", position + i, bytes[i],
                     stream_byte(position + i));
}

static void await(sem_t *sem)
{
    struct timespec deadline;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 10;
    if (sem_timedwait(sem, &deadline) < 0)
        fail_msg("nothing happened within 10 s");
}

static int set_up_thread(void **state)
{
    struct fixture *f;

    if (set_up_sizes(state, 4096, 4096, 8192))
        return -1;
    f = *state;
    return vmm_loop_start_thread(f->loop, "io", &f->err);
}

#define TEST_THREAD(name)                                                      \
    cmocka_unit_test_setup_teardown(name, set_up_thread, tear_down)

/* ---- in ----------------------------------------------------------------- */

struct device {
    sem_t input;
    sem_t output;
    sem_t ended;
};

static void init_device(struct device *device)
{
    sem_init(&device->input, 0, 0);
    sem_init(&device->output, 0, 0);
    sem_init(&device->ended, 0, 0);
}

static void input_ready(void *context)
{
    sem_post(&((struct device *)context)->input);
}

static void output_ready(void *context)
{
    sem_post(&((struct device *)context)->output);
}

static void input_ended(void *context)
{
    sem_post(&((struct device *)context)->ended);
}

/* Pull the whole stream, a FIFO's worth at a time, as a UART does. */
static void pull_stream(struct fixture *f, struct device *device)
{
    struct vmm_console_port port = {.input_ready = input_ready,
                                    .context = device};
    size_t position = 0;

    vmm_console_connect(f->console, &port);
    while (position < STREAM_BYTES) {
        uint8_t bytes[16];
        size_t len = vmm_console_pull(f->console, bytes, sizeof(bytes));

        if (!len)
            await(&device->input);
        check_stream(bytes, position, len);
        position += len;
    }
    vmm_console_connect(f->console, NULL);
}

static void *write_stream(void *context)
{
    int fd = *(int *)context;
    uint8_t bytes[10000];

    for (size_t position = 0; position < STREAM_BYTES;) {
        size_t len = STREAM_BYTES - position;
        ssize_t written;

        if (len > sizeof(bytes))
            len = sizeof(bytes);
        fill_stream(bytes, position, len);
        written = write(fd, bytes, len);
        if (written < 0)
            abort();
        position += (size_t)written;
    }
    close(fd);
    return NULL;
}

static void attach_source(struct fixture *f, struct device *device, int fd)
{
    attach(f, (struct vmm_console_stream){.in_fd = fd,
                                          .out_fd = -1,
                                          .owns = true,
                                          .escape = -1,
                                          .on_input_end = input_ended,
                                          .context = device});
}

static void a_mebibyte_from_a_pipe_arrives_whole(void **state)
{
    struct fixture *f = *state;
    struct device device;
    pthread_t writer;
    int fds[2];

    init_device(&device);
    assert_int_equal(pipe(fds), 0);
    attach_source(f, &device, fds[0]);
    assert_int_equal(pthread_create(&writer, NULL, write_stream, &fds[1]), 0);
    pull_stream(f, &device);
    await(&device.ended);
    pthread_join(writer, NULL);
}

static void a_mebibyte_from_a_file_arrives_whole(void **state)
{
    struct fixture *f = *state;
    struct device device;
    FILE *file = tmpfile();
    int copy = dup(fileno(file));

    init_device(&device);
    write_stream(&copy);
    rewind(file);
    attach_source(f, &device, dup(fileno(file)));
    pull_stream(f, &device);
    await(&device.ended);
    fclose(file);
}

struct senders {
    struct fixture *f;
    sem_t room;
};

static void room(void *context)
{
    sem_post(&((struct senders *)context)->room);
}

/* Sends a byte of its own over and over. */
struct sender {
    struct senders *all;
    uint8_t byte;
};

#define SENT_BYTES 100000

static void *send_bytes(void *context)
{
    struct sender *sender = context;
    uint8_t bytes[300];
    size_t sent = 0;

    memset(bytes, sender->byte, sizeof(bytes));
    while (sent < SENT_BYTES) {
        size_t len = SENT_BYTES - sent;
        size_t taken = vmm_console_send(sender->all->f->console, bytes,
                                        len < 300 ? len : 300);

        sent += taken;
        if (!taken) {
            await(&sender->all->room);
            sem_post(&sender->all->room); /* it is for all who wait */
        }
    }
    return NULL;
}

static void three_threads_send_at_once(void **state)
{
    struct fixture *f = *state;
    struct senders all = {.f = f};
    struct vmm_console_listener listener = {.on_room = room, .context = &all};
    struct sender senders[3];
    struct device device;
    struct vmm_console_port port = {.input_ready = input_ready,
                                    .context = &device};
    pthread_t threads[3];
    size_t counts[3] = {0}, total = 0;

    sem_init(&all.room, 0, 0);
    init_device(&device);
    vmm_console_connect(f->console, &port);
    vmm_console_listen(f->console, &listener);
    for (int i = 0; i < 3; i++) {
        senders[i] = (struct sender){&all, (uint8_t)i};
        assert_int_equal(
            pthread_create(&threads[i], NULL, send_bytes, &senders[i]), 0);
    }
    while (total < 3 * SENT_BYTES) {
        uint8_t bytes[64];
        size_t len = vmm_console_pull(f->console, bytes, sizeof(bytes));

        if (!len)
            await(&device.input);
        for (size_t i = 0; i < len; i++) {
            assert_in_range(bytes[i], 0, 2);
            counts[bytes[i]]++;
        }
        total += len;
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(counts[i], SENT_BYTES);
    }
    vmm_console_listen(f->console, NULL);
    vmm_console_connect(f->console, NULL);
}

/* ---- out ---------------------------------------------------------------- */

struct reader {
    int fd;
    size_t at_once;
    size_t position;
};

static void *read_stream(void *context)
{
    struct reader *reader = context;
    uint8_t bytes[4096];
    ssize_t len;

    while ((len = read(reader->fd, bytes, reader->at_once)) > 0) {
        for (ssize_t i = 0; i < len; i++)
            if (bytes[i] != stream_byte(reader->position + (size_t)i))
                abort();
        reader->position += (size_t)len;
    }
    return NULL;
}

/* As a UART's transmitter does: byte by byte, waiting when one is refused. */
static void output_stream(struct fixture *f, struct device *device)
{
    struct vmm_console_port port = {.output_ready = output_ready,
                                    .context = device};

    vmm_console_connect(f->console, &port);
    for (size_t position = 0; position < STREAM_BYTES;) {
        uint8_t byte = stream_byte(position);

        if (vmm_console_output(f->console, &byte, 1))
            position++;
        else
            await(&device->output);
    }
    vmm_console_connect(f->console, NULL);
}

/* Two pipes, one read in large pieces, one in small ones; the capture, and a
 * text to look for meanwhile. */
static void a_mebibyte_goes_whole_to_every_sink(void **state)
{
    struct fixture *f = *state;
    struct reader readers[2] = {{.at_once = 4096}, {.at_once = 63}};
    struct device device;
    pthread_t threads[2];
    uint8_t last[8192];
    uint64_t position = 0;

    init_device(&device);
    for (int i = 0; i < 2; i++) {
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        fcntl(fds[1], F_SETPIPE_SZ, 4096);
        attach(f,
               (struct vmm_console_stream){
                   .in_fd = -1, .out_fd = fds[1], .owns = true, .escape = -1});
        readers[i].fd = fds[0];
        assert_int_equal(
            pthread_create(&threads[i], NULL, read_stream, &readers[i]), 0);
    }
    output_stream(f, &device);
    assert_int_equal(vmm_console_flush(f->console, PATIENCE), 0);
    assert_int_equal(vmm_console_capture_read(f->console, &position, last,
                                              sizeof(last), NULL),
                     sizeof(last));
    check_stream(last, STREAM_BYTES - sizeof(last), sizeof(last));
    vmm_console_free(f->console); /* closes the pipes */
    f->console = NULL;
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(readers[i].position, STREAM_BYTES);
        close(readers[i].fd);
    }
}

static void *capture_stream(void *context)
{
    struct fixture *f = context;
    uint64_t position = 0, before = 0;
    uint8_t bytes[512];

    while (position < STREAM_BYTES) {
        size_t len = vmm_console_capture_read(f->console, &position, bytes,
                                              sizeof(bytes), NULL);

        for (size_t i = 0; i < len; i++)
            if (bytes[i] != stream_byte(position - len + i))
                abort();
        if (position < before)
            abort();
        before = position;
    }
    return NULL;
}

static void the_capture_can_be_read_while_output_comes(void **state)
{
    struct fixture *f = *state;
    struct device device;
    pthread_t thread;

    init_device(&device);
    assert_int_equal(pthread_create(&thread, NULL, capture_stream, f), 0);
    output_stream(f, &device);
    pthread_join(thread, NULL);
}

#define NEEDLES 3000

static void count_found(void *context)
{
    atomic_fetch_add((atomic_int *)context, 1);
}

/* Drains go on meanwhile, at any byte. */
static void a_text_is_found_wherever_drains_cut_the_output(void **state)
{
    struct fixture *f = *state;
    atomic_int found = 0;

    assert_int_equal(vmm_console_watch_text(f->console, "nananas", count_found,
                                            &found, &f->err),
                     0);
    for (int i = 0; i < NEEDLES; i++) {
        const char *text = "nanananas ";

        for (size_t taken = 0; taken < strlen(text);)
            taken += output(f, text + taken);
        if (i % 16 == 0)
            vmm_console_flush(f->console, 0);
    }
    assert_int_equal(vmm_console_flush(f->console, PATIENCE), 0);
    vmm_console_free(f->console); /* callbacks have returned */
    f->console = NULL;
    assert_int_equal(atomic_load(&found), NEEDLES);
}

/* ---- jobs --------------------------------------------------------------- */

/* A job whose standard input is the terminal, started in the background:
 * what is typed is not for it until it comes to the foreground.  Exits 0 when
 * it got it then. */
static int run_job(int terminal, int seen_eio)
{
    struct fixture *f;
    void *state;
    struct device device;
    struct vmm_console_port port = {.input_ready = input_ready,
                                    .context = &device};
    struct timespec deadline;
    uint8_t bytes[8];

    init_device(&device);
    if (set_up(&state))
        return 2;
    f = state;
    vmm_console_connect(f->console, &port);
    if (vmm_console_attach(f->console,
                           &(struct vmm_console_stream){
                               .in_fd = terminal, .out_fd = -1, .escape = -1},
                           &f->err))
        return 3;
    /* Announcing the device, and the read that fails. */
    if (vmm_loop_step(f->loop, PATIENCE) < 1 || vmm_loop_step(f->loop, 0) < 0 ||
        vmm_console_pull(f->console, bytes, sizeof(bytes)))
        return 4;
    if (write(seen_eio, "x", 1) != 1 ||
        vmm_loop_start_thread(f->loop, "job", &f->err))
        return 5;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 10;
    if (sem_timedwait(&device.input, &deadline) < 0)
        return 6;
    if (vmm_console_pull(f->console, bytes, sizeof(bytes)) != 6 ||
        memcmp(bytes, "typed\n", 6))
        return 7;
    tear_down(&state);
    return 0;
}

/* The shell: leads the session, starts the job, brings it to the front. */
static int run_shell(const char *path)
{
    int status, terminal, fds[2];
    pid_t job;
    char byte;

    setsid();
    signal(SIGTTOU, SIG_IGN);
    terminal = open(path, O_RDWR);
    if (terminal < 0 || pipe(fds) < 0)
        return 10;
    job = fork();
    if (job == 0) {
        sigset_t all;

        setpgid(0, 0);
        sigfillset(&all); /* as on an I/O thread */
        sigprocmask(SIG_BLOCK, &all, NULL);
        _exit(run_job(terminal, fds[1]));
    }
    setpgid(job, job);
    close(fds[1]);
    if (read(fds[0], &byte, 1) == 1)
        tcsetpgrp(terminal, job);
    waitpid(job, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 11;
}

static void
a_job_in_the_background_gets_its_input_in_the_foreground(void **state)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    char path[64];
    int status;
    pid_t shell;

    (void)state;
    assert_true(master >= 0);
    assert_int_equal(grantpt(master), 0);
    assert_int_equal(unlockpt(master), 0);
    assert_int_equal(ptsname_r(master, path, sizeof(path)), 0);
    shell = fork();
    if (shell == 0)
        _exit(run_shell(path));
    assert_int_equal(write(master, "typed\n", 6), 6);
    assert_int_equal(waitpid(shell, &status, 0), shell);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    close(master);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_THREAD(a_mebibyte_from_a_pipe_arrives_whole),
        TEST_THREAD(a_mebibyte_from_a_file_arrives_whole),
        TEST_THREAD(three_threads_send_at_once),
        TEST_THREAD(a_mebibyte_goes_whole_to_every_sink),
        TEST_THREAD(the_capture_can_be_read_while_output_comes),
        TEST_THREAD(a_text_is_found_wherever_drains_cut_the_output),
        cmocka_unit_test(
            a_job_in_the_background_gets_its_input_in_the_foreground),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
