#define JLSTM_ISA jlstm_avx2
#include "forward.h"
#include "backward.h"
#include "gradients.h"

const jlstm::Kernels* jlstm::avx2_kernels() {
  using namespace jlstm_avx2;
  static constexpr Kernels kernels{"avx2", kWidth, kLanes, pack_forward, input_products,
                                   forward_step, step_in_place, pack_backward, backward_step,
                                   weight_gradients, pack_for_inputs, input_gradients,
                                   round_all, sigmoid_all, tanh_all};
  return &kernels;
}
