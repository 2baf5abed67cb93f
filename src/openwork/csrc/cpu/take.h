/* take.h: elements at places that tables name, one table an axis. */
#ifndef OPENWORK_TAKE_H
#define OPENWORK_TAKE_H

#include "runtime.h"
#include "vector.h"

/* Defines a kernel that writes `count` elements from element `begin` on: the last axis in one loop, the others counted. */
#define OW_TAKE_KERNEL(name, type)                                                                             \
  static void row(const struct ow_take *step, const type *x, int inside, type *y) {                            \
    const int32_t last = step->rank - 1, count = step->shape[last];                                            \
    const int32_t *table = step->table[last];                                                                  \
    const type value = (type)step->value;                                                                      \
    if (!inside)                                                                                               \
      for (int32_t i = 0; i < count; i++) y[i] = value;                                                        \
    else                                                                                                       \
      for (int32_t i = 0; i < count; i++) y[i] = table[i] < 0 ? value : x[table[i]];                           \
  }                                                                                                            \
                                                                                                               \
  void OW_KERNEL(name)(const void *argument, int32_t begin, int32_t end) {                                     \
    const struct ow_take *step = argument;                                                                     \
    for (int64_t at = step->rows * begin / step->items, stop = step->rows * end / step->items; at < stop; at++) { \
      const type *x = (const type *)step->input;                                                               \
      int64_t rest = at;                                                                                       \
      int inside = 1;                                                                                          \
      for (int32_t axis = step->rank - 2; axis >= 0; axis--) {                                                 \
        const int32_t place = step->table[axis][rest % step->shape[axis]];                                     \
        rest /= step->shape[axis];                                                                             \
        inside &= place >= 0;                                                                                  \
        x += place >= 0 ? place * step->stride[axis] : 0;                                                      \
      }                                                                                                        \
      row(step, x, inside, (type *)step->output + at * step->shape[step->rank - 1]);                           \
    }                                                                                                          \
  }

#endif
