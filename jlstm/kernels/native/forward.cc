// The forward pass of a call: allocates memory and schedules the steps of all shares.
#include <algorithm>
#include <vector>

#include "recurrence.h"
#include "scratch.h"
#include "team.h"

namespace jlstm {
namespace {

// Size of the input products of a share that fit into its cache, in floats.
constexpr int64_t kChunk = 96 * 1024;

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
void write_last_carry(const ForwardPass& pass, const Part& part, int width) {
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

}  // namespace

void forward(const Forward& call, Team& team) {
  const Sizes& s = call.sizes;
  const Kernels& set = kernels();
  const int64_t panel_size = set.lanes * set.width;
  const Plan plan =
      divide(s, set.width, team.threads, packing_pays(s) ? last_vector(s, set.width) : 1);
  const int64_t panels = (s.units + set.width - 1) / set.width;
  // Number of steps whose input products are computed at once. It is the same for all shares, so
  // that they compute input products in the same phase and none waits for the others.
  int64_t chunk = s.steps;
  for (const auto& share : plan.shares)
    for (const Part& part : share) {
      const int64_t rows = part.row_end - part.row;
      const int64_t fit = kChunk / (rows * (part.end - part.first) * panel_size);
      const int64_t least =
          (std::max<int64_t>(64, s.inputs / 2) + rows - 1) / rows;  // amortises W_x
      chunk = std::min(chunk, std::max(fit, least));
    }
  auto z_size = [&](const Part& part) {
    return chunk * (part.row_end - part.row) * (part.end - part.first) * panel_size;
  };
  // W_x is packed once, in advance, if many chunks read it, or if several do and it fits the cache.
  // Otherwise each panel is packed during the products of the panel before it. Then W_h is packed
  // in the same way, if only one share reads it.
  const bool packed = packing_pays(s), small = panels * s.inputs * panel_size < kChunk * 4;
  const bool ahead = packed && s.steps > chunk * (small ? 1 : 3);
  bool beside = packed && !ahead;
  for (const auto& share : plan.shares)
    for (const Part& part : share) beside = beside && part.row_end - part.row == s.batch;
  size_t bytes = s.groups * ((ahead ? Scratch::size(panels * s.inputs * panel_size) : 0) +
                             (packed ? Scratch::size(panels * s.units * panel_size) : 0) +
                             Scratch::size(panels * panel_size) + Scratch::size(s.batch * s.units));
  for (const auto& share : plan.shares)
    for (const Part& part : share) bytes += Scratch::size(z_size(part));
  const int64_t states = s.groups * s.batch * s.units;
  if (call.rounded)
    bytes += 2 * Scratch::size(states) + s.groups * Scratch::size(s.batch * s.units);
  bytes += plan.shares.size() * Scratch::size(kOwnPanels * s.inputs * panel_size);
  Scratch scratch(bytes);

  auto as_read = [&](const float* h) -> const float* {
    if (!h || !call.rounded) return h;
    float* copy = scratch.take(states);
    set.round(h, copy, states);
    return copy;
  };
  const float *h = as_read(call.h), *initial_h = as_read(call.initial_h);
  std::vector<std::vector<int32_t>> source(s.groups);
  const bool moved = call.schedule.valid || call.schedule.resets;
  std::vector<ForwardPass> passes;
  for (int64_t group = 0; group < s.groups; ++group) {
    if (moved) source[group] = sources(s, call.schedule, group);
    float* w_x = !ahead ? nullptr : scratch.take(panels * s.inputs * panel_size);
    float* w_h = !packed ? nullptr : scratch.take(panels * s.units * panel_size);
    float* b = scratch.take(panels * panel_size);
    float* c = scratch.take(s.batch * s.units);
    float* last_h = call.rounded ? scratch.take(s.batch * s.units) : nullptr;
    passes.push_back({call, group, moved ? source[group].data() : nullptr, w_x, w_h, b, beside, c,
                      last_h, h, initial_h});
  }
  std::vector<std::vector<float*>> z;
  std::vector<float*> own;
  for (const auto& share : plan.shares) {
    z.emplace_back();
    own.push_back(scratch.take(kOwnPanels * s.inputs * panel_size));
    for (const Part& part : share) z.back().push_back(scratch.take(z_size(part)));
  }

  auto take_step = [&](const Part& part, float* z, float* own, int64_t k) {
    const ForwardPass& pass = passes[part.group];
    if (packed) {
      const int64_t rows = part.row_end - part.row;
      const int64_t from = k / chunk * chunk, to = std::min(from + chunk, s.steps);
      if (k == from) set.input_products(pass, part, from, to, z, own);
      set.forward_step(pass, part, k, z + (k - from) * rows * panel_size, (to - from) * rows);
    } else {
      set.step_in_place(pass, part, k, z);
    }
    if (k == s.steps - 1) write_last_carry(pass, part, set.width);
  };
  const int64_t shares = plan.shares.size();
  if (!plan.independent) {
    team.run(shares, s.steps, [&](int64_t k, int64_t share) {
      for (size_t n = 0; n < plan.shares[share].size(); ++n) {
        const Part& part = plan.shares[share][n];
        if (k == 0) set.pack_forward(passes[part.group], part.first, part.end);
        take_step(part, z[share][n], own[share], k);
      }
    });
    return;
  }
  team.run(shares, 2, [&](int64_t phase, int64_t share) {
    if (phase == 0) {
      for (int64_t group = 0; group < s.groups; ++group)
        set.pack_forward(passes[group], panels * share / shares, panels * (share + 1) / shares);
      return;
    }
    for (size_t n = 0; n < plan.shares[share].size(); ++n)
      for (int64_t k = 0; k < s.steps; ++k)
        take_step(plan.shares[share][n], z[share][n], own[share], k);
  });
}

}  // namespace jlstm
