// A CUDA runtime for a machine without a GPU. The memory of its devices is host memory, copies are real,
// and kernels do nothing but are counted by name. Values that kernels would compute are zeros.
// null_runtime.py builds it and generates the functions that only have to succeed.
//
// Only types are included, not declarations, so that one definition is valid for all versions of CUDA.
#include <dlfcn.h>
#include <driver_types.h>
#include <sys/mman.h>
#include <vector_types.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace {

double setting(const char* name, double otherwise) {
  const char* value = std::getenv(name);
  return value ? std::atof(value) : otherwise;
}
int devices() { return (int)setting("NULL_GPU_DEVICES", 1); }
int capability() { return (int)setting("NULL_GPU_CAPABILITY", 90); }
size_t capacity() { return (size_t)setting("NULL_GPU_BYTES", 80e9); }

struct Block { size_t size; int device; };  // device -1: pinned host memory
struct Stream { bool is_capturing = false; };
struct Event { std::chrono::steady_clock::time_point recorded; };

// Never destroyed: other libraries free memory when the process ends.
struct State {
  std::recursive_mutex mutex;
  std::map<const char*, Block> blocks;         // by first byte
  std::map<const void*, std::string> kernels;  // by the address of the host function
  std::map<std::string, long> counts;
  std::map<int, size_t> used;                  // bytes by device
};
State& state = *new State;
using Guard = std::lock_guard<std::recursive_mutex>;
thread_local int current_device = 0, last_error = cudaSuccess;

int fail(int error) { return last_error = error; }
int count(const std::string& what) { Guard guard(state.mutex); return ++state.counts[what], cudaSuccess; }

const Block* block_of(const void* address) {
  auto after = state.blocks.upper_bound((const char*)address);
  if (after == state.blocks.begin()) return nullptr;
  auto& [first, block] = *--after;
  return (const char*)address < first + block.size ? &block : nullptr;
}
int allocate(void** address, size_t size, int device) {
  Guard guard(state.mutex);
  *address = nullptr;
  size = size ? size : 1;
  if (device >= 0 && state.used[device] + size > capacity()) return fail(cudaErrorMemoryAllocation);
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return fail(cudaErrorMemoryAllocation);
  state.blocks[(const char*)memory] = {size, device};
  if (device >= 0) state.used[device] += size;
  return *address = memory, cudaSuccess;
}
int release(void* address) {
  Guard guard(state.mutex);
  auto found = state.blocks.find((const char*)address);
  if (found == state.blocks.end()) return address ? fail(cudaErrorInvalidValue) : cudaSuccess;
  auto [size, device] = found->second;
  if (device >= 0) state.used[device] -= size;
  state.blocks.erase(found);
  return munmap(address, size), cudaSuccess;
}
std::string place(const void* address) {
  Guard guard(state.mutex);
  auto* block = block_of(address);
  return !block ? "pageable" : block->device < 0 ? "pinned" : "device";
}
int copy(void* to, const void* from, size_t size) {
  if (size) count("copy " + place(from) + " to " + place(to)), std::memmove(to, from, size);
  return cudaSuccess;
}
bool is_capturing(cudaStream_t stream) { return stream && ((Stream*)stream)->is_capturing; }
int count_launch(const std::string& kernel, cudaStream_t stream) {
  return count((is_capturing(stream) ? "captured " : "kernel ") + kernel);
}
int launch(const void* function, cudaStream_t stream) {
  Guard guard(state.mutex);
  return count_launch(state.kernels[function], stream);
}

}  // namespace

extern "C" {

// Writes lines `what<tab>count` to a buffer.
void null_gpu_counts(char* buffer, long size) {
  Guard guard(state.mutex);
  std::string lines;
  for (auto& [what, n] : state.counts) lines += what + "\t" + std::to_string(n) + "\n";
  std::snprintf(buffer, size, "%s", lines.c_str());
}
// Called by generated functions that would launch a kernel.
int null_gpu_launch(const char* name) { return count_launch(name, nullptr); }

// Devices

int cudaGetDeviceCount(int* n) { return *n = devices(), *n ? cudaSuccess : fail(cudaErrorNoDevice); }
int cudaGetDevice(int* device) { return *device = current_device, cudaSuccess; }
int cudaSetDevice(int device) {
  return device < 0 || device >= devices() ? fail(cudaErrorInvalidDevice) : (current_device = device, cudaSuccess);
}
int cudaDriverGetVersion(int* version) { return *version = 13020, cudaSuccess; }
int cudaRuntimeGetVersion(int* version) { return *version = 13020, cudaSuccess; }
int cudaDeviceGetAttribute(int* value, int attribute, int) {
  std::map<int, int> values = {
      {cudaDevAttrMaxThreadsPerBlock, 1024}, {cudaDevAttrMaxBlockDimX, 1024}, {cudaDevAttrMaxBlockDimY, 1024},
      {cudaDevAttrMaxBlockDimZ, 64}, {cudaDevAttrMaxGridDimX, 2147483647}, {cudaDevAttrMaxGridDimY, 65535},
      {cudaDevAttrMaxGridDimZ, 65535}, {cudaDevAttrWarpSize, 32}, {cudaDevAttrMaxRegistersPerBlock, 65536},
      {cudaDevAttrMaxSharedMemoryPerBlock, 49152}, {cudaDevAttrMaxSharedMemoryPerBlockOptin, 232448},
      {cudaDevAttrMaxSharedMemoryPerMultiprocessor, 233472}, {cudaDevAttrMultiProcessorCount, 132},
      {cudaDevAttrMaxThreadsPerMultiProcessor, 2048}, {cudaDevAttrMaxBlocksPerMultiprocessor, 32},
      {cudaDevAttrComputeCapabilityMajor, capability() / 10}, {cudaDevAttrComputeCapabilityMinor, capability() % 10}};
  return *value = values[attribute], cudaSuccess;
}
int cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  *p = {};
  std::strcpy(p->name, "null GPU");
  p->totalGlobalMem = capacity(), p->pciBusID = device;
  p->major = capability() / 10, p->minor = capability() % 10;
  p->warpSize = 32, p->multiProcessorCount = 132, p->maxThreadsPerMultiProcessor = 2048, p->maxBlocksPerMultiProcessor = 32;
  p->maxThreadsPerBlock = p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024, p->maxThreadsDim[2] = 64;
  p->maxGridSize[0] = 2147483647, p->maxGridSize[1] = p->maxGridSize[2] = 65535;
  p->regsPerBlock = p->regsPerMultiprocessor = 65536, p->l2CacheSize = 50 << 20;
  p->sharedMemPerBlock = 49152, p->sharedMemPerBlockOptin = 232448, p->sharedMemPerMultiprocessor = 233472;
  return cudaSuccess;
}
int cudaGetDeviceProperties_v2(cudaDeviceProp* p, int device) { return cudaGetDeviceProperties(p, device); }
int cudaDeviceGetPCIBusId(char* id, int size, int device) { return std::snprintf(id, size, "0000:%02x:00.0", device), cudaSuccess; }
int cudaDeviceGetStreamPriorityRange(int* least, int* greatest) { return *least = 0, *greatest = -5, cudaSuccess; }
int cudaDeviceCanAccessPeer(int* can, int, int) { return *can = 1, cudaSuccess; }
int cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
int cudaPeekAtLastError() { return last_error; }
const char* cudaGetErrorString(int error) { return error == cudaErrorMemoryAllocation ? "out of memory" : "error of the null GPU"; }
const char* cudaGetErrorName(int error) { return cudaGetErrorString(error); }
int cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned, unsigned long long, int* status) {
  *function = dlsym(RTLD_DEFAULT, name);  // the driver is this library
  if (status) *status = *function ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}

// Memory

int cudaMalloc(void** address, size_t size) { return allocate(address, size, current_device); }
int cudaMallocAsync(void** address, size_t size, cudaStream_t) { return cudaMalloc(address, size); }
int cudaHostAlloc(void** address, size_t size, unsigned) { return allocate(address, size, -1); }
int cudaFree(void* address) { return release(address); }
int cudaFreeAsync(void* address, cudaStream_t) { return release(address); }
int cudaFreeHost(void* address) { return release(address); }
int cudaMemGetInfo(size_t* free, size_t* total) {
  Guard guard(state.mutex);
  return *total = capacity(), *free = capacity() - state.used[current_device], cudaSuccess;
}
int cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* address) {
  Guard guard(state.mutex);
  auto* block = block_of(address);
  *attributes = {};
  attributes->type = !block ? cudaMemoryTypeUnregistered : block->device < 0 ? cudaMemoryTypeHost : cudaMemoryTypeDevice;
  attributes->device = block ? block->device : -1;
  return attributes->devicePointer = attributes->hostPointer = (void*)address, cudaSuccess;
}
int cudaGetSymbolAddress(void** address, const void*) { static char memory[1 << 20]; return *address = memory, cudaSuccess; }
int cudaMemcpy(void* to, const void* from, size_t size, int) { return count("wait copy"), copy(to, from, size); }
int cudaMemcpyAsync(void* to, const void* from, size_t size, int, cudaStream_t) { return copy(to, from, size); }
int cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t size, cudaStream_t) { return copy(to, from, size); }
int cudaMemset(void* to, int value, size_t size) { return std::memset(to, value, size), count("fill"); }
int cudaMemsetAsync(void* to, int value, size_t size, cudaStream_t) { return cudaMemset(to, value, size); }

// Streams, events and graphs: all work is done when it is called.

int cudaStreamCreate(void** stream) { return *stream = new Stream, cudaSuccess; }
int cudaStreamCreateWithFlags(void** stream, unsigned) { return cudaStreamCreate(stream); }
int cudaStreamCreateWithPriority(void** stream, unsigned, int) { return cudaStreamCreate(stream); }
int cudaStreamGetPriority(cudaStream_t, int* priority) { return *priority = 0, cudaSuccess; }
int cudaStreamSynchronize(cudaStream_t) { return count("wait stream"); }
int cudaDeviceSynchronize() { return count("wait device"); }
int cudaLaunchHostFunc(cudaStream_t, void (*function)(void*), void* argument) { return function(argument), cudaSuccess; }
int cudaStreamAddCallback(cudaStream_t stream, void (*function)(cudaStream_t, int, void*), void* argument, unsigned) {
  return function(stream, cudaSuccess, argument), cudaSuccess;
}
int cudaEventCreateWithFlags(void** event, unsigned) { return *event = new Event, cudaSuccess; }
int cudaEventCreate(void** event) { return cudaEventCreateWithFlags(event, 0); }
int cudaEventRecord(Event* event, cudaStream_t) { return event->recorded = std::chrono::steady_clock::now(), cudaSuccess; }
int cudaEventRecordWithFlags(Event* event, cudaStream_t, unsigned) { return cudaEventRecord(event, nullptr); }
int cudaEventSynchronize(cudaEvent_t) { return count("wait event"); }
int cudaEventElapsedTime(float* milliseconds, Event* start, Event* end) {
  std::chrono::duration<float, std::milli> elapsed = end->recorded - start->recorded;
  return *milliseconds = elapsed.count(), cudaSuccess;
}
int cudaStreamIsCapturing(cudaStream_t stream, int* status) {
  return *status = is_capturing(stream) ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone, cudaSuccess;
}
int cudaStreamGetCaptureInfo(cudaStream_t stream, int* status, unsigned long long* id, void** graph) {
  if (id) *id = (unsigned long long)stream;
  if (graph) *graph = stream;
  return cudaStreamIsCapturing(stream, status);
}
int cudaStreamGetCaptureInfo_v2(cudaStream_t stream, int* status, unsigned long long* id, void** graph) {
  return cudaStreamGetCaptureInfo(stream, status, id, graph);
}
int cudaStreamBeginCapture(Stream* stream, int) { return stream->is_capturing = true, count("graph capture"); }
int cudaStreamEndCapture(Stream* stream, void** graph) { return stream->is_capturing = false, *graph = stream, cudaSuccess; }
int cudaGraphInstantiate(void** program, void* graph) { return *program = graph, cudaSuccess; }
int cudaGraphInstantiateWithFlags(void** program, void* graph) { return *program = graph, cudaSuccess; }
int cudaGraphGetNodes(void*, void*, size_t* n) { return *n = 1, cudaSuccess; }
int cudaGraphLaunch(void*, cudaStream_t) { return count("graph launch"); }

// Kernels

void** __cudaRegisterFatBinary(void*) { static void* binary; return &binary; }
void __cudaRegisterFunction(void**, const char* function, char*, const char* name) { state.kernels[function] = name; }
int __cudaGetKernel(const void** kernel, const void* function) { return *kernel = function, cudaSuccess; }
struct Configuration { dim3 grid, block; size_t shared; void* stream; };
static thread_local Configuration pushed;
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, void* stream) { return pushed = {grid, block, shared, stream}, 0; }
int __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void** stream) {
  return *grid = pushed.grid, *block = pushed.block, *shared = pushed.shared, *stream = pushed.stream, cudaSuccess;
}
int cudaLaunchKernel(const void* function, dim3, dim3, void**, size_t, cudaStream_t stream) { return launch(function, stream); }
int __cudaLaunchKernel(const void* function, dim3, dim3, void**, size_t, cudaStream_t stream) { return launch(function, stream); }
int cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void**) { return launch(function, config->stream); }
int cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  *attributes = {};
  attributes->maxThreadsPerBlock = 1024, attributes->numRegs = 32, attributes->maxDynamicSharedSizeBytes = 232448;
  return attributes->ptxVersion = attributes->binaryVersion = capability(), cudaSuccess;
}
int cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* n) { return *n = 8, cudaSuccess; }
int cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* n) { return *n = 8, cudaSuccess; }

// The driver, which compiled kernels use; a function is a pointer to its name.

int cuDeviceGet(int* device, int ordinal) { return *device = ordinal, 0; }
int cuDeviceGetAttribute(int* value, int attribute, int device) { return cudaDeviceGetAttribute(value, attribute, device); }
int cuDevicePrimaryCtxGetState(int, unsigned* flags, int* is_active) { return *flags = 0, *is_active = 1, 0; }
int cuDevicePrimaryCtxRetain(void** context, int) { return *context = &state, 0; }
int cuCtxGetCurrent(void** context) { return *context = &state, 0; }
int cuCtxGetDevice(int* device) { return cudaGetDevice(device); }
int cuGetErrorString(int, const char** text) { return *text = "error of the null GPU", 0; }
int cuStreamIsCapturing(cudaStream_t stream, int* status) { return cudaStreamIsCapturing(stream, status); }
int cuModuleLoadData(void** module, const void*) { return *module = &state, 0; }
int cuModuleGetFunction(char** function, const void*, const char* name) { return *function = strdup(name), 0; }
int cuFuncGetAttribute(int* value, int attribute, const void*) { return *value = attribute == 0 ? 1024 : attribute == 4 ? 32 : 0, 0; }
int cuLaunchKernel(const char* name, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, cudaStream_t stream) {
  return count_launch(name, stream);
}
struct LaunchConfig { unsigned sizes[7]; cudaStream_t stream; };
int cuLaunchKernelEx(const LaunchConfig* config, const char* name) { return count_launch(name, config->stream); }

// Libraries

int cublasLtMatmulAlgoGetHeuristic(void*, void*, void*, void*, void*, void*, void*, int, void* result, int* found) {
  return std::memset(result, 0, 96), *found = 1, 0;  // the size of cublasLtMatmulHeuristicResult_t
}
int cublasGetMathMode(void*, int* mode) { return *mode = 0, 0; }
int nvrtcGetPTXSize(void*, size_t* size) { return *size = 1, 0; }
int nvrtcGetCUBINSize(void*, size_t* size) { return *size = 1, 0; }
int nvrtcGetProgramLogSize(void*, size_t* size) { return *size = 1, 0; }
int nvrtcGetLoweredName(void*, const char* name, const char** lowered) { return *lowered = name, 0; }
int cuptiGetResultString(int, const char** text) { return *text = "not available on the null GPU", 0; }
}
