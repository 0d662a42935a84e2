// The arguments of a call, forward and backward, and the interface of the kernels.
//
// A call has `groups` independent recurrences over one batch: the directions of a layer, or members
// of an ensemble. Arrays are dense and row-major. Null pointers stand for absent arrays.
#pragma once
#include <cstdint>
#include <vector>

#include "formats.h"

namespace jlstm {

struct Sizes {
  int64_t groups, steps, batch, inputs, units;
};

// Strides of an array [groups, steps, batch, units] of outputs. It may be stored as
// [steps, batch, groups, units] instead, so that two directions can be concatenated without a copy.
struct Outputs {
  int64_t next_group, next_row;
};

// Flags and directions, shared by both passes.
struct Schedule {
  const uint8_t* valid;    // [groups, steps, batch]; where 0, the carry is held and the output zero
  const uint8_t* resets;   // [groups, steps, batch]; where 1, the initial carry replaces the carry
  const int64_t* reverse;  // [groups]
  int64_t next_valid, next_resets;  // stride from group to group; 0 if all groups share the flags
};

template <typename F>
struct Forward {
  using Stored = typename F::Stored;
  using Sum = typename F::Sum;
  Sizes sizes;
  Schedule schedule;
  bool shared_inputs;       // xs is [steps, batch, inputs] for all groups
  const Stored *w_x, *w_h;  // [groups, inputs or units, 4 units], gates i, f, g, o
  const Sum* b;             // [groups, 4 units]
  const Sum *c, *h;         // [groups, batch, units]
  const Sum *initial_c, *initial_h;
  const Stored* xs;      // [groups, steps, batch, inputs]
  Sum *last_c, *last_h;  // [groups, batch, units]; last_h is not rounded
  Stored* hs;            // with the strides `outputs`
  Outputs outputs;
  Sum *gates, *c_before;  // [groups, steps, batch, 4 units or units], residuals
  Stored* h_before;       // [groups, steps, batch, units], also a residual
};

template <typename F>
struct Backward {
  using Stored = typename F::Stored;
  using Sum = typename F::Sum;
  Sizes sizes;  // inputs is not used
  Schedule schedule;
  const Stored* w_h;
  const Sum* gates;
  const Sum* c_before;
  const Sum *d_last_c, *d_last_h;  // [groups, batch, units]
  const Stored* d_hs;              // with the strides `outputs`
  Outputs outputs;
  Stored* d_z;                     // [groups, steps, batch, 4 units]; may be `gates`
  Sum *d_c, *d_h;                  // [groups, batch, units]
  Sum *d_initial_c, *d_initial_h;  // [groups, batch, units]
};

// The gradients of weights and inputs, which are products with d_z; null for those not wanted.
template <typename F>
struct Gradients {
  using Stored = typename F::Stored;
  using Sum = typename F::Sum;
  Sizes sizes;
  bool shared_inputs;  // xs and d_xs are [steps, batch, inputs] for all groups
  const Stored *w_x, *xs, *h_before, *d_z;
  Sum *d_w_x, *d_w_h, *d_b;
  Stored* d_xs;
};

constexpr int64_t kDeep = 256;  // rows (steps times sequences) that a product sums at once
constexpr int64_t kTall = 96;   // rows of its result that it computes together

// Part of a share: rows of the batch and units of one group. `first` and `end` count vectors of
// units.
struct Part {
  int64_t group, row, row_end, first, end;
};

// How a call is divided among threads. Independent shares run over all steps without waiting.
// Otherwise all shares complete a step before any begins the next one.
struct Plan {
  bool independent;
  std::vector<std::vector<Part>> shares;
};

// `last` is the cost of the last vector of units relative to a full one.
Plan divide(const Sizes& sizes, int width, int threads, double last);

JLSTM_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// The source of the state that a step reads: the number of the step that wrote it, or one of these.
constexpr int32_t kGiven = -1, kInitial = -2;

// Shorter calls read weights without packing them, because packing would take longer than it saves.
constexpr int64_t kInPlace = 8;  // steps times sequences
JLSTM_INLINE bool packing_pays(const Sizes& s) {
  return s.steps * s.batch > kInPlace || s.steps > kInPlace / 2;
}

// Panels of W_x that a share buffers if it packs W_x itself: the current one and the next.
constexpr int64_t kOwnPanels = 2;

// The arguments of the forward kernels for one group of a call.
template <typename F>
struct ForwardPass {
  using Stored = typename F::Stored;
  using Sum = typename F::Sum;
  const Forward<F>& call;
  int64_t group;
  // The source of the state of each step and sequence, [steps + 1, batch]. Row `steps` is the
  // source of the last carry. Null if every step reads the state of the step before it.
  const int32_t* source;
  // Packed, a panel for each vector of units. Both weights are null in calls too short to pack.
  // In other calls w_x is null if each share packs a panel of W_x during the products of the panel
  // before it.
  Sum *w_x, *w_h, *b;
  bool packs_beside;  // the share that reads W_h packs it during the first input products
  Sum* states;        // cell states [batch, units]
  Sum* last_h;        // hidden states before rounding [batch, units]; null in formats without it
  const Stored *h, *initial_h;  // of the call, as products read them

  JLSTM_INLINE int64_t time(int64_t k) const {
    return call.schedule.reverse[group] ? call.sizes.steps - 1 - k : k;
  }

  JLSTM_INLINE int32_t source_of(int64_t k, int64_t row) const {
    if (source) {
      const int64_t t = k < call.sizes.steps ? time(k) : k;
      return source[t * call.sizes.batch + row];
    }
    return k == 0 ? kGiven : int32_t(time(k - 1));
  }

  JLSTM_INLINE bool valid(int64_t t, int64_t row) const {
    const Schedule& s = call.schedule;
    return !s.valid || s.valid[group * s.next_valid + t * call.sizes.batch + row];
  }

  JLSTM_INLINE const Stored* h_from(int32_t source, int64_t row) const {
    const Sizes& s = call.sizes;
    const int64_t at = (group * s.batch + row) * s.units;
    if (source == kGiven) return h + at;
    if (source == kInitial) return initial_h + at;
    return h_of(source, row);
  }

  // The hidden state of the carry, not rounded.
  JLSTM_INLINE const Sum* carried_h(int32_t source, int64_t row) const {
    const Sizes& s = call.sizes;
    const int64_t at = (group * s.batch + row) * s.units;
    if (source == kGiven) return call.h + at;
    if (source == kInitial) return call.initial_h + at;
    if constexpr (kRounds<F>) {
      return last_h + row * s.units;
    } else {
      return h_of(source, row);
    }
  }

  // The output of sequence `row` at time t.
  JLSTM_INLINE Stored* h_of(int64_t t, int64_t row) const {
    return call.hs + group * call.outputs.next_group +
           (t * call.sizes.batch + row) * call.outputs.next_row;
  }

  JLSTM_INLINE const Sum* c_from(int32_t source, int64_t row) const {
    const Sizes& s = call.sizes;
    const int64_t at = (group * s.batch + row) * s.units;
    if (source == kGiven) return call.c + at;
    if (source == kInitial) return call.initial_c + at;
    return states + row * s.units;
  }
};

template <typename F>
struct BackwardPass {
  using Stored = typename F::Stored;
  using Sum = typename F::Sum;
  const Backward<F>& call;
  int64_t group;
  Sum* w_h;        // packed, transposed, in panels from the first vector of each part
  Sum *d_c, *d_h;  // cotangents of the carry at the current step [batch, units]

  JLSTM_INLINE int64_t time(int64_t k) const {  // k counts back from the last step
    return call.schedule.reverse[group] ? k : call.sizes.steps - 1 - k;
  }

  JLSTM_INLINE bool valid(int64_t t, int64_t row) const {
    const Schedule& s = call.schedule;
    return !s.valid || s.valid[group * s.next_valid + t * call.sizes.batch + row];
  }

  // The gradient for the output of sequence `row` at time t.
  JLSTM_INLINE const Stored* d_h_of(int64_t t, int64_t row) const {
    return call.d_hs + group * call.outputs.next_group +
           (t * call.sizes.batch + row) * call.outputs.next_row;
  }

  JLSTM_INLINE bool reset(int64_t t, int64_t row) const {
    const Schedule& s = call.schedule;
    return s.resets && s.resets[group * s.next_resets + t * call.sizes.batch + row];
  }
};

// One instruction set's kernels for a format.
template <typename F>
struct Kernels {
  using Stored = typename F::Stored;
  using Sum = typename F::Sum;
  int width;  // sums in a vector
  int lanes;  // vectors side by side in a panel
  int terms;  // numbers in a word of a panel
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
  // of these panels, `rows` for kTall * kDeep floats.
  void (*weight_gradients)(const Gradients<F>&, int64_t group, int64_t first, int64_t end,
                           Sum* packed, Stored* rows);
  // Packs panels [first, end) of the transpose of W_x.
  void (*pack_for_inputs)(const Gradients<F>&, int64_t group, int64_t first, int64_t end,
                          Sum* packed);
  // d_xs of rows [from, to) of steps times batch; added to the present values if `more`.
  void (*input_gradients)(const Gradients<F>&, int64_t group, int64_t from, int64_t to,
                          const Sum* packed, bool more);
  // Sums as products read them.
  void (*round)(const Sum* in, Stored* out, int64_t count);
  void (*sigmoid)(const Sum* in, Sum* out, int64_t count);
  void (*tanh)(const Sum* in, Sum* out, int64_t count);
};

// One instruction set's kernels for all formats.
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

const InstructionSet& portable_set();
const InstructionSet& avx2_set();
const InstructionSet& avx512_set();
const InstructionSet& avx512_bf16_set();

// The fastest instruction set that this processor has. The environment variable JLSTM_CPU_ISA
// selects slower ones.
const InstructionSet& instruction_set();

struct Team;

template <typename F>
void forward(const Forward<F>& call, Team& team);  // these throw std::bad_alloc
template <typename F>
void backward(const Backward<F>& call, Team& team);
template <typename F>
void gradients(const Gradients<F>& call, Team& team);

}  // namespace jlstm
