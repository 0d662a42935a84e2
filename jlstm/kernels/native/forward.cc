// The forward pass of a call: allocates memory and schedules the steps of all shares.
#include <algorithm>
#include <vector>

#include "instruction_set.h"
#include "scratch.h"
#include "team.h"

namespace jlstm {
namespace {

// Size of the input products of a share that fit into its cache, in bytes.
constexpr int64_t kChunk = 384 * 1024;

// How a call packs its weights and groups its steps; the same for all shares.
struct Layout {
  int64_t panel_size = 0;  // words in a row of a panel
  int64_t panels = 0;      // panels of a group's weights
  int64_t chunk = 0;       // steps whose input products are computed at once
  bool packed = false;     // the kernels read packed weights
  bool ahead = false;      // W_x is packed once, before the first step
  bool beside = false;     // W_h is packed during the first input products
};

// The memory of a call, in the arrays that the kernels read and write.
template <typename F>
struct Buffers {
  using Sum = typename F::Sum;
  std::vector<std::vector<int32_t>> sources;  // of each group; see ForwardPass::source
  std::vector<ForwardPass<F>> passes;         // of each group
  std::vector<std::vector<Sum*>> z;           // input products of each part of each share
  std::vector<Sum*> own;                      // panels of W_x that each share packs itself
};

// The source of the state that each step of a group reads; see ForwardPass::source.
std::vector<int32_t> sources(const Sizes& sizes, const Schedule& schedule, int64_t group) {
  const int64_t steps = sizes.steps, batch = sizes.batch;
  const bool reverse = schedule.reverse[group];
  const uint8_t* valid = schedule.valid ? schedule.valid + group * schedule.next_valid : nullptr;
  const uint8_t* resets =
      schedule.resets ? schedule.resets + group * schedule.next_resets : nullptr;
  std::vector<int32_t> source((steps + 1) * batch);
  std::vector<int32_t> now(batch, kGiven);
  for (int64_t k = 0; k < steps; ++k) {
    const int64_t t = reverse ? steps - 1 - k : k;
    for (int64_t row = 0; row < batch; ++row) {
      const bool reset = resets && resets[t * batch + row];
      if (reset && !reverse) now[row] = kInitial;
      source[t * batch + row] = now[row];
      if (!valid || valid[t * batch + row]) now[row] = int32_t(t);
      if (reset && reverse) now[row] = kInitial;
    }
  }
  std::copy(now.begin(), now.end(), source.begin() + steps * batch);
  return source;
}

// Writes the last carry of a part.
template <typename F>
void write_last_carry(const ForwardPass<F>& pass, const Part& part, int width) {
  const Sizes& s = pass.call.sizes;
  const int64_t unit = part.first * width, count = std::min(part.end * width, s.units) - unit;
  for (int64_t row = part.row; row < part.row_end; ++row) {
    const int64_t at = (pass.group * s.batch + row) * s.units + unit;
    const int32_t from = pass.source_of(s.steps, row);
    std::copy_n(pass.c_from(from, row) + unit, count, pass.call.last_c + at);
    std::copy_n(pass.carried_h(from, row) + unit, count, pass.call.last_h + at);
  }
}

// The cost of the last vector of units relative to a full one. Its lanes hold quarters of a vector.
double last_vector(const Sizes& s, int64_t width) {
  const int64_t units = (s.units - 1) % width + 1;
  return (units * 4 + width - 1) / width / 4.0;
}

int64_t rows_of(const Part& part) { return part.row_end - part.row; }

// The number of steps whose input products are computed at once. It is the same for all shares, so
// that they compute input products in the same phase and none waits for the others.
template <typename F>
int64_t chunk_of(const Sizes& s, const Plan& plan, int64_t panel_size) {
  int64_t chunk = s.steps;
  for (const auto& share : plan.shares)
    for (const Part& part : share) {
      const int64_t rows = rows_of(part);
      const int64_t row_bytes = (part.end - part.first) * panel_size * sizeof(typename F::Sum);
      const int64_t fit = kChunk / (rows * row_bytes);
      const int64_t least =
          (std::max<int64_t>(64, s.inputs / 2) + rows - 1) / rows;  // amortises W_x
      chunk = std::min(chunk, std::max(fit, least));
    }
  return chunk;
}

// W_x is packed once, in advance, if many chunks read it, or if several do and it fits the cache.
// Otherwise each panel is packed during the products of the panel before it. Then W_h is packed in
// the same way, if only one share reads it.
template <typename F>
Layout layout_of(const Sizes& s, const Kernels<F>& set, const Plan& plan) {
  Layout layout{.panel_size = set.lanes * set.width,
                .panels = (s.units + set.width - 1) / set.width,
                .packed = packing_pays(s)};
  layout.chunk = chunk_of<F>(s, plan, layout.panel_size);
  const int64_t weights = layout.panels * words(s.inputs, set.terms) * layout.panel_size;
  const bool small = int64_t(weights * sizeof(typename F::Sum)) < kChunk * 4;
  layout.ahead = layout.packed && s.steps > layout.chunk * (small ? 1 : 3);
  layout.beside = layout.packed && !layout.ahead;
  for (const auto& share : plan.shares)
    for (const Part& part : share) layout.beside = layout.beside && rows_of(part) == s.batch;
  return layout;
}

int64_t z_size(const Layout& layout, const Part& part) {
  return layout.chunk * rows_of(part) * (part.end - part.first) * layout.panel_size;
}

// The bytes that `take_buffers` takes.
template <typename F>
size_t bytes_of(const Forward<F>& call, const Kernels<F>& set, const Plan& plan,
                const Layout& layout) {
  using Sum = typename F::Sum;
  const Sizes& s = call.sizes;
  const int64_t panel = layout.panels * layout.panel_size, states = s.batch * s.units;
  size_t group = Scratch::size<Sum>(panel) + Scratch::size<Sum>(states);
  if (layout.ahead) group += Scratch::size<Sum>(panel * words(s.inputs, set.terms));
  if (layout.packed) group += Scratch::size<Sum>(panel * words(s.units, set.terms));
  if (kRounds<F>) group += Scratch::size<Sum>(states);
  size_t bytes = s.groups * group;
  if (kRounds<F>)  // h and initial_h as products read them
    bytes += (call.initial_h ? 2 : 1) * Scratch::size<typename F::Stored>(s.groups * states);
  for (const auto& share : plan.shares) {
    bytes += Scratch::size<Sum>(kOwnPanels * words(s.inputs, set.terms) * layout.panel_size);
    for (const Part& part : share) bytes += Scratch::size<Sum>(z_size(layout, part));
  }
  return bytes;
}

template <typename F>
Buffers<F> take_buffers(const Forward<F>& call, const Kernels<F>& set, const Plan& plan,
                        const Layout& layout, Scratch& scratch) {
  using Sum = typename F::Sum;
  using Stored = typename F::Stored;
  const Sizes& s = call.sizes;
  const int64_t panel = layout.panels * layout.panel_size, states = s.batch * s.units;
  // Hidden states of the carry, as products read them.
  auto as_read = [&](const Sum* h) -> const Stored* {
    if constexpr (kRounds<F>) {
      if (!h) return nullptr;
      Stored* copy = scratch.take<Stored>(s.groups * states);
      set.round(h, copy, s.groups * states);
      return copy;
    } else {
      return h;
    }
  };
  const Stored *h = as_read(call.h), *initial_h = as_read(call.initial_h);
  // Otherwise every step reads the state of the step before it.
  const bool irregular = call.schedule.valid || call.schedule.resets;
  Buffers<F> buffers;
  buffers.sources.resize(s.groups);
  for (int64_t group = 0; group < s.groups; ++group) {
    auto& source = buffers.sources[group];
    if (irregular) source = sources(s, call.schedule, group);
    auto weights = [&](bool wanted, int64_t size) {
      return wanted ? scratch.take<Sum>(panel * words(size, set.terms)) : nullptr;
    };
    buffers.passes.push_back({.call = call,
                              .group = group,
                              .source = irregular ? source.data() : nullptr,
                              .w_x = weights(layout.ahead, s.inputs),
                              .w_h = weights(layout.packed, s.units),
                              .b = scratch.take<Sum>(panel),
                              .packs_beside = layout.beside,
                              .states = scratch.take<Sum>(states),
                              .last_h = kRounds<F> ? scratch.take<Sum>(states) : nullptr,
                              .h = h,
                              .initial_h = initial_h});
  }
  for (const auto& share : plan.shares) {
    buffers.own.push_back(
        scratch.take<Sum>(kOwnPanels * words(s.inputs, set.terms) * layout.panel_size));
    auto& z = buffers.z.emplace_back();
    for (const Part& part : share) z.push_back(scratch.take<Sum>(z_size(layout, part)));
  }
  return buffers;
}

// Step k of a part. `own` are the panels that its share packs itself.
template <typename F>
void take_step(const Kernels<F>& set, const Layout& layout, const ForwardPass<F>& pass,
               const Part& part, typename F::Sum* z, typename F::Sum* own, int64_t k) {
  const int64_t steps = pass.call.sizes.steps;
  if (layout.packed) {
    const int64_t rows = rows_of(part);
    const int64_t from = k / layout.chunk * layout.chunk, to = std::min(from + layout.chunk, steps);
    if (k == from) set.input_products(pass, part, from, to, z, own);
    set.forward_step(pass, part, k, z + (k - from) * rows * layout.panel_size, (to - from) * rows);
  } else {
    set.step_in_place(pass, part, k, z);
  }
  if (k == steps - 1) write_last_carry(pass, part, set.width);
}

}  // namespace

template <typename F>
void forward(const Forward<F>& call, Team& team) {
  const Sizes& s = call.sizes;
  const Kernels<F>& set = instruction_set().of<F>();
  const Plan plan =
      divide(s, set.width, team.threads, packing_pays(s) ? last_vector(s, set.width) : 1);
  const Layout layout = layout_of(s, set, plan);
  Scratch scratch(bytes_of(call, set, plan, layout));
  const Buffers<F> buffers = take_buffers(call, set, plan, layout, scratch);
  const int64_t shares = plan.shares.size();

  auto step = [&](int64_t share, size_t n, int64_t k) {
    const Part& part = plan.shares[share][n];
    take_step(set, layout, buffers.passes[part.group], part, buffers.z[share][n],
              buffers.own[share], k);
  };
  if (!plan.independent) {
    team.run(shares, s.steps, [&](int64_t k, int64_t share) {
      for (size_t n = 0; n < plan.shares[share].size(); ++n) {
        const Part& part = plan.shares[share][n];
        if (k == 0) set.pack_forward(buffers.passes[part.group], part.first, part.end);
        step(share, n, k);
      }
    });
    return;
  }
  team.run(shares, 2, [&](int64_t phase, int64_t share) {
    if (phase == 0) {
      const int64_t first = layout.panels * share / shares;
      const int64_t end = layout.panels * (share + 1) / shares;
      for (const ForwardPass<F>& pass : buffers.passes) set.pack_forward(pass, first, end);
      return;
    }
    for (size_t n = 0; n < plan.shares[share].size(); ++n)
      for (int64_t k = 0; k < s.steps; ++k) step(share, n, k);
  });
}

template void forward(const Forward<Float32>&, Team&);
template void forward(const Forward<Float64>&, Team&);
template void forward(const Forward<BFloat16>&, Team&);

}  // namespace jlstm
