/* x32_transpose: rows of lanes become columns, sixteen rows at a time. */
#include "runtime.h"
#include "vector.h"

void OW_KERNEL(x32_transpose)(const void *argument, int32_t begin, int32_t end) {
  const struct ow_transpose *step = argument;
  for (int32_t item = begin; item < end; item++) {
    const int32_t row = 16 * item, rows = step->rows - row < 16 ? step->rows - row : 16;
    const uint32_t *x = (const uint32_t *)step->input + row * step->input_row;
    uint32_t *y = (uint32_t *)step->output + row;
    for (int32_t column = 0; column < step->columns; column += 16) {
      const int32_t columns = step->columns - column < 16 ? step->columns - column : 16;
      uint32_t tile[16][16];
      if (rows == 16 && columns == 16) {
        for (int r = 0; r < 16; r++) memcpy(tile[r], x + r * step->input_row + column, 64);
        for (int c = 0; c < 16; c++) {
          uint32_t line[16];
          for (int r = 0; r < 16; r++) line[r] = tile[r][c];
          memcpy(y + (column + c) * step->output_row, line, 64);
        }
      } else {
        for (int32_t c = 0; c < columns; c++)
          for (int32_t r = 0; r < rows; r++)
            y[(column + c) * step->output_row + r] = x[r * step->input_row + column + c];
      }
    }
  }
}
