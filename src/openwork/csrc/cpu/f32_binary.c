/* f32_binary: y = function(a, b), see BINARY in lowering/functions.py; additions are clipped. */
#include "elementwise.h"

enum { ADD, DIV, FMOD, MAX, MIN, MOD, MUL, POW, PRELU, SUB };

/* The remainder with the sign of b. */
static float modulo(float a, float b) {
  const float rest = fmodf(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

#define EACH_VECTOR(name, expression)                                                              \
  case name:                                                                                       \
    for (int64_t i = 0; i < vectors; i++) {                                                        \
      const f32x16 x = f32_load(a + i * step_a), z = f32_load(b + i * step_b);                     \
      f32_store(y + 16 * i, expression);                                                           \
    }                                                                                              \
    break;
#define EACH_NUMBER(name, function)                                                                \
  case name:                                                                                       \
    for (int64_t i = 0; i < vectors; i++)                                                          \
      for (int j = 0; j < 16; j++) y[16 * i + j] = function(a[i * step_a + j], b[i * step_b + j]); \
    break;

static void whole_vectors(const struct ow_elementwise *step, const float *a, int64_t step_a, const float *b,
                          int64_t step_b, float *y, int64_t vectors) {
  const float low = step->parameters[0], high = step->parameters[1];
  switch (step->function) {
    EACH_VECTOR(ADD, f32_clamp(f32_add(x, z), low, high))
    EACH_VECTOR(DIV, f32_div(x, z))
    EACH_NUMBER(FMOD, fmodf)
    EACH_VECTOR(MAX, f32_larger(x, z))
    EACH_VECTOR(MIN, f32_smaller(x, z))
    EACH_NUMBER(MOD, modulo)
    EACH_VECTOR(MUL, f32_mul(x, z))
    EACH_NUMBER(POW, powf)
    EACH_VECTOR(PRELU, f32_select(f32_less(x, f32_set(0)), f32_mul(x, z), x))
    EACH_VECTOR(SUB, f32_sub(x, z))
  }
}

static void elements(const struct ow_elementwise *step, const char *const in[3], const int64_t repeat[3], char *out,
                     int64_t count) {
  const float *x[2] = {(const float *)in[0], (const float *)in[1]};
  const int64_t whole = count / 16, rest = count % 16;
  float last[2][16], *y = (float *)out;
  int64_t steps[2];
  for (int k = 0; k < 2; k++) {
    steps[k] = repeat[k] ? 0 : 16;
    if (repeat[k]) {
      f32_store(last[k], f32_set(*x[k]));
      x[k] = last[k];
    }
  }
  whole_vectors(step, x[0], steps[0], x[1], steps[1], y, whole);
  if (rest) {
    for (int k = 0; k < 2; k++)
      if (!repeat[k]) {
        f32_store(last[k], f32_set(1));
        memcpy(last[k], x[k] + 16 * whole, sizeof *y * (size_t)rest);
      }
    whole_vectors(step, last[0], 0, last[1], 0, last[0], 1);
    memcpy(y + 16 * whole, last[0], sizeof *y * (size_t)rest);
  }
}

OW_PLANAR_KERNEL(f32_binary, 4, elements)
