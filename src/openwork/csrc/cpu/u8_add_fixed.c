/* u8_add_fixed: see AddQ31 and AddShift in lowering/requantize.py */
#include "map.h"

static i32x16 sum(i32x16 a, i32x16 b, int byte, const struct ow_add_scales *add) {
  a = i32_add(i32_byte(a, byte), i32_set(-(int32_t)add->zero_points[0]));
  b = i32_add(i32_byte(b, byte), i32_set(-(int32_t)add->zero_points[1]));
  return ow_narrow(ow_fixed_add(a, b, add));
}

static i32x16 four(i32x16 a, i32x16 b, const struct ow_map *step) {
  const struct ow_add_scales *add = &step->add;
  return u8_pack(sum(a, b, 0, add), sum(a, b, 1, add), sum(a, b, 2, add), sum(a, b, 3, add), (int32_t)add->zero_point,
                 (int32_t)add->low, (int32_t)add->high);
}

OW_MAP_BYTES_KERNEL(u8_add_fixed, four)
