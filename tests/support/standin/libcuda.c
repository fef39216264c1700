/* A stand-in for NVIDIA's driver: what w2vc_runtime/sessions/tensorrt/cuda.py calls, with the host's memory for a device's.
 * It lets the calls be made for real, through cuda-bindings, where there is no GPU. It computes nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef int CUresult;
enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_CONTEXT = 201, CAPTURE_BROKEN = 901 };

static __thread void *current, *stack[8];
static __thread int depth;
static __thread int capturing; /* of a thread, as the session asks for */
static int context, stream_handles[64], streams, live, graphs, major = 8, minor = 9, devices = 1, broken;
static long limit = 1L << 34, host_limit = 1L << 34;
static void (*replay)(int);
static struct { int graph; void *to; const void *from; size_t size; } recorded[64];
static int records;

/* What tests set and read. */
void standin_gpu(int count, int a, int b) { devices = count, major = a, minor = b; }
void standin_replay(void (*function)(int)) { replay = function; }
void standin_break_capture(int how) { broken = how; }
void standin_limit(long bytes) { limit = bytes; }
void standin_host_limit(long bytes) { host_limit = bytes; }
int standin_capturing(void) { return capturing; }
int standin_live(void) { return live; }
void *standin_current(void) { return current; }
void standin_set_current(void *other) { current = other; }

#define NEED_CONTEXT if (current != &context) return INVALID_CONTEXT
CUresult cuInit(unsigned flags) { return devices ? SUCCESS : NO_DEVICE; }
CUresult cuDriverGetVersion(int *version) { *version = 13000; return SUCCESS; }
CUresult cuDeviceGetCount(int *count) { *count = devices; return SUCCESS; }
CUresult cuDeviceGet(int *device, int ordinal) { *device = ordinal; return ordinal < devices ? SUCCESS : INVALID_VALUE; }
CUresult cuDeviceGetName(char *name, int length, int device) { strncpy(name, "Stand-in GPU", length); return SUCCESS; }
CUresult cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? major : attribute == 76 ? minor : attribute == 16 ? 58 : 0;
    return SUCCESS;
}
CUresult cuDevicePrimaryCtxRetain(void **result, int device) { *result = &context; return SUCCESS; }
CUresult cuCtxPushCurrent_v2(void *context) { stack[depth++] = current; current = context; return SUCCESS; }
CUresult cuCtxGetCurrent(void **result) { *result = current; return SUCCESS; }
CUresult cuCtxPopCurrent_v2(void **context) { *context = current; current = stack[--depth]; return SUCCESS; }
static CUresult allocate(void **result, size_t size) {
    NEED_CONTEXT;
    if (!size || capturing) return INVALID_VALUE;
    if ((long)size > limit) return OUT_OF_MEMORY;
    *result = malloc(size);
    memset(*result, 0xAB, size);
    __sync_add_and_fetch(&live, 1);
    return SUCCESS;
}
static CUresult release(void *memory) {
    NEED_CONTEXT;
    free(memory);
    __sync_sub_and_fetch(&live, 1);
    return SUCCESS;
}
CUresult cuMemAlloc_v2(unsigned long long *address, size_t size) { return allocate((void **)address, size); }
CUresult cuMemFree_v2(unsigned long long address) { return release((void *)address); }
CUresult cuMemHostAlloc(void **memory, size_t size, unsigned flags) {
    return (long)size > host_limit ? OUT_OF_MEMORY : allocate(memory, size);
}
CUresult cuMemFreeHost(void *memory) { return release(memory); }
CUresult cuStreamCreate(void **stream, unsigned flags) {
    NEED_CONTEXT;
    if (flags != 1) return INVALID_VALUE; /* streams that wait for the default one */
    *stream = &stream_handles[streams++ % 64];
    __sync_add_and_fetch(&live, 1);
    return SUCCESS;
}
CUresult cuStreamDestroy_v2(void *stream) { __sync_sub_and_fetch(&live, 1); return SUCCESS; }
CUresult cuStreamSynchronize(void *stream) { NEED_CONTEXT; return capturing ? CAPTURE_BROKEN : SUCCESS; }
static CUresult copy(void *to, const void *from, size_t size) {
    NEED_CONTEXT;
    if (!capturing) return memcpy(to, from, size), SUCCESS;
    if (records == 64) return INVALID_VALUE;
    recorded[records].graph = capturing, recorded[records].to = to;
    recorded[records].from = from, recorded[records++].size = size;
    return SUCCESS;
}
CUresult cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t size, void *stream) {
    return copy((void *)to, from, size);
}
CUresult cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t size, void *stream) {
    return copy(to, (void *)from, size);
}
CUresult cuStreamBeginCapture_v2(void *stream, int mode) { capturing = __sync_add_and_fetch(&graphs, 1); return SUCCESS; }
CUresult cuStreamEndCapture(void *stream, void **graph) {
    *graph = (void *)(long)capturing;
    capturing = 0;
    if (broken) return *graph = NULL, CAPTURE_BROKEN;
    __sync_add_and_fetch(&live, 1);
    return SUCCESS;
}
CUresult cuGraphInstantiateWithFlags(void **executable, void *graph, unsigned long long flags) {
    *executable = graph;
    __sync_add_and_fetch(&live, 1);
    return SUCCESS;
}
CUresult cuGraphDestroy(void *graph) { __sync_sub_and_fetch(&live, 1); return SUCCESS; }
CUresult cuGraphExecDestroy(void *executable) { __sync_sub_and_fetch(&live, 1); return SUCCESS; }
CUresult cuGraphLaunch(void *executable, void *stream) {
    NEED_CONTEXT;
    int graph = (int)(long)executable;
    for (int i = 0; i < records; i++)
        if (recorded[i].graph == graph) memcpy(recorded[i].to, recorded[i].from, recorded[i].size);
    if (replay) replay(graph);
    return SUCCESS;
}

CUresult cuGetProcAddress_v2(const char *symbol, void **function, int version, unsigned long long flags, int *status) {
    static const char *suffixes[] = {"_v2", "", "WithFlags"};
    char name[128];
    Dl_info here;
    dladdr((void *)cuInit, &here);
    void *library = dlopen(here.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    *function = NULL;
    for (int i = 0; i < 3 && !*function; i++) {
        strcpy(name, symbol);
        strcat(name, suffixes[i]);
        *function = dlsym(library, name);
    }
    if (status) *status = *function ? 0 : 1;
    return *function ? SUCCESS : 500;
}
CUresult cuGetProcAddress(const char *symbol, void **function, int version, unsigned long long flags) {
    return cuGetProcAddress_v2(symbol, function, version, flags, NULL);
}
