// A CUDA runtime for a machine without a GPU. The memory of its devices is host memory, copies are real,
// and kernels do nothing but are counted by name. Values that kernels would compute are zeros.
// The processes of an NCCL communicator exchange files, so collectives are real.
//
// null_runtime.py builds it. It generates the functions that only have to succeed or to set a constant, and
// makes variants, such as cudaMallocAsync and cudaGetDeviceProperties_v2, the same function as cudaMalloc and
// cudaGetDeviceProperties. Only types are included, not declarations, so that one definition is valid for all
// versions of CUDA, and unused arguments at the end can be left out.
#include <dlfcn.h>
#include <driver_types.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vector_types.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

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
int copy(void* to, const void* from, size_t size) {
  Guard guard(state.mutex);
  auto place = [](const void* address) {
    auto* block = block_of(address);
    return std::string(!block ? "pageable" : block->device < 0 ? "pinned" : "device");
  };
  if (size) count("copy " + place(from) + " to " + place(to)), std::memmove(to, from, size);
  return cudaSuccess;
}
bool is_capturing(cudaStream_t stream) { return stream && ((Stream*)stream)->is_capturing; }
int launch(const std::string& kernel, cudaStream_t stream = nullptr) {
  return count((is_capturing(stream) ? "captured " : "kernel ") + kernel);
}

// The processes of a communicator: the name of its folder is its unique id.
struct Communicator {
  std::filesystem::path folder;
  int rank, size;
  long calls = 0;
  std::filesystem::path file(long call, int of_rank) { return folder / (std::to_string(call) + "_" + std::to_string(of_rank)); }
  // Returns the bytes of each rank.
  std::vector<std::string> exchange(const void* bytes, size_t n) {
    auto draft = file(calls, rank).concat("_draft");
    std::ofstream(draft, std::ios::binary).write((const char*)bytes, n);
    std::filesystem::rename(draft, file(calls, rank));
    std::vector<std::string> all;
    for (int from = 0; from < size; ++from) {
      while (!std::filesystem::exists(file(calls, from))) usleep(1000);
      std::ostringstream content;
      content << std::ifstream(file(calls, from), std::ios::binary).rdbuf();
      all.push_back(content.str());
    }
    if (calls) std::filesystem::remove(file(calls - 1, rank));  // all ranks have read it
    return ++calls, all;
  }
};
template <class T> void add(void* sum, const void* other, size_t n) {
  for (size_t i = 0; i < n; ++i) ((T*)sum)[i] += ((const T*)other)[i];
}
size_t size_of(int nccl_type) { return std::vector<size_t>{1, 1, 4, 4, 8, 8, 2, 4, 8, 2, 1, 1}.at(nccl_type); }

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
int null_gpu_launch(const char* name) { return launch(name); }

// Devices

int cudaGetDevice(int* device) { return *device = current_device, cudaSuccess; }
int cuCtxGetDevice(int* device) { return cudaGetDevice(device); }
int cudaGetDeviceCount(int* n) { return *n = devices(), *n ? cudaSuccess : fail(cudaErrorNoDevice); }
int cudaSetDevice(int device) {
  return device < 0 || device >= devices() ? fail(cudaErrorInvalidDevice) : (current_device = device, cudaSuccess);
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
int cudaDeviceGetAttribute(int* value, int attribute, int device) {
  cudaDeviceProp p;
  cudaGetDeviceProperties(&p, device);
  std::map<int, int> values = {
      {cudaDevAttrWarpSize, p.warpSize}, {cudaDevAttrMultiProcessorCount, p.multiProcessorCount},
      {cudaDevAttrMaxThreadsPerBlock, p.maxThreadsPerBlock},
      {cudaDevAttrMaxThreadsPerMultiProcessor, p.maxThreadsPerMultiProcessor},
      {cudaDevAttrMaxGridDimX, p.maxGridSize[0]},
      {cudaDevAttrMaxRegistersPerBlock, p.regsPerBlock},
      {cudaDevAttrMaxSharedMemoryPerBlock, p.sharedMemPerBlock},
      {cudaDevAttrMaxSharedMemoryPerBlockOptin, p.sharedMemPerBlockOptin},
      {cudaDevAttrComputeCapabilityMajor, p.major}, {cudaDevAttrComputeCapabilityMinor, p.minor}};
  return *value = values[attribute], cudaSuccess;
}
int cuDeviceGet(int* device, int ordinal) { return *device = ordinal, 0; }
int cuDevicePrimaryCtxGetState(int, unsigned* flags, int* is_active) { return *flags = 0, *is_active = 1, 0; }
const char* cudaGetErrorString(int error) { return error == cudaErrorMemoryAllocation ? "out of memory" : "error of the null GPU"; }
int cuGetErrorString(int error, const char** text) { return *text = cudaGetErrorString(error), 0; }
int cuptiGetResultString(int, const char** text) { return *text = "not available on the null GPU", 0; }
int cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
int cudaPeekAtLastError() { return last_error; }
int cudaGetDriverEntryPoint(const char* name, void** function, unsigned, unsigned long long, int* status) {
  *function = dlsym(RTLD_DEFAULT, name);  // the driver is this library
  if (status) *status = *function ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}

// Memory

int cudaMalloc(void** address, size_t size) { return allocate(address, size, current_device); }
int cudaHostAlloc(void** address, size_t size) { return allocate(address, size, -1); }
int cudaFree(void* address) {
  Guard guard(state.mutex);
  auto found = state.blocks.find((const char*)address);
  if (found == state.blocks.end()) return address ? fail(cudaErrorInvalidValue) : cudaSuccess;
  auto [size, device] = found->second;
  if (device >= 0) state.used[device] -= size;
  state.blocks.erase(found);
  return munmap(address, size), cudaSuccess;
}
int cudaFreeHost(void* address) { return cudaFree(address); }
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
int cudaGetSymbolAddress(void** address) { static char memory[1 << 20]; return *address = memory, cudaSuccess; }
int cudaMemcpy(void* to, const void* from, size_t size) { return count("wait copy"), copy(to, from, size); }
int cudaMemcpyAsync(void* to, const void* from, size_t size) { return copy(to, from, size); }
int cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t size) { return copy(to, from, size); }
int cudaMemset(void* to, int value, size_t size) { return std::memset(to, value, size), count("fill"); }

// Streams, events and graphs: all work is done when it is called.

int cudaStreamCreate(void** stream) { return *stream = new Stream, cudaSuccess; }
int cudaStreamSynchronize(cudaStream_t) { return count("wait stream"); }
int cudaDeviceSynchronize() { return count("wait device"); }
int cudaEventSynchronize(cudaEvent_t) { return count("wait event"); }
int cudaLaunchHostFunc(cudaStream_t, void (*function)(void*), void* argument) { return function(argument), cudaSuccess; }
int cudaStreamIsCapturing(cudaStream_t stream, int* status) {
  return *status = is_capturing(stream) ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone, cudaSuccess;
}
int cudaStreamGetCaptureInfo(cudaStream_t stream, int* status, unsigned long long* id, void** graph) {
  if (id) *id = (unsigned long long)stream;
  if (graph) *graph = stream;
  return cudaStreamIsCapturing(stream, status);
}
int cudaStreamBeginCapture(Stream* stream) { return stream->is_capturing = true, count("graph capture"); }
int cudaStreamEndCapture(Stream* stream, void** graph) { return stream->is_capturing = false, *graph = stream, cudaSuccess; }
int cudaGraphInstantiate(void** program, void* graph) { return *program = graph, cudaSuccess; }
int cudaGraphGetNodes(void*, void*, size_t* n) { return *n = 1, cudaSuccess; }
int cudaGraphLaunch() { return count("graph launch"); }

// Kernels; the driver's functions are for compiled ones: a function is a pointer to its name.

void __cudaRegisterFunction(void**, const char* function, char*, const char* name) { state.kernels[function] = name; }
int __cudaGetKernel(const void** kernel, const void* function) { return *kernel = function, cudaSuccess; }
struct Configuration { dim3 grid, block; size_t shared; void* stream; };
static thread_local Configuration pushed;
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, void* stream) { return pushed = {grid, block, shared, stream}, 0; }
int __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void** stream) {
  return *grid = pushed.grid, *block = pushed.block, *shared = pushed.shared, *stream = pushed.stream, cudaSuccess;
}
int cudaLaunchKernel(const void* function, dim3, dim3, void**, size_t, cudaStream_t stream) {
  Guard guard(state.mutex);
  return launch(state.kernels[function], stream);
}
int cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function) {
  return cudaLaunchKernel(function, {}, {}, nullptr, 0, config->stream);
}
int cudaFuncGetAttributes(cudaFuncAttributes* attributes) {
  *attributes = {};
  attributes->ptxVersion = attributes->binaryVersion = capability();
  return attributes->maxThreadsPerBlock = 1024, attributes->numRegs = 32, cudaSuccess;
}
int cuModuleGetFunction(char** function, const void*, const char* name) { return *function = strdup(name), 0; }
int cuFuncGetAttribute(int* value, int attribute) { return *value = attribute == 0 ? 1024 : attribute == 4 ? 32 : 0, 0; }
int cuLaunchKernel(const char* name, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, cudaStream_t stream) {
  return launch(name, stream);
}
struct LaunchConfig { unsigned sizes[7]; cudaStream_t stream; };
int cuLaunchKernelEx(const LaunchConfig* config, const char* name) { return launch(name, config->stream); }
int cublasLtMatmulAlgoGetHeuristic(void*, void*, void*, void*, void*, void*, void*, int, void* result, int* found) {
  return std::memset(result, 0, 96), *found = 1, 0;  // the size of cublasLtMatmulHeuristicResult_t
}

// NCCL

struct UniqueId { char folder[128]; };
int ncclGetUniqueId(UniqueId* id) {
  std::snprintf(id->folder, 128, "%s/nccl_XXXXXX", std::getenv("NULL_GPU_FOLDER"));
  return mkdtemp(id->folder) ? 0 : 1;
}
int ncclCommInitRank(Communicator** communicator, int size, UniqueId id, int rank) {
  return *communicator = new Communicator{id.folder, rank, size}, 0;
}
int ncclCommCount(const Communicator* communicator, int* size) { return *size = communicator->size, 0; }
int ncclCommUserRank(const Communicator* communicator, int* rank) { return *rank = communicator->rank, 0; }
int ncclAllReduce(const void* send, void* receive, size_t n, int type, int, Communicator* communicator, cudaStream_t stream) {
  auto all = communicator->exchange(send, n * size_of(type));
  std::map<int, void (*)(void*, const void*, size_t)> sums = {
      {0, add<char>}, {1, add<char>}, {2, add<int>}, {3, add<int>}, {4, add<long>}, {5, add<long>}, {7, add<float>}, {8, add<double>}};
  for (int rank = 1; rank < communicator->size; ++rank)
    if (sums.count(type)) sums[type](all[0].data(), all[rank].data(), n);  // in half precision, rank 0's
  std::memcpy(receive, all[0].data(), all[0].size());
  return launch("ncclAllReduce", stream);
}
int ncclBroadcast(const void* send, void* receive, size_t n, int type, int root, Communicator* communicator, cudaStream_t stream) {
  auto all = communicator->exchange(send, communicator->rank == root ? n * size_of(type) : 0);
  std::memcpy(receive, all[root].data(), n * size_of(type));
  return launch("ncclBroadcast", stream);
}
int ncclBcast(void* buffer, size_t n, int type, int root, Communicator* communicator, cudaStream_t stream) {
  return ncclBroadcast(buffer, buffer, n, type, root, communicator, stream);
}
int ncclAllGather(const void* send, char* receive, size_t n, int type, Communicator* communicator, cudaStream_t stream) {
  for (auto& part : communicator->exchange(send, n * size_of(type))) std::memcpy(receive, part.data(), part.size()), receive += part.size();
  return launch("ncclAllGather", stream);
}
}
