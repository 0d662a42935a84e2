// What one call computes: sizes and buffers of the recurrence, forward and backward.
//
// A call has `groups` independent recurrences over one batch: the directions of a layer, members of
// an ensemble. Arrays are dense, their last axis fastest; null pointers stand for what a call
// lacks.
#pragma once
#include <cstdint>
#include <vector>

namespace jlstm {

struct Sizes {
  int64_t groups, steps, batch, inputs, units;
};

// How an array [groups, steps, batch, units] of outputs lies: the two directions of a layer may
// have their outputs side by side, [steps, batch, groups, units], as whoever joins them wants it.
struct Outputs {
  int64_t next_group, next_row;
};

// Flags and directions, shared by both passes.
struct Schedule {
  const uint8_t* valid;    // [groups, steps, batch]; elsewhere the carry is held, the output zero
  const uint8_t* resets;   // likewise
  const int64_t* reverse;  // [groups]
  int64_t next_valid, next_resets;  // from one group's flags to the next's; 0 if all share them
};

struct Forward {
  Sizes sizes;
  Schedule schedule;
  bool shared_inputs;      // xs is [steps, batch, inputs] for all groups
  bool rounded;            // products read h rounded to bfloat16, as hs and h_before are then
  const float *w_x, *w_h;  // [groups, inputs or units, 4 units], gates i, f, g, o
  const float* b;          // [groups, 4 units]
  const float *c, *h;      // [groups, batch, units]
  const float *initial_c, *initial_h;
  const float* xs;         // [groups, steps, batch, inputs]
  float *last_c, *last_h;  // [groups, batch, units]
  float* hs;               // laid out as `outputs` says
  Outputs outputs;
  float* gates;                // [groups, steps, batch, 4 units], kept for the backward pass
  float *c_before, *h_before;  // [groups, steps, batch, units], likewise
};

struct Backward {
  Sizes sizes;  // inputs is not looked at
  Schedule schedule;
  const float* w_h;
  const float* gates;
  const float* c_before;
  const float *d_last_c, *d_last_h;  // [groups, batch, units]
  const float* d_hs;                 // laid out as `outputs` says
  Outputs outputs;
  float* d_z;                        // [groups, steps, batch, 4 units]; may be `gates`
  float *d_c, *d_h;                  // [groups, batch, units]
  float *d_initial_c, *d_initial_h;  // [groups, batch, units]
};

// The products that lead from d_z to weights and inputs; null where a gradient is not asked for.
struct Gradients {
  Sizes sizes;
  bool shared_inputs;  // xs and d_xs are [steps, batch, inputs] for all groups
  const float *w_x, *xs, *h_before, *d_z;
  float *d_w_x, *d_w_h, *d_b, *d_xs;
};

constexpr int64_t kDeep = 256;  // steps and sequences that a product sums up at once
constexpr int64_t kTall = 96;   // rows of its result that it computes together

// A share of a call: some rows of the batch and some units of one group. `first` and `end` count
// vectors of units.
struct Part {
  int64_t group, row, row_end, first, end;
};

// How a call is divided. Where shares are independent each runs over all steps on its own;
// otherwise all take a step before any takes the next.
struct Plan {
  bool independent;
  std::vector<std::vector<Part>> shares;
};

// `last` is what the last vector of units costs beside a full one.
Plan divide(const Sizes& sizes, int width, int threads, double last);

// Only always-inlined functions stand here, as the files of all instruction sets include it.
#define JLSTM_INLINE __attribute__((always_inline)) inline

JLSTM_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// Where the state that a step reads comes from: the step that wrote it, or one of these.
constexpr int32_t kGiven = -1, kInitial = -2;

// Shorter calls read weights where they are: packing would take longer than it saves.
constexpr int64_t kInPlace = 8;  // steps times sequences
JLSTM_INLINE bool packing_pays(const Sizes& s) {
  return s.steps * s.batch > kInPlace || s.steps > kInPlace / 2;
}

// Panels of W_x that a share keeps where it packs its own: the one it reads and the next.
constexpr int64_t kOwnPanels = 2;

// One group of a call as the kernels see it.
struct ForwardPass {
  const Forward& call;
  int64_t group;
  // For each step and sequence where its state comes from, in row `steps` that of the last carry:
  // [steps + 1, batch]; null where every step reads the one before.
  const int32_t* source;
  // Packed, a panel for each vector of units. Both weights are null in calls too short for packing
  // to pay; else w_x is null where each share packs a panel beside the products of the one before.
  float *w_x, *w_h, *b;
  bool packs_beside;  // W_h is packed beside the first input products, by whoever reads it
  float* states;      // cell states [batch, units]
  float* last_h;      // hidden states before rounding [batch, units]; null without rounding
  const float *h, *initial_h;  // those of the call, as products read them

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

  // The hidden state of the carry, which is not rounded.
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
  float *d_c, *d_h;  // gradients of the carry on its way back in time [batch, units]

  JLSTM_INLINE int64_t time(int64_t k) const {  // k counts from the step taken last
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
  // Packs the bias of vectors [first, end) of units, and those weights that are packed ahead.
  void (*pack_forward)(const ForwardPass&, int64_t first, int64_t end);
  // z [part's vectors][(to - from) * rows][lanes * width] = x W_x + b for steps [from, to).
  // `own` has room for kOwnPanels panels of W_x. The first ones pack W_h too where the pass says
  // so.
  void (*input_products)(const ForwardPass&, const Part&, int64_t from, int64_t to, float* z,
                         float* own);
  // Step k, whose input products begin at z; those of a chunk have `chunk_rows` rows.
  void (*forward_step)(const ForwardPass&, const Part&, int64_t k, const float* z,
                       int64_t chunk_rows);
  // Step k with the weights where they are, input products and all.
  void (*step_in_place)(const ForwardPass&, const Part&, int64_t k, float* z);
  // Packs the transposed weights of vectors [first, end) of units.
  void (*pack_backward)(const BackwardPass&, int64_t first, int64_t end);
  // Step k counted from the last; step number `steps` finds what reaches the given carry.
  void (*backward_step)(const BackwardPass&, const Part&, int64_t k);
  // Panels [first, end) of the columns of d_w_x, d_w_h and d_b. `packed` has room for kDeep rows
  // of that many panels, `rows` for kTall times kDeep.
  void (*weight_gradients)(const Gradients&, int64_t group, int64_t first, int64_t end,
                           float* packed, float* rows);
  // Packs panels [first, end) of the transpose of W_x.
  void (*pack_for_inputs)(const Gradients&, int64_t group, int64_t first, int64_t end,
                          float* packed);
  // d_xs of rows [from, to) of steps times batch; added to what is there where `more` is set.
  void (*input_gradients)(const Gradients&, int64_t group, int64_t from, int64_t to,
                          const float* packed, bool more);
  void (*round)(const float* in, float* out, int64_t count);  // to bfloat16
  void (*sigmoid)(const float* in, float* out, int64_t count);
  void (*tanh)(const float* in, float* out, int64_t count);
};

const Kernels* portable_kernels();
const Kernels* avx2_kernels();
const Kernels* avx512_kernels();

// The fastest that this processor runs; the environment variable JLSTM_CPU_ISA names a slower one.
const Kernels& kernels();

struct Team;

void forward(const Forward& call, Team& team);  // throw std::bad_alloc
void backward(const Backward& call, Team& team);
void gradients(const Gradients& call, Team& team);

}  // namespace jlstm
