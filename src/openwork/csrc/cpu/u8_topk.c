/* u8_topk: the indices of the k largest or smallest elements. */
#include "topk.h"

OW_TOPK_KERNEL(u8_topk, uint8_t)
