/* i16_dequantize: y = (a - zero_point) * scale */
#include "map.h"

OW_MAP_KERNEL(i16_dequantize, int16_t, float, ((float)a[i] - s.zero_point) * s.scale)
