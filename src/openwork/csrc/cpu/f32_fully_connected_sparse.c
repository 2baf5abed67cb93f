/* f32_fully_connected_sparse: sixteen nonzeros at a time; their inputs are gathered. */
#include "runtime.h"
#include "vector.h"

void OW_KERNEL(f32_fully_connected_sparse)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_fully_connected *step = argument;
  const uint32_t *starts = step->weights.starts;
  const float *values = step->weights.values, *bias = step->bias;
  for (int32_t item = begin; item < end; item++) {
    const float *x = (const float *)step->input + (int64_t)(item / step->blocks) * step->inputs;
    float *y = (float *)step->output + (int64_t)(item / step->blocks) * step->outputs;
    int32_t first = item % step->blocks * step->block, last = first + step->block;
    for (int32_t o = first; o < last && o < step->outputs; o++) {
      f32x16 products = f32_set(0);
      for (uint32_t k = starts[o]; k < starts[o + 1]; k += 16)
        products = f32_fma(f32_gather(x, step->weights.offsets + k), f32_load(values + k), products);
      float sum = bias[o] + f32_sum(products);
      sum = sum > step->low ? sum : step->low;
      y[o] = sum < step->high ? sum : step->high;
    }
  }
}
