/* f32_fully_connected_dense: one dot product an output. */
#include "fully_connected.h"

static float dot(const float *x, const float *w, int32_t count) {
  f32x16 sum[4] = {f32_set(0), f32_set(0), f32_set(0), f32_set(0)};
  int32_t i = 0;
  for (; i + 64 <= count; i += 64)
    for (int v = 0; v < 4; v++) sum[v] = f32_fma(f32_load(x + i + 16 * v), f32_load(w + i + 16 * v), sum[v]);
  for (; i + 16 <= count; i += 16) sum[0] = f32_fma(f32_load(x + i), f32_load(w + i), sum[0]);
  float rest = 0;
  for (; i < count; i++) rest += x[i] * w[i];
  return rest + f32_sum(f32_add(f32_add(sum[0], sum[1]), f32_add(sum[2], sum[3])));
}

static float output_of(const struct ow_fully_connected *step, const float *x, int32_t o) {
  const float *weights = (const float *)step->weights.values + (int64_t)o * step->inputs;
  return ow_clampf(((const float *)step->bias)[o] + dot(x, weights, step->inputs), step->low, step->high);
}

OW_FULLY_CONNECTED_KERNEL(f32_fully_connected_dense, float)
