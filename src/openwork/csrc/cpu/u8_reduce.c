/* u8_reduce: largest, smallest. */
#include "reduce.h"

OW_REDUCE_FUNCTION(largest, uint8_t, a > b ? a : b)
OW_REDUCE_FUNCTION(smallest, uint8_t, a < b ? a : b)

OW_REDUCE_KERNEL(u8_reduce, uint8_t, OW_REDUCE_CASE(OW_MAX, largest) OW_REDUCE_CASE(OW_MIN, smallest), )
