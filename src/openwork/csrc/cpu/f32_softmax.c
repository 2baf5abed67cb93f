/* f32_softmax: along the rows of a matrix. */
#include <math.h>

#include "runtime.h"
#include "vector.h"

static float largest_of(const float *x, int32_t count) {
  float best[16];
  for (int i = 0; i < 16; i++) best[i] = x[i < count ? i : 0];
  for (int32_t k = 16; k + 16 <= count; k += 16)
    for (int i = 0; i < 16; i++) best[i] = x[k + i] > best[i] ? x[k + i] : best[i];
  for (int32_t k = count / 16 * 16; k < count; k++) best[0] = x[k] > best[0] ? x[k] : best[0];
  for (int i = 1; i < 16; i++) best[0] = best[i] > best[0] ? best[i] : best[0];
  return best[0];
}

/* Sixteen exponentials of x - largest; lanes from `count` on are 0. */
OW_INLINE f32x16 exponentials(const float *x, float largest, int32_t count) {
  if (count >= 16) return f32_exp(f32_add(f32_load(x), f32_set(-largest)));
  float lanes[16] = {0};
  memcpy(lanes, x, sizeof *x * (size_t)count);
  f32x16 y = f32_exp(f32_add(f32_load(lanes), f32_set(-largest)));
  return f32_select((mask16)((1 << count) - 1), y, f32_set(0));
}

void OW_KERNEL(f32_softmax)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_softmax *step = argument;
  const int32_t count = step->count;
  for (int32_t row = begin; row < end; row++) {
    const float *x = (const float *)step->input + (int64_t)row * count;
    float *y = (float *)step->output + (int64_t)row * count;
    const float largest = largest_of(x, count);
    f32x16 sums = f32_set(0);
    for (int32_t i = 0; i < count; i += 16) {
      f32x16 powers = exponentials(x + i, largest, count - i);
      sums = f32_add(sums, powers);
      if (step->logarithm) continue;
      if (i + 16 <= count)
        f32_store(y + i, powers);
      else {
        float lanes[16];
        f32_store(lanes, powers);
        memcpy(y + i, lanes, sizeof *y * (size_t)(count - i));
      }
    }
    const float sum = f32_sum(sums);
    if (step->logarithm) {
      const float shift = logf(sum);
      for (int32_t i = 0; i < count; i++) y[i] = x[i] - largest - shift;
    } else {
      for (int32_t i = 0; i < count; i++) y[i] /= sum;
    }
  }
}
