// A cheap OpenAI-compatible model server for benchmarks of what stands in front of it. One thread, epoll, HTTP/1.1, keep-alive.
//
//     mock [PORT]          PORT 0, the default, is any that is free; prints `listening PORT` and serves until it is killed
//
// POST …/completions answers a fixed chat completion of about 600 bytes. With `"stream": true` it answers server-sent events of
// about 250 bytes, each in a chunk and a write of its own, then `[DONE]`. Fields at the top of the JSON body choose the stream:
//     max_tokens    how many events, the first with the role, the last with the finish reason; also as max_completion_tokens; 128
//     seed          microseconds from one event to the next; 0, the default, sends them as fast as they are taken
//     stream_options.include_usage    one more event, with the usage
// These are fields that every proxy passes on. The first event comes at once. The second comes after a random part of the pace,
// so that streams which began together do not tick together: gathering them is the proxy's work, not the measurement's gift.
//
// GET …/v1/models lists one model, GET /stats counts requests, streams, connections and streams whose client left early,
// any other GET is a health check and gets what routers ask of a server.
#define _GNU_SOURCE
#include "fields.h"
#include "loop.h"
#include "replies.h"

enum { HEAD_LIMIT = 64 << 10, BODY_LIMIT = 256 << 20, CHUNKED = -1, DEFAULT_EVENTS = 128, READ_SIZE = 64 << 10 };

enum outcome { GONE = -1, MORE = 0, DONE = 1 };

struct connection {
    int fd;
    struct buffer in, out;
    long head_size;         // of the request being read, once its head is whole; else 0
    long body_size;         // as announced, or CHUNKED
    size_t body_end;        // chunked: where the decoded body ends in `in`
    size_t chunks_end;      // chunked: where the chunk to be decoded next begins
    int asks_to_close;      // the request being read
    int is_last;            // the reply being sent
    int events, sent;       // of the stream being sent; `events` is 0 between streams
    int wants_usage;
    long pace_us;
    int wants_room;         // epoll watches for room to write
    int slot;               // in `streams`
};

// The streams being sent, by slot: what the loop looks through on every turn, kept small and together.
struct stream {
    long due_us;
    int is_blocked;         // the client does not take what it was sent
    struct connection *connection;
};

static int epoll, listener;
static struct stream *streams;
static int stream_count, stream_room;
static unsigned long requests, streams_begun, connections, left_early;

// ---- writing

static void watch_room(struct connection *c) {
    int wants_room = held(&c->out) > 0;
    if (wants_room == c->wants_room) return;
    c->wants_room = wants_room;
    if (c->events) streams[c->slot].is_blocked = wants_room;
    watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN | (wants_room ? EPOLLOUT : 0), c);
}

// Send now what the socket takes, the rest when it has room.
static enum outcome send_bytes(struct connection *c, const char *bytes, size_t count) {
    if (held(&c->out) == 0) {
        ssize_t taken = write(c->fd, bytes, count);
        if (taken < 0 && errno != EAGAIN) return GONE;
        if (taken > 0) {
            bytes += taken;
            count -= taken;
        }
    }
    if (count > 0) append(&c->out, bytes, count);
    watch_room(c);
    return DONE;
}

static enum outcome send_text(struct connection *c, const char *text) { return send_bytes(c, text, strlen(text)); }

static enum outcome send_rest(struct connection *c) {
    while (held(&c->out) > 0) {
        ssize_t taken = write(c->fd, c->out.data + c->out.start, held(&c->out));
        if (taken < 0) {
            if (errno != EAGAIN) return GONE;
            break;
        }
        c->out.start += taken;
    }
    watch_room(c);
    return DONE;
}

static enum outcome refuse(struct connection *c, const char *status) {
    char text[256];
    sprintf(text, "HTTP/1.1 %s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", status);
    send_text(c, text);
    return GONE;
}

// ---- streams

static enum outcome begin_stream(struct connection *c) {
    if (stream_count == stream_room) {
        stream_room = stream_room ? stream_room * 2 : 64;
        streams = must(realloc(streams, stream_room * sizeof *streams));
    }
    c->slot = stream_count++;
    streams[c->slot] = (struct stream){now_us(), c->wants_room, c};
    streams_begun++;
    return send_bytes(c, STREAM_HEAD, sizeof STREAM_HEAD - 1);
}

static void end_stream(struct connection *c) {
    struct stream moved = streams[--stream_count];
    streams[c->slot] = moved;
    moved.connection->slot = c->slot;
    c->events = 0;
}

static enum outcome send_event(struct connection *c) {
    char bytes[4096];
    const struct piece *event = event_of(c->sent, c->events);
    memcpy(bytes, event->bytes, event->size);
    int size = event->size;
    if (c->pace_us > 0) streams[c->slot].due_us += c->sent == 0 ? random() % c->pace_us : c->pace_us;
    if (++c->sent >= c->events) {
        size += write_end(bytes + size, c->wants_usage, c->events);
        end_stream(c);
    }
    return send_bytes(c, bytes, size);
}

static void close_connection(struct connection *c) {
    if (c->events) {
        left_early++;
        end_stream(c);
    }
    close(c->fd);
    free(c->in.data);
    free(c->out.data);
    free(c);
}

static long next_due_us(void) {
    long due_us = -1;
    for (int i = 0; i < stream_count; i++)
        if (!streams[i].is_blocked && (due_us < 0 || streams[i].due_us < due_us)) due_us = streams[i].due_us;
    return due_us;
}

// ---- requests

static enum outcome answer_post(struct connection *c, const char *body, const char *end) {
    if (!is_true_member(body, end, "stream")) return send_text(c, completion);
    long wanted = number_member(body, end, "max_completion_tokens", DEFAULT_EVENTS);  // as some routers rename it
    wanted = number_member(body, end, "max_tokens", wanted);
    c->events = wanted < 2 ? 2 : wanted > 100000000 ? 100000000 : (int)wanted;
    c->sent = 0;
    c->pace_us = number_member(body, end, "seed", 0);
    c->wants_usage = is_true_member(find_member(body, end, "stream_options"), end, "include_usage");
    return begin_stream(c);
}

static enum outcome answer(struct connection *c, const char *head, const char *body, const char *end) {
    requests++;
    const char *target_end = memchr(head, '\r', c->head_size);
    size_t line = target_end - head;
    if (!memcmp(head, "POST ", 5))
        return memmem(head, line, "/completions ", 13) ? answer_post(c, body, end) : send_text(c, NOT_FOUND);
    if (memcmp(head, "GET ", 4)) return refuse(c, "405 Method Not Allowed");
    if (memmem(head, line, "/models ", 8)) return send_text(c, models);
    if (!memmem(head, line, " /stats ", 8)) return send_text(c, health);
    char counts[256], text[512];
    sprintf(counts, "{\"requests\":%lu,\"streams\":%lu,\"connections\":%lu,\"left_early\":%lu}", requests, streams_begun,
            connections, left_early);
    make_json(text, counts);
    return send_text(c, text);
}

// Note what the head at the start of `in` says of the body. Its end is known.
static enum outcome read_head(struct connection *c, const char *head) {
    const char *end = head + c->head_size;
    c->body_size = 0;
    for (const char *line = head, *next; line < end; line = next) {
        next = (const char *)memchr(line, '\n', end - line) + 1;
        if (line == head && !memmem(line, next - line, " HTTP/1.1\r", 10)) return refuse(c, "505 HTTP Version Not Supported");
        if (!strncasecmp(line, "content-length:", 15)) {
            c->body_size = atol(line + 15);
            if (c->body_size < 0 || c->body_size > BODY_LIMIT) return refuse(c, "413 Content Too Large");
        } else if (!strncasecmp(line, "transfer-encoding:", 18) && memmem(line, next - line, "chunked", 7)) {
            c->body_size = CHUNKED;
        } else if (!strncasecmp(line, "connection: close", 17)) {
            c->asks_to_close = 1;
        } else if (!strncasecmp(line, "expect: 100", 11) && send_text(c, "HTTP/1.1 100 Continue\r\n\r\n") == GONE) {
            return GONE;
        }
    }
    c->body_end = c->chunks_end = c->in.start + c->head_size;
    return MORE;
}

// Move the chunks that are whole together, right behind the head. DONE after the last one and the trailers.
static enum outcome join_chunks(struct connection *c) {
    char *data = c->in.data;
    for (;;) {
        char *line = data + c->chunks_end;
        char *line_end = memmem(line, c->in.end - c->chunks_end, "\r\n", 2);
        if (!line_end) return MORE;
        char *digits_end;
        long size = strtol(line, &digits_end, 16);
        if (digits_end == line || size < 0 || size > BODY_LIMIT || c->body_end > BODY_LIMIT) return refuse(c, "400 Bad Request");
        size_t begin = line_end + 2 - data;
        if (size == 0) {
            char *end = memmem(line_end, data + c->in.end - line_end, "\r\n\r\n", 4);
            if (!end) return MORE;
            c->chunks_end = end + 4 - data;
            return DONE;
        }
        if (begin + size + 2 > c->in.end) return MORE;
        memmove(data + c->body_end, data + begin, size);
        c->body_end += size;
        c->chunks_end = begin + size + 2;
    }
}

// Answer the request at the start of `in`; MORE where it has not arrived whole.
static enum outcome take_request(struct connection *c) {
    struct buffer *in = &c->in;
    char *head = in->data + in->start;
    if (!c->head_size) {
        char *end = memmem(head, held(in), "\r\n\r\n", 4);
        if (!end) return held(in) > HEAD_LIMIT ? refuse(c, "431 Request Header Fields Too Large") : MORE;
        c->head_size = end + 4 - head;
        enum outcome outcome = read_head(c, head);
        if (outcome != MORE) return outcome;
    }
    size_t next = in->start + c->head_size + c->body_size;
    if (c->body_size == CHUNKED) {
        enum outcome outcome = join_chunks(c);
        if (outcome != DONE) return outcome;
        next = c->chunks_end;
    } else {
        if (next > in->end) return MORE;
        c->body_end = next;
    }
    char *end = in->data + c->body_end, kept = *end;
    *end = 0;  // so that reading a number ends with the body; `reserve` left room for it
    enum outcome outcome = answer(c, head, head + c->head_size, end);
    *end = kept;
    drop(in, next - in->start);
    c->head_size = 0;
    c->is_last = c->asks_to_close;
    return outcome;
}

static enum outcome on_readable(struct connection *c) {
    for (;;) {
        reserve(&c->in, READ_SIZE);
        ssize_t count = read(c->fd, c->in.data + c->in.end, READ_SIZE);
        if (count == 0 || (count < 0 && errno != EAGAIN)) return GONE;
        if (count < 0) break;
        c->in.end += count;
        if (held(&c->in) > BODY_LIMIT + HEAD_LIMIT) return GONE;
        if (count < READ_SIZE) break;
    }
    return MORE;
}

// Answer every request that is whole; those behind a stream wait for its end.
static enum outcome take_requests(struct connection *c) {
    enum outcome outcome = DONE;
    while (outcome == DONE && !c->events && !c->is_last && held(&c->in) > 0) outcome = take_request(c);
    return outcome == GONE || (c->is_last && !c->events && !held(&c->out)) ? GONE : DONE;
}

// Send every event that is due. Backwards, since the last stream takes the slot of one that ends.
static void send_due_events(void) {
    long now = now_us();
    for (int i = stream_count - 1; i >= 0; i--) {
        struct connection *c = streams[i].connection;
        if (streams[i].is_blocked || streams[i].due_us > now) continue;
        if (send_event(c) == GONE || (!c->events && take_requests(c) == GONE)) close_connection(c);
    }
}

// ---- the loop

static void serve(struct connection *c, unsigned events) {
    enum outcome outcome = DONE;
    if (events & EPOLLOUT) outcome = send_rest(c);
    if (outcome != GONE && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) outcome = on_readable(c);
    if (outcome == GONE || take_requests(c) == GONE) close_connection(c);
}

static void accept_all(void) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *c = must(calloc(1, sizeof *c));
        c->fd = fd;
        connections++;
        send_at_once(fd);
        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, c);
    }
}

static void listen_on(int port) {
    int one = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    listener = must_work(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    must_work(bind(listener, (struct sockaddr *)&address, size), "bind");
    must_work(listen(listener, 4096), "listen");
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("listening %d\n", ntohs(address.sin_port));
    fflush(stdout);
}

int main(int count, char **arguments) {
    struct epoll_event ready[READY_AT_ONCE];
    set_up_process();
    make_replies();
    listen_on(count > 1 ? atoi(arguments[1]) : 0);
    epoll = must_work(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    for (;;) {
        int events_ready = wait_until(epoll, ready, next_due_us());
        for (int i = 0; i < events_ready; i++) {
            if (ready[i].data.ptr) serve(ready[i].data.ptr, ready[i].events);
            else accept_all();
        }
        send_due_events();
    }
}
