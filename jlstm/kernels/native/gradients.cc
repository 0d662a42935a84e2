// The gradients of weights and inputs: products outside the loop over time, divided among threads.
#include <algorithm>

#include "instruction_set.h"
#include "scratch.h"
#include "team.h"

namespace jlstm {

template <typename F>
void gradients(const Gradients<F>& call, Team& team) {
  using Sum = typename F::Sum;
  using Stored = typename F::Stored;
  const Sizes& s = call.sizes;
  const Kernels<F>& set = instruction_set().of<F>();
  const int64_t panel_size = set.lanes * set.width, columns = 4 * s.units;
  const int64_t rows = s.steps * s.batch;
  const int64_t column_panels = (columns + panel_size - 1) / panel_size;
  const int64_t input_panels = (s.inputs + panel_size - 1) / panel_size;
  const double work = 2.0 * rows * columns * (s.inputs + s.units) * s.groups;
  const int64_t threads = std::max(1, team.threads);
  const int64_t shares = work < 1e6 ? 1 : std::min({threads, std::max(column_panels, rows)});
  const int64_t own_panels = (column_panels + shares - 1) / shares;
  const int64_t packed_size = own_panels * words(kDeep, set.terms) * panel_size;
  const int64_t w_x_size = input_panels * panel_size * words(columns, set.terms);
  size_t bytes = shares * (Scratch::size<Sum>(packed_size) + Scratch::size<Stored>(kTall * kDeep));
  if (call.d_xs) bytes += Scratch::size<Sum>(s.groups * w_x_size);
  Scratch scratch(bytes);
  std::vector<Sum*> packed;
  std::vector<Stored*> transposed;
  for (int64_t share = 0; share < shares; ++share) {
    packed.push_back(scratch.take<Sum>(packed_size));
    transposed.push_back(scratch.take<Stored>(kTall * kDeep));
  }
  Sum* w_x = call.d_xs ? scratch.take<Sum>(s.groups * w_x_size) : nullptr;
  // First weight gradients and packing of W_x, then input gradients, which read it.
  team.run(shares, call.d_xs ? 2 : 1, [&](int64_t phase, int64_t share) {
    if (phase == 0) {
      for (int64_t group = 0; group < s.groups; ++group) {
        set.weight_gradients(call, group, column_panels * share / shares,
                             column_panels * (share + 1) / shares, packed[share],
                             transposed[share]);
        if (call.d_xs)
          set.pack_for_inputs(call, group, input_panels * share / shares,
                              input_panels * (share + 1) / shares, w_x + group * w_x_size);
      }
      return;
    }
    // Groups that share inputs are summed at once: no sum is rounded before it is complete.
    const int64_t together = call.shared_inputs ? s.groups : 1;
    for (int64_t first = 0; first < s.groups; first += together)
      set.input_gradients(call, first, first + together, rows * share / shares,
                          rows * (share + 1) / shares, w_x + first * w_x_size);
  });
}

template void gradients(const Gradients<Float32>&, Team&);
template void gradients(const Gradients<Float64>&, Team&);
template void gradients(const Gradients<BFloat16>&, Team&);

}  // namespace jlstm
