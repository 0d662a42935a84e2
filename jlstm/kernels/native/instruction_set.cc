// Selects the kernels for this processor.
#include <cstdlib>
#include <cstring>

#include "recurrence.h"

namespace jlstm {
namespace {

const Kernels& fastest() {
  const char* most = std::getenv("JLSTM_CPU_ISA");
  [[maybe_unused]] auto allowed = [&](const char* name) {
    return !most || std::strcmp(most, name) == 0;
  };
#if defined(__x86_64__)
  const bool not_named = most && !allowed("avx512") && !allowed("avx2") && !allowed("portable");
  if (not_named) most = nullptr;
  if (allowed("avx512") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"))
    return *avx512_kernels();
  if ((allowed("avx512") || allowed("avx2")) && __builtin_cpu_supports("avx2") &&
      __builtin_cpu_supports("fma"))
    return *avx2_kernels();
#endif
  return *portable_kernels();
}

}  // namespace

const Kernels& kernels() {
  static const Kernels& chosen = fastest();
  return chosen;
}

}  // namespace jlstm
