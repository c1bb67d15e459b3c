/* The simulated GPUs behind nvml_sim.c: shared state, power and its exact integral, control at run time. */
#define _GNU_SOURCE
#include "nvml_gpu.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAGIC 0x4a455631u
enum { OK = 0, NO_SUCH_GPU = 2, NOT_ATTACHED = -1 };

struct machine *machine;
_Atomic uint32_t inits;
static pthread_mutex_t attach_mutex = PTHREAD_MUTEX_INITIALIZER;

/* ---- time and environment ---- */

static int64_t clock_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * SECOND_NS + t.tv_nsec;
}

static int64_t hand_or(clockid_t clock) { /* moved by hand, both clocks are one */
    int64_t hand = machine ? atomic_load(&machine->hand_ns) : 0;
    return hand ? hand : clock_ns(clock);
}

int64_t now_ns(void) { return hand_or(CLOCK_MONOTONIC); }
int64_t wall_ns(void) { return hand_or(CLOCK_REALTIME); }

double number(const char *variable, double otherwise) {
    const char *value = getenv(variable);
    return value && *value ? atof(value) : otherwise;
}

/* ---- the shared state ---- */

void lock(void) {
    if (pthread_mutex_lock(&machine->mutex) == EOWNERDEAD) pthread_mutex_consistent(&machine->mutex);
}

void unlock(void) { pthread_mutex_unlock(&machine->mutex); }

static void make_machine(unsigned gpus) {
    pthread_mutexattr_t attributes;
    memset(machine, 0, sizeof *machine);
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&machine->mutex, &attributes);
    machine->gpus = gpus > MAX_GPUS ? MAX_GPUS : gpus;
    machine->start_ns = now_ns();
    for (uint32_t i = 0; i < machine->gpus; i++) {
        struct gpu *gpu = &machine->gpu[i];
        gpu->index = i;
        gpu->segments = 1;
        gpu->ring[0].since_ns = machine->start_ns;
        gpu->ring[0].microjoules = number("NVSIM_START_MJ", 123456789) * 1e3;
        gpu->ring[0].milliwatts = number("NVSIM_IDLE_W", 50) * 1e3;
    }
    atomic_store(&machine->magic, MAGIC);
}

static int open_state(const char *path) { /* locked, since one process makes the state and the others find it made */
    struct stat status;
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) return -1;
    flock(file, LOCK_EX);
    if (!fstat(file, &status) && (status.st_size >= (off_t)sizeof *machine || !ftruncate(file, sizeof *machine)))
        return file;
    close(file);
    return -1;
}

static int map_machine(const char *path, unsigned gpus) {
    int is_shared = path && *path;
    int file = is_shared ? open_state(path) : -1;
    if (is_shared && file < 0) return NOT_ATTACHED;
    int flags = is_shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    void *map = mmap(NULL, sizeof *machine, PROT_READ | PROT_WRITE, flags, file, 0);
    if (map != MAP_FAILED) {
        machine = map;
        if (atomic_load(&machine->magic) != MAGIC) make_machine(gpus);
    }
    if (file >= 0) {
        flock(file, LOCK_UN); /* closing it would not: the map keeps the file open */
        close(file);
    }
    return map == MAP_FAILED ? NOT_ATTACHED : OK;
}

int attach_by_environment(void) {
    pthread_mutex_lock(&attach_mutex);
    int result = machine ? OK : map_machine(getenv("NVSIM_STATE"), (unsigned)number("NVSIM_GPUS", 1));
    pthread_mutex_unlock(&attach_mutex);
    return result;
}

static struct gpu *gpu_at(unsigned index) {
    return attach_by_environment() || index >= machine->gpus ? NULL : &machine->gpu[index];
}

/* ---- power and its integral; the caller holds the lock ---- */

static const struct segment *segment_at(const struct gpu *gpu, int64_t t) { /* or the oldest that is remembered */
    uint64_t oldest = gpu->segments > RING ? gpu->segments - RING : 0;
    uint64_t k = gpu->segments - 1;
    while (k > oldest && gpu->ring[k % RING].since_ns > t) k--;
    return &gpu->ring[k % RING];
}

double energy_at(const struct gpu *gpu, int64_t t) {
    const struct segment *segment = segment_at(gpu, t);
    int64_t elapsed = t > segment->since_ns ? t - segment->since_ns : 0;
    return segment->microjoules + segment->milliwatts * (double)elapsed * 1e-6;
}

double power_at(const struct gpu *gpu, int64_t t) { return segment_at(gpu, t)->milliwatts; }

double average_power_at(const struct gpu *gpu, int64_t t) {
    int64_t since = t - SECOND_NS < machine->start_ns ? machine->start_ns : t - SECOND_NS;
    if (t <= since) return power_at(gpu, t);
    return (energy_at(gpu, t) - energy_at(gpu, since)) / (double)(t - since) * 1e6;
}

static void draw(struct gpu *gpu, double milliwatts) {
    int64_t t = now_ns();
    struct segment next = {t, energy_at(gpu, t), milliwatts < 0 ? 0 : milliwatts};
    gpu->ring[gpu->segments++ % RING] = next;
}

/* ---- control at run time: 0, or NO_SUCH_GPU ---- */

API int nvsim_attach(const char *path, unsigned gpus) { /* instead of NVSIM_STATE and NVSIM_GPUS */
    pthread_mutex_lock(&attach_mutex);
    int result = machine ? NOT_ATTACHED : map_machine(path, gpus);
    pthread_mutex_unlock(&attach_mutex);
    return result;
}

API void nvsim_detach(void) { /* as if nothing had been called yet; handles are void, and no query may be under way */
    pthread_mutex_lock(&attach_mutex);
    if (machine) munmap(machine, sizeof *machine);
    machine = NULL;
    inits = 0;
    pthread_mutex_unlock(&attach_mutex);
}

API int nvsim_set_power(unsigned index, double milliwatts) {
    struct gpu *gpu = gpu_at(index);
    if (!gpu) return NO_SUCH_GPU;
    lock();
    draw(gpu, milliwatts);
    unlock();
    return OK;
}

API int nvsim_add_power(unsigned index, double milliwatts) {
    struct gpu *gpu = gpu_at(index);
    if (!gpu) return NO_SUCH_GPU;
    lock();
    draw(gpu, gpu->ring[(gpu->segments - 1) % RING].milliwatts + milliwatts);
    unlock();
    return OK;
}

API int nvsim_set_fault(unsigned index, unsigned bits) {
    struct gpu *gpu = gpu_at(index);
    if (!gpu) return NO_SUCH_GPU;
    if ((bits & FAULT_FROZEN) && !(gpu->faults & FAULT_FROZEN)) gpu->frozen_ns = now_ns();
    atomic_store(&gpu->faults, bits);
    return OK;
}

API int nvsim_reset(unsigned index) { /* the counter starts again from 0; the truth goes on */
    struct gpu *gpu = gpu_at(index);
    if (!gpu) return NO_SUCH_GPU;
    lock();
    gpu->origin_microjoules = energy_at(gpu, now_ns());
    unlock();
    return OK;
}

API int nvsim_set_procs(unsigned index, unsigned count, const unsigned *pids, const unsigned long long *bytes) {
    struct gpu *gpu = gpu_at(index);
    if (!gpu || count > MAX_PROCESSES) return NO_SUCH_GPU;
    lock();
    gpu->processes = count;
    for (unsigned k = 0; k < count; k++) {
        gpu->process[k].pid = pids[k];
        gpu->process[k].slice = NO_SLICE;
        gpu->process[k].bytes = bytes[k];
    }
    unlock();
    return OK;
}

API int nvsim_set_slices(unsigned index, unsigned count) { /* the board is split into so many; 0 makes it whole */
    struct gpu *gpu = gpu_at(index);
    if (!gpu || count > MAX_SLICES) return NO_SUCH_GPU;
    lock();
    for (uint32_t k = 0; k < count; k++) gpu->slice[k] = (struct slice){index, k};
    gpu->slices = count;
    unlock();
    return OK;
}

API int nvsim_place_proc(unsigned index, unsigned pid, unsigned slice) { /* the process computes on this slice */
    struct gpu *gpu = gpu_at(index);
    if (!gpu || slice >= gpu->slices) return NO_SUCH_GPU;
    lock();
    for (uint32_t k = 0; k < gpu->processes; k++)
        if (gpu->process[k].pid == pid) gpu->process[k].slice = slice;
    unlock();
    return OK;
}

API double nvsim_true_uj(unsigned index, int64_t t) { /* the exact integral up to t (0: now); -1 without such a GPU */
    struct gpu *gpu = gpu_at(index);
    if (!gpu) return -1;
    lock();
    double microjoules = energy_at(gpu, t ? t : now_ns());
    unlock();
    return microjoules;
}

API int64_t nvsim_now_ns(void) { return attach_by_environment() ? 0 : now_ns(); }

API int64_t nvsim_advance(int64_t ns) { /* from the first call on, the time stands still but for this */
    if (attach_by_environment()) return 0;
    lock();
    int64_t t = now_ns() + ns;
    atomic_store(&machine->hand_ns, t);
    unlock();
    return t;
}

API unsigned nvsim_hung(void) { return attach_by_environment() ? 0 : atomic_load(&machine->hung); }
