/* u8_quantize: y = clip(rint(a / scale) + zero_point, 0, 255) */
#include "map.h"

OW_MAP_KERNEL(u8_quantize, float, uint8_t, (uint8_t)ow_rounded(a[i] / s.scale, s.zero_point, 0, 255))
