// All kernels of the instruction set that a file is compiled for (JLSTM_ISA).
#pragma once
#include "backward.h"
#include "elementwise.h"
#include "forward.h"
#include "gradients.h"
#include "in_place.h"

namespace JLSTM_ISA {

static const jlstm::Kernels* kernels_named(const char* name) {
  static const jlstm::Kernels kernels{name,
                                      kWidth,
                                      kLanes,
                                      pack_forward,
                                      input_products,
                                      forward_step,
                                      step_in_place,
                                      pack_backward,
                                      backward_step,
                                      weight_gradients,
                                      pack_for_inputs,
                                      input_gradients,
                                      over_all<rounded>,
                                      over_all<sigmoid>,
                                      over_all<tanh>};
  return &kernels;
}

}  // namespace JLSTM_ISA
