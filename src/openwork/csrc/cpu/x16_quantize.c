/* x16_quantize: y = clip(rint(a / scale) + zero_point, low, high), the bits of an int16 or uint16 */
#include "map.h"

OW_MAP_KERNEL(x16_quantize, float, uint16_t,
              (uint16_t)ow_rounded(a[i] / s.scale, s.zero_point, s.low, s.high))
