// What mock.c and load.c share: the clock, waiting to the microsecond, and byte buffers that grow.
#ifndef JEVONS_BENCH_LOOP_H
#define JEVONS_BENCH_LOOP_H

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441  // the same on every architecture; older C libraries do not name it
#endif

enum { READY_AT_ONCE = 256 };

// Microseconds of the clock that `time.monotonic` shows.
static inline long now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000L + now.tv_nsec / 1000;
}

// Wait for events at most until `due_us`, or for ever where that is negative. Returns how many came.
static inline int wait_until(int epoll, struct epoll_event *events, long due_us) {
    if (due_us < 0) {
        int count = epoll_wait(epoll, events, READY_AT_ONCE, -1);
        return count < 0 ? 0 : count;
    }
    long left = due_us - now_us();
    if (left < 0) left = 0;
    struct timespec timeout = {.tv_sec = left / 1000000, .tv_nsec = left % 1000000 * 1000};
    long count = syscall(SYS_epoll_pwait2, epoll, events, READY_AT_ONCE, &timeout, NULL, 8L);
    if (count < 0 && errno == ENOSYS)  // Linux before 5.11: to the millisecond
        count = epoll_wait(epoll, events, READY_AT_ONCE, (int)((left + 999) / 1000));
    return count < 0 ? 0 : (int)count;
}

static inline void *must(void *memory) {
    if (memory == NULL) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    return memory;
}

static inline int must_work(int result, const char *what) {
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

// Bytes [start, end) of `data` are held; beyond them there may be room.
struct buffer {
    char *data;
    size_t start, end, size;
};

static inline size_t held(const struct buffer *buffer) { return buffer->end - buffer->start; }

// Room for `more` bytes and a terminating zero behind `end`.
static inline void reserve(struct buffer *buffer, size_t more) {
    if (buffer->start == buffer->end) buffer->start = buffer->end = 0;
    if (buffer->end + more < buffer->size) return;
    size_t size = buffer->size ? buffer->size : 16384;
    while (size <= buffer->end + more) size *= 2;
    buffer->data = must(realloc(buffer->data, size));
    buffer->size = size;
}

static inline void append(struct buffer *buffer, const char *bytes, size_t count) {
    reserve(buffer, count);
    memcpy(buffer->data + buffer->end, bytes, count);
    buffer->end += count;
}

// Forget the first `count` bytes held.
static inline void drop(struct buffer *buffer, size_t count) {
    memmove(buffer->data + buffer->start, buffer->data + buffer->start + count, held(buffer) - count);
    buffer->end -= count;
}

// Without this a small write waits for the acknowledgement of the one before it.
static inline void send_at_once(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static inline void watch(int epoll, int operation, int fd, unsigned events, void *owner) {
    struct epoll_event event = {.events = events, .data.ptr = owner};
    must_work(epoll_ctl(epoll, operation, fd, &event), "epoll_ctl");
}

// Ask for timers to the microsecond, where the default gathers wake-ups of 50 of them; and no signal for a closed peer.
static inline void set_up_process(void) {
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1000UL);
}

#endif
