/* u8_rescale: y = requantize(a - input_zero_point) */
#include "map.h"

OW_MAP_KERNEL(u8_rescale, uint8_t, uint8_t,
              ow_requantize((float)a[i] - s.input_zero_point, s.requantize.scale[0], &s.requantize))
