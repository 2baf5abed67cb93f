/* topk.h: the indices of the k largest or smallest elements along the middle axis of [outer, count, inner], in order. */
#ifndef OPENWORK_TOPK_H
#define OPENWORK_TOPK_H

#include "runtime.h"
#include "vector.h"

/* Defines a kernel. The output holds a heap whose root is the last of the k, until all elements were seen; then the
 * roots are taken off, the last one first. NaN, the only value that is not itself, comes after all else. */
#define OW_TOPK_KERNEL(name, type)                                                                          \
  /* Whether element a is before element b. */                                                              \
  static int before(const struct ow_topk *step, const type *x, int64_t a, int64_t b) {                      \
    const type one = x[a * step->inner], other = x[b * step->inner];                                        \
    if (step->smallest ? one < other : one > other) return 1;                                               \
    if (step->smallest ? other < one : other > one) return 0;                                               \
    const int none = one != one, neither = other != other;                                                  \
    return none != neither ? neither : a < b;                                                               \
  }                                                                                                         \
                                                                                                            \
  /* Brings the element at place i of a heap of n down to where it belongs. */                              \
  static void sift(const struct ow_topk *step, const type *x, int64_t *heap, int64_t i, int64_t n) {        \
    const int64_t inner = step->inner, element = heap[i * inner];                                           \
    for (int64_t child = 2 * i + 1; child < n; child = 2 * i + 1) {                                         \
      if (child + 1 < n && before(step, x, heap[child * inner], heap[(child + 1) * inner])) child++;        \
      if (!before(step, x, element, heap[child * inner])) break;                                            \
      heap[i * inner] = heap[child * inner];                                                                \
      i = child;                                                                                            \
    }                                                                                                       \
    heap[i * inner] = element;                                                                              \
  }                                                                                                         \
                                                                                                            \
  static void find(const struct ow_topk *step, const type *x, int64_t *heap) {                              \
    const int64_t inner = step->inner, k = step->k;                                                         \
    for (int64_t i = 0; i < k; i++) heap[i * inner] = i;                                                    \
    for (int64_t i = k / 2; i-- > 0;) sift(step, x, heap, i, k);                                            \
    for (int64_t i = k; i < step->count; i++)                                                               \
      if (before(step, x, i, heap[0])) heap[0] = i, sift(step, x, heap, 0, k);                              \
    for (int64_t n = k - 1; n > 0; n--) {                                                                   \
      const int64_t last = heap[0];                                                                         \
      heap[0] = heap[n * inner];                                                                            \
      heap[n * inner] = last;                                                                               \
      sift(step, x, heap, 0, n);                                                                            \
    }                                                                                                       \
  }                                                                                                         \
                                                                                                            \
  void OW_KERNEL(name)(const void *argument, int32_t begin, int32_t end) {                                  \
    const struct ow_topk *step = argument;                                                                  \
    for (int32_t item = begin; item < end; item++) {                                                        \
      const int64_t outer = item / step->inner, inner = item % step->inner;                                 \
      find(step, (const type *)step->input + outer * step->count * step->inner + inner,                     \
           (int64_t *)step->output + outer * step->k * step->inner + inner);                                \
    }                                                                                                       \
  }

#endif
