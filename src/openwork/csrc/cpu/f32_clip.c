/* f32_clip: y = bounds(a) */
#include "map.h"

OW_MAP_KERNEL(f32_clip, float, float, ow_clampf(a[i], s.low, s.high))
