/* u8_fully_connected_sparse: sixteen taps of four int8 weights at a time; their inputs are gathered. */
#include "requantize.h"
#include "vector.h"

void OW_KERNEL(u8_fully_connected_sparse)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_fully_connected *step = argument;
  const uint32_t *starts = step->weights.starts;
  const int32_t *values = step->weights.values, *bias = step->bias;
  for (int32_t item = begin; item < end; item++) {
    const uint8_t *x = (const uint8_t *)step->input + (int64_t)(item / step->blocks) * step->inputs;
    uint8_t *y = (uint8_t *)step->output + (int64_t)(item / step->blocks) * step->outputs;
    int32_t first = item % step->blocks * step->block, last = first + step->block;
    for (int32_t o = first; o < last && o < step->outputs; o++) {
      i32x16 products = i32_set(0);
      for (uint32_t k = starts[o]; k < starts[o + 1]; k += 16)
        products = dot4(products, i32_gather(x, step->weights.offsets + k), dot_load(values + k));
      y[o] = ow_requantize((float)(bias[o] + i32_sum(products)), step->requantize.scale[o], &step->requantize);
    }
  }
}
