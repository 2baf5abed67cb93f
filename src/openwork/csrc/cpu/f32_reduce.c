/* f32_reduce: sum, mean, largest, smallest, product. */
#include "reduce.h"

OW_REDUCE_FUNCTION(sum, float, a + b)
OW_REDUCE_FUNCTION(largest, float, a >= b || a != a ? a : b) /* NaN wins */
OW_REDUCE_FUNCTION(smallest, float, a <= b || a != a ? a : b)
OW_REDUCE_FUNCTION(product, float, a *b)

OW_REDUCE_KERNEL(f32_reduce, float,
                 OW_REDUCE_CASE(OW_SUM, sum) OW_REDUCE_CASE(OW_MEAN, sum) OW_REDUCE_CASE(OW_MAX, largest)
                 OW_REDUCE_CASE(OW_MIN, smallest) OW_REDUCE_CASE(OW_PROD, product),
                 if (step->function == OW_MEAN) for (int64_t i = 0; i < inner; i++) y[i] /= (float)step->count;)
