/* u8_from_planes: planes of four interleaved channels to plain [images, channels, height, width]. */
#include "runtime.h"
#include "vector.h"

void OW_KERNEL(u8_from_planes)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_relayout *step = argument;
  const struct ow_planes *from = &step->planes;
  const int32_t groups = from->planes / step->images, area = from->height * from->width;
  for (int32_t plane = begin; plane < end; plane++) {
    const int32_t channel = plane % groups * 4, channels = step->channels - channel < 4 ? step->channels - channel : 4;
    uint8_t *image = (uint8_t *)step->plain_output + ((int64_t)(plane / groups) * step->channels + channel) * area;
    const uint32_t *lane = (const uint32_t *)from->at + (int64_t)plane * from->stride;
    for (int32_t c = 0; c < channels; c++)
      for (int32_t row = 0; row < from->height; row++) {
        const uint8_t *x = (const uint8_t *)(lane + row * from->row) + c;
        uint8_t *y = image + (int64_t)c * area + row * from->width;
        for (int32_t column = 0; column < from->width; column++) y[column] = x[4 * column];
      }
  }
}
