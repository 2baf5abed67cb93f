/* fully_connected.h: which outputs of which row a work item is. */
#ifndef OPENWORK_FULLY_CONNECTED_H
#define OPENWORK_FULLY_CONNECTED_H

#include "requantize.h"
#include "runtime.h"
#include "vector.h"

/* Defines a kernel that computes each output from output_of(step, x, o), x being its row of inputs. */
#define OW_FULLY_CONNECTED_KERNEL(name, type)                                                       \
  void OW_KERNEL(name)(const void *argument, int32_t begin, int32_t end) {                          \
    const struct ow_fully_connected *step = argument;                                               \
    for (int32_t item = begin; item < end; item++) {                                                \
      const int64_t row = item / step->blocks;                                                      \
      const type *x = (const type *)step->input + row * step->inputs;                               \
      type *y = (type *)step->output + row * step->outputs;                                         \
      const int32_t first = item % step->blocks * step->block, last = first + step->block;          \
      for (int32_t o = first; o < last && o < step->outputs; o++) y[o] = output_of(step, x, o);     \
    }                                                                                               \
  }

#endif
