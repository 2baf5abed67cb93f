/* f32_max_planar: the largest of each plane's pixels (global max pooling), to a plain vector. */
#include "runtime.h"
#include "vector.h"

static inline float larger(float a, float b) { return a >= b || a != a ? a : b; } /* NaN wins */

void OW_KERNEL(f32_max_planar)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_mean *step = argument;
  for (int32_t plane = begin; plane < end; plane++) {
    const float *x = (const float *)step->input.at + (int64_t)plane * step->input.stride;
    float best[16];
    f32_store(best, f32_set(-INFINITY));
    for (int32_t vector = 0; vector < step->input.vectors; vector++) {
      float lanes[16];
      f32_store(lanes, f32_select(step->input.inside[vector], f32_load(x + 16 * vector), f32_set(-INFINITY)));
      for (int i = 0; i < 16; i++) best[i] = larger(best[i], lanes[i]);
    }
    for (int i = 1; i < 16; i++) best[0] = larger(best[0], best[i]);
    ((float *)step->output)[plane] = best[0];
  }
}
