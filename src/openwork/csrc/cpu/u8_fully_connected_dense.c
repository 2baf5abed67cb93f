/* u8_fully_connected_dense: one dot product an output, 64 bytes at a time. */
#include "requantize.h"
#include "vector.h"

static int32_t dot(const uint8_t *x, const int8_t *w, int32_t count) {
  i32x16 sum = i32_set(0);
  int32_t i = 0;
  for (; i + 64 <= count; i += 64) sum = dot4(sum, i32_load(x + i), dot_load(w + i));
  int32_t rest = 0;
  for (; i < count; i++) rest += x[i] * w[i];
  return rest + i32_sum(sum);
}

void OW_KERNEL(u8_fully_connected_dense)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_fully_connected *step = argument;
  const int8_t *weights = step->weights.values;
  const int32_t *bias = step->bias;
  for (int32_t item = begin; item < end; item++) {
    const uint8_t *x = (const uint8_t *)step->input + (int64_t)(item / step->blocks) * step->inputs;
    uint8_t *y = (uint8_t *)step->output + (int64_t)(item / step->blocks) * step->outputs;
    int32_t first = item % step->blocks * step->block, last = first + step->block;
    for (int32_t o = first; o < last && o < step->outputs; o++) {
      int32_t sum = bias[o] + dot(x, weights + (int64_t)o * step->inputs, step->inputs);
      y[o] = ow_requantize((float)sum, step->requantize.scale[o], &step->requantize);
    }
  }
}
