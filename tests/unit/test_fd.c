/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Fds that do not block, do not signal, and leave others' flags alone. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"

static bool is_nonblocking(int fd)
{
    return fcntl(fd, F_GETFL) & O_NONBLOCK;
}

static void use(struct vmm_fd *file, int fd, bool owned, bool writing)
{
    int ret = vmm_fd_use(file, fd, owned, writing);

    if (ret < 0)
        fail_msg("vmm_fd_use: %s", strerror(-ret));
}

/* Write until it would block. */
static size_t fill(const struct vmm_fd *file)
{
    static const char bytes[4096];
    size_t total = 0;
    ssize_t len;

    while ((len = vmm_fd_write(file, bytes, sizeof(bytes))) > 0)
        total += (size_t)len;
    assert_int_equal(len, -EAGAIN);
    return total;
}

/* fds[0] to be read, fds[1] to be written: neither blocks, and the files that
 * others may share are as they were. */
static void assert_borrowed_unchanged(const int fds[2])
{
    struct vmm_fd in, out;
    char byte;

    use(&in, fds[0], false, false);
    use(&out, fds[1], false, true);
    assert_int_equal(vmm_fd_read(&in, &byte, 1), -EAGAIN);
    assert_true(fill(&out) > 0);
    assert_false(is_nonblocking(fds[0]));
    assert_false(is_nonblocking(fds[1]));
    vmm_fd_close(&in);
    vmm_fd_close(&out);
    assert_int_equal(in.fd, -1);
    assert_false(is_nonblocking(fds[0])); /* and open */
    assert_true(fcntl(fds[1], F_GETFL) >= 0);
    close(fds[0]);
    close(fds[1]);
}

static void a_borrowed_pipe_keeps_its_flags(void **state)
{
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_borrowed_unchanged(fds);
}

static void a_borrowed_socket_keeps_its_flags(void **state)
{
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_borrowed_unchanged(fds);
}

static int open_master(char *path, size_t path_bytes)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);

    assert_true(master >= 0);
    assert_int_equal(grantpt(master), 0);
    assert_int_equal(unlockpt(master), 0);
    assert_int_equal(ptsname_r(master, path, path_bytes), 0);
    return master;
}

static void a_borrowed_terminal_keeps_its_flags(void **state)
{
    char path[64];
    int master = open_master(path, sizeof(path));
    int fds[2];

    (void)state;
    fds[0] = open(path, O_RDWR | O_NOCTTY);
    assert_true(fds[0] >= 0);
    fds[1] = dup(fds[0]);
    assert_borrowed_unchanged(fds);
    close(master);
}

/* To open it anew would make another pair. */
static void a_borrowed_master_stays_that_of_its_terminal(void **state)
{
    char path[64], bytes[4] = "";
    int master = open_master(path, sizeof(path));
    int terminal = open(path, O_RDWR | O_NOCTTY);
    struct vmm_fd file;

    (void)state;
    use(&file, master, false, true);
    assert_int_equal(vmm_fd_write(&file, "hi\n", 3), 3);
    assert_int_equal(read(terminal, bytes, 3), 3);
    assert_string_equal(bytes, "hi\n");
    vmm_fd_close(&file);
    assert_false(is_nonblocking(master));
    close(terminal);
    close(master);
}

/* Opened anew for reading without a writer it would never report its end. */
static void a_named_fifo_gets_its_flags_back_at_close(void **state)
{
    char path[] = "/tmp/test_fd.XXXXXX";
    char fifo[64], byte;
    struct vmm_fd file;
    int fd;

    (void)state;
    assert_non_null(mkdtemp(path));
    snprintf(fifo, sizeof(fifo), "%s/fifo", path);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    fd = open(fifo, O_RDWR);
    assert_true(fd >= 0);
    use(&file, fd, false, false);
    assert_int_equal(vmm_fd_read(&file, &byte, 1), -EAGAIN);
    vmm_fd_close(&file);
    assert_false(is_nonblocking(fd));
    close(fd);
    unlink(fifo);
    rmdir(path);
}

static void an_owned_fd_is_closed(void **state)
{
    struct vmm_fd file;
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    use(&file, fds[0], true, false);
    assert_int_equal(file.fd, fds[0]);
    vmm_fd_close(&file);
    assert_int_equal(fcntl(fds[0], F_GETFL), -1);
    close(fds[1]);
    assert_int_equal(vmm_fd_use(&file, fds[0], true, false), -EBADF);
}

static void the_end_of_a_stream_reads_as_zero(void **state)
{
    struct vmm_fd file;
    int fds[2];
    char byte;

    (void)state;
    assert_int_equal(pipe(fds), 0);
    use(&file, fds[0], false, false);
    assert_int_equal(write(fds[1], "x", 1), 1);
    close(fds[1]);
    assert_int_equal(vmm_fd_read(&file, &byte, 1), 1);
    assert_int_equal(vmm_fd_read(&file, &byte, 1), 0);
    vmm_fd_close(&file);
    close(fds[0]);
}

/* SIGPIPE has its default action here: one would end the program. */
static void assert_write_breaks_quietly(int reader, int writer)
{
    struct vmm_fd file;
    sigset_t pending;

    use(&file, writer, true, true);
    close(reader);
    assert_int_equal(vmm_fd_write(&file, "x", 1), -EPIPE);
    sigpending(&pending);
    assert_int_equal(sigismember(&pending, SIGPIPE), 0);
    vmm_fd_close(&file);
}

static void a_write_without_a_reader_raises_no_signal(void **state)
{
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_write_breaks_quietly(fds[0], fds[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_write_breaks_quietly(fds[0], fds[1]);
}

/* In a child that leads a session with the terminal: is a job of its own in
 * the background, and not in the foreground?  Exits 0 if so. */
static int lead_session(const char *path)
{
    struct vmm_fd file;
    int terminal;

    setsid();
    terminal = open(path, O_RDWR);
    if (terminal < 0 || vmm_fd_use(&file, terminal, false, false) < 0)
        return 2;
    if (vmm_fd_in_background(&file))
        return 3;
    if (fork() == 0) {
        char byte;

        signal(SIGTTIN, SIG_IGN);
        setpgid(0, 0);
        if (!vmm_fd_in_background(&file))
            _exit(4);
        _exit(vmm_fd_read(&file, &byte, 1) == -EIO ? 0 : 5);
    }
    int status;

    wait(&status);
    return WEXITSTATUS(status);
}

static void a_job_in_the_background_is_told_from_a_broken_terminal(void **state)
{
    char path[64];
    int master = open_master(path, sizeof(path));
    int status;
    pid_t leader = fork();

    (void)state;
    if (leader == 0)
        _exit(lead_session(path));
    assert_int_equal(waitpid(leader, &status, 0), leader);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    close(master);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_borrowed_pipe_keeps_its_flags),
        cmocka_unit_test(a_borrowed_socket_keeps_its_flags),
        cmocka_unit_test(a_borrowed_terminal_keeps_its_flags),
        cmocka_unit_test(a_borrowed_master_stays_that_of_its_terminal),
        cmocka_unit_test(a_named_fifo_gets_its_flags_back_at_close),
        cmocka_unit_test(an_owned_fd_is_closed),
        cmocka_unit_test(the_end_of_a_stream_reads_as_zero),
        cmocka_unit_test(a_write_without_a_reader_raises_no_signal),
        cmocka_unit_test(
            a_job_in_the_background_is_told_from_a_broken_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
