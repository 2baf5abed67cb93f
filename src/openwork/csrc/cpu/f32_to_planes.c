/* f32_to_planes: plain [images, channels, height, width] to planes of one channel. */
#include "runtime.h"
#include "vector.h"

void OW_KERNEL(f32_to_planes)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_relayout *step = argument;
  const struct ow_planes *to = &step->planes;
  for (int32_t plane = begin; plane < end; plane++) {
    const float *x = (const float *)step->plain_input + (int64_t)plane * to->height * to->width;
    float *lane = (float *)to->at + (int64_t)plane * to->stride;
    for (int32_t row = 0; row < to->height; row++) {
      memcpy(lane + row * to->row, x + row * to->width, sizeof *x * (size_t)to->width);
      for (int32_t gap = to->width; gap < to->row; gap++) lane[row * to->row + gap] = 0;
    }
    for (int32_t rest = to->height * to->row; rest < 16 * to->vectors; rest++) lane[rest] = 0;
    ow_fill_lead(to, plane);
  }
}
