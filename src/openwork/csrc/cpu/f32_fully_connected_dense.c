/* f32_fully_connected_dense: one dot product an output. */
#include "runtime.h"
#include "vector.h"

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

void OW_KERNEL(f32_fully_connected_dense)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_fully_connected *step = argument;
  const float *weights = step->weights.values, *bias = step->bias;
  for (int32_t item = begin; item < end; item++) {
    const float *x = (const float *)step->input + (int64_t)(item / step->blocks) * step->inputs;
    float *y = (float *)step->output + (int64_t)(item / step->blocks) * step->outputs;
    int32_t first = item % step->blocks * step->block, last = first + step->block;
    for (int32_t o = first; o < last && o < step->outputs; o++) {
      float sum = bias[o] + dot(x, weights + (int64_t)o * step->inputs, step->inputs);
      sum = sum > step->low ? sum : step->low;
      y[o] = sum < step->high ? sum : step->high;
    }
  }
}
