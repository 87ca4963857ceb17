// NCCL for the null GPU: the processes of a communicator exchange files, so collectives are real.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace {

// The name of the folder is the unique id of the communicator.
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
      while (!std::filesystem::exists(file(calls, from))) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      std::ostringstream content;
      content << std::ifstream(file(calls, from), std::ios::binary).rdbuf();
      all.push_back(content.str());
    }
    if (calls) std::filesystem::remove(file(calls - 1, rank));  // all ranks have read it
    return ++calls, all;
  }
};
template <class T> void combine(T* result, const T* other, size_t n, int operation) {
  for (size_t i = 0; i < n; ++i) {
    if (operation == 0) result[i] += other[i];
    if (operation == 2) result[i] = std::max(result[i], other[i]);
    if (operation == 3) result[i] = std::min(result[i], other[i]);
  }
}
size_t size_of(int type) { return std::vector<size_t>{1, 1, 4, 4, 8, 8, 2, 4, 8, 2, 1, 1}.at(type); }

}  // namespace

extern "C" {

int null_gpu_launch(const char* name);

const char* ncclGetErrorString(int) { return "error of the null GPU"; }
const char* ncclGetLastError(void*) { return ""; }
int ncclGetVersion(int* version) { return *version = 22900, 0; }
int ncclCommGetAsyncError(void*, int* error) { return *error = 0, 0; }
struct UniqueId { char folder[128]; };
int ncclGetUniqueId(UniqueId* id) {
  std::snprintf(id->folder, 128, "%s/nccl_XXXXXX", std::getenv("NULL_GPU_FOLDER"));
  return mkdtemp(id->folder) ? 0 : 1;
}
int ncclCommInitRankConfig(Communicator** communicator, int size, UniqueId id, int rank, void*) {
  return *communicator = new Communicator{id.folder, rank, size}, 0;
}
int ncclCommInitRank(Communicator** communicator, int size, UniqueId id, int rank) {
  return ncclCommInitRankConfig(communicator, size, id, rank, nullptr);
}
int ncclCommCount(const Communicator* communicator, int* size) { return *size = communicator->size, 0; }
int ncclCommUserRank(const Communicator* communicator, int* rank) { return *rank = communicator->rank, 0; }
int ncclAllReduce(const void* send, void* receive, size_t n, int type, int operation, Communicator* communicator, void*) {
  auto all = communicator->exchange(send, n * size_of(type));
  for (int rank = 1; rank < communicator->size; ++rank) {
    void *result = all[0].data(), *other = all[rank].data();
    if (type == 0 || type == 1) combine((unsigned char*)result, (unsigned char*)other, n, operation);
    if (type == 2 || type == 3) combine((int*)result, (int*)other, n, operation);
    if (type == 4 || type == 5) combine((long*)result, (long*)other, n, operation);
    if (type == 7) combine((float*)result, (float*)other, n, operation);
    if (type == 8) combine((double*)result, (double*)other, n, operation);
  }
  std::memcpy(receive, all[0].data(), all[0].size());
  return null_gpu_launch("ncclAllReduce");
}
int ncclBroadcast(const void* send, void* receive, size_t n, int type, int root, Communicator* communicator, void*) {
  auto all = communicator->exchange(send, communicator->rank == root ? n * size_of(type) : 0);
  std::memcpy(receive, all[root].data(), n * size_of(type));
  return null_gpu_launch("ncclBroadcast");
}
int ncclBcast(void* buffer, size_t n, int type, int root, Communicator* communicator, void*) {
  return ncclBroadcast(buffer, buffer, n, type, root, communicator, nullptr);
}
int ncclAllGather(const void* send, char* receive, size_t n, int type, Communicator* communicator, void*) {
  for (auto& part : communicator->exchange(send, n * size_of(type))) std::memcpy(receive, part.data(), part.size()), receive += part.size();
  return null_gpu_launch("ncclAllGather");
}
}
