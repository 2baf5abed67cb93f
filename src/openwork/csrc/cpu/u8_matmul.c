/* u8_matmul: products of matrices of bytes, exact in int32, four rows at a time.
 *
 * Bytes of b lie as planes do, four rows in a lane; bytes of a are made signed, that is lowered by 128. With zero
 * points p of the signed a and q of b, the sum of (a - p)(b - q) is that of a b - q a - p b + p q. */
#include "matmul.h"

/* The sum of b's column in each lane, times -p. */
OW_INLINE i32x16 of_columns(const struct ow_matmul *step, const uint32_t *b, int32_t p) {
  i32x16 sum = i32_set(0);
  int32_t i = 0, lanes[16];
  for (; i + 4 <= step->inner; i += 4, b += step->b_row) sum = dot4(sum, i32_load(b), dot_set(0x01010101));
  if (i < step->inner) sum = dot4(sum, i32_load(b), dot_set(0x01010101 >> 8 * (4 - step->inner % 4)));
  i32_store(lanes, sum);
  for (int k = 0; k < 16; k++) lanes[k] *= -p;
  return i32_load(lanes);
}

OW_INLINE int32_t of_row(const struct ow_matmul *step, const uint8_t *a, int32_t p, int32_t q) {
  int32_t sum = 0;
  for (int32_t i = 0; i < step->inner; i++) sum += a[i];
  return -q * (sum - 128 * step->inner) + step->inner * p * q;
}

/* Bytes i .. i + 3 of a row, signed; what is not there is 0. */
OW_INLINE int32_t four(const uint8_t *a, int32_t i, int32_t inner) {
  uint32_t x = 0x80808080;
  if (i + 4 <= inner)
    memcpy(&x, a + i, 4);
  else
    for (int32_t k = 0; k < inner - i; k++) ((uint8_t *)&x)[k] = a[i + k];
  return (int32_t)(x ^ 0x80808080);
}

OW_INLINE void store(const struct ow_requantize *to, i32x16 sum, uint8_t *y, int32_t count) {
  int32_t lanes[16];
  if (to->rounding == OW_FLOAT32) /* what is too large to convert is far above every bound: 32767 is as good */
    sum = i32_from_f32(f32_min(f32_mul(f32_from_i32(sum), f32_set(to->scale[0])), 32767));
  else
    sum = ow_narrow(ow_fixed(sum, 0, to));
  i32_store(lanes, i32_clamp(i32_add(sum, i32_set((int32_t)to->zero_point)), (int32_t)to->low, (int32_t)to->high));
  uint8_t bytes[16];
  for (int i = 0; i < 16; i++) bytes[i] = (uint8_t)lanes[i];
  memcpy(y, bytes, (size_t)(count < 16 ? count : 16));
}

OW_INLINE void rows4(const struct ow_matmul *step, const char *left, const char *right, char *output, int32_t rows,
                     int32_t columns, const int n) {
  const uint8_t *a[4];
  const uint32_t *b = (const uint32_t *)right;
  const int32_t p = step->zero_points[0] - 128, q = step->zero_points[1];
  for (int r = 0; r < 4; r++) a[r] = (const uint8_t *)left + (r < rows ? r : 0) * step->a_row;
  i32x16 sum[4][ROWS4_VECTORS];
  EACH(v, n) sum[0][v] = of_columns(step, b + 16 * v, p);
  for (int r = 3; r >= 0; r--) {
    i32x16 row = i32_set(of_row(step, a[r], p, q));
    EACH(v, n) sum[r][v] = i32_add(sum[0][v], row);
  }
  for (int32_t i = 0; i < step->inner; i += 4, b += step->b_row) {
    i32x16 x[ROWS4_VECTORS];
    EACH(v, n) x[v] = i32_load(b + 16 * v);
    EACH(r, 4) {
      dot_weights weights = dot_set(four(a[r], i, step->inner));
      EACH(v, n) sum[r][v] = dot4(sum[r][v], x[v], weights);
    }
  }
  EACH(r, 4) {
    uint8_t *y = (uint8_t *)output + r * (int64_t)step->columns;
    if (r >= rows) continue;
    EACH(v, n) store(&step->requantize, sum[r][v], y + 16 * v, columns - 16 * v);
  }
}

OW_MATMUL_KERNEL(u8_matmul, uint8_t)
