#define JLSTM_ISA jlstm_avx512
#include "kernels.h"

const jlstm::InstructionSet& jlstm::avx512_set() noexcept {
  using namespace jlstm_avx512;
  static constexpr InstructionSet set{"avx512", kKernels<Float32>, kKernels<Float64>,
                                      kKernels<BFloat16>};
  return set;
}
