/* What NVIDIA's driver does, on this CPU's memory: see test_cuda.py. A kernel is run by a function that the test sets. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef void (*Run)(int kernel, unsigned blocks, unsigned threads, const uint64_t *words);

#define ENTRY_POINTS 2
#define OUT_OF_MEMORY 2
#define NO_DEVICE 100
#define BAD_PTX 218

static const char *names[ENTRY_POINTS] = {"begin", "code_steps"};
static int words_of[ENTRY_POINTS], device_count = 1, contexts, compute_major = 9;
static size_t free_bytes = (size_t)1 << 30;
static Run run;
#define IS_DEVICE(device) ((device) >= 40 && (device) < 40 + device_count)

/* Calls so far, by name, and which of them fails: as after a fault of the device, all that follow fail too. */
#define MAX_CALLS 100000
#define FAULT 719
static const char *calls[MAX_CALLS];
static int call_count, fails_at = -1;
#define CALL                                                                      \
    do {                                                                          \
        if (call_count == fails_at) return FAULT;                                 \
        if (call_count < MAX_CALLS) calls[call_count++] = __func__;               \
    } while (0)

/* From now on calls are counted from 0; from number `at` on all fail, none if it is negative. */
void fake_fail(int at) {
    fails_at = at;
    call_count = 0;
}
int fake_calls(void) { return call_count; }
const char *fake_call(int number) { return calls[number]; }

/* The test's own settings. */
void fake_set(Run function, int begin_words, int code_words, size_t memory, int devices, int major) {
    run = function;
    words_of[0] = begin_words;
    words_of[1] = code_words;
    free_bytes = memory;
    device_count = devices;
    compute_major = major;
}

int cuInit(unsigned flags) { CALL; return flags ? 1 : 0; }
int cuDriverGetVersion(int *version) { CALL; return *version = 12080, 0; }
int cuDeviceGetCount(int *count) { CALL; return *count = device_count, 0; }
int cuDeviceGet(int *device, int number) { CALL; return *device = 40 + number, number < device_count ? 0 : NO_DEVICE; }
int cuDeviceGetName(char *name, int size, int device) { CALL; return strncpy(name, "Fake GPU", size), IS_DEVICE(device) ? 0 : NO_DEVICE; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    CALL;
    if (!IS_DEVICE(device)) return NO_DEVICE;
    *value = attribute == 75 ? compute_major : attribute == 76 ? 0 : attribute == 16 ? 132 : -1;
    return 0;
}
int cuDevicePrimaryCtxRetain(void **context, int device) { CALL; return *context = &contexts, IS_DEVICE(device) ? 0 : NO_DEVICE; }
int cuCtxSetCurrent(void *context) { CALL; return context == &contexts ? 0 : 201; }
int cuCtxSynchronize(void) { CALL; return 0; }
int cuMemGetInfo_v2(size_t *free, size_t *total) { CALL; return *free = free_bytes, *total = (size_t)1 << 30, 0; }
int cuMemAlloc_v2(uint64_t *address, size_t size) {
    CALL;
    if (size > free_bytes) return OUT_OF_MEMORY;
    uint64_t *block = malloc(size + 16);
    if (!block) return OUT_OF_MEMORY;
    block[0] = size;
    free_bytes -= size;
    memset(block + 2, 0xA5, size); /* memory of a device isn't cleared */
    return *address = (uint64_t)(block + 2), 0;
}
int cuMemFree_v2(uint64_t address) {
    CALL;
    uint64_t *block = (uint64_t *)address - 2;
    free_bytes += block[0];
    return free(block), 0;
}
int cuMemsetD8_v2(uint64_t address, unsigned char value, size_t size) { CALL; return memset((void *)address, value, size), 0; }
int cuMemcpyHtoD_v2(uint64_t target, const void *source, size_t size) { CALL; return memcpy((void *)target, source, size), 0; }
int cuMemcpyDtoH_v2(void *target, uint64_t source, size_t size) { CALL; return memcpy(target, (void *)source, size), 0; }
int cuMemcpyDtoD_v2(uint64_t target, uint64_t source, size_t size) { CALL; return memcpy((void *)target, (void *)source, size), 0; }
int cuModuleLoadDataEx(void **module, const char *ptx, unsigned count, int *options, void **values) {
    CALL;
    if (strstr(ptx, ".version")) return *module = (void *)names, 0;
    for (unsigned k = 0; k < count; k++)
        if (options[k] == 5) strcpy(values[k], "ptxas fatal: no version");
    return BAD_PTX;
}
int cuModuleGetFunction(void **function, void *module, const char *name) {
    CALL;
    for (intptr_t k = 0; k < ENTRY_POINTS; k++)
        if (module == (void *)names && !strcmp(name, names[k])) return *function = (void *)(k + 1), 0;
    return 500;
}
int cuLaunchKernel(void *function, unsigned x, unsigned y, unsigned z, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void *stream, void **parameters, void **extra) {
    CALL;
    int kernel = (int)(intptr_t)function - 1;
    if (kernel < 0 || kernel >= ENTRY_POINTS || y != 1 || z != 1 || by != 1 || bz != 1 || shared || stream || extra) return 1;
    uint64_t *words = malloc(8 * words_of[kernel]);
    for (int k = 0; k < words_of[kernel]; k++) words[k] = *(uint64_t *)parameters[k];
    run(kernel, x, bx, words);
    return free(words), 0;
}
int cuGetErrorName(int status, const char **name) {
    *name = status == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : status == BAD_PTX ? "CUDA_ERROR_INVALID_PTX" : status == FAULT ? "CUDA_ERROR_FAULT" : "CUDA_ERROR";
    return 0;
}
