// The interface of the kernels, and the instruction sets that they are compiled for.
#pragma once
#include <cstdint>
#include <type_traits>

#include "calls.h"
#include "passes.h"
#include "plan.h"

namespace jlstm {

// Products for weight gradients sum over kDeep rows (steps times sequences) at once. Those for
// weight and input gradients compute kTall rows of their result together.
constexpr int64_t kDeep = 256, kTall = 96;

// The kernels of one instruction set for one format.
template <typename F>
struct Kernels {
  using Stored = typename F::Stored;
  using Sum = typename F::Sum;
  int width;  // sums in a vector
  int lanes;  // vectors side by side in a panel
  int terms;  // stored numbers in a word of a panel
  // Packs the bias of vectors [first, end) of units, and the weights that are packed in advance.
  void (*pack_forward)(const ForwardPass<F>&, int64_t first, int64_t end);
  // z [part's vectors][(to - from) * rows][lanes * width] = x W_x + b for steps [from, to).
  // `own` has room for kOwnPanels panels of W_x. The call for step 0 packs W_h too, if
  // packs_beside.
  void (*input_products)(const ForwardPass<F>&, const Part&, int64_t from, int64_t to, Sum* z,
                         Sum* own);
  // Step k, whose input products begin at z, in a chunk of `chunk_rows` rows.
  void (*forward_step)(const ForwardPass<F>&, const Part&, int64_t k, const Sum* z,
                       int64_t chunk_rows);
  // Step k with unpacked weights, including its input products.
  void (*step_in_place)(const ForwardPass<F>&, const Part&, int64_t k, Sum* z);
  // Packs the transposed weights of vectors [first, end) of units.
  void (*pack_backward)(const BackwardPass<F>&, int64_t first, int64_t end);
  // Step k, counted back from the last one. Step k = `steps` completes the cotangents of the carry
  // from which the sequence starts.
  void (*backward_step)(const BackwardPass<F>&, const Part&, int64_t k);
  // Panels [first, end) of the columns of d_w_x, d_w_h and d_b. `packed` has room for kDeep rows
  // of these panels, `rows` for kTall * kDeep numbers.
  void (*weight_gradients)(const Gradients<F>&, int64_t group, int64_t first, int64_t end,
                           Sum* packed, Stored* rows);
  // Packs panels [first, end) of the transpose of W_x.
  void (*pack_for_inputs)(const Gradients<F>&, int64_t group, int64_t first, int64_t end,
                          Sum* packed);
  // d_xs of rows [from, to) of steps times batch, summed over groups [first, end). Their weights
  // are packed one group after another.
  void (*input_gradients)(const Gradients<F>&, int64_t first, int64_t end, int64_t from, int64_t to,
                          const Sum* packed);
  // Converts sums to stored numbers.
  void (*round)(const Sum* in, Stored* out, int64_t count);
  void (*sigmoid)(const Sum* in, Sum* out, int64_t count);
  void (*tanh)(const Sum* in, Sum* out, int64_t count);
};

// The kernels of one instruction set for all formats.
struct InstructionSet {
  const char* name;
  Kernels<Float32> float32;
  Kernels<Float64> float64;
  Kernels<BFloat16> bfloat16;

  template <typename F>
  const Kernels<F>& of() const {
    if constexpr (std::is_same_v<F, Float32>) return float32;
    if constexpr (std::is_same_v<F, Float64>) return float64;
    if constexpr (std::is_same_v<F, BFloat16>) return bfloat16;
  }
};

const InstructionSet& portable_set() noexcept;
const InstructionSet& avx2_set() noexcept;
const InstructionSet& avx512_set() noexcept;
const InstructionSet& avx512_bf16_set() noexcept;

// The fastest instruction set that this processor has. The environment variable JLSTM_CPU_ISA
// selects a slower one.
const InstructionSet& instruction_set();

}  // namespace jlstm
