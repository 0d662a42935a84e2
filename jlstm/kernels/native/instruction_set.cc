// Selects the kernels for this processor.
#include "instruction_set.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>

namespace jlstm {
namespace {

const InstructionSet& fastest() {
  const char* most = std::getenv("JLSTM_CPU_ISA");
#if defined(__x86_64__)
  struct Candidate {
    const char* name;
    bool present;
    const InstructionSet& (*set)();
  };
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
  const Candidate candidates[] = {
      // the fastest first
      {"avx512_bf16", avx512 && __builtin_cpu_supports("avx512bf16"), avx512_bf16_set},
      {"avx512", avx512, avx512_set},
      {"avx2", avx2, avx2_set},
      {"portable", true, portable_set}};
  auto named = [&](const Candidate& candidate) {
    return most && std::strcmp(most, candidate.name) == 0;
  };
  bool allowed = std::none_of(std::begin(candidates), std::end(candidates), named);
  for (const Candidate& candidate : candidates) {
    allowed = allowed || named(candidate);
    if (allowed && candidate.present) return candidate.set();
  }
#endif
  return portable_set();
}

}  // namespace

const InstructionSet& instruction_set() {
  static const InstructionSet& chosen = fastest();
  return chosen;
}

}  // namespace jlstm
