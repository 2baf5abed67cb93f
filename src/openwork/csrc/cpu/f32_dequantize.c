/* f32_dequantize: y = (a - zero_point) * scale */
#include "map.h"

OW_MAP_KERNEL(f32_dequantize, uint8_t, float, ((float)a[i] - s.zero_point) * s.scale)
