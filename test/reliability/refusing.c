/* Preloaded into a process, this refuses the k-th call of one function of the system, where the caller is LightGPT's library;
 * the runtime's own calls go through. REFUSE_CALL names the function, REFUSE_AT says k (from 1), REFUSE_ALL all calls from then on.
 * Linux only. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

static const char *refused;
static int at = -1, all, calls;
/* Looking a caller up may itself call what is watched. */
static __thread int busy;

static int from_library(void *caller) {
    if (busy) return 0;
    busy = 1;
    Dl_info info;
    int found = dladdr(caller, &info) && info.dli_fname && strstr(info.dli_fname, "liblightgpt") != 0;
    busy = 0;
    return found;
}

static int refuses(const char *name, void *caller) {
    if (at < 0) {
        const char *number = getenv("REFUSE_AT");
        refused = getenv("REFUSE_CALL");
        all = getenv("REFUSE_ALL") != 0;
        at = number ? atoi(number) : 0;
    }
    if (!refused || strcmp(refused, name) != 0 || !from_library(caller)) return 0;
    int call = __sync_add_and_fetch(&calls, 1);
    return at > 0 && (all ? call >= at : call == at);
}

/* How many calls of the watched function the library has made. */
int refuse_calls(void) {
    return calls;
}

static void *next(const char *name) {
    busy++;
    void *found = dlsym(RTLD_NEXT, name);
    busy--;
    return found;
}

#define HERE __builtin_return_address(0)
#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type(*)(__VA_ARGS__))next(name)

void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset) {
    REAL(void *, "mmap", void *, size_t, int, int, int, off_t);
    if (!refuses("mmap", HERE)) return real(address, length, protection, flags, file, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

void *mmap64(void *address, size_t length, int protection, int flags, int file, off_t offset) {
    REAL(void *, "mmap64", void *, size_t, int, int, int, off_t);
    if (!refuses("mmap", HERE)) return real(address, length, protection, flags, file, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

int madvise(void *address, size_t length, int advice) {
    REAL(int, "madvise", void *, size_t, int);
    if (!refuses("madvise", HERE)) return real(address, length, advice);
    errno = EINVAL;
    return -1;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument) {
    REAL(int, "pthread_create", pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    return refuses("pthread_create", HERE) ? EAGAIN : real(thread, attributes, run, argument);
}

void *malloc(size_t size) {
    REAL(void *, "malloc", size_t);
    if (!refuses("malloc", HERE)) return real(size);
    errno = ENOMEM;
    return 0;
}

void *realloc(void *memory, size_t size) {
    REAL(void *, "realloc", void *, size_t);
    if (!refuses("realloc", HERE)) return real(memory, size);
    errno = ENOMEM;
    return 0;
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    REAL(int, "posix_memalign", void **, size_t, size_t);
    return refuses("posix_memalign", HERE) ? ENOMEM : real(memory, alignment, size);
}

ssize_t pread(int file, void *bytes, size_t count, off_t offset) {
    REAL(ssize_t, "pread", int, void *, size_t, off_t);
    if (!refuses("pread", HERE)) return real(file, bytes, count, offset);
    errno = EIO;
    return -1;
}

ssize_t pread64(int file, void *bytes, size_t count, off_t offset) {
    REAL(ssize_t, "pread64", int, void *, size_t, off_t);
    if (!refuses("pread", HERE)) return real(file, bytes, count, offset);
    errno = EIO;
    return -1;
}
