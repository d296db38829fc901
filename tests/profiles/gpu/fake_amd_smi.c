/* A fake libamd_smi.so: what headway asks of AMD SMI, answered from a script. It tests headway's use of the
 * binding and its ways through errors; it is no driver. Whatever else the binding binds is a stub. */
#include "fake_timeline.h"

#define EXPORT __attribute__((visibility("default")))
#define NOT_INIT 32
#define REFUSE(gpu)                             \
    do {                                        \
        int code = refusal(__func__, (int)gpu); \
        if (!opened)                            \
            return NOT_INIT;                    \
        if (code)                               \
            return code;                        \
    } while (0)

#define PID 4242
#define FIRST_BUS 0x10

typedef intptr_t device; /* the index plus one: a handle is never NULL */

static int opened;

EXPORT int amdsmi_init(uint64_t flags)
{
    (void)flags;
    int code;
    if (!opened)
        read_script();
    code = refusal(__func__, -1);
    opened = code == 0;
    return code;
}

EXPORT int amdsmi_shut_down(void)
{
    opened = 0;
    return 0;
}

/* One socket has all GPUs. */
EXPORT int amdsmi_get_socket_handles(uint32_t *count, intptr_t *sockets)
{
    REFUSE(-1);
    *count = 1;
    if (sockets)
        sockets[0] = 1;
    return 0;
}

EXPORT int amdsmi_get_processor_handles(intptr_t socket, uint32_t *count, device *gpus)
{
    REFUSE(-1);
    (void)socket;
    *count = script.gpus;
    for (int i = 0; gpus && i < script.gpus; i++)
        gpus[i] = i + 1;
    return 0;
}

EXPORT int amdsmi_get_gpu_device_bdf(device gpu, uint64_t *address)
{
    REFUSE(gpu - 1);
    *address = (uint64_t)(FIRST_BUS + gpu - 1) << 8;
    return 0;
}

EXPORT int amdsmi_get_processor_handle_from_bdf(uint64_t address, device *gpu)
{
    int index = (int)(address >> 8) - FIRST_BUS;
    REFUSE(index);
    *gpu = index + 1;
    return 0;
}

EXPORT int amdsmi_get_gpu_device_uuid(device gpu, unsigned *size, char *text)
{
    REFUSE(gpu - 1);
    snprintf(text, *size, "fake-%ld", (long)gpu - 1);
    return 0;
}

EXPORT int amdsmi_get_gpu_asic_info(device gpu, char *info)
{
    REFUSE(gpu - 1);
    strcpy(info, "AMD Fake 300");
    return 0;
}

typedef struct {
    uint32_t type;
    uint64_t value, fine[4];
    uint16_t fine_count;
} counter;

/* Percent times milliseconds, whole ones, in 32 bits, and about to come round. */
EXPORT int amdsmi_get_utilization_count(device gpu, counter *counters, uint32_t count, uint64_t *stamp)
{
    REFUSE(gpu - 1);
    *stamp = (uint64_t)now_ns();
    double busy = busy_until((int64_t)*stamp) / 1e6;
    for (uint32_t i = 0; i < count; i++)
        counters[i].value = refusal("counters", -1)
                                ? UINT32_MAX
                                : (uint32_t)(UINT32_MAX - 20000 + (uint64_t)(counters[i].type ? busy / 4 : busy));
    return 0;
}

EXPORT int amdsmi_get_gpu_activity(device gpu, uint32_t *compute_memory_media)
{
    REFUSE(gpu - 1);
    compute_memory_media[0] = 75;
    compute_memory_media[1] = 25;
    compute_memory_media[2] = 0xFFFF;
    return 0;
}

EXPORT int amdsmi_get_gpu_memory_usage(device gpu, int type, uint64_t *used)
{
    REFUSE(gpu - 1);
    *used = type == 0 ? 30 : 1;
    return 0;
}

typedef struct {
    uint64_t socket;
    uint32_t current, average;
} power;

EXPORT int amdsmi_get_power_info(device gpu, power *watts)
{
    REFUSE(gpu - 1);
    *watts = (power){.socket = 0xFFFF, .current = 0xFFFF, .average = 412};
    return 0;
}

EXPORT int amdsmi_get_energy_count(device gpu, uint64_t *count, float *unit, uint64_t *stamp)
{
    REFUSE(gpu - 1);
    *count = 1000000;
    *unit = 15.25f;
    *stamp = (uint64_t)now_ns();
    return 0;
}

typedef struct {
    char name[256];
    uint32_t pid;
} process;

EXPORT int amdsmi_get_gpu_process_list(device gpu, uint32_t *count, process *processes)
{
    REFUSE(gpu - 1);
    *count = 1;
    processes[0].pid = PID;
    return 0;
}
