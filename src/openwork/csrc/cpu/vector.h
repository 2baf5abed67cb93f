/* vector.h: sixteen lanes at a time, on every instruction set.
 *
 * Kernels are written once, over the types and functions below, and compiled once for each instruction set, with
 * OW_ISA set to its name. One f32x16 is one register with AVX-512, two with AVX2, and sixteen floats in portable C,
 * which is also the meaning of each function.
 *
 * NaN passes through float functions, as it does in the interpreter: x86's min and max return their second operand
 * when one is NaN.
 *
 * Fused multiply-add rounds once where the machine has it, twice in portable C: floats are compared with a
 * tolerance. Everything that integers pass through is exact everywhere. */
#ifndef OPENWORK_VECTOR_H
#define OPENWORK_VECTOR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define OW_JOIN_(a, b) a##_##b
#define OW_JOIN(a, b) OW_JOIN_(a, b)
#define OW_KERNEL(name) OW_JOIN(name, OW_ISA) /* f32_add -> f32_add_avx512 */
#define OW_INLINE static inline __attribute__((always_inline))

OW_INLINE float ow_clampf(float x, float low, float high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}

#if defined(__AVX512F__)

#include <immintrin.h>

enum { ROWS1_VECTORS = 8, ROWS4_VECTORS = 6 }; /* accumulators that fit the registers: per row, for four rows */

typedef __m512 f32x16;
typedef __m512i i32x16;
typedef __m512i dot_weights;
typedef __mmask16 mask16;

OW_INLINE f32x16 f32_set(float x) { return _mm512_set1_ps(x); }
OW_INLINE f32x16 f32_load(const float *p) { return _mm512_loadu_ps(p); }
OW_INLINE void f32_store(float *p, f32x16 x) { _mm512_storeu_ps(p, x); }
OW_INLINE f32x16 f32_add(f32x16 a, f32x16 b) { return _mm512_add_ps(a, b); }
OW_INLINE f32x16 f32_mul(f32x16 a, f32x16 b) { return _mm512_mul_ps(a, b); }
OW_INLINE f32x16 f32_fma(f32x16 a, f32x16 b, f32x16 c) { return _mm512_fmadd_ps(a, b, c); }
OW_INLINE f32x16 f32_clamp(f32x16 x, float low, float high) {
  return _mm512_min_ps(_mm512_set1_ps(high), _mm512_max_ps(_mm512_set1_ps(low), x));
}
OW_INLINE f32x16 f32_min(f32x16 x, float high) { return _mm512_min_ps(x, _mm512_set1_ps(high)); }
OW_INLINE f32x16 f32_round(f32x16 x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
OW_INLINE f32x16 f32_select(mask16 mask, f32x16 a, f32x16 b) { return _mm512_mask_mov_ps(b, mask, a); }
OW_INLINE f32x16 f32_gather(const float *p, const int32_t *at) {
  return _mm512_i32gather_ps(_mm512_loadu_si512(at), p, 4);
}
OW_INLINE float f32_sum(f32x16 x) { return _mm512_reduce_add_ps(x); }

OW_INLINE i32x16 i32_set(int32_t x) { return _mm512_set1_epi32(x); }
OW_INLINE i32x16 i32_load(const void *p) { return _mm512_loadu_si512(p); }
OW_INLINE i32x16 i32_load_even(const uint32_t *p) { /* p[0], p[2], ... p[30]; reads up to p[31] */
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  return _mm512_permutex2var_epi32(_mm512_loadu_si512(p), even, _mm512_loadu_si512(p + 16));
}
OW_INLINE void i32_store(void *p, i32x16 x) { _mm512_storeu_si512(p, x); }
OW_INLINE void i32_store_first(uint32_t *p, i32x16 x, int32_t count) { /* lanes 0 .. count - 1, count < 16 */
  _mm512_mask_storeu_epi32(p, (mask16)((1 << count) - 1), x);
}
OW_INLINE i32x16 i32_gather(const void *p, const int32_t *at) {
  return _mm512_i32gather_epi32(_mm512_loadu_si512(at), p, 4);
}
OW_INLINE int32_t i32_sum(i32x16 x) { return _mm512_reduce_add_epi32(x); }
OW_INLINE i32x16 i32_byte(i32x16 x, int index) {
  return _mm512_and_si512(_mm512_srli_epi32(x, 8 * (unsigned)index), _mm512_set1_epi32(255));
}
OW_INLINE i32x16 i32_select(mask16 mask, i32x16 a, i32x16 b) { return _mm512_mask_mov_epi32(b, mask, a); }
OW_INLINE f32x16 f32_from_i32(i32x16 x) { return _mm512_cvtepi32_ps(x); }
OW_INLINE i32x16 i32_from_f32(f32x16 x) { return _mm512_cvtps_epi32(x); }

/* Lane i becomes the bytes of a[i], b[i], c[i], d[i], each plus `zero` and then clipped into [low, high]. */
OW_INLINE i32x16 u8_pack(i32x16 a, i32x16 b, i32x16 c, i32x16 d, int32_t zero, int32_t low, int32_t high) {
  const __m512i order = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  const __m512i zeros = _mm512_set1_epi16((int16_t)zero);
  __m512i ab = _mm512_adds_epi16(_mm512_packs_epi32(a, b), zeros);
  __m512i cd = _mm512_adds_epi16(_mm512_packs_epi32(c, d), zeros);
  __m512i x = _mm512_shuffle_epi8(_mm512_packus_epi16(ab, cd), order);
  x = _mm512_max_epu8(x, _mm512_set1_epi8((int8_t)low));
  return _mm512_min_epu8(x, _mm512_set1_epi8((int8_t)high));
}

OW_INLINE dot_weights dot_set(int32_t four) { return _mm512_set1_epi32(four); }
OW_INLINE dot_weights dot_load(const void *p) { return _mm512_loadu_si512(p); }
OW_INLINE i32x16 dot4(i32x16 sum, i32x16 x, dot_weights w) { return _mm512_dpbusd_epi32(sum, x, w); }

#elif defined(__AVX2__)

#include <immintrin.h>

enum { ROWS1_VECTORS = 4, ROWS4_VECTORS = 1 };

typedef struct { __m256 half[2]; } f32x16;
typedef struct { __m256i half[2]; } i32x16;
typedef struct { __m256i even[2], odd[2]; } dot_weights; /* four int8 widened to int16: bytes 0, 2 and bytes 1, 3 */
typedef uint16_t mask16;

#define OW_HALVES(type, expression) ((type){{({ enum { h = 0 }; expression; }), ({ enum { h = 1 }; expression; })}})

OW_INLINE f32x16 f32_set(float x) { return OW_HALVES(f32x16, ((void)h, _mm256_set1_ps(x))); }
OW_INLINE f32x16 f32_load(const float *p) { return OW_HALVES(f32x16, _mm256_loadu_ps(p + 8 * h)); }
OW_INLINE void f32_store(float *p, f32x16 x) {
  _mm256_storeu_ps(p, x.half[0]);
  _mm256_storeu_ps(p + 8, x.half[1]);
}
OW_INLINE f32x16 f32_add(f32x16 a, f32x16 b) { return OW_HALVES(f32x16, _mm256_add_ps(a.half[h], b.half[h])); }
OW_INLINE f32x16 f32_mul(f32x16 a, f32x16 b) { return OW_HALVES(f32x16, _mm256_mul_ps(a.half[h], b.half[h])); }
OW_INLINE f32x16 f32_fma(f32x16 a, f32x16 b, f32x16 c) {
  return OW_HALVES(f32x16, _mm256_fmadd_ps(a.half[h], b.half[h], c.half[h]));
}
OW_INLINE f32x16 f32_clamp(f32x16 x, float low, float high) {
  return OW_HALVES(f32x16, _mm256_min_ps(_mm256_set1_ps(high), _mm256_max_ps(_mm256_set1_ps(low), x.half[h])));
}
OW_INLINE f32x16 f32_min(f32x16 x, float high) {
  return OW_HALVES(f32x16, _mm256_min_ps(x.half[h], _mm256_set1_ps(high)));
}
OW_INLINE f32x16 f32_round(f32x16 x) {
  return OW_HALVES(f32x16, _mm256_round_ps(x.half[h], _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
OW_INLINE __m256 ow_mask_half(mask16 mask, int h) {
  const __m256i bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  __m256i mine = _mm256_and_si256(_mm256_set1_epi32(mask >> 8 * h), bits);
  return _mm256_castsi256_ps(_mm256_cmpeq_epi32(mine, bits));
}
OW_INLINE f32x16 f32_select(mask16 mask, f32x16 a, f32x16 b) {
  return OW_HALVES(f32x16, _mm256_blendv_ps(b.half[h], a.half[h], ow_mask_half(mask, h)));
}
OW_INLINE f32x16 f32_gather(const float *p, const int32_t *at) {
  return OW_HALVES(f32x16, _mm256_i32gather_ps(p, _mm256_loadu_si256((const __m256i *)(at + 8 * h)), 4));
}
OW_INLINE float f32_sum(f32x16 x) {
  float lane[8], sum = 0;
  _mm256_storeu_ps(lane, _mm256_add_ps(x.half[0], x.half[1]));
  for (int i = 0; i < 8; i++) sum += lane[i];
  return sum;
}

OW_INLINE i32x16 i32_set(int32_t x) { return OW_HALVES(i32x16, ((void)h, _mm256_set1_epi32(x))); }
OW_INLINE i32x16 i32_load(const void *p) {
  return OW_HALVES(i32x16, _mm256_loadu_si256((const __m256i *)((const char *)p + 32 * h)));
}
OW_INLINE __m256i ow_even_half(const uint32_t *p) {
  __m256 low = _mm256_loadu_ps((const float *)p), high = _mm256_loadu_ps((const float *)p + 8);
  return _mm256_permute4x64_epi64(_mm256_castps_si256(_mm256_shuffle_ps(low, high, 0x88)), 0xD8);
}
OW_INLINE i32x16 i32_load_even(const uint32_t *p) { return OW_HALVES(i32x16, ow_even_half(p + 16 * h)); }
OW_INLINE void i32_store(void *p, i32x16 x) {
  _mm256_storeu_si256((__m256i *)p, x.half[0]);
  _mm256_storeu_si256((__m256i *)((char *)p + 32), x.half[1]);
}
OW_INLINE void i32_store_first(uint32_t *p, i32x16 x, int32_t count) {
  const mask16 mask = (mask16)((1 << count) - 1);
  _mm256_maskstore_epi32((int *)p, _mm256_castps_si256(ow_mask_half(mask, 0)), x.half[0]);
  _mm256_maskstore_epi32((int *)p + 8, _mm256_castps_si256(ow_mask_half(mask, 1)), x.half[1]);
}
OW_INLINE i32x16 i32_gather(const void *p, const int32_t *at) {
  return OW_HALVES(i32x16,
                   _mm256_i32gather_epi32((const int *)p, _mm256_loadu_si256((const __m256i *)(at + 8 * h)), 4));
}
OW_INLINE int32_t i32_sum(i32x16 x) {
  int32_t lane[8], sum = 0;
  _mm256_storeu_si256((__m256i *)lane, _mm256_add_epi32(x.half[0], x.half[1]));
  for (int i = 0; i < 8; i++) sum += lane[i];
  return sum;
}
OW_INLINE i32x16 i32_byte(i32x16 x, int index) {
  return OW_HALVES(i32x16,
                   _mm256_and_si256(_mm256_srli_epi32(x.half[h], 8 * index), _mm256_set1_epi32(255)));
}
OW_INLINE i32x16 i32_select(mask16 mask, i32x16 a, i32x16 b) {
  return OW_HALVES(i32x16, _mm256_blendv_epi8(b.half[h], a.half[h], _mm256_castps_si256(ow_mask_half(mask, h))));
}
OW_INLINE f32x16 f32_from_i32(i32x16 x) { return OW_HALVES(f32x16, _mm256_cvtepi32_ps(x.half[h])); }
OW_INLINE i32x16 i32_from_f32(f32x16 x) { return OW_HALVES(i32x16, _mm256_cvtps_epi32(x.half[h])); }

OW_INLINE __m256i ow_pack_half(__m256i a, __m256i b, __m256i c, __m256i d, int32_t zero, int32_t low, int32_t high) {
  const __m256i order = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  const __m256i zeros = _mm256_set1_epi16((int16_t)zero);
  __m256i ab = _mm256_adds_epi16(_mm256_packs_epi32(a, b), zeros);
  __m256i cd = _mm256_adds_epi16(_mm256_packs_epi32(c, d), zeros);
  __m256i x = _mm256_shuffle_epi8(_mm256_packus_epi16(ab, cd), order);
  x = _mm256_max_epu8(x, _mm256_set1_epi8((int8_t)low));
  return _mm256_min_epu8(x, _mm256_set1_epi8((int8_t)high));
}
OW_INLINE i32x16 u8_pack(i32x16 a, i32x16 b, i32x16 c, i32x16 d, int32_t zero, int32_t low, int32_t high) {
  return OW_HALVES(i32x16, ow_pack_half(a.half[h], b.half[h], c.half[h], d.half[h], zero, low, high));
}

/* vpmaddubsw would saturate its pair sums, so bytes are widened and multiplied as int16: exact. */
OW_INLINE dot_weights ow_dot_widen(__m256i low, __m256i high) {
  return (dot_weights){{_mm256_srai_epi16(_mm256_slli_epi16(low, 8), 8), _mm256_srai_epi16(_mm256_slli_epi16(high, 8), 8)},
                       {_mm256_srai_epi16(low, 8), _mm256_srai_epi16(high, 8)}};
}
OW_INLINE dot_weights dot_set(int32_t four) { return ow_dot_widen(_mm256_set1_epi32(four), _mm256_set1_epi32(four)); }
OW_INLINE dot_weights dot_load(const void *p) {
  i32x16 x = i32_load(p);
  return ow_dot_widen(x.half[0], x.half[1]);
}
OW_INLINE __m256i ow_dot_half(__m256i sum, __m256i x, __m256i even, __m256i odd) {
  __m256i products = _mm256_add_epi32(_mm256_madd_epi16(_mm256_and_si256(x, _mm256_set1_epi16(255)), even),
                                      _mm256_madd_epi16(_mm256_srli_epi16(x, 8), odd));
  return _mm256_add_epi32(sum, products);
}
OW_INLINE i32x16 dot4(i32x16 sum, i32x16 x, dot_weights w) {
  return OW_HALVES(i32x16, ow_dot_half(sum.half[h], x.half[h], w.even[h], w.odd[h]));
}

#else /* portable C: the meaning of it all */

enum { ROWS1_VECTORS = 1, ROWS4_VECTORS = 1 };

typedef struct { float lane[16]; } f32x16;
typedef struct { int32_t lane[16]; } i32x16;
typedef struct { int32_t lane[16]; } dot_weights; /* four int8 a lane */
typedef uint16_t mask16;

#define OW_LANES(type, expression)                        \
  type result;                                            \
  for (int i = 0; i < 16; i++) result.lane[i] = expression; \
  return result

OW_INLINE f32x16 f32_set(float x) { OW_LANES(f32x16, x); }
OW_INLINE f32x16 f32_load(const float *p) { OW_LANES(f32x16, p[i]); }
OW_INLINE void f32_store(float *p, f32x16 x) { memcpy(p, x.lane, sizeof x.lane); }
OW_INLINE f32x16 f32_add(f32x16 a, f32x16 b) { OW_LANES(f32x16, a.lane[i] + b.lane[i]); }
OW_INLINE f32x16 f32_mul(f32x16 a, f32x16 b) { OW_LANES(f32x16, a.lane[i] * b.lane[i]); }
OW_INLINE f32x16 f32_fma(f32x16 a, f32x16 b, f32x16 c) { OW_LANES(f32x16, a.lane[i] * b.lane[i] + c.lane[i]); }
OW_INLINE f32x16 f32_clamp(f32x16 x, float low, float high) { OW_LANES(f32x16, ow_clampf(x.lane[i], low, high)); }
OW_INLINE f32x16 f32_min(f32x16 x, float high) { OW_LANES(f32x16, x.lane[i] < high ? x.lane[i] : high); }
OW_INLINE f32x16 f32_round(f32x16 x) { OW_LANES(f32x16, rintf(x.lane[i])); }
OW_INLINE f32x16 f32_select(mask16 mask, f32x16 a, f32x16 b) {
  OW_LANES(f32x16, mask >> i & 1 ? a.lane[i] : b.lane[i]);
}
OW_INLINE f32x16 f32_gather(const float *p, const int32_t *at) { OW_LANES(f32x16, p[at[i]]); }
OW_INLINE float f32_sum(f32x16 x) {
  float sum = 0;
  for (int i = 0; i < 16; i++) sum += x.lane[i];
  return sum;
}

OW_INLINE i32x16 i32_set(int32_t x) { OW_LANES(i32x16, x); }
OW_INLINE i32x16 i32_load(const void *p) {
  i32x16 x;
  memcpy(x.lane, p, sizeof x.lane);
  return x;
}
OW_INLINE i32x16 i32_load_even(const uint32_t *p) { OW_LANES(i32x16, (int32_t)p[2 * i]); }
OW_INLINE void i32_store(void *p, i32x16 x) { memcpy(p, x.lane, sizeof x.lane); }
OW_INLINE void i32_store_first(uint32_t *p, i32x16 x, int32_t count) { memcpy(p, x.lane, 4 * (size_t)count); }
OW_INLINE i32x16 i32_gather(const void *p, const int32_t *at) {
  i32x16 x;
  for (int i = 0; i < 16; i++) memcpy(&x.lane[i], (const char *)p + 4 * (int64_t)at[i], 4);
  return x;
}
OW_INLINE int32_t i32_sum(i32x16 x) {
  int32_t sum = 0;
  for (int i = 0; i < 16; i++) sum += x.lane[i];
  return sum;
}
OW_INLINE i32x16 i32_byte(i32x16 x, int index) { OW_LANES(i32x16, (int32_t)((uint32_t)x.lane[i] >> 8 * index & 255)); }
OW_INLINE i32x16 i32_select(mask16 mask, i32x16 a, i32x16 b) {
  OW_LANES(i32x16, mask >> i & 1 ? a.lane[i] : b.lane[i]);
}
OW_INLINE int32_t ow_whole(float x) { return x > -2147483648.0f ? (int32_t)rintf(x) : INT32_MIN; } /* half to even */
OW_INLINE f32x16 f32_from_i32(i32x16 x) { OW_LANES(f32x16, (float)x.lane[i]); }
OW_INLINE i32x16 i32_from_f32(f32x16 x) { OW_LANES(i32x16, ow_whole(x.lane[i])); }

OW_INLINE int32_t ow_pack_byte(int32_t x, int32_t zero, int32_t low, int32_t high, int byte) {
  x += zero;
  x = x > low ? x : low;
  return (int32_t)((uint32_t)(x < high ? x : high) << 8 * byte);
}
OW_INLINE i32x16 u8_pack(i32x16 a, i32x16 b, i32x16 c, i32x16 d, int32_t zero, int32_t low, int32_t high) {
  OW_LANES(i32x16, ow_pack_byte(a.lane[i], zero, low, high, 0) | ow_pack_byte(b.lane[i], zero, low, high, 1) |
                       ow_pack_byte(c.lane[i], zero, low, high, 2) | ow_pack_byte(d.lane[i], zero, low, high, 3));
}

OW_INLINE dot_weights dot_set(int32_t four) { OW_LANES(dot_weights, four); }
OW_INLINE dot_weights dot_load(const void *p) {
  dot_weights w;
  memcpy(w.lane, p, sizeof w.lane);
  return w;
}
OW_INLINE int32_t ow_dot_lane(int32_t x, int32_t w) {
  int32_t sum = 0;
  for (int byte = 0; byte < 4; byte++)
    sum += (int32_t)((uint32_t)x >> 8 * byte & 255) * (int8_t)((uint32_t)w >> 8 * byte);
  return sum;
}
OW_INLINE i32x16 dot4(i32x16 sum, i32x16 x, dot_weights w) {
  OW_LANES(i32x16, sum.lane[i] + ow_dot_lane(x.lane[i], w.lane[i]));
}

#endif

/* Weights are read once each, faster than the processor guesses: asks for what is read `ahead` bytes later. */
OW_INLINE void ow_prefetch(const void *p, int ahead) { __builtin_prefetch((const char *)p + ahead); }

/* One instantiation for each number of vectors up to `most`, so that accumulators live in registers. */
#define OW_CASE(function, n, most, ...)     \
  case n:                                   \
    if (n <= most) function(__VA_ARGS__, n); \
    break;
#define OW_FOR_VECTORS(function, count, most, ...) \
  switch (count) {                                 \
    OW_CASE(function, 1, most, __VA_ARGS__)        \
    OW_CASE(function, 2, most, __VA_ARGS__)        \
    OW_CASE(function, 3, most, __VA_ARGS__)        \
    OW_CASE(function, 4, most, __VA_ARGS__)        \
    OW_CASE(function, 5, most, __VA_ARGS__)        \
    OW_CASE(function, 6, most, __VA_ARGS__)        \
    OW_CASE(function, 7, most, __VA_ARGS__)        \
    OW_CASE(function, 8, most, __VA_ARGS__)        \
  }

#endif
