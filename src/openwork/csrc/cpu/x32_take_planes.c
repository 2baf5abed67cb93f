/* x32_take_planes: lanes of planes at places that two tables name, whatever a lane holds. */
#include "runtime.h"
#include "vector.h"

void OW_KERNEL(x32_take_planes)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_take_planes *step = argument;
  const struct ow_planes *out = &step->output;
  for (int32_t plane = begin; plane < end; plane++) {
    const uint32_t *source = (const uint32_t *)step->input.at + (int64_t)plane * step->input.stride;
    uint32_t *target = (uint32_t *)out->at + (int64_t)plane * out->stride;
    for (int32_t y = 0; y < out->height; y++, target += out->row) {
      const int32_t row = step->rows[y];
      for (int32_t x = 0; x < out->width; x++) {
        const int32_t column = step->columns[x];
        target[x] = row < 0 || column < 0 ? step->value : source[(int64_t)row * step->input.row + column];
      }
      for (int32_t x = out->width; x < out->row; x++) target[x] = out->padding;
    }
    for (int32_t rest = out->height * out->row; rest < 16 * out->vectors; rest++, target++) *target = out->padding;
    ow_fill_lead(out, plane);
  }
}
