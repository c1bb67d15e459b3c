// The few fields of a JSON body that choose the mock's reply, found without parsing the rest of it.
#ifndef JEVONS_BENCH_FIELDS_H
#define JEVONS_BENCH_FIELDS_H

#include <stdlib.h>
#include <string.h>

static inline const char *skip_blanks(const char *at, const char *end) {
    while (at < end && strchr(" \t\r\n,:", *at) && *at) at++;
    return at;
}

static inline const char *skip_string(const char *at, const char *end) {
    for (at++; at < end && *at != '"'; at++)
        if (*at == '\\') at++;
    return at < end ? at + 1 : end;
}

static inline const char *skip_value(const char *at, const char *end) {
    int depth = 0;
    while (at < end) {
        if (*at == '"') {
            at = skip_string(at, end);
        } else {
            if (depth == 0 && (*at == ',' || *at == '}' || *at == ']')) break;
            depth += *at == '{' || *at == '[' ? 1 : *at == '}' || *at == ']' ? -1 : 0;
            at++;
        }
    }
    return at;
}

// Where the value of a member of the JSON object at `at` begins, or NULL. A prompt that quotes a request changes nothing.
static inline const char *find_member(const char *at, const char *end, const char *name) {
    size_t length = strlen(name);
    at = skip_blanks(at, end);
    if (at >= end || *at != '{') return NULL;
    at++;
    for (;;) {
        at = skip_blanks(at, end);
        if (at >= end || *at != '"') return NULL;
        const char *key = at + 1;
        at = skip_string(at, end);
        int is_it = (size_t)(at - key) == length + 1 && memcmp(key, name, length) == 0;
        at = skip_blanks(at, end);
        if (is_it) return at < end ? at : NULL;
        at = skip_value(at, end);
    }
}

static inline long number_member(const char *body, const char *end, const char *name, long otherwise) {
    const char *value = find_member(body, end, name);
    return value && *value >= '0' && *value <= '9' ? atol(value) : otherwise;  // a zero follows the body
}

static inline int is_true_member(const char *body, const char *end, const char *name) {
    const char *value = body ? find_member(body, end, name) : NULL;
    return value && end - value >= 4 && memcmp(value, "true", 4) == 0;
}

#endif
