// What the kernels read and write for one group of a call.
#pragma once
#include <cstdint>

#include "calls.h"

namespace jlstm {

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
  Sum* last_h;  // hidden states before rounding [batch, units]; null if the format does not round
  const Stored *h, *initial_h;  // those of the call, as products read them

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

  // The hidden state from a source, as products read it.
  JLSTM_INLINE const Stored* h_from(int32_t source, int64_t row) const {
    const Sizes& s = call.sizes;
    const int64_t at = (group * s.batch + row) * s.units;
    if (source == kGiven) return h + at;
    if (source == kInitial) return initial_h + at;
    return h_of(source, row);
  }

  // The hidden state of the carry, before rounding. `source` is that of the latest valid step.
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

// The arguments of the backward kernels for one group of a call.
template <typename F>
struct BackwardPass {
  using Stored = typename F::Stored;
  using Sum = typename F::Sum;
  const Backward<F>& call;
  int64_t group;
  Sum* w_h;        // packed and transposed; the panels of each part begin at its first vector
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

}  // namespace jlstm
