// AVX-512 with an instruction for products of bfloat16. Other formats use the kernels of AVX-512.
#define JLSTM_ISA jlstm_avx512_bf16
#include "kernels.h"

const jlstm::InstructionSet& jlstm::avx512_bf16_set() noexcept {
  static const InstructionSet set{"avx512_bf16", avx512_set().float32, avx512_set().float64,
                                  jlstm_avx512_bf16::kKernels<BFloat16>};
  return set;
}
