/* u8_rescale_fixed: y = requantize(a - input_zero_point), in fixed point */
#include "map.h"

static i32x16 rescaled(i32x16 x, int byte, const struct ow_map *step) {
  x = i32_add(i32_byte(x, byte), i32_set(-(int32_t)step->input_zero_point));
  return ow_narrow(ow_fixed(x, 0, &step->requantize));
}

static i32x16 four(i32x16 a, i32x16 b, const struct ow_map *step) {
  const struct ow_requantize *to = &step->requantize;
  (void)b;
  return u8_pack(rescaled(a, 0, step), rescaled(a, 1, step), rescaled(a, 2, step), rescaled(a, 3, step),
                 (int32_t)to->zero_point, (int32_t)to->low, (int32_t)to->high);
}

OW_MAP_BYTES_KERNEL(u8_rescale_fixed, four)
