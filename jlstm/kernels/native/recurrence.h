// The arguments of a call, forward and backward, and the interface of the kernels.
//
// A call has `groups` independent recurrences over one batch: the directions of a layer, or members
// of an ensemble. Arrays are dense and row-major. Null pointers stand for absent arrays.
#pragma once
#include <cstdint>
#include <vector>

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

struct Forward {
  Sizes sizes;
  Schedule schedule;
  bool shared_inputs;      // xs is [steps, batch, inputs] for all groups
  bool rounded;            // products read h rounded to bfloat16; hs and h_before are rounded too
  const float *w_x, *w_h;  // [groups, inputs or units, 4 units], gates i, f, g, o
  const float* b;          // [groups, 4 units]
  const float *c, *h;      // [groups, batch, units]
  const float *initial_c, *initial_h;
  const float* xs;         // [groups, steps, batch, inputs]
  float *last_c, *last_h;  // [groups, batch, units]
  float* hs;               // with the strides `outputs`
  Outputs outputs;
  float* gates;                // [groups, steps, batch, 4 units], residuals of the backward pass
  float *c_before, *h_before;  // [groups, steps, batch, units], also residuals
};

struct Backward {
  Sizes sizes;  // inputs is not used
  Schedule schedule;
  const float* w_h;
  const float* gates;
  const float* c_before;
  const float *d_last_c, *d_last_h;  // [groups, batch, units]
  const float* d_hs;                 // with the strides `outputs`
  Outputs outputs;
  float* d_z;                        // [groups, steps, batch, 4 units]; may be `gates`
  float *d_c, *d_h;                  // [groups, batch, units]
  float *d_initial_c, *d_initial_h;  // [groups, batch, units]
};

// The gradients of weights and inputs, which are products with d_z; null for those not wanted.
struct Gradients {
  Sizes sizes;
  bool shared_inputs;  // xs and d_xs are [steps, batch, inputs] for all groups
  const float *w_x, *xs, *h_before, *d_z;
  float *d_w_x, *d_w_h, *d_b, *d_xs;
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

// Functions in this header must always be inlined: files for all instruction sets include it, and
// the linker would otherwise keep one instruction set's copy for all.
#define JLSTM_INLINE __attribute__((always_inline)) inline

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
struct ForwardPass {
  const Forward& call;
  int64_t group;
  // The source of the state of each step and sequence, [steps + 1, batch]. Row `steps` is the
  // source of the last carry. Null if every step reads the state of the step before it.
  const int32_t* source;
  // Packed, a panel for each vector of units. Both weights are null in calls too short to pack.
  // In other calls w_x is null if each share packs a panel of W_x during the products of the panel
  // before it.
  float *w_x, *w_h, *b;
  bool packs_beside;  // the share that reads W_h packs it during the first input products
  float* states;      // cell states [batch, units]
  float* last_h;      // hidden states before rounding [batch, units]; null without rounding
  const float *h, *initial_h;  // of the call, rounded if products read rounded h

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

  JLSTM_INLINE const float* h_from(int32_t source, int64_t row) const {
    const Sizes& s = call.sizes;
    const int64_t at = (group * s.batch + row) * s.units;
    if (source == kGiven) return h + at;
    if (source == kInitial) return initial_h + at;
    return h_of(source, row);
  }

  // The hidden state of the carry, not rounded.
  JLSTM_INLINE const float* carried_h(int32_t source, int64_t row) const {
    const Sizes& s = call.sizes;
    const int64_t at = (group * s.batch + row) * s.units;
    if (source == kGiven) return call.h + at;
    if (source == kInitial) return call.initial_h + at;
    return last_h ? last_h + row * s.units : h_of(source, row);
  }

  // The output of sequence `row` at time t.
  JLSTM_INLINE float* h_of(int64_t t, int64_t row) const {
    return call.hs + group * call.outputs.next_group +
           (t * call.sizes.batch + row) * call.outputs.next_row;
  }

  JLSTM_INLINE const float* c_from(int32_t source, int64_t row) const {
    const Sizes& s = call.sizes;
    const int64_t at = (group * s.batch + row) * s.units;
    if (source == kGiven) return call.c + at;
    if (source == kInitial) return call.initial_c + at;
    return states + row * s.units;
  }
};

struct BackwardPass {
  const Backward& call;
  int64_t group;
  float* w_h;        // packed, transposed, in panels from the first vector of each part
  float *d_c, *d_h;  // cotangents of the carry at the current step [batch, units]

  JLSTM_INLINE int64_t time(int64_t k) const {  // k counts back from the last step
    return call.schedule.reverse[group] ? k : call.sizes.steps - 1 - k;
  }

  JLSTM_INLINE bool valid(int64_t t, int64_t row) const {
    const Schedule& s = call.schedule;
    return !s.valid || s.valid[group * s.next_valid + t * call.sizes.batch + row];
  }

  // The gradient for the output of sequence `row` at time t.
  JLSTM_INLINE const float* d_h_of(int64_t t, int64_t row) const {
    return call.d_hs + group * call.outputs.next_group +
           (t * call.sizes.batch + row) * call.outputs.next_row;
  }

  JLSTM_INLINE bool reset(int64_t t, int64_t row) const {
    const Schedule& s = call.schedule;
    return s.resets && s.resets[group * s.next_resets + t * call.sizes.batch + row];
  }
};

// One instruction set's kernels.
struct Kernels {
  const char* name;
  int width;  // floats in a vector
  int lanes;  // vectors side by side in a panel
  // Packs the bias of vectors [first, end) of units, and the weights that are packed in advance.
  void (*pack_forward)(const ForwardPass&, int64_t first, int64_t end);
  // z [part's vectors][(to - from) * rows][lanes * width] = x W_x + b for steps [from, to).
  // `own` has room for kOwnPanels panels of W_x. The call for step 0 packs W_h too, if
  // packs_beside.
  void (*input_products)(const ForwardPass&, const Part&, int64_t from, int64_t to, float* z,
                         float* own);
  // Step k, whose input products begin at z, in a chunk of `chunk_rows` rows.
  void (*forward_step)(const ForwardPass&, const Part&, int64_t k, const float* z,
                       int64_t chunk_rows);
  // Step k with unpacked weights, including its input products.
  void (*step_in_place)(const ForwardPass&, const Part&, int64_t k, float* z);
  // Packs the transposed weights of vectors [first, end) of units.
  void (*pack_backward)(const BackwardPass&, int64_t first, int64_t end);
  // Step k, counted back from the last one. Step k = `steps` completes the cotangents of the carry
  // from which the sequence starts.
  void (*backward_step)(const BackwardPass&, const Part&, int64_t k);
  // Panels [first, end) of the columns of d_w_x, d_w_h and d_b. `packed` has room for kDeep rows
  // of these panels, `rows` for kTall * kDeep floats.
  void (*weight_gradients)(const Gradients&, int64_t group, int64_t first, int64_t end,
                           float* packed, float* rows);
  // Packs panels [first, end) of the transpose of W_x.
  void (*pack_for_inputs)(const Gradients&, int64_t group, int64_t first, int64_t end,
                          float* packed);
  // d_xs of rows [from, to) of steps times batch; added to the present values if `more`.
  void (*input_gradients)(const Gradients&, int64_t group, int64_t from, int64_t to,
                          const float* packed, bool more);
  void (*round)(const float* in, float* out, int64_t count);  // to bfloat16
  void (*sigmoid)(const float* in, float* out, int64_t count);
  void (*tanh)(const float* in, float* out, int64_t count);
};

const Kernels* portable_kernels();
const Kernels* avx2_kernels();
const Kernels* avx512_kernels();

// The fastest kernels that this processor can run. The environment variable JLSTM_CPU_ISA selects
// slower ones.
const Kernels& kernels();

struct Team;

void forward(const Forward& call, Team& team);  // throw std::bad_alloc
void backward(const Backward& call, Team& team);
void gradients(const Gradients& call, Team& team);

}  // namespace jlstm
