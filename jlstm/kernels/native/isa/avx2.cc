#define JLSTM_ISA jlstm_avx2
#include "kernels.h"

const jlstm::InstructionSet& jlstm::avx2_set() noexcept {
  using namespace jlstm_avx2;
  static constexpr InstructionSet set{"avx2", kKernels<Float32>, kKernels<Float64>,
                                      kKernels<BFloat16>};
  return set;
}
