/* f32_average_pool: the sum of a plane's taps, divided by how many of them count at each pixel. */
#include "pool2d.h"

void OW_KERNEL(f32_average_pool)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_pool2d *step = argument;
  for (int32_t plane = begin; plane < end; plane++) {
    const float *source = (const float *)ow_pool_source(step, plane);
    float *target = (float *)ow_pool_target(step, plane);
    for (int32_t vector = 0; vector < step->output.vectors; vector++) {
      float sum[16] = {0};
      for (int32_t tap = 0; tap < step->taps; tap++) {
        const float *x = source + step->offsets[tap] + 16 * vector;
        for (int i = 0; i < 16; i++) sum[i] += x[i];
      }
      for (int i = 0; i < 16; i++) sum[i] /= step->count[16 * vector + i];
      f32_store(target + 16 * vector, f32_select(step->output.inside[vector], f32_load(sum), f32_set(0)));
    }
    ow_fill_lead(&step->output, plane);
  }
}
