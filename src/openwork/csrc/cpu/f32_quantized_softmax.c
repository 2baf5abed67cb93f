/* f32_quantized_softmax: see QuantizedSoftmax in lowering/steps/reducing.py. */
#include "requantize.h"
#include "vector.h"

/* exp(-distance) * 2^30, whole, for a distance in entries of the table; 0 for what is not a number */
static inline float power(float distance, const struct ow_integer_softmax *s) {
  distance = distance < s->last ? distance : s->last;
  const float whole = rintf(distance);
  return rintf(((const float *)s->exponentials)[(int32_t)whole] * (1 - (distance - whole) / s->resolution));
}

void OW_KERNEL(f32_quantized_softmax)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_integer_softmax s = *(const struct ow_integer_softmax *)argument;
  for (int32_t row = begin; row < end; row++) {
    const float *restrict x = (const float *)s.input + (int64_t)row * s.count;
    uint8_t *restrict y = (uint8_t *)s.output + (int64_t)row * s.count;
    float most = -INFINITY;
    for (int32_t i = 0; i < s.count; i++) most = x[i] > most ? x[i] : most;
    int64_t sum = 0;
    for (int32_t i = 0; i < s.count; i++) sum += (int32_t)power((most - x[i]) * s.resolution, &s);
    const float factor = 1 / ((float)(sum > 0 ? sum : 1) * s.scale);
    for (int32_t i = 0; i < s.count; i++)
      y[i] = ow_requantize(power((most - x[i]) * s.resolution, &s), factor, &s.requantize);
  }
}
