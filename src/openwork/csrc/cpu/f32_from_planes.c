/* f32_from_planes: planes of one channel to plain [images, channels, height, width]. */
#include "runtime.h"
#include "vector.h"

void OW_KERNEL(f32_from_planes)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_relayout *step = argument;
  const struct ow_planes *from = &step->planes;
  for (int32_t plane = begin; plane < end; plane++) {
    const float *lane = (const float *)from->at + (int64_t)plane * from->stride;
    float *y = (float *)step->plain_output + (int64_t)plane * from->height * from->width;
    for (int32_t row = 0; row < from->height; row++)
      memcpy(y + row * from->width, lane + row * from->row, sizeof *y * (size_t)from->width);
  }
}
