/* u8_to_planes: plain [images, channels, height, width] to planes of four interleaved channels. */
#include "runtime.h"
#include "vector.h"

/* One row of lanes from a row of each of four channels. */
static void interleave(const uint8_t *const x[4], int32_t at, int32_t width, uint32_t *restrict lane) {
  const uint8_t *a = x[0] + at, *b = x[1] + at, *c = x[2] + at, *d = x[3] + at;
  for (int32_t i = 0; i < width; i++)
    lane[i] = (uint32_t)a[i] | (uint32_t)b[i] << 8 | (uint32_t)c[i] << 16 | (uint32_t)d[i] << 24;
}

void OW_KERNEL(u8_to_planes)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_relayout *step = argument;
  const struct ow_planes *to = &step->planes;
  const int32_t groups = to->planes / step->images, area = to->height * to->width;
  for (int32_t plane = begin; plane < end; plane++) {
    const int32_t channel = plane % groups * 4, image = plane / groups;
    const uint8_t *x[4];
    for (int32_t c = 0; c < 4; c++) { /* what stands for a channel beyond the last does not matter: no weight reads it */
      int32_t real = channel + c < step->channels ? channel + c : channel;
      x[c] = (const uint8_t *)step->plain_input + ((int64_t)image * step->channels + real) * area;
    }
    uint32_t *lane = (uint32_t *)to->at + (int64_t)plane * to->stride;
    for (int32_t row = 0; row < to->height; row++) {
      interleave(x, row * to->width, to->width, lane + row * to->row);
      for (int32_t gap = to->width; gap < to->row; gap++) lane[row * to->row + gap] = to->padding;
    }
    for (int32_t rest = to->height * to->row; rest < 16 * to->vectors; rest++) lane[rest] = to->padding;
    ow_fill_lead(to, plane);
  }
}
