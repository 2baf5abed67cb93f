/* u16_dequantize: y = (a - zero_point) * scale */
#include "map.h"

OW_MAP_KERNEL(u16_dequantize, uint16_t, float, ((float)a[i] - s.zero_point) * s.scale)
