/* pool2d.h: what the pooling kernels share. */
#ifndef OPENWORK_POOL2D_H
#define OPENWORK_POOL2D_H

#include "requantize.h"
#include "vector.h"

/* Lane 0 of the first phase of the plane that output plane `plane` is made from. */
static inline const uint32_t *ow_pool_source(const struct ow_pool2d *step, int32_t plane) {
  const int32_t planes = step->output.planes / step->images;
  const int64_t first = (int64_t)(plane / planes) * step->phases * planes + plane % planes;
  return (const uint32_t *)step->input + first * step->input_stride;
}

static inline uint32_t *ow_pool_target(const struct ow_pool2d *step, int32_t plane) {
  return (uint32_t *)step->output.at + (int64_t)plane * step->output.stride;
}

#endif
