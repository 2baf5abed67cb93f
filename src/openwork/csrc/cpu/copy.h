/* copy.h: elements from one set of strides to another: transpose, broadcast, concatenate. */
#ifndef OPENWORK_COPY_H
#define OPENWORK_COPY_H

#include "runtime.h"
#include "vector.h"

/* Defines a kernel that copies elements of a type, dimension by dimension. */
#define OW_COPY_KERNEL(name, type)                                                                    \
  static void copy(const struct ow_copy *step, int32_t axis, const type *x, type *y) {                \
    const int64_t count = step->shape[axis];                                                          \
    const int64_t from = step->input_stride[axis], to = step->output_stride[axis];                    \
    if (axis < step->rank - 1)                                                                        \
      for (int64_t i = 0; i < count; i++) copy(step, axis + 1, x + i * from, y + i * to);             \
    else if (from == 1 && to == 1)                                                                    \
      memcpy(y, x, sizeof *x * (size_t)count);                                                        \
    else                                                                                              \
      for (int64_t i = 0; i < count; i++) y[i * to] = x[i * from];                                    \
  }                                                                                                   \
                                                                                                      \
  void OW_KERNEL(name)(const void *argument, int32_t begin, int32_t end) {                            \
    const struct ow_copy *step = argument;                                                            \
    for (int32_t item = begin; item < end; item++)                                                    \
      copy(step, 1, (const type *)step->input + item * step->input_stride[0],                         \
           (type *)step->output + item * step->output_stride[0]);                                     \
  }

#endif
