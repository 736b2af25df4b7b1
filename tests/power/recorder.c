/*
 * Records, in order, what a process does to the files of one folder that a power cut could undo, and makes calls fail.
 *
 * Loaded with LD_PRELOAD, so that the SQLite and the Python are those that users have. It replaces the functions of the
 * C library and makes the system calls itself. One lock is held over each call and its entry in the log, so the order
 * of the log is that of the effects, whichever threads they come from. What changes files and is not understood here is
 * logged as OTHER, and whoever reads the log refuses it.
 *
 *   RECORDER_ROOT  the folder, its path resolved
 *   RECORDER_LOG   where the log is appended to; without it nothing is logged
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum operation { CREATE = 1, WRITE, TRUNCATE, SYNC, UNLINK, RENAME, MKDIR, RMDIR, MARK, OTHER, SYNC_FOLDER };

struct entry {
    uint32_t operation, error;
    uint64_t inode, offset;
    uint32_t path_length, other_length, data_length, unused;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_handle = -2;

/* What is to fail: the n-th call of an operation, once or from then on; and what needs more room than is left. */
static enum operation failing_operation;
static int failing_error, failing_lasts;
static long failing_call, calls_seen, calls_failed;
static long long room = -1;

static const char *root(void) { return getenv("RECORDER_ROOT"); }

static int is_below_root(const char *path)
{
    const char *folder = root();
    size_t length = folder == NULL ? 0 : strlen(folder);
    return length != 0 && strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static void path_of_handle(int handle, char *path)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    path[length < 0 ? 0 : length] = '\0';
}

static int is_tracked(int handle)
{
    char path[PATH_MAX];
    int before = errno;
    path_of_handle(handle, path);
    errno = before;
    return is_below_root(path);
}

static void absolute(int folder, const char *name, char *path)
{
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return;
    }
    char before[PATH_MAX];
    if (folder == AT_FDCWD) {
        if (syscall(SYS_getcwd, before, sizeof before) < 0)
            before[0] = '\0';
    } else {
        path_of_handle(folder, before);
    }
    int length = snprintf(path, PATH_MAX, "%s/%s", before, name);
    if (length < 0 || length >= PATH_MAX)
        path[0] = '\0';
}

static void write_whole(const void *content, size_t length)
{
    const char *left = content;
    while (length > 0) {
        ssize_t written = syscall(SYS_write, log_handle, left, length);
        if (written < 0) {
            if (errno == EINTR)
                continue;
            abort(); /* a log with a hole in it would prove nothing */
        }
        left += written;
        length -= written;
    }
}

static void log_entry(enum operation operation, int error, uint64_t inode, uint64_t offset, const char *path,
                      const char *other, const void *data, size_t data_length)
{
    int before = errno;
    if (log_handle == -2) {
        const char *name = getenv("RECORDER_LOG");
        log_handle = -1;
        if (name != NULL) {
            int handle = syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
            if (handle < 0)
                abort();
            log_handle = syscall(SYS_fcntl, handle, F_DUPFD_CLOEXEC, 500); /* out of the way of what is tested */
            syscall(SYS_close, handle);
        }
    }
    if (log_handle >= 0) {
        struct entry entry = {operation, error, inode, offset, strlen(path), strlen(other), data_length, 0};
        write_whole(&entry, sizeof entry);
        write_whole(path, entry.path_length);
        write_whole(other, entry.other_length);
        write_whole(data, data_length);
    }
    errno = before;
}

static struct stat status_of(int handle)
{
    struct stat status = {0};
    int before = errno;
    fstat(handle, &status);
    errno = before;
    return status;
}

static int is_to_fail(enum operation operation)
{
    if (operation != failing_operation)
        return 0;
    calls_seen++;
    if (calls_seen != failing_call && !(failing_lasts && calls_seen > failing_call))
        return 0;
    calls_failed++;
    errno = failing_error;
    return 1;
}

/* Called by the tests. */

void recorder_mark(const char *text)
{
    pthread_mutex_lock(&lock);
    log_entry(MARK, 0, 0, 0, text, "", NULL, 0);
    pthread_mutex_unlock(&lock);
}

void recorder_fail(int operation, long call, int error, int lasts)
{
    pthread_mutex_lock(&lock);
    failing_operation = (enum operation)operation, failing_call = call, failing_error = error, failing_lasts = lasts;
    calls_seen = calls_failed = 0;
    pthread_mutex_unlock(&lock);
}

void recorder_room(long long bytes)
{
    pthread_mutex_lock(&lock);
    room = bytes;
    calls_failed = 0;
    pthread_mutex_unlock(&lock);
}

long recorder_failed(void) { return calls_failed; }

/* Files. */

static int open_and_log(int folder, const char *name, int flags, mode_t mode)
{
    char path[PATH_MAX];
    if (!(flags & (O_CREAT | O_TRUNC)))
        return syscall(SYS_openat, folder, name, flags, mode);
    absolute(folder, name, path);
    if (!is_below_root(path))
        return syscall(SYS_openat, folder, name, flags, mode);
    pthread_mutex_lock(&lock);
    int existed = syscall(SYS_faccessat, folder, name, F_OK) == 0;
    int handle = !existed && is_to_fail(CREATE) ? -1 : (int)syscall(SYS_openat, folder, name, flags, mode);
    if (handle >= 0) {
        uint64_t inode = status_of(handle).st_ino;
        if (!existed)
            log_entry(CREATE, 0, inode, 0, path, "", NULL, 0);
        else if (flags & O_TRUNC)
            log_entry(TRUNCATE, 0, inode, 0, path, "", NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    return handle;
}

#define MODE_OF(flags) \
    mode_t mode = 0; \
    if ((flags) & O_CREAT) { \
        va_list arguments; \
        va_start(arguments, flags); \
        mode = va_arg(arguments, mode_t); \
        va_end(arguments); \
    }

int open(const char *name, int flags, ...) { MODE_OF(flags) return open_and_log(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE_OF(flags) return open_and_log(AT_FDCWD, name, flags, mode); }
int openat(int at, const char *name, int flags, ...) { MODE_OF(flags) return open_and_log(at, name, flags, mode); }
int openat64(int at, const char *name, int flags, ...) { MODE_OF(flags) return open_and_log(at, name, flags, mode); }
int creat(const char *name, mode_t mode) { return open_and_log(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *name, mode_t mode) { return creat(name, mode); }

/* How much of a write there is room for; what has grown is taken from the room. */
static size_t take_room(off_t size, off_t offset, size_t length)
{
    if (room < 0 || offset + (off_t)length <= size)
        return length;
    off_t needed = offset + (off_t)length - size;
    if (needed > room) {
        off_t cut = needed - room;
        calls_failed++;
        length = cut >= (off_t)length ? 0 : length - cut;
        needed = length == 0 ? 0 : room;
    }
    room -= needed;
    return length;
}

static ssize_t write_and_log(int handle, const void *data, size_t length, off_t offset)
{
    pthread_mutex_lock(&lock);
    struct stat status = status_of(handle);
    int is_at_cursor = offset < 0;
    if (is_at_cursor) {
        int flags = syscall(SYS_fcntl, handle, F_GETFL);
        offset = flags & O_APPEND ? status.st_size : syscall(SYS_lseek, handle, 0, SEEK_CUR);
    }
    ssize_t written = -1;
    if (!is_to_fail(WRITE)) {
        size_t fits = take_room(status.st_size, offset, length);
        errno = fits == 0 ? ENOSPC : errno;
        if (fits > 0 || length == 0)
            written = is_at_cursor ? syscall(SYS_write, handle, data, fits)
                                   : syscall(SYS_pwrite64, handle, data, fits, offset);
    }
    if (written > 0)
        log_entry(WRITE, 0, status.st_ino, offset, "", "", data, written);
    pthread_mutex_unlock(&lock);
    return written;
}

ssize_t write(int handle, const void *data, size_t length)
{
    return is_tracked(handle) ? write_and_log(handle, data, length, -1) : syscall(SYS_write, handle, data, length);
}

ssize_t pwrite(int handle, const void *data, size_t length, off_t offset)
{
    return is_tracked(handle) ? write_and_log(handle, data, length, offset)
                              : syscall(SYS_pwrite64, handle, data, length, offset);
}

ssize_t pwrite64(int handle, const void *data, size_t length, off_t offset)
{
    return pwrite(handle, data, length, offset);
}

int ftruncate(int handle, off_t length)
{
    if (!is_tracked(handle))
        return syscall(SYS_ftruncate, handle, length);
    pthread_mutex_lock(&lock);
    struct stat status = status_of(handle);
    int answer = is_to_fail(TRUNCATE) ? -1 : (int)syscall(SYS_ftruncate, handle, length);
    if (answer == 0) {
        if (room >= 0 && length < status.st_size)
            room += status.st_size - length;
        log_entry(TRUNCATE, 0, status.st_ino, length, "", "", NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    return answer;
}

int ftruncate64(int handle, off_t length) { return ftruncate(handle, length); }

static int sync_and_log(int handle, long call)
{
    if (!is_tracked(handle))
        return syscall(call, handle);
    pthread_mutex_lock(&lock);
    struct stat status = status_of(handle);
    int answer = is_to_fail(S_ISDIR(status.st_mode) ? SYNC_FOLDER : SYNC) ? -1 : (int)syscall(call, handle);
    log_entry(SYNC, answer == 0 ? 0 : errno, status.st_ino, 0, "", "", NULL, 0);
    pthread_mutex_unlock(&lock);
    return answer;
}

int fsync(int handle) { return sync_and_log(handle, SYS_fsync); }
int fdatasync(int handle) { return sync_and_log(handle, SYS_fdatasync); }

/* Names. */

int unlinkat(int folder, const char *name, int flags)
{
    char path[PATH_MAX];
    absolute(folder, name, path);
    if (!is_below_root(path))
        return syscall(SYS_unlinkat, folder, name, flags);
    pthread_mutex_lock(&lock);
    struct stat status = {0};
    fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW);
    enum operation operation = flags & AT_REMOVEDIR ? RMDIR : UNLINK;
    int answer = is_to_fail(operation) ? -1 : (int)syscall(SYS_unlinkat, folder, name, flags);
    if (answer == 0) {
        if (room >= 0 && operation == UNLINK)
            room += status.st_size;
        log_entry(operation, 0, status.st_ino, 0, path, "", NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    return answer;
}

int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

int mkdirat(int folder, const char *name, mode_t mode)
{
    char path[PATH_MAX];
    absolute(folder, name, path);
    if (!is_below_root(path))
        return syscall(SYS_mkdirat, folder, name, mode);
    pthread_mutex_lock(&lock);
    int answer = is_to_fail(MKDIR) ? -1 : (int)syscall(SYS_mkdirat, folder, name, mode);
    if (answer == 0) {
        struct stat status = {0};
        fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW);
        log_entry(MKDIR, 0, status.st_ino, 0, path, "", NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    return answer;
}

int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

int renameat2(int folder, const char *name, int to_folder, const char *to_name, unsigned flags)
{
    char path[PATH_MAX], to_path[PATH_MAX];
    absolute(folder, name, path);
    absolute(to_folder, to_name, to_path);
    if (!is_below_root(path) && !is_below_root(to_path))
        return syscall(SYS_renameat2, folder, name, to_folder, to_name, flags);
    pthread_mutex_lock(&lock);
    struct stat replaced = {0};
    fstatat(to_folder, to_name, &replaced, AT_SYMLINK_NOFOLLOW);
    int answer = is_to_fail(RENAME) ? -1 : (int)syscall(SYS_renameat2, folder, name, to_folder, to_name, flags);
    if (answer == 0 && room >= 0)
        room += replaced.st_size;
    if (answer == 0)
        log_entry(flags != 0 || !is_below_root(path) || !is_below_root(to_path) ? OTHER : RENAME, 0, 0, 0, path,
                  to_path, NULL, 0);
    pthread_mutex_unlock(&lock);
    return answer;
}

int renameat(int folder, const char *name, int to_folder, const char *to_name)
{
    return renameat2(folder, name, to_folder, to_name, 0);
}

int rename(const char *name, const char *to_name) { return renameat2(AT_FDCWD, name, AT_FDCWD, to_name, 0); }

/* What is not understood. */

static void log_other(int handle, const char *what)
{
    if (!is_tracked(handle))
        return;
    pthread_mutex_lock(&lock);
    log_entry(OTHER, 0, status_of(handle).st_ino, 0, what, "", NULL, 0);
    pthread_mutex_unlock(&lock);
}

ssize_t writev(int handle, const struct iovec *parts, int count)
{
    log_other(handle, "writev");
    return syscall(SYS_writev, handle, parts, count);
}

ssize_t pwritev(int handle, const struct iovec *parts, int count, off_t offset)
{
    log_other(handle, "pwritev");
    return syscall(SYS_pwritev, handle, parts, count, (unsigned long)offset, 0UL);
}

ssize_t pwritev64(int handle, const struct iovec *parts, int count, off_t offset)
{
    return pwritev(handle, parts, count, offset);
}

int fallocate(int handle, int mode, off_t offset, off_t length)
{
    log_other(handle, "fallocate");
    return syscall(SYS_fallocate, handle, mode, offset, length);
}

int fallocate64(int handle, int mode, off_t offset, off_t length) { return fallocate(handle, mode, offset, length); }

int posix_fallocate(int handle, off_t offset, off_t length)
{
    return fallocate(handle, 0, offset, length) == 0 ? 0 : errno;
}

int posix_fallocate64(int handle, off_t offset, off_t length) { return posix_fallocate(handle, offset, length); }

ssize_t copy_file_range(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t length, unsigned flags)
{
    log_other(to, "copy_file_range");
    return syscall(SYS_copy_file_range, from, from_offset, to, to_offset, length, flags);
}

int linkat(int folder, const char *name, int to_folder, const char *to_name, int flags)
{
    char path[PATH_MAX];
    absolute(to_folder, to_name, path);
    if (is_below_root(path)) {
        pthread_mutex_lock(&lock);
        log_entry(OTHER, 0, 0, 0, path, "", NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    return syscall(SYS_linkat, folder, name, to_folder, to_name, flags);
}

int link(const char *name, const char *to_name) { return linkat(AT_FDCWD, name, AT_FDCWD, to_name, 0); }
