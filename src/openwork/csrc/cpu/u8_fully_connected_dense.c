/* u8_fully_connected_dense: one dot product an output, 64 bytes at a time. */
#include "fully_connected.h"

static int32_t dot(const uint8_t *x, const int8_t *w, int32_t count) {
  i32x16 sum = i32_set(0);
  int32_t i = 0;
  for (; i + 64 <= count; i += 64) sum = dot4(sum, i32_load(x + i), dot_load(w + i));
  int32_t rest = 0;
  for (; i < count; i++) rest += x[i] * w[i];
  return rest + i32_sum(sum);
}

static uint8_t output_of(const struct ow_fully_connected *step, const uint8_t *x, int32_t o) {
  const int8_t *weights = (const int8_t *)step->weights.values + (int64_t)o * step->inputs;
  int32_t sum = ((const int32_t *)step->bias)[o] + dot(x, weights, step->inputs);
  return ow_requantize_sum(sum, o, &step->requantize);
}

OW_FULLY_CONNECTED_KERNEL(u8_fully_connected_dense, uint8_t)
