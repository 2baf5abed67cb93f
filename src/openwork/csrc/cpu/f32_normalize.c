/* f32_normalize: each row less its mean, over its deviation, scaled. Two passes, so that nothing cancels. */
#include "runtime.h"
#include "vector.h"

/* sum of (x - mean)^power */
OW_INLINE float moment(const float *x, int64_t count, float mean, const int squared) {
  f32x16 sum = f32_set(0);
  float rest = 0;
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    f32x16 d = f32_add(f32_load(x + i), f32_set(-mean));
    sum = squared ? f32_fma(d, d, sum) : f32_add(sum, d);
  }
  for (; i < count; i++) rest += squared ? (x[i] - mean) * (x[i] - mean) : x[i] - mean;
  return f32_sum(sum) + rest;
}

void OW_KERNEL(f32_normalize)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_normalize *step = argument;
  const struct ow_normalize s = *step;
  for (int32_t row = begin; row < end; row++) {
    const float *x = (const float *)s.input + row * s.count;
    float *y = (float *)s.output + row * s.count;
    const float mean = s.centred ? moment(x, s.count, 0, 0) / (float)s.count : 0;
    const float factor = 1 / sqrtf(moment(x, s.count, mean, 1) / (float)s.count + s.epsilon);
    const float *scale = (const float *)s.scale + row * s.scale_row, *bias = (const float *)s.bias + row * s.bias_row;
    for (int64_t i = 0; i < s.count; i++) y[i] = (x[i] - mean) * factor;
    if (s.scale)
      for (int64_t i = 0; i < s.count; i++) y[i] *= scale[i * s.scale_element];
    if (s.bias)
      for (int64_t i = 0; i < s.count; i++) y[i] += bias[i * s.bias_element];
  }
}
