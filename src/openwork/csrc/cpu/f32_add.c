/* f32_add: y = bounds(a + b) */
#include "map.h"

OW_MAP_KERNEL(f32_add, float, float, ow_clampf(a[i] + b[i], s.low, s.high))
