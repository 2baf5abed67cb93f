/* i64_reduce: sum, largest, smallest, product; sums and products wrap around. */
#include "reduce.h"

OW_REDUCE_FUNCTION(sum, int64_t, a + b)
OW_REDUCE_FUNCTION(largest, int64_t, a > b ? a : b)
OW_REDUCE_FUNCTION(smallest, int64_t, a < b ? a : b)
OW_REDUCE_FUNCTION(product, int64_t, a *b)

OW_REDUCE_KERNEL(i64_reduce, int64_t,
                 OW_REDUCE_CASE(OW_SUM, sum) OW_REDUCE_CASE(OW_MAX, largest) OW_REDUCE_CASE(OW_MIN, smallest)
                 OW_REDUCE_CASE(OW_PROD, product), )
