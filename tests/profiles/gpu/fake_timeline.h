/* The script that a fake driver plays, from the file that HEADWAY_FAKE_DRIVER names, a command a line:
 *
 *   phase SECONDS PERCENT   the GPUs are so busy for so long; idle before the first and after the last
 *   gpus N                  how many there are (1)
 *   answer FUNCTION CODE    what a function returns instead of its figure
 *   lose GPU CALLS CODE     what every call about a GPU returns after its first so many calls
 *
 * The timeline begins at the time of CLOCK_MONOTONIC, in ns, that the file of that name and .origin has.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX 32
#define SECOND 1000000000LL

static struct {
    int64_t origin;
    int gpus, phases, answers, lost_gpu, lost_after, lost_code;
    double seconds[MAX], percent[MAX];
    char function[MAX][64];
    int code[MAX];
} script = {.gpus = 1, .lost_gpu = -1};

static int calls[MAX];

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * SECOND + now.tv_nsec;
}

static int64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

static void read_script(void)
{
    const char *path = getenv("HEADWAY_FAKE_DRIVER");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[256];
    while (file && fgets(line, sizeof line, file)) {
        sscanf(line, "gpus %d", &script.gpus);
        sscanf(line, "lose %d %d %d", &script.lost_gpu, &script.lost_after, &script.lost_code);
        script.phases += sscanf(line, "phase %lf %lf", &script.seconds[script.phases],
                                &script.percent[script.phases]) == 2;
        script.answers += sscanf(line, "answer %63s %d", script.function[script.answers],
                                 &script.code[script.answers]) == 2;
    }
    if (file)
        fclose(file);
}

static void read_origin(void)
{
    char path[4096];
    FILE *file;
    snprintf(path, sizeof path, "%s.origin", getenv("HEADWAY_FAKE_DRIVER"));
    file = fopen(path, "r");
    if (file && fscanf(file, "%ld", &script.origin) != 1)
        script.origin = 0;
    if (file)
        fclose(file);
}

/* Percent times nanoseconds from the origin up to a time; idle while there is no origin. */
static double busy_until(int64_t t)
{
    if (!script.origin)
        read_origin();
    if (!script.origin)
        return 0;
    double left = (double)(t - script.origin), sum = 0;
    for (int i = 0; i < script.phases && left > 0; i++) {
        double length = script.seconds[i] * SECOND;
        sum += (left < length ? left : length) * script.percent[i];
        left -= length;
    }
    return sum;
}

/* What a call of a function about a GPU has to return instead of a figure; 0: nothing. */
static int refusal(const char *function, int gpu)
{
    for (int i = 0; i < script.answers; i++)
        if (strcmp(script.function[i], function) == 0)
            return script.code[i];
    if (gpu == script.lost_gpu && calls[gpu]++ >= script.lost_after)
        return script.lost_code;
    return 0;
}
