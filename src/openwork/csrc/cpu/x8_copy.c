/* x8_copy: 8-bit elements from one set of strides to another: transpose, broadcast, concatenate. */
#include "runtime.h"
#include "vector.h"

static void copy(const struct ow_copy *step, int32_t axis, const uint8_t *x, uint8_t *y) {
  const int64_t count = step->shape[axis], from = step->input_stride[axis], to = step->output_stride[axis];
  if (axis < step->rank - 1)
    for (int64_t i = 0; i < count; i++) copy(step, axis + 1, x + i * from, y + i * to);
  else if (from == 1 && to == 1)
    memcpy(y, x, sizeof *x * (size_t)count);
  else
    for (int64_t i = 0; i < count; i++) y[i * to] = x[i * from];
}

void OW_KERNEL(x8_copy)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_copy *step = argument;
  for (int32_t item = begin; item < end; item++) {
    const uint8_t *x = (const uint8_t *)step->input + item * step->input_stride[0];
    uint8_t *y = (uint8_t *)step->output + item * step->output_stride[0];
    if (step->rank == 1)
      *y = *x;
    else
      copy(step, 1, x, y);
  }
}
