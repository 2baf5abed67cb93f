/* x32_repack: images to phase images, whatever a lane holds. */
#include "runtime.h"
#include "vector.h"

/* columns [begin, end) of a phase row lie inside the source row; the others are padding. */
static void repack_row(const struct ow_repack *step, const uint32_t *source, int32_t px, uint32_t *row) {
  const int32_t stride = step->stride[1], shift = px - step->pad[1], width = step->input.width;
  int32_t begin = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
  int32_t end = width > shift ? (width - shift + stride - 1) / stride : 0;
  if (begin > step->columns) begin = step->columns;
  if (end > step->columns) end = step->columns;
  if (end < begin) end = begin;
  for (int32_t x = 0; x < begin; x++) row[x] = step->padding;
  if (stride == 1) {
    memcpy(row + begin, source + begin + shift, 4 * (size_t)(end - begin));
  } else if (stride == 2) {
    /* The last vector may read past the row, into whatever follows; the arena ends with room for that. */
    for (int32_t x = begin; x < end; x += 16) {
      i32x16 lanes = i32_load_even(source + 2 * x + shift);
      if (x + 16 <= end)
        i32_store(row + x, lanes);
      else
        i32_store_first(row + x, lanes, end - x);
    }
  } else {
    for (int32_t x = begin; x < end; x++) row[x] = source[x * stride + shift];
  }
  for (int32_t x = end; x < step->columns; x++) row[x] = step->padding;
}

void OW_KERNEL(x32_repack)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_repack *step = argument;
  const int32_t planes = step->input.planes / step->images;
  for (int32_t item = begin; item < end; item++) {
    const int32_t phase = item % step->phases, plane = item / step->phases;
    const uint32_t *source = (const uint32_t *)step->input.at + (int64_t)plane * step->input.stride;
    int64_t place = ((int64_t)(plane / planes) * step->phases + phase) * planes + plane % planes;
    uint32_t *target = (uint32_t *)step->output + place * step->output_stride;
    for (int32_t y = 0; y < step->rows; y++, target += step->output_row) {
      int32_t from = y * step->stride[0] + step->phase[2 * phase] - step->pad[0];
      if (from >= 0 && from < step->input.height)
        repack_row(step, source + (int64_t)from * step->input.row, step->phase[2 * phase + 1], target);
      else
        for (int32_t x = 0; x < step->columns; x++) target[x] = step->padding;
    }
  }
}
