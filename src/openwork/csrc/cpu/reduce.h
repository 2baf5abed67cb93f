/* reduce.h: the middle axis of [outer, count, inner] becomes one element. */
#ifndef OPENWORK_REDUCE_H
#define OPENWORK_REDUCE_H

#include "runtime.h"
#include "vector.h"

/* Defines a function that reduces by `expression` of a and b, and the kernel's part for it. Rows of an inner axis are
 * taken as they lie; without one, sixteen sums run side by side. */
#define OW_REDUCE_FUNCTION(name, type, expression)                                                   \
  static void name(const type *restrict x, type *restrict y, int64_t count, int64_t stride, int64_t inner) { \
    if (stride == 1 && count >= 16) {                                                                \
      type part[16];                                                                                 \
      memcpy(part, x, sizeof part);                                                                  \
      int64_t k = 16;                                                                                \
      for (; k + 16 <= count; k += 16)                                                               \
        for (int i = 0; i < 16; i++) {                                                               \
          const type a = part[i], b = x[k + i];                                                      \
          part[i] = (expression);                                                                    \
        }                                                                                            \
      for (int i = 0; k < count; k++, i++) {                                                         \
        const type a = part[i], b = x[k];                                                            \
        part[i] = (expression);                                                                      \
      }                                                                                              \
      for (int i = 1; i < 16; i++) {                                                                 \
        const type a = part[0], b = part[i];                                                         \
        part[0] = (expression);                                                                      \
      }                                                                                              \
      *y = part[0];                                                                                  \
      return;                                                                                        \
    }                                                                                                \
    memcpy(y, x, sizeof *y * (size_t)inner);                                                         \
    for (int64_t k = 1; k < count; k++)                                                              \
      for (int64_t i = 0; i < inner; i++) {                                                          \
        const type a = y[i], b = x[k * stride + i];                                                  \
        y[i] = (expression);                                                                         \
      }                                                                                              \
  }

/* Defines a kernel: `calls` chooses by step->function and passes on ARGUMENTS; `after` is done to y[0 .. inner). */
#define OW_REDUCE_ARGUMENTS x, y, step->count, step->inner, inner
#define OW_REDUCE_KERNEL(name, type, calls, after)                                     \
  void OW_KERNEL(name)(const void *argument, int32_t begin, int32_t end) {             \
    const struct ow_reduce *step = argument;                                           \
    for (int32_t item = begin; item < end; item++) {                                   \
      const int64_t outer = item / step->blocks, first = item % step->blocks * step->block; \
      const int64_t rest = step->inner - first, inner = rest < step->block ? rest : step->block; \
      const type *x = (const type *)step->input + outer * step->count * step->inner + first; \
      type *y = (type *)step->output + outer * step->inner + first;                    \
      switch (step->function) { calls }                                                \
      after                                                                            \
    }                                                                                  \
  }

#define OW_REDUCE_CASE(number, function) \
  case number: function(OW_REDUCE_ARGUMENTS); break;

#endif
