// What the mock answers: made once, sent many times.
#ifndef JEVONS_BENCH_REPLIES_H
#define JEVONS_BENCH_REPLIES_H

#include <stdio.h>
#include <string.h>

enum { PRE_MADE = 64 };

// One event of a stream, in a chunk of its own.
struct piece {
    char bytes[1024];
    int size;
};

static struct piece first_event, last_event, token_events[PRE_MADE];
static char completion[2048], models[1024], health[1024];

static const char DONE_EVENT[] = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";
static const char NOT_FOUND[] = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
static const char STREAM_HEAD[] =
    "HTTP/1.1 200 OK\r\nserver: mock\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    "transfer-encoding: chunked\r\n\r\n";

#define IDENTITY "\"id\":\"chatcmpl-8f3c2a1b9d7e4f60a1b2c3d4e5f60718\",\"created\":1760000000,\"model\":\"mock\","

static inline void make_event(struct piece *piece, const char *delta, const char *finish) {
    char event[900];
    int length = sprintf(event,
        "data: {" IDENTITY "\"object\":\"chat.completion.chunk\",\"system_fingerprint\":\"fp_mock\",\"choices\":[{\"index\":0,"
        "\"delta\":{%s},\"logprobs\":null,\"finish_reason\":%s}]}\n\n", delta, finish);
    piece->size = sprintf(piece->bytes, "%x\r\n%s\r\n", length, event);
}

static inline void make_json(char *bytes, const char *body) {
    sprintf(bytes, "HTTP/1.1 200 OK\r\nserver: mock\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
            strlen(body), body);
}

static inline void make_replies(void) {
    make_event(&first_event, "\"role\":\"assistant\",\"content\":\"\"", "null");
    make_event(&last_event, "", "\"stop\"");
    for (int i = 0; i < PRE_MADE; i++) {
        char delta[64];
        sprintf(delta, "\"content\":\" tok%02d\"", i);
        make_event(&token_events[i], delta, "null");
    }
    make_json(completion,
        "{" IDENTITY "\"object\":\"chat.completion\",\"system_fingerprint\":\"fp_mock\",\"choices\":[{\"index\":0,\"message\":{"
        "\"role\":\"assistant\",\"content\":\"The quick brown fox jumps over the lazy dog, and then it considers how much energy "
        "was spent to say so. A proxy should add almost nothing to the cost of a reply, and this fixed text stands in for a "
        "reply of ordinary length, sent as often as anybody asks for one.\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
        "\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":56,\"total_tokens\":76}}");
    make_json(models,
        "{\"object\":\"list\",\"data\":[{\"id\":\"mock\",\"object\":\"model\",\"created\":1760000000,\"owned_by\":\"mock\","
        "\"max_model_len\":8192}]}");
    make_json(health,
        "{\"status\":\"ok\",\"model_path\":\"mock\",\"served_model_name\":\"mock\",\"tokenizer_path\":\"mock\","
        "\"is_generation\":true,\"version\":\"0.5\",\"dp_size\":1,\"tp_size\":1,\"max_total_num_tokens\":100000,"
        "\"model_type\":\"llama\",\"architectures\":[\"LlamaForCausalLM\"]}");
}

// The event number `index` of `count`.
static inline const struct piece *event_of(int index, int count) {
    return index == 0 ? &first_event : index + 1 >= count ? &last_event : &token_events[index % PRE_MADE];
}

// What follows the last event: the usage where it is asked for, and the end. Returns how many bytes that is.
static inline int write_end(char *bytes, int wants_usage, int count) {
    int size = 0;
    if (wants_usage) {
        char event[600];
        int length = sprintf(event,
            "data: {" IDENTITY "\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":"
            "{\"prompt_tokens\":20,\"completion_tokens\":%d,\"total_tokens\":%d}}\n\n", count, count + 20);
        size = sprintf(bytes, "%x\r\n%s\r\n", length, event);
    }
    memcpy(bytes + size, DONE_EVENT, sizeof DONE_EVENT - 1);
    return size + (int)sizeof DONE_EVENT - 1;
}

#endif
