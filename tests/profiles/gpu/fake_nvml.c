/* A fake libnvidia-ml.so.1: what headway asks of NVML, answered from a script. It tests headway's use of the
 * binding and its ways through errors; it is no driver. */
#include "fake_timeline.h"

#define EXPORT __attribute__((visibility("default")))
#define REFUSE(gpu)                             \
    do {                                        \
        int code = refusal(__func__, (int)gpu); \
        if (code)                               \
            return code;                        \
    } while (0)

#define NOT_FOUND 6
#define INSUFFICIENT_SIZE 7
#define HISTORY_NS (SECOND / 20) /* the driver takes a sample of its own this often */
#define PID 4242

typedef intptr_t device; /* the index plus one: a handle is never NULL */

EXPORT int nvmlInitWithFlags(unsigned flags)
{
    (void)flags;
    read_script();
    return refusal(__func__, -1);
}

EXPORT int nvmlShutdown(void) { return 0; }

EXPORT const char *nvmlErrorString(int code)
{
    (void)code;
    return "an error that the binding has no words for";
}

EXPORT int nvmlDeviceGetCount_v2(unsigned *count)
{
    *count = script.gpus;
    return refusal(__func__, -1);
}

EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, device *handle)
{
    REFUSE(index);
    *handle = index + 1;
    return 0;
}

EXPORT int nvmlDeviceGetUUID(device gpu, char *text, unsigned size)
{
    REFUSE(gpu - 1);
    snprintf(text, size, "GPU-fake-%ld", (long)gpu - 1);
    return 0;
}

EXPORT int nvmlDeviceGetName(device gpu, char *text, unsigned size)
{
    REFUSE(gpu - 1);
    snprintf(text, size, "NVIDIA Fake 100");
    return 0;
}

EXPORT int nvmlDeviceGetMemoryInfo(device gpu, uint64_t *total_free_used)
{
    REFUSE(gpu - 1);
    memcpy(total_free_used, (uint64_t[]){80, 50, 30}, 3 * sizeof(uint64_t));
    return 0;
}

EXPORT int nvmlDeviceGetPowerUsage(device gpu, unsigned *milliwatts)
{
    REFUSE(gpu - 1);
    *milliwatts = 412500;
    return 0;
}

EXPORT int nvmlDeviceGetTotalEnergyConsumption(device gpu, unsigned long long *millijoules)
{
    REFUSE(gpu - 1);
    *millijoules = 7250;
    return 0;
}

typedef struct {
    unsigned pid;
    unsigned long long memory;
    unsigned gpu_instance, compute_instance;
} process;

EXPORT int nvmlDeviceGetComputeRunningProcesses_v3(device gpu, unsigned *count, process *processes)
{
    REFUSE(gpu - 1);
    unsigned room = *count;
    *count = 1;
    if (room < 1)
        return INSUFFICIENT_SIZE;
    processes[0] = (process){.pid = PID};
    return 0;
}

/* GPM: a sample holds how busy the GPU has been in all, and when that was. */
typedef struct {
    double busy;
    int64_t t;
} gpm_sample;

typedef struct {
    unsigned id;
    int code;
    double value;
    const char *texts[3];
} gpm_metric;

typedef struct {
    unsigned version, count;
    gpm_sample *before, *after;
    gpm_metric metrics[];
} gpm_question;

EXPORT int nvmlGpmQueryDeviceSupport(device gpu, unsigned *version_and_support)
{
    REFUSE(gpu - 1);
    version_and_support[1] = refusal("gpm", -1) == 0;
    return 0;
}

EXPORT int nvmlGpmSampleAlloc(gpm_sample **sample)
{
    *sample = calloc(1, sizeof **sample);
    return 0;
}

EXPORT int nvmlGpmSampleFree(gpm_sample *sample)
{
    free(sample);
    return 0;
}

EXPORT int nvmlGpmSampleGet(device gpu, gpm_sample *sample)
{
    REFUSE(gpu - 1);
    sample->t = now_ns();
    sample->busy = busy_until(sample->t);
    return 0;
}

EXPORT int nvmlGpmMetricsGet(gpm_question *question)
{
    double span = (double)(question->after->t - question->before->t);
    double percent = (question->after->busy - question->before->busy) / span;
    for (unsigned i = 0; i < question->count; i++) {
        gpm_metric *metric = &question->metrics[i];
        metric->code = metric->id == 2 ? refusal("sm", -1) : refusal("dram", -1);
        metric->value = metric->id == 2 ? percent : metric->id == 10 ? percent / 2 : -1;
    }
    return 0;
}

typedef struct {
    unsigned long long stamp_us;
    union {
        double real;
        unsigned count;
    } value;
} history_sample;

/* The driver's history: 100 samples at multiples of HISTORY_NS, stamped by the wall clock. */
EXPORT int nvmlDeviceGetSamples(device gpu, int type, unsigned long long since_us, int *value_type,
                                unsigned *count, history_sample *samples)
{
    REFUSE(gpu - 1);
    (void)type;
    int64_t ahead = clock_ns(CLOCK_REALTIME) - now_ns();
    int64_t newest = now_ns() / HISTORY_NS;
    unsigned room = samples ? *count : 100, found = 0;
    *value_type = 1;
    for (int64_t i = newest - 99; i <= newest && found < room; i++) {
        int64_t t = i * HISTORY_NS;
        unsigned long long stamp_us = (unsigned long long)((t + ahead + 500) / 1000);
        if (stamp_us <= since_us + 1000) /* the two clocks are read one after the other */
            continue;
        if (samples) {
            samples[found].stamp_us = stamp_us;
            samples[found].value.count =
                (unsigned)((busy_until(t) - busy_until(t - HISTORY_NS)) / HISTORY_NS + 0.5);
        }
        found++;
    }
    *count = found;
    return found ? 0 : NOT_FOUND;
}

EXPORT int nvmlDeviceGetUtilizationRates(device gpu, unsigned *gpu_and_memory)
{
    REFUSE(gpu - 1);
    int64_t t = now_ns();
    gpu_and_memory[0] = (unsigned)((busy_until(t) - busy_until(t - HISTORY_NS)) / HISTORY_NS + 0.5);
    gpu_and_memory[1] = 1;
    return 0;
}
