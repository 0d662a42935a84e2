// The functions that XLA calls. They check every shape before they read any array.
#include <new>
#include <string>

#include "recurrence.h"
#include "scratch.h"
#include "shapes.h"
#include "team.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

using jlstm::Flags;
using jlstm::Floats;
using jlstm::Result;
using jlstm::Shapes;

ffi::Error run(const std::string& wrong, ffi::ThreadPool pool,
               const std::function<void(jlstm::Team&)>& call) {
  if (!wrong.empty()) return ffi::Error::InvalidArgument("jlstm: " + wrong);
  jlstm::Team team{
      .threads = int(pool.num_threads()),
      .schedule = [&pool](std::function<void()> task) { pool.Schedule(std::move(task)); }};
  try {
    call(team);
  } catch (const std::bad_alloc&) {
    return ffi::Error(ffi::ErrorCode::kResourceExhausted,
                      "jlstm: out of memory for the buffers of a call");
  } catch (const std::exception& error) {
    return ffi::Error::Internal(std::string("jlstm: ") + error.what());
  }
  return ffi::Error::Success();
}

jlstm::Outputs outputs(int64_t side_by_side, int64_t groups, int64_t steps, int64_t batch,
                       int64_t units) {
  if (side_by_side) return {.next_group = units, .next_row = groups * units};
  return {.next_group = steps * batch * units, .next_row = units};
}

template <typename Array>
void require_outputs(Shapes& shapes, const char* name, const Array& array, int64_t side_by_side,
                     int64_t groups, int64_t steps, int64_t batch, int64_t units) {
  if (side_by_side) return shapes.require(name, array, {steps, batch, groups, units});
  shapes.require(name, array, {groups, steps, batch, units});
}

jlstm::Schedule schedule_of(Shapes& shapes, const Flags& valid, const Flags& resets,
                            ffi::Span<const int64_t> reverse, int64_t groups, int64_t steps,
                            int64_t batch) {
  shapes.check(int64_t(reverse.size()) == groups, "reverse must have one entry for each group");
  jlstm::Schedule schedule{};
  schedule.valid = shapes.flags("valid", valid, groups, steps, batch, &schedule.next_valid);
  schedule.resets = shapes.flags("resets", resets, groups, steps, batch, &schedule.next_resets);
  schedule.reverse = reverse.begin();
  return schedule;
}

void expect_writes(std::initializer_list<Result> results) {
  for (Result result : results) jlstm::expect_writes(result->untyped_data(), result->size_bytes());
}

ffi::Error forward(ffi::ThreadPool pool, Floats w_x, Floats w_h, Floats b, Floats c, Floats h,
                   Floats initial_c, Floats initial_h, Floats xs, Flags valid, Flags resets,
                   Result last_c, Result last_h, Result hs, Result gates, Result c_before,
                   Result h_before, ffi::Span<const int64_t> reverse, int64_t side_by_side,
                   int64_t rounded) {
  Shapes shapes;
  shapes.check(w_h.dimensions().size() == 3 && xs.dimensions().size() == 4,
               "w_h must have 3 axes, and xs 4");
  if (!shapes.wrong.empty()) return run(shapes.wrong, pool, nullptr);
  const int64_t groups = w_h.dimensions()[0], units = w_h.dimensions()[1];
  auto dims = xs.dimensions();
  const int64_t steps = dims[1], batch = dims[2], inputs = dims[3];
  shapes.check(groups > 0 && units > 0 && steps > 0 && batch > 0, "a size of an array is zero");
  shapes.check(steps <= INT32_MAX, "the kernels support at most 2^31 - 1 time steps");
  const bool shared = dims[0] == 1;
  shapes.check(shared || dims[0] == groups, "xs must have one group or as many groups as w_h");
  shapes.require("w_x", w_x, {groups, inputs, 4 * units});
  shapes.require("w_h", w_h, {groups, units, 4 * units});
  shapes.require("c", c, {groups, batch, units});
  shapes.require("h", h, {groups, batch, units});
  shapes.require("last_c", *last_c, {groups, batch, units});
  shapes.require("last_h", *last_h, {groups, batch, units});
  require_outputs(shapes, "hs", *hs, side_by_side, groups, steps, batch, units);
  const jlstm::Forward call{
      .sizes = {.groups = groups, .steps = steps, .batch = batch, .inputs = inputs, .units = units},
      .schedule = schedule_of(shapes, valid, resets, reverse, groups, steps, batch),
      .shared_inputs = shared,
      .rounded = rounded != 0,
      .w_x = w_x.typed_data(),
      .w_h = w_h.typed_data(),
      .b = shapes.optional("b", b, {groups, 4 * units}),
      .c = c.typed_data(),
      .h = h.typed_data(),
      .initial_c = shapes.optional("initial_c", initial_c, {groups, batch, units}),
      .initial_h = shapes.optional("initial_h", initial_h, {groups, batch, units}),
      .xs = xs.typed_data(),
      .last_c = last_c->typed_data(),
      .last_h = last_h->typed_data(),
      .hs = hs->typed_data(),
      .outputs = outputs(side_by_side, groups, steps, batch, units),
      .gates = shapes.optional("gates", *gates, {groups, steps, batch, 4 * units}),
      .c_before = shapes.optional("c_before", *c_before, {groups, steps, batch, units}),
      .h_before = shapes.optional("h_before", *h_before, {groups, steps, batch, units})};
  shapes.check(!call.schedule.resets || (call.initial_c && call.initial_h),
               "resets are given without initial_c and initial_h");
  shapes.check(!call.gates == !call.c_before && !call.gates == !call.h_before,
               "gates, c_before and h_before must all be present or all be absent");
  expect_writes({hs, gates, c_before, h_before});
  return run(shapes.wrong, pool, [&](jlstm::Team& team) { jlstm::forward(call, team); });
}

ffi::Error backward(ffi::ThreadPool pool, Floats w_h, Floats gates, Floats c_before,
                    Floats d_last_c, Floats d_last_h, Floats d_hs, Flags valid, Flags resets,
                    Result d_z, Result d_c, Result d_h, Result d_initial_c, Result d_initial_h,
                    ffi::Span<const int64_t> reverse, int64_t side_by_side) {
  Shapes shapes;
  shapes.check(c_before.dimensions().size() == 4, "c_before must have 4 axes");
  if (!shapes.wrong.empty()) return run(shapes.wrong, pool, nullptr);
  auto dims = c_before.dimensions();
  const int64_t groups = dims[0], steps = dims[1], batch = dims[2], units = dims[3];
  shapes.check(groups > 0 && units > 0 && steps > 0 && batch > 0, "a size of an array is zero");
  shapes.require("w_h", w_h, {groups, units, 4 * units});
  shapes.require("gates", gates, {groups, steps, batch, 4 * units});
  require_outputs(shapes, "d_hs", d_hs, side_by_side, groups, steps, batch, units);
  shapes.require("d_last_c", d_last_c, {groups, batch, units});
  shapes.require("d_last_h", d_last_h, {groups, batch, units});
  shapes.require("d_z", *d_z, {groups, steps, batch, 4 * units});
  shapes.require("d_c", *d_c, {groups, batch, units});
  shapes.require("d_h", *d_h, {groups, batch, units});
  const jlstm::Backward call{
      .sizes = {.groups = groups, .steps = steps, .batch = batch, .inputs = 0, .units = units},
      .schedule = schedule_of(shapes, valid, resets, reverse, groups, steps, batch),
      .w_h = w_h.typed_data(),
      .gates = gates.typed_data(),
      .c_before = c_before.typed_data(),
      .d_last_c = d_last_c.typed_data(),
      .d_last_h = d_last_h.typed_data(),
      .d_hs = d_hs.typed_data(),
      .outputs = outputs(side_by_side, groups, steps, batch, units),
      .d_z = d_z->typed_data(),
      .d_c = d_c->typed_data(),
      .d_h = d_h->typed_data(),
      .d_initial_c = shapes.optional("d_initial_c", *d_initial_c, {groups, batch, units}),
      .d_initial_h = shapes.optional("d_initial_h", *d_initial_h, {groups, batch, units})};
  shapes.check(!call.schedule.resets || (call.d_initial_c && call.d_initial_h),
               "resets are given without d_initial_c and d_initial_h");
  shapes.check(!call.d_initial_c == !call.d_initial_h,
               "d_initial_c and d_initial_h must both be present or both be absent");
  expect_writes({d_z});
  return run(shapes.wrong, pool, [&](jlstm::Team& team) { jlstm::backward(call, team); });
}

ffi::Error gradients(ffi::ThreadPool pool, Floats w_x, Floats xs, Floats h_before, Floats d_z,
                     Result d_w_x, Result d_w_h, Result d_b, Result d_xs) {
  Shapes shapes;
  shapes.check(xs.dimensions().size() == 4 && h_before.dimensions().size() == 4,
               "xs and h_before must have 4 axes");
  if (!shapes.wrong.empty()) return run(shapes.wrong, pool, nullptr);
  auto dims = h_before.dimensions();
  const int64_t groups = dims[0], steps = dims[1], batch = dims[2], units = dims[3];
  const int64_t inputs = xs.dimensions()[3];
  const bool shared = xs.dimensions()[0] == 1;
  shapes.check(groups > 0 && units > 0 && steps > 0 && batch > 0 && inputs > 0,
               "a size of an array is zero");
  shapes.require("w_x", w_x, {groups, inputs, 4 * units});
  shapes.require("xs", xs, {shared ? 1 : groups, steps, batch, inputs});
  shapes.require("d_z", d_z, {groups, steps, batch, 4 * units});
  const jlstm::Gradients call{
      .sizes = {.groups = groups, .steps = steps, .batch = batch, .inputs = inputs, .units = units},
      .shared_inputs = shared,
      .w_x = w_x.typed_data(),
      .xs = xs.typed_data(),
      .h_before = h_before.typed_data(),
      .d_z = d_z.typed_data(),
      .d_w_x = shapes.optional("d_w_x", *d_w_x, {groups, inputs, 4 * units}),
      .d_w_h = shapes.optional("d_w_h", *d_w_h, {groups, units, 4 * units}),
      .d_b = shapes.optional("d_b", *d_b, {groups, 4 * units}),
      .d_xs = shapes.optional("d_xs", *d_xs, {shared ? 1 : groups, steps, batch, inputs})};
  expect_writes({d_w_x, d_w_h, d_xs});
  return run(shapes.wrong, pool, [&](jlstm::Team& team) { jlstm::gradients(call, team); });
}

}  // namespace

#define JLSTM_HANDLER(name, function, binding)                           \
  extern "C" __attribute__((visibility("default"))) XLA_FFI_Error* name( \
      XLA_FFI_CallFrame* frame) {                                        \
    static auto* handler = binding.To(function).release();               \
    return handler->Call(frame);                                         \
  }

JLSTM_HANDLER(jlstm_forward, forward,
              ffi::Ffi::Bind()
                  .Ctx<ffi::ThreadPool>()
                  .Arg<Floats>()
                  .Arg<Floats>()
                  .Arg<Floats>()
                  .Arg<Floats>()
                  .Arg<Floats>()
                  .Arg<Floats>()
                  .Arg<Floats>()
                  .Arg<Floats>()
                  .Arg<Flags>()
                  .Arg<Flags>()
                  .Ret<Floats>()
                  .Ret<Floats>()
                  .Ret<Floats>()
                  .Ret<Floats>()
                  .Ret<Floats>()
                  .Ret<Floats>()
                  .Attr<ffi::Span<const int64_t>>("reverse")
                  .Attr<int64_t>("side_by_side")
                  .Attr<int64_t>("rounded"));

JLSTM_HANDLER(jlstm_backward, backward,
              ffi::Ffi::Bind()
                  .Ctx<ffi::ThreadPool>()
                  .Arg<Floats>()
                  .Arg<Floats>()
                  .Arg<Floats>()
                  .Arg<Floats>()
                  .Arg<Floats>()
                  .Arg<Floats>()
                  .Arg<Flags>()
                  .Arg<Flags>()
                  .Ret<Floats>()
                  .Ret<Floats>()
                  .Ret<Floats>()
                  .Ret<Floats>()
                  .Ret<Floats>()
                  .Attr<ffi::Span<const int64_t>>("reverse")
                  .Attr<int64_t>("side_by_side"));

JLSTM_HANDLER(jlstm_gradients, gradients,
              ffi::Ffi::Bind()
                  .Ctx<ffi::ThreadPool>()
                  .Arg<Floats>()
                  .Arg<Floats>()
                  .Arg<Floats>()
                  .Arg<Floats>()
                  .Ret<Floats>()
                  .Ret<Floats>()
                  .Ret<Floats>()
                  .Ret<Floats>());

#define JLSTM_PUBLIC extern "C" __attribute__((visibility("default")))

// The version of XLA's interface that the library was built for, and its instruction set.
JLSTM_PUBLIC int jlstm_ffi_major() { return XLA_FFI_API_MAJOR; }
JLSTM_PUBLIC int jlstm_ffi_minor() { return XLA_FFI_API_MINOR; }
JLSTM_PUBLIC const char* jlstm_isa() { return jlstm::kernels().name; }
JLSTM_PUBLIC void jlstm_sigmoid(const float* in, float* out, int64_t count) {
  jlstm::kernels().sigmoid(in, out, count);
}
JLSTM_PUBLIC void jlstm_tanh(const float* in, float* out, int64_t count) {
  jlstm::kernels().tanh(in, out, count);
}
