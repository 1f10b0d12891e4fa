/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* A child process with one socket, whose last words are kept. */
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <vmm/process.h>

#define LOG_BYTES 65536
#define TAIL      512 /* of the log, in which its last line is looked for */
#define LINE      240 /* of which the end is kept: there is the cause */
#define MS        1000000
#define SECOND    1000000000

struct vmm_process {
    pid_t pid;
    int pid_fd; /* readable once it has ended; -1 on a host without it */
    int log_fd;
    pthread_mutex_t lock; /* guards what follows */
    bool ended;
    siginfo_t how;
};

extern char **environ;

/* ---- start ----------------------------------------------------------------
 */

/*
 * A process that nobody reads from must not wait for a reader, nor fill the
 * host's memory: writes beyond the end fail.
 */
static int open_log(struct vmm_error *err)
{
    int fd = memfd_create("vmm-process-log", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return vmm_error_errno(err, "memfd_create");
    if (ftruncate(fd, LOG_BYTES) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0) {
        int rc = vmm_error_errno(err, "a memfd of %d bytes", LOG_BYTES);
        close(fd);
        return rc;
    }
    return fd;
}

static int spawn(const char *const *argv, int log_fd, int fd, pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t signals;

    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, log_fd, 1);
    posix_spawn_file_actions_adddup2(&files, log_fd, 2);
    posix_spawn_file_actions_adddup2(&files, fd, VMM_PROCESS_FD);
    posix_spawn_file_actions_addclosefrom_np(&files, VMM_PROCESS_FD + 1);
    posix_spawnattr_init(&attributes);
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    sigfillset(&signals);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    /* A group of its own: what is typed at our terminal (Ctrl-C) is for us. */
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETPGROUP);
    /* POSIX has not made it const; it is not written. */
    int code = posix_spawnp(pid, argv[0], &files, &attributes,
                            (char *const *)(uintptr_t)argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return code;
}

/* Files that lie where the process's own go would be overwritten by them: a
 * caller may have closed its stdin. */
static int spawn_apart(const char *const *argv, int log_fd, int fd, pid_t *pid)
{
    int logs = fcntl(log_fd, F_DUPFD_CLOEXEC, VMM_PROCESS_FD + 1);
    int given = fcntl(fd, F_DUPFD_CLOEXEC, VMM_PROCESS_FD + 1);
    int code = logs < 0 || given < 0 ? errno : 0;

    if (!code)
        code = spawn(argv, logs, given, pid);
    if (logs >= 0)
        close(logs);
    if (given >= 0)
        close(given);
    return code;
}

int vmm_process_start(const char *const *argv, int fd,
                      struct vmm_process **process, struct vmm_error *err)
{
    vmm_error_clear(err);
    *process = NULL;
    int log_fd = open_log(err);
    if (log_fd < 0)
        return log_fd;
    struct vmm_process *new = calloc(1, sizeof(*new));
    int code = new ? spawn_apart(argv, log_fd, fd, &new->pid) : ENOMEM;
    if (code) {
        close(log_fd);
        free(new);
        return vmm_error_set(err, code, "cannot run %s: %s", argv[0],
                             strerror(code));
    }
    new->log_fd = log_fd;
    new->pid_fd = (int)syscall(SYS_pidfd_open, new->pid, 0);
    pthread_mutex_init(&new->lock, NULL);
    *process = new;
    return 0;
}

/* ---- its end --------------------------------------------------------------
 */

/* Reap it, if it has ended (or wait for that).  Lock held. */
static bool has_ended(struct vmm_process *process, int flags)
{
    siginfo_t how = {0};
    int rc;

    while (!process->ended) {
        rc = waitid(P_PID, (id_t)process->pid, &how, WEXITED | flags);
        if (rc == 0 && how.si_pid == 0)
            return false;
        if (rc < 0 && errno == EINTR)
            continue;
        /* A failure: somebody else has reaped it. */
        process->ended = true;
        process->how = rc == 0 ? how : (siginfo_t){0};
    }
    return true;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND + now.tv_nsec;
}

/* Its end, or so much time; a signal to us shortens neither. */
static void await_end(const struct vmm_process *process, int64_t timeout_ns)
{
    struct pollfd ready = {.fd = process->pid_fd, .events = POLLIN};
    const int64_t began = now_ns();
    int64_t left = timeout_ns;
    int rc;

    do {
        int64_t ms = left / MS;

        rc = poll(&ready, 1, timeout_ns < 0 || ms > INT32_MAX ? -1 : (int)ms);
        left = timeout_ns - (now_ns() - began);
    } while (rc < 0 && errno == EINTR && (timeout_ns < 0 || left > 0));
}

int vmm_process_wait(struct vmm_process *process, int64_t timeout_ns)
{
    pthread_mutex_lock(&process->lock);
    bool ended = has_ended(process, WNOHANG);
    pthread_mutex_unlock(&process->lock);
    if (ended)
        return 0;
    if (timeout_ns && (process->pid_fd >= 0 || timeout_ns > 0))
        await_end(process, timeout_ns);
    pthread_mutex_lock(&process->lock);
    ended = has_ended(process, timeout_ns < 0 ? 0 : WNOHANG);
    pthread_mutex_unlock(&process->lock);
    return ended ? 0 : -ETIMEDOUT;
}

/* To a process or, as a negative number, a group. */
static void send_to(struct vmm_process *process, pid_t whom, int signal)
{
    /* Under the lock it is not reaped: the number is nobody else's. */
    pthread_mutex_lock(&process->lock);
    if (!has_ended(process, WNOHANG))
        kill(whom, signal);
    pthread_mutex_unlock(&process->lock);
}

void vmm_process_signal(struct vmm_process *process, int signal)
{
    send_to(process, process->pid, signal);
}

void vmm_process_end(struct vmm_process *process, int64_t grace_ns)
{
    if (!process)
        return;
    vmm_process_signal(process, SIGTERM);
    if (vmm_process_wait(process, grace_ns) < 0) {
        /* With what it has forked: a virtiofsd's sandbox is a child. */
        send_to(process, -process->pid, SIGKILL);
        vmm_process_signal(process, SIGKILL); /* it may have left the group */
        vmm_process_wait(process, -1);
    }
    if (process->pid_fd >= 0)
        close(process->pid_fd);
    close(process->log_fd);
    pthread_mutex_destroy(&process->lock);
    free(process);
}

/* ---- its words ------------------------------------------------------------
 */

/* The last line of what it wrote, of printable characters. */
static void last_line(const struct vmm_process *process, char line[TAIL + 1])
{
    /* The file's position is shared with the process. */
    off_t end = lseek(process->log_fd, 0, SEEK_CUR);
    off_t from = end > TAIL ? end - TAIL : 0;
    ssize_t len = pread(process->log_fd, line, TAIL, from);
    char *begin;

    if (len < 0 || end < 0)
        len = 0;
    else if (len > end - from)
        len = end - from;
    while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r'))
        len--;
    line[len] = '\0';
    begin = memrchr(line, '\n', (size_t)len);
    if (begin)
        memmove(line, begin + 1, strlen(begin));
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
}

void vmm_process_describe(struct vmm_process *process, char *text, size_t size)
{
    char line[TAIL + 1], how[64];

    if (vmm_process_wait(process, 0) < 0)
        snprintf(how, sizeof(how), "is still running");
    else if (process->how.si_code == CLD_EXITED)
        snprintf(how, sizeof(how), "ended with exit code %d",
                 process->how.si_status);
    else if (process->how.si_pid)
        snprintf(how, sizeof(how), "was ended by signal %d",
                 process->how.si_status);
    else
        snprintf(how, sizeof(how), "has ended");
    last_line(process, line);
    size_t length = strlen(line);
    snprintf(text, size, "%s%s%s%s", how, *line ? ": " : "",
             length > LINE ? "..." : "",
             length > LINE ? line + length - LINE : line);
}
