#include "machine.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <thread>

namespace ntx {

namespace {

// Physical cores among the logical ones of the affinity mask: hyperthreads share the load ports that kernels saturate.
unsigned physical_cores(const cpu_set_t& mask) {
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &mask)) continue;
    std::string siblings = std::to_string(cpu);
    std::ifstream("/sys/devices/system/cpu/cpu" + siblings + "/topology/thread_siblings_list") >> siblings;
    cores.insert(siblings);
  }
  return static_cast<unsigned>(cores.size());
}

// Calls `visit` with a stream of the named file of every cgroup (v2) from the process's own up to the root.
template <class Visit>
void for_each_cgroup(const char* name, Visit visit) {
  std::ifstream groups("/proc/self/cgroup");
  std::string line, path;
  while (std::getline(groups, line)) {
    if (line.rfind("0::/", 0) == 0 && line.size() > 4) path = line.substr(3);
  }
  for (;; path.resize(path.rfind('/'))) {
    std::ifstream file("/sys/fs/cgroup" + path + "/" + name);
    visit(file);
    if (path.empty()) return;
  }
}

}  // namespace

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  std::string line;
  while (std::getline(info, line)) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
#if defined(__aarch64__)
  return "ARM64 processor";
#else
  return "processor";
#endif
}

unsigned available_cores() {
  unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) cores = std::max(1u, physical_cores(mask));
  for_each_cgroup("cpu.max", [&](std::istream& file) {
    double quota, period;  // microseconds; "max" for no quota
    if (file >> quota >> period && quota / period < cores) cores = std::max(1u, static_cast<unsigned>(quota / period));
  });
  return cores;
}

uint64_t memory_limit() {
  uint64_t limit = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  for_each_cgroup("memory.max", [&](std::istream& file) {
    uint64_t bytes;
    if (file >> bytes) limit = std::min(limit, bytes);
  });
  return limit;
}

}  // namespace ntx
