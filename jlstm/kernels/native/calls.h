// The arguments of a call, forward and backward, and the functions that run it.
//
// A call has `groups` independent recurrences over one batch: the directions of a layer, or members
// of an ensemble. Arrays are dense and row-major. Null pointers stand for absent arrays.
#pragma once
#include <cstdint>

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
  Sum *last_c, *last_h;  // [groups, batch, units]
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
  Stored* d_z;     // [groups, steps, batch, 4 units]; may overwrite `gates` if Stored is Sum
  Sum *d_c, *d_h;  // [groups, batch, units]
  Sum *d_initial_c, *d_initial_h;  // [groups, batch, units]
};

// The gradients of weights, biases and inputs, computed from d_z. A gradient that the caller does
// not ask for is null.
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

struct Team;

// These functions throw std::bad_alloc.
template <typename F>
void forward(const Forward<F>& call, Team& team);
template <typename F>
void backward(const Backward<F>& call, Team& team);
template <typename F>
void gradients(const Gradients<F>& call, Team& team);

}  // namespace jlstm
