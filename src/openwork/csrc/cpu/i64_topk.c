/* i64_topk: the indices of the k largest or smallest elements. */
#include "topk.h"

OW_TOPK_KERNEL(i64_topk, int64_t)
