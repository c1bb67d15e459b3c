// Durations in microseconds, kept one by one and told as percentiles.
#ifndef JEVONS_BENCH_SERIES_H
#define JEVONS_BENCH_SERIES_H

#include "loop.h"

struct series {
    float *values;
    size_t count, size;
};

static inline void add(struct series *series, long microseconds) {
    if (series->count == series->size) {
        series->size = series->size ? series->size * 2 : 65536;
        series->values = must(realloc(series->values, series->size * sizeof *series->values));
    }
    series->values[series->count++] = (float)microseconds;
}

static inline int compare(const void *left, const void *right) {
    float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

static inline void print_series(const char *name, struct series *series) {
    size_t count = series->count;
    if (count == 0) {
        printf(",\"%s\":null", name);
        return;
    }
    qsort(series->values, count, sizeof *series->values, compare);
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += series->values[i];
    printf(",\"%s\":{\"count\":%zu,\"mean\":%.1f", name, count, sum / count);
    const struct { const char *name; double share; } wanted[] = {{"p50", .5}, {"p90", .9}, {"p99", .99}, {"max", 1}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        printf(",\"%s\":%.0f", wanted[i].name, series->values[(size_t)(wanted[i].share * (count - 1))]);
    printf("}");
}

#endif
