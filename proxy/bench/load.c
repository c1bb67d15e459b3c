// A cheap HTTP/1.1 client that loads one address and says how it was served. One thread, epoll, keep-alive.
//
//     load --port PORT --body FILE [--path /v1/chat/completions] [--connections 1] [--seconds 5] [--warmup 1] [--rate 0]
//          [--events 0] [--leave 0] [--header 'Name: value']...
//
// Every request is `POST path` with the file as its JSON body. With a rate (requests per second) requests begin at even
// distances, on whichever connection is free; else each connection sends the next one when it has read the last (closed loop).
// The first `warmup` seconds are not counted. At their end it prints `begin`, and `seconds` later one line of JSON, both times
// with requests under way: whoever reads the proxy's CPU time at these two lines has that of the counted part, and nothing else.
//
//     {seconds, ok, bad, odd, late, left, reconnects, events, bytes, latency_us, first_event_us, gap_us, cpu_seconds}
//
// ok: status 200 and a whole body, with `[DONE]` where it is a stream. bad: anything else. odd: those of ok whose number of
// events is not `--events`. late: requests of a rate that had to wait for a free connection; their time counts from when they
// were due. left: streams that the client has left, closing the connection, once `--leave` events of them had come; 0 leaves none.
// events: `data:` lines without `[DONE]`. first_event_us: from the request to its first event. gap_us: from one arrival
// of events to the next within a stream. The three are {count, mean, p50, p90, p99, max} in microseconds.
#define _GNU_SOURCE
#include <ctype.h>
#include <getopt.h>
#include <sys/resource.h>

#include "loop.h"
#include "series.h"

enum { HEAD_LIMIT = 64 << 10, READ_SIZE = 256 << 10, LINGER_US = 50000 };

enum phase { HEAD, SIZED, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILERS, UNTIL_CLOSE };

struct connection {
    int fd;
    int is_busy, wants_room;
    size_t sent;             // bytes of the request
    long began_us, first_us, last_us;
    enum phase phase;
    char head[HEAD_LIMIT + 1];
    size_t head_size;
    int status, closes, is_stream;
    long left;               // bytes of the body, or of the chunk
    unsigned long size;      // of the chunk, while its line is read
    int line_size, in_extension;
    int matched;             // of "data:" at the start of a line; -1 within a line; all of it where what follows decides
    long events;
    int is_done;             // `[DONE]` was seen
};

static struct options {
    int port, connections, events, leave;
    const char *path, *body;
    double seconds, warmup, rate;
    struct buffer headers;
} options = {.connections = 1, .path = "/v1/chat/completions", .seconds = 5, .warmup = 1};

static int epoll;
static struct buffer request;
static struct connection *connections;
static struct series latency, first_event, gap;
static long ok, bad, odd, late, left, reconnects, events, bytes;

// ---- figures

static void forget_figures(void) {
    latency.count = first_event.count = gap.count = 0;
    ok = bad = odd = late = left = reconnects = events = bytes = 0;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void print_figures(double seconds, double cpu) {
    printf("{\"seconds\":%.6f,\"ok\":%ld,\"bad\":%ld,\"odd\":%ld,\"late\":%ld,\"left\":%ld,\"reconnects\":%ld,"
           "\"events\":%ld,\"bytes\":%ld",
           seconds, ok, bad, odd, late, left, reconnects, events, bytes);
    print_series("latency_us", &latency);
    print_series("first_event_us", &first_event);
    print_series("gap_us", &gap);
    printf(",\"cpu_seconds\":%.3f}\n", cpu);
    fflush(stdout);
}

// ---- connections and requests

static void open_connection(struct connection *c) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(options.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->fd = must_work(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    must_work(connect(c->fd, (struct sockaddr *)&address, sizeof address), "connect");
    send_at_once(c->fd);
    watch(epoll, EPOLL_CTL_ADD, c->fd, EPOLLIN, c);
    c->is_busy = c->wants_room = 0;
}

static void reopen(struct connection *c) {
    close(c->fd);
    reconnects++;
    open_connection(c);
}

static void send_request(struct connection *c) {
    while (c->sent < held(&request)) {
        ssize_t taken = send(c->fd, request.data + c->sent, held(&request) - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (taken < 0) break;  // no room yet, or the reading side will find the connection closed
        c->sent += taken;
    }
    int wants_room = c->sent < held(&request);
    if (wants_room != c->wants_room) watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN | (wants_room ? EPOLLOUT : 0), c);
    c->wants_room = wants_room;
}

static void begin_request(struct connection *c, long began_us) {
    c->is_busy = 1;
    c->sent = 0;
    c->began_us = began_us;
    c->first_us = c->last_us = 0;
    c->phase = HEAD;
    c->head_size = 0;
    c->matched = 0;
    c->events = 0;
    c->is_done = 0;
    send_request(c);
}

static void end_request(struct connection *c, int is_whole) {
    if (is_whole && c->status == 200 && (!c->is_stream || c->is_done)) {
        ok++;
        odd += options.events > 0 && c->events != options.events;
        add(&latency, now_us() - c->began_us);
        if (c->first_us) add(&first_event, c->first_us - c->began_us);
    } else {
        bad++;
    }
    c->is_busy = 0;
    if (!is_whole || c->closes) reopen(c);
    if (options.rate == 0) begin_request(c, now_us());
}

// Go away in the middle of a stream, and come back for the next.
static void leave(struct connection *c) {
    left++;
    reopen(c);
    if (options.rate == 0) begin_request(c, now_us());
}

// ---- replies

// Count the events in a piece of the body, wherever it was cut. What follows "data:" and blanks is `[DONE]` or an event's JSON.
static void count_events(struct connection *c, const char *at, size_t count) {
    static const char start[] = "data:";
    const int whole = sizeof start - 1;
    const char *end = at + count;
    bytes += count;
    while (at < end) {
        if (c->matched < 0) {
            at = memchr(at, '\n', end - at);
            if (!at) return;
            c->matched = 0;
        } else if (c->matched < whole) {
            c->matched = *at == start[c->matched] ? c->matched + 1 : *at == '\n' ? 0 : -1;
        } else if (*at != ' ') {
            if (*at == '[') c->is_done = 1;
            else c->events++, events++;
            c->matched = *at == '\n' ? 0 : -1;
        }
        at++;
    }
}

// The value of a header in the head, which ends with a zero; NULL where there is none.
static const char *header(const char *head, const char *name) {
    const char *found = strcasestr(head, name);
    if (!found) return NULL;
    found += strlen(name);
    return found + strspn(found, " \t");
}

// The head is whole: what comes after it, and where does it end?
static void read_head(struct connection *c) {
    const char *value;
    c->status = atoi(c->head + 9);
    c->closes = (value = header(c->head, "\r\nconnection:")) && !strncasecmp(value, "close", 5);
    c->is_stream = (value = header(c->head, "\r\ncontent-type:")) && !strncasecmp(value, "text/event-stream", 17);
    if (c->status / 100 == 1) {
        c->head_size = 0;  // an interim reply: the real one follows
    } else if ((value = header(c->head, "\r\ntransfer-encoding:")) && !strncasecmp(value, "chunked", 7)) {
        c->phase = CHUNK_SIZE;
        c->size = c->line_size = c->in_extension = 0;
    } else if ((value = header(c->head, "\r\ncontent-length:"))) {
        c->phase = SIZED;
        c->left = atol(value);
    } else {
        c->phase = UNTIL_CLOSE;
        c->closes = 1;
    }
}

// Take what belongs to the head; returns how many bytes that was, or -1 where it is no head.
static ssize_t take_head(struct connection *c, const char *at, size_t count) {
    size_t taken = 0;
    while (taken < count && c->phase == HEAD) {
        if (c->head_size == HEAD_LIMIT) return -1;
        c->head[c->head_size++] = at[taken++];
        if (c->head_size < 4 || memcmp(c->head + c->head_size - 4, "\r\n\r\n", 4)) continue;
        c->head[c->head_size] = 0;
        if (memcmp(c->head, "HTTP/1.1 ", 9)) return -1;
        read_head(c);
    }
    return taken;
}

// A byte of the line before a chunk; returns -1 where it belongs into none.
static int take_chunk_size(struct connection *c, char byte) {
    if (byte == '\n') {
        c->left = c->size;
        c->phase = c->size ? CHUNK : TRAILERS;
        c->size = c->line_size = c->in_extension = 0;
    } else if (c->in_extension || strchr("; \t\r", byte)) {
        c->in_extension = 1;
    } else if (isxdigit((unsigned char)byte) && c->size < 1UL << 40) {
        c->size = c->size * 16 + (byte <= '9' ? byte - '0' : (byte | 32) - 'a' + 10);
    } else {
        return -1;
    }
    return 0;
}

// Take a piece of the reply; returns 1 when the reply is whole, -1 where it is broken.
static int take_reply(struct connection *c, const char *at, size_t count) {
    const char *end = at + count;
    if (c->phase == HEAD) {
        ssize_t taken = take_head(c, at, count);
        if (taken < 0) return -1;
        at += taken;
        if (c->phase == SIZED && c->left == 0) return 1;
    }
    while (at < end) {
        size_t size = end - at;
        switch (c->phase) {
        case SIZED:
        case CHUNK:
            if (size > (size_t)c->left) size = c->left;
            count_events(c, at, size);
            c->left -= size;
            if (c->left == 0 && c->phase == SIZED) return 1;
            if (c->left == 0) c->phase = CHUNK_END;
            break;
        case CHUNK_SIZE:
            if (take_chunk_size(c, *at) < 0) return -1;
            size = 1;
            break;
        case CHUNK_END:
            if (*at == '\n') c->phase = CHUNK_SIZE;
            size = 1;
            break;
        case TRAILERS:  // up to an empty line
            if (*at == '\n' && c->line_size == 0) return 1;
            c->line_size = *at == '\n' ? 0 : *at == '\r' ? c->line_size : c->line_size + 1;
            size = 1;
            break;
        default:
            count_events(c, at, size);
        }
        at += size;
    }
    return 0;
}

static void on_readable(struct connection *c) {
    static char data[READ_SIZE];
    ssize_t count = recv(c->fd, data, sizeof data, MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN) return;
    if (!c->is_busy) {
        reopen(c);  // an idle connection was closed, or was sent what nobody asked for
    } else if (count <= 0) {
        end_request(c, count == 0 && c->phase == UNTIL_CLOSE);
    } else {
        long before = c->events;
        int is_whole = take_reply(c, data, count);
        if (c->events > before) {
            long now = now_us();
            if (c->first_us) add(&gap, now - c->last_us);
            else c->first_us = now;
            c->last_us = now;
        }
        if (is_whole) end_request(c, is_whole > 0);
        else if (options.leave > 0 && c->events >= options.leave) leave(c);
    }
}

// ---- the run

// Begin the requests of a rate that are due at `now`; returns when the next one is.
static long begin_due(long start_us, long *begun, long now) {
    static int next;  // connections take turns, so that each is used
    static int has_waited;
    for (;;) {
        long due_us = start_us + (long)(*begun * 1e6 / options.rate);
        if (due_us > now) return due_us;
        int tried = 0;
        while (tried < options.connections && connections[next].is_busy) {
            next = (next + 1) % options.connections;
            tried++;
        }
        if (tried == options.connections) {
            has_waited = 1;
            return now + 1000;  // a reply that ends wakes the loop before
        }
        late += has_waited;
        begin_request(&connections[next], has_waited ? due_us : now_us());
        has_waited = 0;
        next = (next + 1) % options.connections;
        ++*begun;
    }
}

static void run_until(long end_us, long start_us, long *begun) {
    struct epoll_event ready[READY_AT_ONCE];
    for (;;) {
        long now = now_us();
        if (now >= end_us) return;
        long wake_us = options.rate > 0 ? begin_due(start_us, begun, now) : end_us;
        int count = wait_until(epoll, ready, wake_us < end_us ? wake_us : end_us);
        for (int i = 0; i < count; i++) {
            struct connection *c = ready[i].data.ptr;
            if (ready[i].events & EPOLLOUT) send_request(c);
            if (ready[i].events & ~(unsigned)EPOLLOUT) on_readable(c);
        }
    }
}

static void read_options(int count, char **arguments) {
    static const struct option known[] = {
        {"port", 1, 0, 'p'}, {"path", 1, 0, 'a'}, {"body", 1, 0, 'b'}, {"connections", 1, 0, 'c'}, {"seconds", 1, 0, 's'},
        {"warmup", 1, 0, 'w'}, {"rate", 1, 0, 'r'}, {"events", 1, 0, 'e'},
        {"leave", 1, 0, 'l'}, {"header", 1, 0, 'h'}, {0}};
    int option;
    while ((option = getopt_long(count, arguments, "", known, NULL)) != -1) switch (option) {
        case 'p': options.port = atoi(optarg); break;
        case 'a': options.path = optarg; break;
        case 'b': options.body = optarg; break;
        case 'c': options.connections = atoi(optarg); break;
        case 's': options.seconds = atof(optarg); break;
        case 'w': options.warmup = atof(optarg); break;
        case 'r': options.rate = atof(optarg); break;
        case 'e': options.events = atoi(optarg); break;
        case 'l': options.leave = atoi(optarg); break;
        case 'h':
            append(&options.headers, optarg, strlen(optarg));
            append(&options.headers, "\r\n", 2);
            break;
        default: exit(2);
        }
    if (options.port <= 0 || !options.body || options.connections < 1 || options.seconds <= 0 || optind < count) {
        fputs("usage: load --port PORT --body FILE [options: see load.c]\n", stderr);
        exit(2);
    }
}

static void make_request(void) {
    FILE *file = fopen(options.body, "rb");
    struct buffer body = {0};
    size_t count;
    must_work(file ? 0 : -1, options.body);
    do {
        reserve(&body, READ_SIZE);
        count = fread(body.data + body.end, 1, READ_SIZE, file);
        body.end += count;
    } while (count > 0);
    fclose(file);
    reserve(&request, strlen(options.path) + 512);
    request.end += sprintf(request.data,
        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nAccept: */*\r\n"
        "User-Agent: jevons-bench\r\nContent-Length: %zu\r\n", options.path, options.port, held(&body));
    if (held(&options.headers)) append(&request, options.headers.data, held(&options.headers));
    append(&request, "\r\n", 2);
    append(&request, body.data, held(&body));
}

int main(int count, char **arguments) {
    set_up_process();
    read_options(count, arguments);
    make_request();
    epoll = must_work(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    connections = must(calloc(options.connections, sizeof *connections));
    for (int i = 0; i < options.connections; i++) open_connection(&connections[i]);
    long start_us = now_us(), begun = 0;
    if (options.rate == 0)
        for (int i = 0; i < options.connections; i++) begin_request(&connections[i], now_us());
    run_until(start_us + (long)(options.warmup * 1e6), start_us, &begun);
    forget_figures();
    puts("begin");
    fflush(stdout);
    long begin_us = now_us();
    double cpu = cpu_seconds();
    run_until(begin_us + (long)(options.seconds * 1e6), start_us, &begun);
    print_figures((now_us() - begin_us) / 1e6, cpu_seconds() - cpu);
    run_until(now_us() + LINGER_US, start_us, &begun);
    return 0;
}
