// All kernels of the instruction set that a file is compiled for (JLSTM_ISA).
//
// Everything in this folder is compiled once for each instruction set, in that set's namespace.
// Code that is compiled only once is in the folder above. Functions here must be static or always
// inlined, and must not call inline functions of the standard library. If several object files
// define the same inline function, the linker keeps one copy, which might use instructions that an
// older processor does not have. tests/kernels/test_native.py checks the symbols of the object
// files.
#pragma once
#include "../instruction_set.h"
#include "backward.h"
#include "elementwise.h"
#include "forward.h"
#include "gradients.h"
#include "in_place.h"

namespace JLSTM_ISA {

template <typename F>
static constexpr jlstm::Kernels<F> kKernels{kWidth<typename F::Sum>,
                                            kLanes,
                                            kTerms<F>,
                                            pack_forward<F>,
                                            input_products<F>,
                                            forward_step<F>,
                                            step_in_place<F>,
                                            pack_backward<F>,
                                            backward_step<F>,
                                            weight_gradients<F>,
                                            pack_for_inputs<F>,
                                            input_gradients<F>,
                                            round_all<F>,
                                            sigmoid_of_all<typename F::Sum>,
                                            tanh_of_all<typename F::Sum>};

}  // namespace JLSTM_ISA
