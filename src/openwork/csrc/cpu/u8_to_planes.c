/* u8_to_planes: plain [images, channels, height, width] to planes of four interleaved channels. */
#include "runtime.h"
#include "vector.h"

void OW_KERNEL(u8_to_planes)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_relayout *step = argument;
  const struct ow_planes *to = &step->planes;
  const int32_t groups = to->planes / step->images, area = to->height * to->width;
  for (int32_t plane = begin; plane < end; plane++) {
    const int32_t channel = plane % groups * 4, channels = step->channels - channel < 4 ? step->channels - channel : 4;
    const uint8_t *image = (const uint8_t *)step->plain_input +
                           ((int64_t)(plane / groups) * step->channels + channel) * area;
    uint32_t *lane = (uint32_t *)to->at + (int64_t)plane * to->stride;
    for (int32_t i = 0; i < 16 * to->vectors; i++) lane[i] = to->padding;
    for (int32_t c = 0; c < channels; c++)
      for (int32_t row = 0; row < to->height; row++) {
        const uint8_t *x = image + (int64_t)c * area + row * to->width;
        uint8_t *y = (uint8_t *)(lane + row * to->row) + c;
        for (int32_t column = 0; column < to->width; column++) y[4 * column] = x[column];
      }
    ow_fill_lead(to, plane);
  }
}
