/* map.h: the share of an elementwise step that a work item is. */
#ifndef OPENWORK_MAP_H
#define OPENWORK_MAP_H

#include "requantize.h"
#include "vector.h"

/* First element of piece `item` of `items`; pieces begin at multiples of 64 elements. */
static inline int64_t ow_piece(const struct ow_map *step, int32_t item) {
  int64_t at = (step->count * item / step->items + 63) / 64 * 64;
  return at < step->count ? at : step->count;
}

/* Defines a kernel that computes OUT y[i] from IN a[i] (and b[i]) by `expression`. */
#define OW_MAP_KERNEL(name, in, out, expression)                             \
  void OW_KERNEL(name)(const void *argument, int32_t begin, int32_t end) {   \
    const struct ow_map *step = argument;                                    \
    const struct ow_map s = *step; /* a copy: stores below cannot change it */ \
    const in *restrict a = (const in *)step->input[0];                       \
    const in *restrict b = (const in *)step->input[1];                       \
    out *restrict y = (out *)step->output;                                   \
    (void)b, (void)s;                                                        \
    for (int64_t i = ow_piece(step, begin), last = ow_piece(step, end); i < last; i++) y[i] = expression; \
  }

/* Up to 64 bytes. */
static inline i32x16 ow_load_bytes(const char *p, int64_t count) {
  uint8_t bytes[64] = {0};
  memcpy(bytes, p, (size_t)count);
  return i32_load(bytes);
}

/* Defines a kernel that computes 64 bytes from 64 bytes of each input by four(a, b, step); pieces begin at multiples of
 * that, so that only the last is shorter. */
#define OW_MAP_BYTES_KERNEL(name, four)                                      \
  void OW_KERNEL(name)(const void *argument, int32_t begin, int32_t end) {   \
    const struct ow_map *step = argument;                                    \
    const char *a = step->input[0], *b = step->input[1] ? step->input[1] : a; \
    for (int64_t i = ow_piece(step, begin), last = ow_piece(step, end); i < last; i += 64) { \
      const int64_t count = last - i < 64 ? last - i : 64;                   \
      uint8_t bytes[64];                                                     \
      i32_store(bytes, four(ow_load_bytes(a + i, count), ow_load_bytes(b + i, count), step)); \
      memcpy(step->output + i, bytes, (size_t)count);                        \
    }                                                                        \
  }

#endif
