/* i32_topk: the indices of the k largest or smallest elements. */
#include "topk.h"

OW_TOPK_KERNEL(i32_topk, int32_t)
