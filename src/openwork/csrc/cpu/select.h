/* select.h: elements of one tensor where a condition holds, of another elsewhere. */
#ifndef OPENWORK_SELECT_H
#define OPENWORK_SELECT_H

#include "elementwise.h"

/* Defines a kernel for elements of a type. Inputs: the condition (bytes), then both tensors. */
#define OW_SELECT_KERNEL(name, type)                                                                        \
  static void elements(const struct ow_elementwise *step, const char *const in[3], const int64_t repeat[3], \
                       char *out, int64_t count) {                                                          \
    const uint8_t *condition = (const uint8_t *)in[0];                                                      \
    const type *x = (const type *)in[1], *z = (const type *)in[2];                                          \
    const int64_t across = !repeat[0], across_x = !repeat[1], across_z = !repeat[2];                        \
    type *restrict y = (type *)out;                                                                         \
    (void)step;                                                                                             \
    for (int64_t i = 0; i < count; i++) y[i] = condition[i * across] ? x[i * across_x] : z[i * across_z];   \
  }                                                                                                         \
                                                                                                            \
  OW_PLAIN_KERNEL(name, 1, sizeof(type), sizeof(type), sizeof(type), elements)

#endif
