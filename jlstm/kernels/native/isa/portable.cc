#define JLSTM_ISA jlstm_portable
#include "kernels.h"

const jlstm::InstructionSet& jlstm::portable_set() noexcept {
  using namespace jlstm_portable;
  static constexpr InstructionSet set{"portable", kKernels<Float32>, kKernels<Float64>,
                                      kKernels<BFloat16>};
  return set;
}
