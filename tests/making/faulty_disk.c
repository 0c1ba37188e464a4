/* Calls of the C library that change a disk, of which the n-th below a folder fails; loaded before the library itself.

   Every program and library of a process passes here: Python, NumPy, safetensors, Pillow. Nothing fails, and nothing
   is counted, before `faulty_arm` was called. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;
static long failing;
static int number, lasting, list = -1;
static char root[4096];
static size_t length;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* The `at`-th call below `folder`, from 1, fails with the error `error`; those after it too where `forever`. */
void faulty_arm(const char *folder, long at, int error, int forever) {
  snprintf(root, sizeof root, "%s", folder);
  length = strlen(root);
  failing = at, number = error, lasting = forever;
  atomic_store(&calls, 0);
}

/* Every call is listed in this file, a line each: what was called, and of which file. */
void faulty_list(const char *path) { list = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666); }

static int fails_at(const char *call_name, const char *path) {
  if (!length || !path || strncmp(path, root, length)) return 0;
  long call = atomic_fetch_add(&calls, 1) + 1;
  char line[8192];
  int size = snprintf(line, sizeof line, "%s %s\n", call_name, path + length);
  if (list >= 0 && REAL(write)(list, line, size) < size) return 0;
  if (call != failing && !(lasting && failing && call > failing)) return 0;
  errno = number;
  return 1;
}

static int fails_below(const char *call_name, int folder, const char *path) {
  char whole[8192], link[64];
  if (!length || !path) return 0;
  if (path[0] == '/') return fails_at(call_name, path);
  snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
  ssize_t size = readlink(link, whole, 4096);
  if (size < 0) return 0;
  snprintf(whole + size, sizeof whole - size, "/%s", path);
  return fails_at(call_name, whole);
}

static int fails_in(const char *call_name, int file) {
  char path[4096], link[64];
  if (!length) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = 0;
  return fails_at(call_name, path);
}

#define OPENING(name)                                                             \
  int name(const char *path, int flags, ...) {                                    \
    va_list more;                                                                 \
    va_start(more, flags);                                                        \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;       \
    va_end(more);                                                                 \
    if (flags & (O_CREAT | O_TRUNC) && fails_below(__func__, AT_FDCWD, path)) return -1;    \
    return REAL(name)(path, flags, mode);                                         \
  }
OPENING(open)
OPENING(open64)

#define OPENING_AT(name)                                                          \
  int name(int folder, const char *path, int flags, ...) {                        \
    va_list more;                                                                 \
    va_start(more, flags);                                                        \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;       \
    va_end(more);                                                                 \
    if (flags & (O_CREAT | O_TRUNC) && fails_below(__func__, folder, path)) return -1;      \
    return REAL(name)(folder, path, flags, mode);                                 \
  }
OPENING_AT(openat)
OPENING_AT(openat64)

ssize_t write(int file, const void *bytes, size_t size) {
  return fails_in(__func__, file) ? -1 : REAL(write)(file, bytes, size);
}
ssize_t writev(int file, const struct iovec *parts, int count) {
  return fails_in(__func__, file) ? -1 : REAL(writev)(file, parts, count);
}
ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t at) {
  return fails_in(__func__, file) ? -1 : REAL(pwrite64)(file, bytes, size, at);
}
size_t fwrite(const void *bytes, size_t size, size_t count, FILE *file) {
  return fails_in(__func__, fileno(file)) ? 0 : REAL(fwrite)(bytes, size, count, file);
}
int ftruncate64(int file, off64_t size) { return fails_in(__func__, file) ? -1 : REAL(ftruncate64)(file, size); }
int fsync(int file) { return fails_in(__func__, file) ? -1 : REAL(fsync)(file); }
int fdatasync(int file) { return fails_in(__func__, file) ? -1 : REAL(fdatasync)(file); }
int mkdir(const char *path, mode_t mode) { return fails_below(__func__, AT_FDCWD, path) ? -1 : REAL(mkdir)(path, mode); }
int rename(const char *from, const char *to) { return fails_below(__func__, AT_FDCWD, to) ? -1 : REAL(rename)(from, to); }
int link(const char *from, const char *to) { return fails_below(__func__, AT_FDCWD, to) ? -1 : REAL(link)(from, to); }
