/* f32_grid_sample: pixels of images at the places that a grid names, or weighted sums of those around them. */
#include <math.h>

#include "runtime.h"
#include "vector.h"

enum { NEAREST, LINEAR, CUBIC };
enum { ZEROS, BORDER, REFLECTION };
#define FARTHEST 16777216.0f /* as in the Program's step */

/* The cubic convolution kernel with a = -0.75, up to a distance of 1, and from there to 2. */
static float near(float d) { return (1.25f * d - 2.25f) * d * d + 1.0f; }
static float far(float d) { return ((-0.75f * d + 3.75f) * d - 6.0f) * d + 3.0f; }

/* Which pixel stands for one of an axis that may lie outside; its weight becomes 0 where none does. */
static int64_t padded(const struct ow_grid_sample *step, int64_t at, int64_t size, float *weight) {
  const int64_t last = size - 1;
  if (step->padding == ZEROS && (at < 0 || at > last)) *weight = 0.0f;
  if (step->padding == REFLECTION) {
    int64_t period = 2 * (step->align_corners ? last : size);
    if (period == 0) period = 1;
    const int64_t turned = at % period + (at % period < 0 ? period : 0);
    const int64_t back = period - turned - !step->align_corners;
    at = turned < back ? turned : back;
  }
  return at < 0 ? 0 : at > last ? last : at;
}

/* The pixels along an axis that make a result, and their weights; returns how many there are. */
static int along(const struct ow_grid_sample *step, float grid, int64_t size, int64_t *places, float *weights) {
  float at = step->align_corners ? (grid + 1.0f) * 0.5f * (float)(size - 1) : ((grid + 1.0f) * (float)size - 1.0f) * 0.5f;
  at = at > -FARTHEST ? at : -FARTHEST; /* also what is no number */
  at = at < FARTHEST ? at : FARTHEST;
  float first = step->mode == NEAREST ? rintf(at) : floorf(at);
  const float above = at - first;
  int taps = 1;
  weights[0] = 1.0f;
  if (step->mode == LINEAR) weights[0] = 1.0f - above, weights[1] = above, taps = 2;
  if (step->mode == CUBIC) {
    weights[0] = far(1.0f + above), weights[1] = near(above), weights[2] = near(1.0f - above), weights[3] = far(2.0f - above);
    first -= 1.0f, taps = 4;
  }
  for (int tap = 0; tap < taps; tap++) places[tap] = padded(step, (int64_t)first + tap, size, &weights[tap]);
  return taps;
}

/* One place of the grid: its corners once, then all channels. */
static void sample(const struct ow_grid_sample *step, const float *grid, const float *x, float *y) {
  const int64_t plane = step->size[0] * step->size[1] * step->size[2];
  int64_t places[3][4] = {{0}}, corner[16];
  float weights[3][4] = {{1.0f}, {1.0f}, {1.0f}}, weight[16];
  int taps[3] = {1, 1, 1}, corners = 0;
  for (int axis = 3 - step->dimensions; axis < 3; axis++)
    taps[axis] = along(step, grid[2 - axis], step->size[axis], places[axis], weights[axis]);
  for (int a = 0; a < taps[0]; a++)
    for (int b = 0; b < taps[1]; b++)
      for (int c = 0; c < taps[2]; c++, corners++) {
        corner[corners] = (places[0][a] * step->size[1] + places[1][b]) * step->size[2] + places[2][c];
        weight[corners] = weights[0][a] * weights[1][b] * weights[2][c];
      }
  for (int64_t channel = 0; channel < step->channels; channel++, x += plane, y += step->points) {
    float sum = 0.0f;
    for (int i = 0; i < corners; i++) sum += weight[i] * x[corner[i]];
    *y = sum;
  }
}

void OW_KERNEL(f32_grid_sample)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_grid_sample *step = argument;
  const int64_t points = step->points, plane = step->size[0] * step->size[1] * step->size[2], all = step->images * points;
  for (int64_t i = all * begin / step->items, stop = all * end / step->items; i < stop; i++) {
    const int64_t image = i / points * step->channels;
    sample(step, (const float *)step->grid + i * step->dimensions, (const float *)step->input + image * plane,
           (float *)step->output + image * points + i % points);
  }
}
