/* vector.h: sixteen lanes at a time, on every instruction set.
 *
 * Kernels are written once, over the types and functions below, and compiled once for each instruction set, with
 * OW_ISA set to its name. One f32x16 is one register with AVX-512, two with AVX2, and sixteen floats in portable C,
 * which is also the meaning of each function.
 *
 * NaN passes through float functions, as it does in the interpreter: x86's min and max return their second operand
 * when one is NaN.
 *
 * f32_fma rounds once where the machine has it, twice in portable C: floats are compared with a tolerance.
 * Everything that integers pass through is exact everywhere: f32_fused and ow_fused always round once.
 *
 * dot4 adds four products of a byte and a signed byte to each lane. Without VNNI there is no such instruction that does
 * not saturate: bytes are widened first (DOT4_WIDENS). dot4_small need not, but is right only where no pair of products,
 * of the first two weights or of the last two, passes 16 bits. */
#ifndef OPENWORK_VECTOR_H
#define OPENWORK_VECTOR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define OW_JOIN_(a, b) a##_##b
#define OW_JOIN(a, b) OW_JOIN_(a, b)
#define OW_KERNEL(name) OW_JOIN(name, OW_ISA) /* f32_unary -> f32_unary_avx512 */
#define OW_INLINE static inline __attribute__((always_inline))

/* A loop that is unrolled, so that the arrays it indexes are registers. */
#define EACH(i, count) _Pragma("GCC unroll 8") for (int i = 0; i < (count); i++)

OW_INLINE float ow_clampf(float x, float low, float high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}

/* a * b + c, rounded once; without such an instruction in double, rounded to odd first (Boldo & Melquiond 2008) */
OW_INLINE float ow_fused(float a, float b, float c) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
  return __builtin_fmaf(a, b, c);
#else
  const double product = (double)a * b, sum = product + c, back = sum - product;
  const double rest = (product - (sum - back)) + (c - back);
  int64_t bits;
  memcpy(&bits, &sum, sizeof bits);
  if ((rest < 0 || rest > 0) && !(bits & 1)) bits += (rest > 0) == (sum > 0) ? 1 : -1;
  double odd;
  memcpy(&odd, &bits, sizeof odd);
  return (float)odd;
#endif
}

#if defined(__AVX512F__)

#include <immintrin.h>

enum { ROWS1_VECTORS = 8, ROWS2_VECTORS = 6, ROWS4_VECTORS = 6 }; /* that fit the registers, for so many rows each */

typedef __m512 f32x16;
typedef __m512i i32x16;
typedef __mmask16 mask16;

OW_INLINE f32x16 f32_set(float x) { return _mm512_set1_ps(x); }
OW_INLINE f32x16 f32_load(const float *p) { return _mm512_loadu_ps(p); }
OW_INLINE void f32_store(float *p, f32x16 x) { _mm512_storeu_ps(p, x); }
OW_INLINE f32x16 f32_add(f32x16 a, f32x16 b) { return _mm512_add_ps(a, b); }
OW_INLINE f32x16 f32_mul(f32x16 a, f32x16 b) { return _mm512_mul_ps(a, b); }
OW_INLINE f32x16 f32_fma(f32x16 a, f32x16 b, f32x16 c) { return _mm512_fmadd_ps(a, b, c); }
OW_INLINE f32x16 f32_fused(f32x16 a, f32x16 b, f32x16 c) { return f32_fma(a, b, c); }
OW_INLINE f32x16 f32_clamp(f32x16 x, float low, float high) {
  return _mm512_min_ps(_mm512_set1_ps(high), _mm512_max_ps(_mm512_set1_ps(low), x));
}
OW_INLINE f32x16 f32_min(f32x16 x, float high) { return _mm512_min_ps(x, _mm512_set1_ps(high)); }
OW_INLINE f32x16 f32_sub(f32x16 a, f32x16 b) { return _mm512_sub_ps(a, b); }
OW_INLINE f32x16 f32_div(f32x16 a, f32x16 b) { return _mm512_div_ps(a, b); }
OW_INLINE f32x16 f32_larger(f32x16 a, f32x16 b) { /* NaN if either is */
  return _mm512_mask_mov_ps(_mm512_max_ps(a, b), _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a);
}
OW_INLINE f32x16 f32_smaller(f32x16 a, f32x16 b) {
  return _mm512_mask_mov_ps(_mm512_min_ps(a, b), _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a);
}
OW_INLINE f32x16 f32_abs(f32x16 x) { return _mm512_abs_ps(x); }
OW_INLINE f32x16 f32_sqrt(f32x16 x) { return _mm512_sqrt_ps(x); }
OW_INLINE f32x16 f32_floor(f32x16 x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
OW_INLINE f32x16 f32_ceil(f32x16 x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC); }
OW_INLINE mask16 f32_less(f32x16 a, f32x16 b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
OW_INLINE f32x16 f32_round(f32x16 x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
OW_INLINE f32x16 f32_select(mask16 mask, f32x16 a, f32x16 b) { return _mm512_mask_mov_ps(b, mask, a); }
OW_INLINE f32x16 f32_gather(const float *p, const int32_t *at) {
  return _mm512_i32gather_ps(_mm512_loadu_si512(at), p, 4);
}
OW_INLINE float f32_sum(f32x16 x) { return _mm512_reduce_add_ps(x); }
OW_INLINE f32x16 f32_scale2(f32x16 x, f32x16 n) { return _mm512_scalef_ps(x, n); } /* x * 2^n, n whole, |n| < 250 */

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
OW_INLINE i32x16 i32_add(i32x16 a, i32x16 b) { return _mm512_add_epi32(a, b); }
OW_INLINE i32x16 i32_negate(i32x16 x) { return _mm512_sub_epi32(_mm512_setzero_si512(), x); }
OW_INLINE i32x16 i32_mul(i32x16 a, i32x16 b) { return _mm512_mullo_epi32(a, b); }
OW_INLINE i32x16 i32_clamp(i32x16 x, int32_t low, int32_t high) {
  return _mm512_min_epi32(_mm512_set1_epi32(high), _mm512_max_epi32(_mm512_set1_epi32(low), x));
}
OW_INLINE i32x16 i32_shift_left(i32x16 x, int32_t count) { return _mm512_sll_epi32(x, _mm_cvtsi32_si128(count)); }
OW_INLINE i32x16 i32_shift_right(i32x16 x, int32_t count) { return _mm512_sra_epi32(x, _mm_cvtsi32_si128(count)); }
OW_INLINE i32x16 i32_high(i32x16 x, int32_t multiplier) { /* (x * multiplier + 2^30) >> 31, in 64 bits */
  const __m512i by = _mm512_set1_epi32(multiplier), half = _mm512_set1_epi64(1 << 30);
  __m512i even = _mm512_add_epi64(_mm512_mul_epi32(x, by), half);
  __m512i odd = _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(x, 32), by), half);
  return _mm512_mask_mov_epi32(_mm512_srli_epi64(even, 31), 0xAAAA, _mm512_slli_epi64(odd, 1));
}
OW_INLINE i32x16 i32_half_away(i32x16 x, int32_t count) { /* x / 2^count, half away from zero; count from 1 to 31 */
  const __m512i below = _mm512_set1_epi32((int32_t)((1u << count) - 1)), half = _mm512_set1_epi32((1 << (count - 1)) - 1);
  __m512i more = _mm512_sub_epi32(half, _mm512_srai_epi32(x, 31));
  mask16 up = _mm512_cmpgt_epi32_mask(_mm512_and_si512(x, below), more);
  __m512i down = i32_shift_right(x, count);
  return _mm512_mask_add_epi32(down, up, down, _mm512_set1_epi32(1));
}
OW_INLINE i32x16 i32_half_up(i32x16 x, int32_t count) { /* x / 2^count, half up; count from 1 */
  __m512i carry = _mm512_and_si512(i32_shift_right(x, count - 1), _mm512_set1_epi32(1));
  return _mm512_add_epi32(i32_shift_right(x, count), carry);
}
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

#if defined(__AVX512VNNI__)

enum { DOT4_WIDENS = 0 };

typedef __m512i dot_weights;

OW_INLINE dot_weights dot_set(int32_t four) { return _mm512_set1_epi32(four); }
OW_INLINE dot_weights dot_load(const void *p) { return _mm512_loadu_si512(p); }
OW_INLINE i32x16 dot4(i32x16 sum, i32x16 x, dot_weights w) { return _mm512_dpbusd_epi32(sum, x, w); }
OW_INLINE i32x16 dot4_small(i32x16 sum, i32x16 x, int32_t four) { return dot4(sum, x, dot_set(four)); }

#else

enum { DOT4_WIDENS = 1 };

typedef struct { __m512i even, odd; } dot_weights; /* as with AVX2 */

OW_INLINE dot_weights ow_dot_widen(__m512i x) {
  return (dot_weights){_mm512_srai_epi16(_mm512_slli_epi16(x, 8), 8), _mm512_srai_epi16(x, 8)};
}
OW_INLINE dot_weights dot_set(int32_t four) { return ow_dot_widen(_mm512_set1_epi32(four)); }
OW_INLINE dot_weights dot_load(const void *p) { return ow_dot_widen(_mm512_loadu_si512(p)); }
OW_INLINE i32x16 dot4(i32x16 sum, i32x16 x, dot_weights w) {
  __m512i even = _mm512_madd_epi16(_mm512_and_si512(x, _mm512_set1_epi16(255)), w.even);
  __m512i odd = _mm512_madd_epi16(_mm512_srli_epi16(x, 8), w.odd);
  return _mm512_add_epi32(sum, _mm512_add_epi32(even, odd));
}
OW_INLINE i32x16 dot4_small(i32x16 sum, i32x16 x, int32_t four) {
  __m512i pairs = _mm512_maddubs_epi16(x, _mm512_set1_epi32(four));
  return _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}

#endif

#elif defined(__AVX2__)

#include <immintrin.h>

enum { ROWS1_VECTORS = 4, ROWS2_VECTORS = 2, ROWS4_VECTORS = 1, DOT4_WIDENS = 1 };

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
OW_INLINE f32x16 f32_fused(f32x16 a, f32x16 b, f32x16 c) { return f32_fma(a, b, c); }
OW_INLINE f32x16 f32_clamp(f32x16 x, float low, float high) {
  return OW_HALVES(f32x16, _mm256_min_ps(_mm256_set1_ps(high), _mm256_max_ps(_mm256_set1_ps(low), x.half[h])));
}
OW_INLINE f32x16 f32_min(f32x16 x, float high) {
  return OW_HALVES(f32x16, _mm256_min_ps(x.half[h], _mm256_set1_ps(high)));
}
OW_INLINE f32x16 f32_round(f32x16 x) {
  return OW_HALVES(f32x16, _mm256_round_ps(x.half[h], _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
OW_INLINE f32x16 f32_sub(f32x16 a, f32x16 b) { return OW_HALVES(f32x16, _mm256_sub_ps(a.half[h], b.half[h])); }
OW_INLINE f32x16 f32_div(f32x16 a, f32x16 b) { return OW_HALVES(f32x16, _mm256_div_ps(a.half[h], b.half[h])); }
OW_INLINE __m256 ow_nan_of_half(__m256 a, __m256 other) {
  return _mm256_blendv_ps(other, a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}
OW_INLINE f32x16 f32_larger(f32x16 a, f32x16 b) {
  return OW_HALVES(f32x16, ow_nan_of_half(a.half[h], _mm256_max_ps(a.half[h], b.half[h])));
}
OW_INLINE f32x16 f32_smaller(f32x16 a, f32x16 b) {
  return OW_HALVES(f32x16, ow_nan_of_half(a.half[h], _mm256_min_ps(a.half[h], b.half[h])));
}
OW_INLINE f32x16 f32_abs(f32x16 x) {
  return OW_HALVES(f32x16, _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x.half[h]));
}
OW_INLINE f32x16 f32_sqrt(f32x16 x) { return OW_HALVES(f32x16, _mm256_sqrt_ps(x.half[h])); }
OW_INLINE f32x16 f32_floor(f32x16 x) { return OW_HALVES(f32x16, _mm256_floor_ps(x.half[h])); }
OW_INLINE f32x16 f32_ceil(f32x16 x) { return OW_HALVES(f32x16, _mm256_ceil_ps(x.half[h])); }
OW_INLINE mask16 f32_less(f32x16 a, f32x16 b) {
  int low = _mm256_movemask_ps(_mm256_cmp_ps(a.half[0], b.half[0], _CMP_LT_OQ));
  return (mask16)(low | _mm256_movemask_ps(_mm256_cmp_ps(a.half[1], b.half[1], _CMP_LT_OQ)) << 8);
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
OW_INLINE __m256 ow_power2_half(__m256i n) { /* 2^n as float */
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
OW_INLINE __m256 ow_scale2_half(__m256 x, __m256i n) { /* in two steps: 2^n alone may not be a float */
  __m256i half = _mm256_srai_epi32(n, 1);
  return _mm256_mul_ps(_mm256_mul_ps(x, ow_power2_half(half)), ow_power2_half(_mm256_sub_epi32(n, half)));
}
OW_INLINE f32x16 f32_scale2(f32x16 x, f32x16 n) {
  return OW_HALVES(f32x16, ow_scale2_half(x.half[h], _mm256_cvtps_epi32(n.half[h])));
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
OW_INLINE i32x16 i32_add(i32x16 a, i32x16 b) { return OW_HALVES(i32x16, _mm256_add_epi32(a.half[h], b.half[h])); }
OW_INLINE i32x16 i32_negate(i32x16 x) {
  return OW_HALVES(i32x16, _mm256_sub_epi32(_mm256_setzero_si256(), x.half[h]));
}
OW_INLINE i32x16 i32_mul(i32x16 a, i32x16 b) { return OW_HALVES(i32x16, _mm256_mullo_epi32(a.half[h], b.half[h])); }
OW_INLINE i32x16 i32_clamp(i32x16 x, int32_t low, int32_t high) {
  return OW_HALVES(i32x16, _mm256_min_epi32(_mm256_set1_epi32(high), _mm256_max_epi32(_mm256_set1_epi32(low), x.half[h])));
}
OW_INLINE i32x16 i32_shift_left(i32x16 x, int32_t count) {
  return OW_HALVES(i32x16, _mm256_sll_epi32(x.half[h], _mm_cvtsi32_si128(count)));
}
OW_INLINE i32x16 i32_shift_right(i32x16 x, int32_t count) {
  return OW_HALVES(i32x16, _mm256_sra_epi32(x.half[h], _mm_cvtsi32_si128(count)));
}
OW_INLINE __m256i ow_high_half(__m256i x, __m256i by) {
  const __m256i half = _mm256_set1_epi64x(1 << 30);
  __m256i even = _mm256_add_epi64(_mm256_mul_epi32(x, by), half);
  __m256i odd = _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(x, 32), by), half);
  return _mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_slli_epi64(odd, 1), 0xAA);
}
OW_INLINE i32x16 i32_high(i32x16 x, int32_t multiplier) {
  return OW_HALVES(i32x16, ow_high_half(x.half[h], _mm256_set1_epi32(multiplier)));
}
OW_INLINE __m256i ow_half_away_half(__m256i x, int32_t count) {
  const __m256i below = _mm256_set1_epi32((int32_t)((1u << count) - 1)), half = _mm256_set1_epi32((1 << (count - 1)) - 1);
  __m256i more = _mm256_sub_epi32(half, _mm256_srai_epi32(x, 31));
  __m256i up = _mm256_cmpgt_epi32(_mm256_and_si256(x, below), more);
  return _mm256_sub_epi32(_mm256_sra_epi32(x, _mm_cvtsi32_si128(count)), up);
}
OW_INLINE i32x16 i32_half_away(i32x16 x, int32_t count) {
  return OW_HALVES(i32x16, ow_half_away_half(x.half[h], count));
}
OW_INLINE __m256i ow_half_up_half(__m256i x, int32_t count) {
  __m256i carry = _mm256_and_si256(_mm256_sra_epi32(x, _mm_cvtsi32_si128(count - 1)), _mm256_set1_epi32(1));
  return _mm256_add_epi32(_mm256_sra_epi32(x, _mm_cvtsi32_si128(count)), carry);
}
OW_INLINE i32x16 i32_half_up(i32x16 x, int32_t count) { return OW_HALVES(i32x16, ow_half_up_half(x.half[h], count)); }
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
OW_INLINE __m256i ow_dot_small_half(__m256i sum, __m256i x, int32_t four) {
  __m256i pairs = _mm256_maddubs_epi16(x, _mm256_set1_epi32(four));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
OW_INLINE i32x16 dot4_small(i32x16 sum, i32x16 x, int32_t four) {
  return OW_HALVES(i32x16, ow_dot_small_half(sum.half[h], x.half[h], four));
}

#else /* portable C: the meaning of it all */

enum { ROWS1_VECTORS = 1, ROWS2_VECTORS = 1, ROWS4_VECTORS = 1, DOT4_WIDENS = 0 };

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
OW_INLINE f32x16 f32_fused(f32x16 a, f32x16 b, f32x16 c) {
  OW_LANES(f32x16, ow_fused(a.lane[i], b.lane[i], c.lane[i]));
}
OW_INLINE f32x16 f32_clamp(f32x16 x, float low, float high) { OW_LANES(f32x16, ow_clampf(x.lane[i], low, high)); }
OW_INLINE f32x16 f32_min(f32x16 x, float high) { OW_LANES(f32x16, x.lane[i] < high ? x.lane[i] : high); }
OW_INLINE f32x16 f32_round(f32x16 x) { OW_LANES(f32x16, rintf(x.lane[i])); }
OW_INLINE f32x16 f32_sub(f32x16 a, f32x16 b) { OW_LANES(f32x16, a.lane[i] - b.lane[i]); }
OW_INLINE f32x16 f32_div(f32x16 a, f32x16 b) { OW_LANES(f32x16, a.lane[i] / b.lane[i]); }
OW_INLINE f32x16 f32_larger(f32x16 a, f32x16 b) {
  OW_LANES(f32x16, a.lane[i] > b.lane[i] || a.lane[i] != a.lane[i] ? a.lane[i] : b.lane[i]);
}
OW_INLINE f32x16 f32_smaller(f32x16 a, f32x16 b) {
  OW_LANES(f32x16, a.lane[i] < b.lane[i] || a.lane[i] != a.lane[i] ? a.lane[i] : b.lane[i]);
}
OW_INLINE f32x16 f32_abs(f32x16 x) { OW_LANES(f32x16, fabsf(x.lane[i])); }
OW_INLINE f32x16 f32_sqrt(f32x16 x) { OW_LANES(f32x16, sqrtf(x.lane[i])); }
OW_INLINE f32x16 f32_floor(f32x16 x) { OW_LANES(f32x16, floorf(x.lane[i])); }
OW_INLINE f32x16 f32_ceil(f32x16 x) { OW_LANES(f32x16, ceilf(x.lane[i])); }
OW_INLINE mask16 f32_less(f32x16 a, f32x16 b) {
  int mask = 0;
  for (int i = 0; i < 16; i++) mask |= (a.lane[i] < b.lane[i]) << i;
  return (mask16)mask;
}
OW_INLINE f32x16 f32_select(mask16 mask, f32x16 a, f32x16 b) {
  OW_LANES(f32x16, mask >> i & 1 ? a.lane[i] : b.lane[i]);
}
OW_INLINE f32x16 f32_gather(const float *p, const int32_t *at) { OW_LANES(f32x16, p[at[i]]); }
OW_INLINE float ow_scale2(float x, float n) { return n == n ? ldexpf(x, (int)n) : n; }
OW_INLINE f32x16 f32_scale2(f32x16 x, f32x16 n) { OW_LANES(f32x16, ow_scale2(x.lane[i], n.lane[i])); }
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
OW_INLINE i32x16 i32_add(i32x16 a, i32x16 b) { OW_LANES(i32x16, a.lane[i] + b.lane[i]); }
OW_INLINE i32x16 i32_negate(i32x16 x) { OW_LANES(i32x16, -x.lane[i]); }
OW_INLINE i32x16 i32_mul(i32x16 a, i32x16 b) { OW_LANES(i32x16, a.lane[i] * b.lane[i]); }
OW_INLINE i32x16 i32_clamp(i32x16 x, int32_t low, int32_t high) {
  OW_LANES(i32x16, x.lane[i] < low ? low : x.lane[i] > high ? high : x.lane[i]);
}
OW_INLINE i32x16 i32_shift_left(i32x16 x, int32_t count) { OW_LANES(i32x16, (int32_t)((uint32_t)x.lane[i] << count)); }
OW_INLINE i32x16 i32_shift_right(i32x16 x, int32_t count) { OW_LANES(i32x16, x.lane[i] >> (count < 31 ? count : 31)); }
OW_INLINE i32x16 i32_high(i32x16 x, int32_t multiplier) {
  OW_LANES(i32x16, (int32_t)(((int64_t)x.lane[i] * multiplier + (1 << 30)) >> 31));
}
OW_INLINE i32x16 i32_half_away(i32x16 x, int32_t count) {
  const int64_t half = (int64_t)1 << (count - 1);
  OW_LANES(i32x16, (int32_t)((x.lane[i] + half - (x.lane[i] < 0)) >> count));
}
OW_INLINE i32x16 i32_half_up(i32x16 x, int32_t count) {
  OW_LANES(i32x16, (x.lane[i] >> (count < 31 ? count : 31)) + (x.lane[i] >> (count - 1 < 31 ? count - 1 : 31) & 1));
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
OW_INLINE i32x16 dot4_small(i32x16 sum, i32x16 x, int32_t four) { return dot4(sum, x, dot_set(four)); }

#endif

/* e^x, to about two and a half units in the last place: 2^n e^r with |r| <= ln(2) / 2, and e^r by the polynomial of its
 * degree with the smallest relative error. ln(2) is taken in two parts, so that r is exact (Cody & Waite 1980, Software
 * Manual for the Elementary Functions). */
OW_INLINE f32x16 f32_exp(f32x16 x) {
  static const float coefficients[] = {0.008312502f, 0.041890334f, 0.16667116f, 0.4999923f, 1, 1};
  x = f32_clamp(x, -110, 90); /* beyond it is 0 or infinite */
  f32x16 n = f32_round(f32_mul(x, f32_set(1.44269504f)));
  f32x16 r = f32_fma(n, f32_set(-0.693359375f), x), y = f32_set(coefficients[0]);
  r = f32_fma(n, f32_set(2.12194440e-4f), r);
  for (int i = 1; i < 6; i++) y = f32_fma(y, r, f32_set(coefficients[i]));
  return f32_scale2(y, n);
}

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
