/* u8_conv_rows4: dense integer convolution, four output channels at a time, requantized in float32. */
#define OW_FINISH u8_conv_finish
#include "u8_conv_rows4.h"

OW_CONV_KERNEL(u8_conv_rows4, struct ow_u8_conv, ROWS4_VECTORS, 4)
