/* elementwise.h: walks through the operands of an elementwise step, run by run. */
#ifndef OPENWORK_ELEMENTWISE_H
#define OPENWORK_ELEMENTWISE_H

#include "runtime.h"
#include "vector.h"

/* Computes `count` neighbouring elements. Each input has as many, or `repeat` bytes that are repeated for all. */
typedef void ow_elements(const struct ow_elementwise *step, const char *const in[3], const int64_t repeat[3], char *out,
                         int64_t count);

/* First element of piece `item` of `items`; pieces begin at multiples of 64 elements. */
static inline int64_t ow_element_piece(const struct ow_elementwise *step, int32_t item) {
  const int64_t at = (step->count * item / step->items + 63) / 64 * 64;
  return at < step->count ? at : step->count;
}

/* Pieces of a plain tensor, row by row of its last dimension; sizes of elements in bytes. */
OW_INLINE void ow_plain_elements(const struct ow_elementwise *step, int32_t begin, int32_t end, const int64_t size[3],
                                 int64_t out_size, ow_elements *elements) {
  const int32_t inner = step->rank - 1;
  const int64_t width = step->shape[inner];
  for (int64_t at = ow_element_piece(step, begin), last = ow_element_piece(step, end); at < last;) {
    const int64_t column = at % width, rest = width - column, count = rest < last - at ? rest : last - at;
    const char *in[3];
    int64_t repeat[3];
    for (int k = 0; k < 3; k++) {
      int64_t offset = column * step->stride[k][inner];
      for (int64_t axis = inner - 1, row = at / width; axis >= 0; row /= step->shape[axis], axis--)
        offset += row % step->shape[axis] * step->stride[k][axis];
      in[k] = step->input[k] + offset;
      repeat[k] = step->stride[k][inner] ? 0 : size[k];
    }
    elements(step, in, repeat, step->output + at * out_size, count);
    at += count;
  }
}

/* Whole planes; what came to lie in lanes that are no pixels becomes padding. */
OW_INLINE void ow_planar_elements(const struct ow_elementwise *step, int32_t begin, int32_t end, int64_t out_size,
                                  ow_elements *elements) {
  const struct ow_planes *to = &step->planes;
  for (int32_t plane = begin; plane < end; plane++) {
    const char *in[3];
    for (int k = 0; k < 3; k++)
      in[k] = step->input[k] + plane / step->groups * step->image[k] + plane % step->groups * step->plane[k];
    char *out = to->at + 4 * (int64_t)plane * to->stride;
    elements(step, in, step->repeat, out, 64 / out_size * to->vectors);
    for (int32_t v = 0; v < to->vectors; v++)
      if (to->inside[v] != 0xFFFF)
        i32_store(out + 64 * v, i32_select(to->inside[v], i32_load(out + 64 * v), i32_set((int32_t)to->padding)));
    ow_fill_lead(to, plane);
  }
}

/* Defines a kernel that takes plain tensors. */
#define OW_PLAIN_KERNEL(name, size_a, size_b, size_c, out_size, elements)  \
  void OW_KERNEL(name)(const void *argument, int32_t begin, int32_t end) { \
    const int64_t size[3] = {size_a, size_b, size_c};                      \
    ow_plain_elements(argument, begin, end, size, out_size, elements);     \
  }

/* Defines a kernel that takes plain tensors and planes, all elements of one size. */
#define OW_PLANAR_KERNEL(name, element_size, elements)                     \
  void OW_KERNEL(name)(const void *argument, int32_t begin, int32_t end) { \
    const int64_t size[3] = {element_size, element_size, element_size};    \
    if (((const struct ow_elementwise *)argument)->planes.at)              \
      ow_planar_elements(argument, begin, end, element_size, elements);    \
    else                                                                   \
      ow_plain_elements(argument, begin, end, size, element_size, elements); \
  }

/* Defines `elements` that computes OUT from IN a and IN b, one by one, by the expression of a function:
 * OW_ONE_BY_ONE(in, out, OW_FUNCTION(0, a + b) OW_FUNCTION(1, a - b) ...) */
#define OW_FUNCTION(number, expression)                            \
  case number:                                                     \
    for (int64_t i = 0; i < count; i++) {                          \
      const ow_in a = x[i * across_x], b = z[i * across_z];        \
      (void)b;                                                     \
      y[i] = (ow_out)(expression);                                 \
    }                                                              \
    break;

#define OW_ONE_BY_ONE(in_type, out_type, functions)                                                              \
  static void elements(const struct ow_elementwise *step, const char *const in[3], const int64_t repeat[3],      \
                       char *out, int64_t count) {                                                               \
    typedef in_type ow_in;                                                                                       \
    typedef out_type ow_out;                                                                                     \
    const ow_in *x = (const ow_in *)in[0], *z = (const ow_in *)in[1];                                            \
    ow_out *restrict y = (ow_out *)out;                                                                          \
    const int64_t across_x = !repeat[0], across_z = !repeat[1];                                                  \
    switch (step->function) { functions }                                                                        \
  }

#endif
