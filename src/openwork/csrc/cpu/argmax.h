/* argmax.h: the index of the largest or smallest element along the middle axis of [outer, count, inner]. */
#ifndef OPENWORK_ARGMAX_H
#define OPENWORK_ARGMAX_H

#include "runtime.h"
#include "vector.h"

/* Defines a kernel. NaN, the only value that is not itself, beats all else but an earlier NaN. */
#define OW_ARGMAX_KERNEL(name, type)                                                                      \
  static int64_t find(const struct ow_argmax *step, const type *x) {                                      \
    type best = x[0];                                                                                     \
    int64_t at = 0;                                                                                       \
    for (int64_t k = 1; k < step->count; k++) {                                                           \
      const type next = x[k * step->inner];                                                               \
      const int beats = step->smallest ? next < best : next > best;                                       \
      if (beats || (step->last && next == best) || (next != next && (step->last || best == best))) best = next, at = k; \
    }                                                                                                     \
    return at;                                                                                            \
  }                                                                                                       \
                                                                                                          \
  void OW_KERNEL(name)(const void *argument, int32_t begin, int32_t end) {                                \
    const struct ow_argmax *step = argument;                                                              \
    for (int32_t item = begin; item < end; item++) {                                                      \
      const int64_t outer = item / step->inner, inner = item % step->inner;                               \
      ((int64_t *)step->output)[item] = find(step, (const type *)step->input + outer * step->count * step->inner + inner); \
    }                                                                                                     \
  }

#endif
