/* f32_mean_planar: the mean of each plane's pixels (global average pooling), to a plain vector. */
#include "runtime.h"
#include "vector.h"

void OW_KERNEL(f32_mean_planar)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_mean *step = argument;
  for (int32_t plane = begin; plane < end; plane++) {
    const float *x = (const float *)step->input.at + (int64_t)plane * step->input.stride;
    f32x16 sum = f32_set(0); /* lanes that are no pixels hold zero */
    for (int32_t vector = 0; vector < step->input.vectors; vector++) sum = f32_add(sum, f32_load(x + 16 * vector));
    ((float *)step->output)[plane] = f32_sum(sum) / (float)step->count;
  }
}
