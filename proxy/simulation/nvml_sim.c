/* A simulated libnvidia-ml.so.1: NVIDIA GPUs at the level of the driver's ABI, for tests on machines that have none.
 *
 *   cc -std=gnu11 -O2 -shared -fPIC -fvisibility=hidden -Wl,-soname,libnvidia-ml.so.1 -o libnvidia-ml.so.1 \
 *      nvml_sim.c nvml_gpu.c -lpthread
 *
 * Each GPU draws a piecewise constant power. Its energy counter is the exact integral of that power, seen as a real one
 * is: in steps, with a lag, from some origin. The state is one mapped file, shared by every process that names it: one
 * (the model server, or a test) moves the power, another (the proxy) meters it through NVML. Only what jevons asks is
 * here; the rest is "Function Not Found", as with an old driver.
 *
 * Environment, read when the state is made:
 *   NVSIM_STATE         path of the state file; unset, the state is private to the process
 *   NVSIM_GPUS          number of GPUs (1, at most 16)
 *   NVSIM_IDLE_W        power at the start (50)
 *   NVSIM_START_MJ      the counter's first value (123456789)
 * read by each process at its first nvmlInit:
 *   NVSIM_STEP_MS       how often the energy counter moves (20; 0 is always)
 *   NVSIM_LAG_MS        how far the counter trails the power it integrates (0)
 *   NVSIM_POWER_STEP_MS how often the power reading moves (100; 0 is always)
 *   NVSIM_NOISE_W       uniform noise on power readings (0)
 *   NVSIM_LIMIT_W       power limit (700)
 *   NVSIM_NAME          device name (NVIDIA H200); " (simulated)" is always put behind it
 *   NVSIM_LATENCY_US    how long each query, and each field of one, blocks (0)
 *   NVSIM_NO_ENERGY, NVSIM_NO_INSTANT, NVSIM_NO_PROCS  indices ("0,2") or "all" that answer "not supported"
 *   NVSIM_LOST          "index:seconds,...": the GPU is lost that long after nvmlInit
 *   NVSIM_RESET         "index:seconds,...": the counter starts again from 0 then
 * and at every nvmlInit:
 *   NVSIM_INIT_ERR      what it answers (9 driver not loaded, 18 version mismatch)
 * The nvsim_ functions of nvml_gpu.c change things at run time; nvml.py gives them names and units.
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nvml_gpu.h"

typedef int Result; /* nvmlReturn_t */
enum {
    SUCCESS = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    GPU_IS_LOST = 15,
    UNKNOWN = 999,
};

static struct { /* one process's view, from its environment */
    double step_ms, lag_ms, power_step_ms, noise_w, limit_w;
    long latency_us;
    char name[96];
    uint32_t faults[MAX_GPUS];
    double lost_at[MAX_GPUS], reset_at[MAX_GPUS]; /* seconds after nvmlInit */
    atomic_flag is_reset[MAX_GPUS];
    int64_t init_ns;
} settings;
static pthread_mutex_t init_mutex = PTHREAD_MUTEX_INITIALIZER;

/* ---- start and end ---- */

static void read_faults(const char *variable, uint32_t bit) { /* "all" or "i,j,..." */
    char text[256], *rest;
    snprintf(text, sizeof text, "%s", getenv(variable) ? getenv(variable) : "");
    for (char *item = strtok_r(text, ",", &rest); item; item = strtok_r(NULL, ",", &rest))
        for (int i = 0; i < MAX_GPUS; i++)
            if (!strcmp(item, "all") || i == atoi(item)) settings.faults[i] |= bit;
}

static void read_times(const char *variable, double seconds_of[MAX_GPUS]) { /* "i:seconds,j:seconds,..." */
    char text[256], *rest;
    for (int i = 0; i < MAX_GPUS; i++) seconds_of[i] = INFINITY;
    snprintf(text, sizeof text, "%s", getenv(variable) ? getenv(variable) : "");
    for (char *item = strtok_r(text, ",", &rest); item; item = strtok_r(NULL, ",", &rest)) {
        int i;
        double seconds;
        if (sscanf(item, "%d:%lf", &i, &seconds) == 2 && i >= 0 && i < MAX_GPUS) seconds_of[i] = seconds;
    }
}

static void read_settings(void) {
    const char *name = getenv("NVSIM_NAME");
    memset(&settings, 0, sizeof settings);
    settings.step_ms = number("NVSIM_STEP_MS", 20);
    settings.lag_ms = number("NVSIM_LAG_MS", 0);
    settings.power_step_ms = number("NVSIM_POWER_STEP_MS", 100);
    settings.noise_w = number("NVSIM_NOISE_W", 0);
    settings.limit_w = number("NVSIM_LIMIT_W", 700);
    settings.latency_us = (long)number("NVSIM_LATENCY_US", 0);
    snprintf(settings.name, sizeof settings.name, "%.80s (simulated)", name && *name ? name : "NVIDIA H200");
    read_faults("NVSIM_NO_ENERGY", FAULT_NO_ENERGY);
    read_faults("NVSIM_NO_INSTANT", FAULT_NO_INSTANT);
    read_faults("NVSIM_NO_PROCS", FAULT_NO_PROCESSES);
    read_times("NVSIM_LOST", settings.lost_at);
    read_times("NVSIM_RESET", settings.reset_at);
    settings.init_ns = now_ns();
}

API Result nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    Result result = (Result)number("NVSIM_INIT_ERR", 0);
    if (result) return result;
    pthread_mutex_lock(&init_mutex);
    if (attach_by_environment()) result = UNKNOWN;
    else if (inits++ == 0) read_settings();
    pthread_mutex_unlock(&init_mutex);
    return result;
}

API Result nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
API Result nvmlInit(void) { return nvmlInitWithFlags(0); }

API Result nvmlShutdown(void) {
    pthread_mutex_lock(&init_mutex);
    Result result = inits ? SUCCESS : UNINITIALIZED;
    if (inits) inits--;
    pthread_mutex_unlock(&init_mutex);
    return result;
}

API const char *nvmlErrorString(Result result) {
    switch (result) {
    case SUCCESS: return "Success";
    case UNINITIALIZED: return "Uninitialized";
    case INVALID_ARGUMENT: return "Invalid Argument";
    case NOT_SUPPORTED: return "Not Supported";
    case NOT_FOUND: return "Not Found";
    case INSUFFICIENT_SIZE: return "Insufficient Size";
    case 9: return "Driver Not Loaded";
    case GPU_IS_LOST: return "GPU is lost";
    case 18: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}

/* ---- what every query passes first ---- */

static uint32_t faults_of(const struct gpu *gpu) { return settings.faults[gpu->index] | gpu->faults; }

static void hang(const struct gpu *gpu) {
    atomic_fetch_add(&machine->hung, 1);
    while (faults_of(gpu) & FAULT_HANG) usleep(1000);
    atomic_fetch_sub(&machine->hung, 1);
}

static struct gpu *board_at(const void *handle) { /* NULL where it is not a board's */
    for (uint32_t i = 0; i < machine->gpus; i++)
        if (handle == &machine->gpu[i]) return &machine->gpu[i];
    return NULL;
}

static const struct slice *slice_at(const void *handle) { /* NULL where it is not a slice's */
    for (uint32_t i = 0; i < machine->gpus; i++)
        for (uint32_t k = 0; k < machine->gpu[i].slices; k++)
            if (handle == &machine->gpu[i].slice[k]) return &machine->gpu[i].slice[k];
    return NULL;
}

static Result check(const struct gpu *gpu, uint32_t unsupported) { /* any of these faults makes it "not supported" */
    if (!inits) return UNINITIALIZED;
    if (!board_at(gpu)) return INVALID_ARGUMENT; /* a slice has neither energy nor power */
    if (settings.latency_us) usleep((useconds_t)settings.latency_us);
    if (faults_of(gpu) & FAULT_HANG) hang(gpu);
    uint32_t faults = faults_of(gpu), i = gpu->index;
    double uptime = (double)(now_ns() - settings.init_ns) * 1e-9;
    if ((faults & FAULT_LOST) || uptime >= settings.lost_at[i]) return GPU_IS_LOST;
    if (faults & FAULT_UNKNOWN) return UNKNOWN;
    if (uptime >= settings.reset_at[i] && !atomic_flag_test_and_set(&settings.is_reset[i])) nvsim_reset(i);
    return faults & unsupported ? NOT_SUPPORTED : SUCCESS;
}

#define CHECK(gpu, unsupported)                    \
    do {                                           \
        Result checked_ = check(gpu, unsupported); \
        if (checked_ != SUCCESS) return checked_;  \
    } while (0)

static Result give(char *buffer, unsigned size, const char *text) {
    if (strlen(text) >= size) return INSUFFICIENT_SIZE;
    strcpy(buffer, text);
    return SUCCESS;
}

/* ---- the system and its devices ---- */

static void write_uuid(uint32_t index, char uuid[64]) { snprintf(uuid, 64, "GPU-5e5e5e5e-0000-4000-8000-%012x", index); }

static void write_slice_uuid(const struct slice *slice, char uuid[64]) {
    snprintf(uuid, 64, "MIG-5e5e5e5e-%04x-5000-8000-%012x", slice->number, slice->gpu);
}

API Result nvmlSystemGetDriverVersion(char *buffer, unsigned size) {
    return inits ? give(buffer, size, "580.159.03") : UNINITIALIZED;
}

API Result nvmlSystemGetNVMLVersion(char *buffer, unsigned size) { return give(buffer, size, "13.580.159.03"); }

API Result nvmlDeviceGetCount_v2(unsigned *count) {
    if (!inits) return UNINITIALIZED;
    *count = machine->gpus;
    return SUCCESS;
}

API Result nvmlDeviceGetHandleByIndex_v2(unsigned index, struct gpu **handle) {
    if (!inits) return UNINITIALIZED;
    if (index >= machine->gpus) return INVALID_ARGUMENT;
    *handle = &machine->gpu[index];
    return check(*handle, 0);
}

API Result nvmlDeviceGetHandleByUUID(const char *uuid, struct gpu **handle) {
    if (!inits) return UNINITIALIZED;
    for (uint32_t i = 0; i < machine->gpus; i++) {
        char known[64];
        write_uuid(i, known);
        if (!strcmp(known, uuid)) return nvmlDeviceGetHandleByIndex_v2(i, handle);
        for (uint32_t k = 0; k < machine->gpu[i].slices; k++) {
            write_slice_uuid(&machine->gpu[i].slice[k], known);
            *handle = (struct gpu *)&machine->gpu[i].slice[k];
            if (!strcmp(known, uuid)) return check(&machine->gpu[i], 0);
        }
    }
    return NOT_FOUND;
}

API Result nvmlDeviceGetIndex(struct gpu *gpu, unsigned *index) {
    CHECK(gpu, 0);
    *index = gpu->index;
    return SUCCESS;
}

API Result nvmlDeviceGetUUID(struct gpu *gpu, char *buffer, unsigned size) {
    char uuid[64];
    const struct slice *slice = inits ? slice_at(gpu) : NULL;
    CHECK(slice ? &machine->gpu[slice->gpu] : gpu, 0);
    if (slice) write_slice_uuid(slice, uuid);
    else write_uuid(gpu->index, uuid);
    return give(buffer, size, uuid);
}

API Result nvmlDeviceGetName(struct gpu *gpu, char *buffer, unsigned size) {
    CHECK(gpu, 0);
    return give(buffer, size, settings.name);
}

static unsigned is_split(const struct gpu *gpu) { return gpu->slices || faults_of(gpu) & FAULT_MIG ? 1 : 0; }

API Result nvmlDeviceGetMigMode(struct gpu *gpu, unsigned *current, unsigned *pending) {
    CHECK(gpu, 0);
    *current = *pending = is_split(gpu);
    return SUCCESS;
}

API Result nvmlDeviceGetMaxMigDeviceCount(struct gpu *gpu, unsigned *count) { /* how many there can be */
    CHECK(gpu, 0);
    *count = is_split(gpu) ? MAX_SLICES : 0;
    return SUCCESS;
}

API Result nvmlDeviceGetMigDeviceHandleByIndex(struct gpu *gpu, unsigned index, struct slice **handle) {
    CHECK(gpu, 0);
    if (index >= gpu->slices) return index < MAX_SLICES ? NOT_FOUND : INVALID_ARGUMENT;
    *handle = &gpu->slice[index];
    return SUCCESS;
}

API Result nvmlDeviceGetDeviceHandleFromMigDeviceHandle(const void *handle, struct gpu **board) {
    const struct slice *slice = inits ? slice_at(handle) : NULL;
    if (!slice) return inits ? INVALID_ARGUMENT : UNINITIALIZED;
    *board = &machine->gpu[slice->gpu];
    return check(*board, 0);
}

/* ---- energy and power ---- */

static int64_t last_update_ns(const struct gpu *gpu, double period_ms) { /* each GPU has its own phase */
    int64_t t = faults_of(gpu) & FAULT_FROZEN ? gpu->frozen_ns : now_ns();
    int64_t period = (int64_t)(period_ms * 1e6);
    if (period <= 0) return t;
    return t - (t - machine->start_ns + (int64_t)(gpu->index * 0.37 * (double)period)) % period;
}

static unsigned power_milliwatts(const struct gpu *gpu, int is_average) {
    lock();
    int64_t t = last_update_ns(gpu, settings.power_step_ms);
    double milliwatts = is_average ? average_power_at(gpu, t) : power_at(gpu, t);
    unlock();
    if (settings.noise_w > 0) milliwatts += (2.0 * rand() / RAND_MAX - 1) * settings.noise_w * 1e3;
    return milliwatts < 0 ? 0 : (unsigned)(milliwatts + 0.5);
}

API Result nvmlDeviceGetTotalEnergyConsumption(struct gpu *gpu, unsigned long long *millijoules) {
    CHECK(gpu, FAULT_NO_ENERGY);
    if (faults_of(gpu) & FAULT_BAD_ENERGY) return UNKNOWN;
    lock();
    int64_t t = last_update_ns(gpu, settings.step_ms) - (int64_t)(settings.lag_ms * 1e6);
    double microjoules = energy_at(gpu, t) - gpu->origin_microjoules;
    unlock();
    *millijoules = microjoules < 0 ? 0 : (unsigned long long)(microjoules * 1e-3);
    return SUCCESS;
}

API Result nvmlDeviceGetPowerUsage(struct gpu *gpu, unsigned *milliwatts) { /* an average, as on Ampere and later */
    CHECK(gpu, FAULT_NO_POWER | FAULT_MODULE);
    *milliwatts = power_milliwatts(gpu, 1);
    return SUCCESS;
}

API Result nvmlDeviceGetEnforcedPowerLimit(struct gpu *gpu, unsigned *milliwatts) {
    CHECK(gpu, 0);
    *milliwatts = (unsigned)(settings.limit_w * 1e3);
    return SUCCESS;
}

enum { TYPE_UNSIGNED_INT = 1, TYPE_UNSIGNED_LONG_LONG = 3 };
enum { FIELD_ENERGY = 83, FIELD_POWER_AVERAGE = 185, FIELD_POWER_INSTANT = 186 };
enum { SCOPE_GPU = 0, SCOPE_MODULE = 1 };
struct field {             /* nvmlFieldValue_t */
    uint32_t id, scope;
    int64_t timestamp_us, latency_us;
    int32_t type, result;
    union {
        double d;
        uint32_t ui;
        unsigned long long ull;
    } value;
};

static Result read_power_field(struct gpu *gpu, struct field *field, uint32_t unsupported) {
    CHECK(gpu, unsupported | FAULT_NO_POWER);
    if (field->scope != (faults_of(gpu) & FAULT_MODULE ? SCOPE_MODULE : SCOPE_GPU)) return NOT_SUPPORTED;
    field->type = TYPE_UNSIGNED_INT;
    field->value.ui = power_milliwatts(gpu, field->id == FIELD_POWER_AVERAGE);
    return SUCCESS;
}

static Result read_field(struct gpu *gpu, struct field *field) {
    switch (field->id) {
    case FIELD_ENERGY:
        field->type = TYPE_UNSIGNED_LONG_LONG;
        return nvmlDeviceGetTotalEnergyConsumption(gpu, &field->value.ull);
    case FIELD_POWER_INSTANT: return read_power_field(gpu, field, FAULT_NO_INSTANT);
    case FIELD_POWER_AVERAGE: return read_power_field(gpu, field, FAULT_NO_AVERAGE);
    default: return NOT_SUPPORTED;
    }
}

API Result nvmlDeviceGetFieldValues(struct gpu *gpu, int count, struct field *fields) {
    CHECK(gpu, FAULT_NO_FIELDS);
    for (int i = 0; i < count; i++) {
        fields[i].timestamp_us = faults_of(gpu) & FAULT_NO_TIMESTAMP ? 0 : wall_ns() / 1000;
        fields[i].latency_us = 0;
        fields[i].result = read_field(gpu, &fields[i]);
    }
    return SUCCESS;
}

/* ---- who computes on it ---- */

struct process { /* nvmlProcessInfo_t */
    uint32_t pid;
    unsigned long long bytes;
    uint32_t gpu_instance, compute_instance;
};

API Result nvmlDeviceGetComputeRunningProcesses_v3(struct gpu *handle, unsigned *count, struct process *processes) {
    const struct slice *slice = inits ? slice_at(handle) : NULL;
    struct gpu *gpu = slice ? &machine->gpu[slice->gpu] : handle;
    uint32_t found = 0, room = processes ? *count : 0;
    CHECK(gpu, slice ? 0 : FAULT_NO_PROCESSES); /* a split board may list its slices only */
    lock();
    for (uint32_t i = 0; i < gpu->processes; i++) {
        if (slice && gpu->process[i].slice != slice->number) continue;
        uint32_t instance = gpu->process[i].slice;
        if (found < room) processes[found] = (struct process){gpu->process[i].pid, gpu->process[i].bytes, instance, instance};
        found++;
    }
    unlock();
    *count = found;
    return found <= room ? SUCCESS : INSUFFICIENT_SIZE;
}
