/* Records what a process writes to the files of one folder, in order: to be loaded before the C library.

   RECORD_FOLDER names the folder, RECORD_LOG the log. An entry of the log is a letter, the number of the file's name in
   the order they were first seen, two numbers, and, of a write, the bytes that were written:

   N name's number, length, 0, name    W file, offset, length, bytes    T file, length, 0    S file, 0, 0
   C file, 0, 0 (it was created)       U file, 0, 0 (it was unlinked)   D 0, 0, 0 (the folder itself was synced)   */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define FILES 4096
#define NAMES 256

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static const char *folder;
static size_t folder_length;
static int name_of_fd[FILES]; /* 0: none; -1: the folder itself; else the name's number */
static char names[NAMES][256];
static int count;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_open)(const char *, int, ...);
static int (*real_openat)(int, const char *, int, ...);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_ftruncate)(int, off_t);
static int (*real_unlink)(const char *);
static int (*real_close)(int);

__attribute__((constructor)) static void begin(void)
{
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    real_open = dlsym(RTLD_NEXT, "open");
    real_openat = dlsym(RTLD_NEXT, "openat");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    real_close = dlsym(RTLD_NEXT, "close");
    folder = getenv("RECORD_FOLDER");
    const char *path = getenv("RECORD_LOG");
    if (folder && path) {
        folder_length = strlen(folder);
        log_fd = real_open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    }
}

static void entry(char kind, int32_t name, int64_t first, int64_t second, const void *bytes, size_t length)
{
    char head[21];
    head[0] = kind;
    memcpy(head + 1, &name, 4);
    memcpy(head + 5, &first, 8);
    memcpy(head + 13, &second, 8);
    real_write(log_fd, head, sizeof head);
    if (length) real_write(log_fd, bytes, length);
}

static int number_of(const char *path)
{
    if (log_fd < 0 || strncmp(path, folder, folder_length)) return 0;
    const char *name = path + folder_length;
    if (!*name) return -1;
    if (*name++ != '/' || strchr(name, '/') || strstr(name, "-shm")) return 0;
    for (int at = 1; at <= count; at++)
        if (!strcmp(names[at], name)) return at;
    if (count + 1 >= NAMES) abort();
    count++;
    strncpy(names[count], name, 255);
    entry('N', count, strlen(name), 0, name, strlen(name));
    return count;
}

static int opened(int fd, const char *path, int is_new)
{
    if (fd < 0 || fd >= FILES) return fd;
    pthread_mutex_lock(&lock);
    name_of_fd[fd] = number_of(path);
    if (is_new && name_of_fd[fd] > 0) entry('C', name_of_fd[fd], 0, 0, 0, 0);
    pthread_mutex_unlock(&lock);
    return fd;
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = va_arg(more, mode_t);                                                                            \
        va_end(more);                                                                                                  \
        int is_new = (flags & O_CREAT) && access(path, F_OK);                                                          \
        return opened(real_open(path, flags, mode), path, is_new);                                                     \
    }
OPEN(open)
OPEN(open64)

int openat(int at, const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    int is_new = (flags & O_CREAT) && access(path, F_OK);
    return opened(real_openat(at, path, flags, mode), path, is_new);
}
int openat64(int at, const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    int is_new = (flags & O_CREAT) && access(path, F_OK);
    return opened(real_openat(at, path, flags, mode), path, is_new);
}

int close(int fd)
{
    if (fd >= 0 && fd < FILES) name_of_fd[fd] = 0;
    return real_close(fd);
}

static int known(int fd) { return log_fd >= 0 && fd >= 0 && fd < FILES ? name_of_fd[fd] : 0; }

ssize_t write(int fd, const void *bytes, size_t length)
{
    int name = known(fd);
    if (name <= 0) return real_write(fd, bytes, length);
    pthread_mutex_lock(&lock);
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t done = real_write(fd, bytes, length);
    if (done > 0) entry('W', name, at, done, bytes, done);
    pthread_mutex_unlock(&lock);
    return done;
}

static ssize_t written(int fd, const void *bytes, size_t length, off_t at)
{
    int name = known(fd);
    if (name <= 0) return real_pwrite(fd, bytes, length, at);
    pthread_mutex_lock(&lock);
    ssize_t done = real_pwrite(fd, bytes, length, at);
    if (done > 0) entry('W', name, at, done, bytes, done);
    pthread_mutex_unlock(&lock);
    return done;
}
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return written(fd, bytes, length, at); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t at) { return written(fd, bytes, length, at); }

static int truncated(int fd, off_t length)
{
    int name = known(fd);
    if (name <= 0) return real_ftruncate(fd, length);
    pthread_mutex_lock(&lock);
    int answer = real_ftruncate(fd, length);
    if (!answer) entry('T', name, length, 0, 0, 0);
    pthread_mutex_unlock(&lock);
    return answer;
}
int ftruncate(int fd, off_t length) { return truncated(fd, length); }
int ftruncate64(int fd, off_t length) { return truncated(fd, length); }

/* Nothing waits for the disk: what counts is that it was asked to. */
static int synced(int fd, int (*sync)(int))
{
    int name = known(fd);
    if (!name) return sync(fd);
    pthread_mutex_lock(&lock);
    entry(name < 0 ? 'D' : 'S', name < 0 ? 0 : name, 0, 0, 0, 0);
    pthread_mutex_unlock(&lock);
    return 0;
}
int fsync(int fd) { return synced(fd, real_fsync); }
int fdatasync(int fd) { return synced(fd, real_fdatasync); }

int unlink(const char *path)
{
    pthread_mutex_lock(&lock);
    int name = number_of(path);
    int answer = real_unlink(path);
    if (!answer && name > 0) entry('U', name, 0, 0, 0, 0);
    pthread_mutex_unlock(&lock);
    return answer;
}
