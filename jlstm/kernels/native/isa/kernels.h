// All kernels of the instruction set that a file is compiled for (JLSTM_ISA).
//
// Everything in this folder is compiled once for each instruction set, in that set's namespace.
// Code that is compiled only once is in the folder above. Functions here must be static or always
// inlined, and must not call inline functions of the standard library. If several object files
// define the same inline function, the linker keeps one copy, which might use instructions that an
// older processor does not have. tests/kernels/test_native.py checks the symbols of the object
// files.
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
