// The functions that XLA calls. They check every shape before they read any array.
#include <new>
#include <string>

#include "calls.h"
#include "instruction_set.h"
#include "scratch.h"
#include "shapes.h"
#include "team.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

using jlstm::Flags;
using jlstm::Shapes;

// XLA's types for a format's numbers.
template <typename S>
constexpr ffi::DataType kType = ffi::DataType::INVALID;
template <>
constexpr ffi::DataType kType<float> = ffi::F32;
template <>
constexpr ffi::DataType kType<double> = ffi::F64;
template <>
constexpr ffi::DataType kType<jlstm::bfloat16> = ffi::BF16;

template <typename F>
using Stored = ffi::Buffer<kType<typename F::Stored>>;
template <typename F>
using Sums = ffi::Buffer<kType<typename F::Sum>>;
template <typename F>
using StoredResult = ffi::Result<Stored<F>>;
template <typename F>
using SumsResult = ffi::Result<Sums<F>>;

// The same pointer as one to stored numbers. XLA's pointers to bfloat16 numbers point to uint16_t.
template <typename F, typename T>
auto* stored(T* numbers) {
  using S = std::conditional_t<std::is_const_v<T>, const typename F::Stored, typename F::Stored>;
  return reinterpret_cast<S*>(numbers);
}

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

template <typename... Results>
void expect_writes(Results... results) {
  (jlstm::expect_writes(results->untyped_data(), results->size_bytes()), ...);
}

template <typename F>
ffi::Error forward(ffi::ThreadPool pool, Stored<F> w_x, Stored<F> w_h, Sums<F> b, Sums<F> c,
                   Sums<F> h, Sums<F> initial_c, Sums<F> initial_h, Stored<F> xs, Flags valid,
                   Flags resets, SumsResult<F> last_c, SumsResult<F> last_h, StoredResult<F> hs,
                   SumsResult<F> gates, SumsResult<F> c_before, StoredResult<F> h_before,
                   ffi::Span<const int64_t> reverse, int64_t side_by_side) {
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
  const jlstm::Forward<F> call{
      .sizes = {.groups = groups, .steps = steps, .batch = batch, .inputs = inputs, .units = units},
      .schedule = schedule_of(shapes, valid, resets, reverse, groups, steps, batch),
      .shared_inputs = shared,
      .w_x = stored<F>(w_x.typed_data()),
      .w_h = stored<F>(w_h.typed_data()),
      .b = shapes.optional("b", b, {groups, 4 * units}),
      .c = c.typed_data(),
      .h = h.typed_data(),
      .initial_c = shapes.optional("initial_c", initial_c, {groups, batch, units}),
      .initial_h = shapes.optional("initial_h", initial_h, {groups, batch, units}),
      .xs = stored<F>(xs.typed_data()),
      .last_c = last_c->typed_data(),
      .last_h = last_h->typed_data(),
      .hs = stored<F>(hs->typed_data()),
      .outputs = outputs(side_by_side, groups, steps, batch, units),
      .gates = shapes.optional("gates", *gates, {groups, steps, batch, 4 * units}),
      .c_before = shapes.optional("c_before", *c_before, {groups, steps, batch, units}),
      .h_before = stored<F>(shapes.optional("h_before", *h_before, {groups, steps, batch, units}))};
  shapes.check(!call.schedule.resets || (call.initial_c && call.initial_h),
               "resets are given without initial_c and initial_h");
  shapes.check(!call.gates == !call.c_before && !call.gates == !call.h_before,
               "gates, c_before and h_before must all be present or all be absent");
  expect_writes(hs, gates, c_before, h_before);
  return run(shapes.wrong, pool, [&](jlstm::Team& team) { jlstm::forward(call, team); });
}

template <typename F>
ffi::Error backward(ffi::ThreadPool pool, Stored<F> w_h, Sums<F> gates, Sums<F> c_before,
                    Sums<F> d_last_c, Sums<F> d_last_h, Stored<F> d_hs, Flags valid, Flags resets,
                    StoredResult<F> d_z, SumsResult<F> d_c, SumsResult<F> d_h,
                    SumsResult<F> d_initial_c, SumsResult<F> d_initial_h,
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
  const jlstm::Backward<F> call{
      .sizes = {.groups = groups, .steps = steps, .batch = batch, .inputs = 0, .units = units},
      .schedule = schedule_of(shapes, valid, resets, reverse, groups, steps, batch),
      .w_h = stored<F>(w_h.typed_data()),
      .gates = gates.typed_data(),
      .c_before = c_before.typed_data(),
      .d_last_c = d_last_c.typed_data(),
      .d_last_h = d_last_h.typed_data(),
      .d_hs = stored<F>(d_hs.typed_data()),
      .outputs = outputs(side_by_side, groups, steps, batch, units),
      .d_z = stored<F>(d_z->typed_data()),
      .d_c = d_c->typed_data(),
      .d_h = d_h->typed_data(),
      .d_initial_c = shapes.optional("d_initial_c", *d_initial_c, {groups, batch, units}),
      .d_initial_h = shapes.optional("d_initial_h", *d_initial_h, {groups, batch, units})};
  shapes.check(!call.schedule.resets || (call.d_initial_c && call.d_initial_h),
               "resets are given without d_initial_c and d_initial_h");
  shapes.check(!call.d_initial_c == !call.d_initial_h,
               "d_initial_c and d_initial_h must both be present or both be absent");
  expect_writes(d_z);
  return run(shapes.wrong, pool, [&](jlstm::Team& team) { jlstm::backward(call, team); });
}

template <typename F>
ffi::Error gradients(ffi::ThreadPool pool, Stored<F> w_x, Stored<F> xs, Stored<F> h_before,
                     Stored<F> d_z, SumsResult<F> d_w_x, SumsResult<F> d_w_h, SumsResult<F> d_b,
                     StoredResult<F> d_xs) {
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
  const jlstm::Gradients<F> call{
      .sizes = {.groups = groups, .steps = steps, .batch = batch, .inputs = inputs, .units = units},
      .shared_inputs = shared,
      .w_x = stored<F>(w_x.typed_data()),
      .xs = stored<F>(xs.typed_data()),
      .h_before = stored<F>(h_before.typed_data()),
      .d_z = stored<F>(d_z.typed_data()),
      .d_w_x = shapes.optional("d_w_x", *d_w_x, {groups, inputs, 4 * units}),
      .d_w_h = shapes.optional("d_w_h", *d_w_h, {groups, units, 4 * units}),
      .d_b = shapes.optional("d_b", *d_b, {groups, 4 * units}),
      .d_xs =
          stored<F>(shapes.optional("d_xs", *d_xs, {shared ? 1 : groups, steps, batch, inputs}))};
  expect_writes(d_w_x, d_w_h, d_xs);
  return run(shapes.wrong, pool, [&](jlstm::Team& team) { jlstm::gradients(call, team); });
}

template <typename F>
auto forward_binding() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .Arg<Stored<F>>()
      .template Arg<Stored<F>>()
      .template Arg<Sums<F>>()
      .template Arg<Sums<F>>()
      .template Arg<Sums<F>>()
      .template Arg<Sums<F>>()
      .template Arg<Sums<F>>()
      .template Arg<Stored<F>>()
      .template Arg<Flags>()
      .template Arg<Flags>()
      .template Ret<Sums<F>>()
      .template Ret<Sums<F>>()
      .template Ret<Stored<F>>()
      .template Ret<Sums<F>>()
      .template Ret<Sums<F>>()
      .template Ret<Stored<F>>()
      .template Attr<ffi::Span<const int64_t>>("reverse")
      .template Attr<int64_t>("side_by_side")
      .To(forward<F>);
}

template <typename F>
auto backward_binding() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .Arg<Stored<F>>()
      .template Arg<Sums<F>>()
      .template Arg<Sums<F>>()
      .template Arg<Sums<F>>()
      .template Arg<Sums<F>>()
      .template Arg<Stored<F>>()
      .template Arg<Flags>()
      .template Arg<Flags>()
      .template Ret<Stored<F>>()
      .template Ret<Sums<F>>()
      .template Ret<Sums<F>>()
      .template Ret<Sums<F>>()
      .template Ret<Sums<F>>()
      .template Attr<ffi::Span<const int64_t>>("reverse")
      .template Attr<int64_t>("side_by_side")
      .To(backward<F>);
}

template <typename F>
auto gradients_binding() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .Arg<Stored<F>>()
      .template Arg<Stored<F>>()
      .template Arg<Stored<F>>()
      .template Arg<Stored<F>>()
      .template Ret<Sums<F>>()
      .template Ret<Sums<F>>()
      .template Ret<Sums<F>>()
      .template Ret<Stored<F>>()
      .To(gradients<F>);
}

}  // namespace

#define JLSTM_HANDLER(name, binding)                                     \
  extern "C" __attribute__((visibility("default"))) XLA_FFI_Error* name( \
      XLA_FFI_CallFrame* frame) {                                        \
    static auto* handler = binding.release();                            \
    return handler->Call(frame);                                         \
  }

#define JLSTM_HANDLERS(format, F)                               \
  JLSTM_HANDLER(jlstm_forward_##format, forward_binding<F>())   \
  JLSTM_HANDLER(jlstm_backward_##format, backward_binding<F>()) \
  JLSTM_HANDLER(jlstm_gradients_##format, gradients_binding<F>())

JLSTM_HANDLERS(float32, jlstm::Float32)
JLSTM_HANDLERS(float64, jlstm::Float64)
JLSTM_HANDLERS(bfloat16, jlstm::BFloat16)

#define JLSTM_PUBLIC extern "C" __attribute__((visibility("default")))

// The version of XLA's interface that the library was built for, and its instruction set.
JLSTM_PUBLIC int jlstm_ffi_major() { return XLA_FFI_API_MAJOR; }
JLSTM_PUBLIC int jlstm_ffi_minor() { return XLA_FFI_API_MINOR; }
JLSTM_PUBLIC const char* jlstm_isa() { return jlstm::instruction_set().name; }

// For tests of their accuracy.
JLSTM_PUBLIC void jlstm_sigmoid(const float* in, float* out, int64_t count) {
  jlstm::instruction_set().float32.sigmoid(in, out, count);
}
JLSTM_PUBLIC void jlstm_tanh(const float* in, float* out, int64_t count) {
  jlstm::instruction_set().float32.tanh(in, out, count);
}
JLSTM_PUBLIC void jlstm_sigmoid_float64(const double* in, double* out, int64_t count) {
  jlstm::instruction_set().float64.sigmoid(in, out, count);
}
JLSTM_PUBLIC void jlstm_tanh_float64(const double* in, double* out, int64_t count) {
  jlstm::instruction_set().float64.tanh(in, out, count);
}
