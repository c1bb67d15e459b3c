/* The simulated GPUs behind nvml_sim.c: a machine of them in one mapped file, which many processes may share. */
#ifndef JEVONS_NVML_GPU_H
#define JEVONS_NVML_GPU_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#define API __attribute__((visibility("default"))) /* the rest is built with -fvisibility=hidden */
#define MAX_GPUS 16
#define MAX_PROCESSES 32
#define MAX_SLICES 7 /* of a split board */
#define NO_SLICE UINT32_MAX
#define RING 4096 /* power changes that are remembered per GPU */
#define SECOND_NS 1000000000LL

enum { /* the same bits as Fault in nvml.py */
    FAULT_LOST = 1,            /* every query answers that the GPU is lost */
    FAULT_NO_ENERGY = 2,       /* no energy counter, as before Volta */
    FAULT_NO_INSTANT = 4,      /* no field 186 */
    FAULT_NO_PROCESSES = 8,    /* no list of processes */
    FAULT_UNKNOWN = 16,        /* every query ends in an unknown error */
    FAULT_FROZEN = 32,         /* readings stay as they were */
    FAULT_HANG = 64,           /* queries do not return until the bit is cleared */
    FAULT_NO_AVERAGE = 128,    /* no field 185 */
    FAULT_NO_POWER = 256,      /* no power reading of any kind */
    FAULT_NO_FIELDS = 512,     /* no nvmlDeviceGetFieldValues */
    FAULT_NO_TIMESTAMP = 1024, /* fields are stamped 0 */
    FAULT_BAD_ENERGY = 2048,   /* the energy counter ends in an unknown error, the rest works */
    FAULT_MIG = 4096,          /* the board is split, also before it has slices */
    FAULT_MODULE = 8192,       /* a superchip: power and energy are the module's, and of the GPU alone there is none */
};

struct segment { /* from since_ns on, the energy is microjoules + milliwatts x time */
    int64_t since_ns;
    double microjoules, milliwatts;
};

struct slice { /* its address is the handle of a MIG device, as that of a gpu is the board's */
    uint32_t gpu, number;
};

struct gpu {
    uint32_t index;
    _Atomic uint32_t faults;
    int64_t frozen_ns; /* when FAULT_FROZEN was set */
    uint64_t segments; /* ever written; the last RING of them are kept */
    struct segment ring[RING];
    double origin_microjoules; /* what the counter leaves out since a reset */
    uint32_t slices;
    struct slice slice[MAX_SLICES];
    uint32_t processes;
    struct {
        uint32_t pid;
        uint32_t slice; /* or NO_SLICE */
        uint64_t bytes;
    } process[MAX_PROCESSES];
};

struct machine {
    _Atomic uint32_t magic;
    uint32_t gpus;
    int64_t start_ns;
    _Atomic int64_t hand_ns; /* the time, where it is moved by hand */
    _Atomic uint32_t hung;   /* queries that hang right now */
    pthread_mutex_t mutex;
    struct gpu gpu[MAX_GPUS];
};

extern struct machine *machine; /* NULL until something attaches */
extern _Atomic uint32_t inits;  /* nvmlInit less nvmlShutdown, in this process */

int attach_by_environment(void); /* 0 once there is a machine */
double number(const char *variable, double otherwise);
int64_t now_ns(void);  /* as CLOCK_MONOTONIC, unless moved by hand */
int64_t wall_ns(void); /* as CLOCK_REALTIME, unless moved by hand */

void lock(void); /* around the three that follow */
void unlock(void);
double energy_at(const struct gpu *gpu, int64_t t);        /* microjoules, the exact integral */
double power_at(const struct gpu *gpu, int64_t t);         /* milliwatts */
double average_power_at(const struct gpu *gpu, int64_t t); /* milliwatts over the second before t */

int nvsim_reset(unsigned index);

#endif
