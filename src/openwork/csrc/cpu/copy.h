/* copy.h: elements from one set of strides to another: transpose, slice, broadcast, concatenate. */
#ifndef OPENWORK_COPY_H
#define OPENWORK_COPY_H

#include "runtime.h"
#include "vector.h"

/* Defines a kernel that copies elements of a type, dimension by dimension. */
#define OW_COPY_KERNEL(name, type)                                                                      \
  static void copy(const struct ow_copy *step, int32_t axis, int64_t count, const type *x, type *y) {   \
    const int64_t from = step->input_stride[axis], to = step->output_stride[axis];                      \
    if (axis < step->rank - 1)                                                                          \
      for (int64_t i = 0; i < count; i++) copy(step, axis + 1, step->shape[axis + 1], x + i * from, y + i * to); \
    else if (from == 1 && to == 1)                                                                      \
      memcpy(y, x, sizeof *x * (size_t)count);                                                          \
    else                                                                                                \
      for (int64_t i = 0; i < count; i++) y[i * to] = x[i * from];                                      \
  }                                                                                                     \
                                                                                                        \
  void OW_KERNEL(name)(const void *argument, int32_t begin, int32_t end) {                              \
    const struct ow_copy *step = argument;                                                              \
    const int64_t first = step->shape[0] * begin / step->items, last = step->shape[0] * end / step->items; \
    copy(step, 0, last - first, (const type *)step->input + first * step->input_stride[0],              \
         (type *)step->output + first * step->output_stride[0]);                                        \
  }

#endif
