/* runtime.h: what generated plans and kernels share.
 *
 * A kernel is one function, void kernel(const void *step, int32_t begin, int32_t end): it does the work items
 * [begin, end) of the step that its descriptor tells. Items of one step are independent, so that threads may
 * take them in any order; results do not depend on who did what.
 *
 * Two layouts.
 *
 * Plain: row-major and dense, as ONNX has it.
 *
 * Planar: images as planes of 32-bit lanes. A lane is one float, or four uint8 of four neighbouring channels
 * (channel 4 g + i is byte i of plane g). A plane holds the image row by row, `row` lanes from one row to the
 * next, row = width + gap. Gap lanes, the lanes after the last row and `lead` lanes before and after every plane
 * hold padding (0, or the zero point in every byte), so that any tap of a convolution, for any pixel, is a load
 * at a constant distance: a "same" convolution of a whole image is one long one-dimensional convolution. What is
 * computed for lanes that are no pixels is replaced by padding when it is stored.
 *
 *     lead | row 0 gap row 1 gap ... up to 16 * vectors | lead | row 0 gap ... | lead
 *           ^ plane 0                                           ^ plane 1 = plane 0 + stride
 *
 * Tokens [images, tokens, features] lie in planes too: a feature is a channel, a token a pixel of an image of one row
 * without padding. Lanes beyond the last token hold anything.
 *
 * Integers in memory are always uint8: int8 tensors are stored with 128 added, and so are their zero points.
 */
#ifndef OPENWORK_RUNTIME_H
#define OPENWORK_RUNTIME_H

#include <stdint.h>
#include <string.h>

#include "openwork.h"

typedef void ow_kernel(const void *step, int32_t begin, int32_t end);

/* Where planes lie. `planes` counts all images: image n, group g is plane n * groups + g. */
struct ow_planes {
  char *at;              /* lane 0 of plane 0 */
  int32_t planes;        /* images * groups */
  int32_t stride;        /* lanes from plane to plane, a multiple of 16 */
  int32_t lead;          /* lanes of padding before and after each plane, a multiple of 16 */
  int32_t vectors;       /* of 16 lanes, covering all rows */
  int32_t row, height, width;
  uint32_t padding;      /* what a padding lane holds */
  const uint16_t *inside; /* bit i of word v: lane 16 v + i is a pixel */
};

/* Writes the padding before plane `plane` of `out`, and after it if it is the last. */
static inline void ow_fill_lead(const struct ow_planes *out, int32_t plane) {
  uint32_t *lanes = (uint32_t *)out->at + (int64_t)plane * out->stride;
  for (int32_t i = 1; i <= out->lead; i++) lanes[-i] = out->padding;
  if (plane == out->planes - 1)
    for (int32_t i = 0; i < out->lead; i++) lanes[16 * out->vectors + i] = out->padding;
}

/* How integers round: see lowering/requantize.py. The mean in whole numbers is one of means only. */
enum ow_rounding { OW_FLOAT32, OW_Q31, OW_SHIFT, OW_WHOLE_MEAN };

/* How an int32 accumulator becomes a uint8. Arrays have one element per output channel, or one for all: the kernel
 * knows which. */
struct ow_requantize {
  int32_t rounding;
  const float *scale;          /* OW_FLOAT32 */
  const int32_t *multiplier;   /* OW_Q31: the mantissa */
  const int32_t *shift;        /* OW_Q31: to the left; OW_SHIFT: to the right */
  int32_t origin;              /* OW_WHOLE_MEAN: the input's zero point as the graph has it */
  float zero_point, low, high; /* OW_WHOLE_MEAN: zero_point is what storing adds */
};

/* How the sum of two bytes becomes a uint8: a, b and what becomes of their sum. Zero points as stored; with OW_FLOAT32
 * `offset` has them all, and these say how a zero of the graph is stored. */
struct ow_add_scales {
  int32_t rounding;
  float scale[2], zero_points[2];
  float offset;          /* OW_FLOAT32 */
  int32_t last;          /* OW_FLOAT32: which of both is added last */
  int32_t left[2];       /* OW_Q31, OW_SHIFT: how far both are shifted first */
  int32_t sign[2];       /* OW_Q31, OW_SHIFT: 1 or -1 */
  int32_t multiplier[3]; /* OW_Q31 */
  int32_t shift[3];      /* OW_Q31; OW_SHIFT: the last, to the right */
  float zero_point, low, high;
};

/* Weights in grouped rows: the rows (output channels) of a group share one list of taps.
 * Group g has the taps starts[g] .. starts[g + 1]; tap k reads the input at `offsets[k]` lanes from the output's
 * own lane, and has one 32-bit value for each row of the group: a float, or four int8 for four channels. Lists of
 * convolutions of integers have two parts, starts[2 * g] .. starts[2 * g + 1] .. starts[2 * g + 2]: see u8_conv_rows.h.
 * Groups of one row are a sparse matrix, groups of four share loads and serve dense ones; of integers there are groups
 * of two in between. Depthwise and grouped convolutions are nothing special: their rows have few taps.
 *
 * The lists may be cut into `depth` runs of input planes, so that the part of the input that one run reads stays
 * in the first-level cache: then list d * groups + g holds the taps of group g in run d. Only f32_conv_rows1 takes more than one. */
struct ow_rows {
  int32_t depth;
  const uint32_t *starts;
  const int32_t *offsets;
  const void *values;
};

struct ow_f32_conv {
  const char *input;      /* lane 0 of plane 0 of image 0 */
  int64_t input_image;    /* lanes from image to image */
  struct ow_planes output;
  const char *residual;   /* laid out as the output; NULL for none */
  struct ow_rows weights;
  const float *bias;      /* [channels] */
  float low, high;        /* bounds of the convolution */
  float sum_low, sum_high; /* bounds after the residual was added */
  int32_t images, channels;
  int32_t tile, tiles;    /* vectors a tile, tiles an image */
  int32_t block, blocks;  /* channels a work item, a multiple of 4; work items: images * blocks * tiles */
};

struct ow_u8_conv {
  const char *input;
  int64_t input_image;
  struct ow_planes output;
  const char *residual;
  struct ow_rows weights;
  const int32_t *bias;    /* [channels rounded up to 4], input zero point folded in */
  struct ow_requantize requantize; /* one scale per channel, rounded up to 4 */
  struct ow_add_scales add;
  int32_t images, channels;
  int32_t tile, tiles;
  int32_t block, blocks;
};

/* output[r, o] = bias[o] + sum input[r, i] * weight[o, i]; items: rows * blocks of outputs.
 * Dense: values are [outputs, inputs]; starts and offsets are NULL. Sparse: each row has a multiple of 16 taps
 * (zeros fill up); offsets count floats, or groups of four uint8. */
struct ow_fully_connected {
  const char *input;
  char *output;
  struct ow_rows weights;
  const void *bias;       /* float, or int32 with the input zero point folded in */
  float low, high;        /* float only */
  struct ow_requantize requantize; /* uint8 only, one scale per output */
  int32_t rows, inputs, outputs;
  int32_t block, blocks;
};

/* Splits images into phases: phase (py, px) holds pixels (y * stride + py - pad_top, x * stride + px - pad_left),
 * so that a strided convolution becomes one of stride one. Items: planes of the input * phases. */
struct ow_repack {
  struct ow_planes input;
  char *output;           /* [image][phase][plane][stride of output] */
  int32_t output_stride, output_row; /* lanes */
  int32_t rows, columns;  /* of a phase image that are filled */
  int32_t phases;
  const int32_t *phase;   /* [phases][2]: py, px */
  int32_t stride[2], pad[2];
  int32_t images;
  uint32_t padding;
};

/* Pooling over repacked planes: every plane has the same taps. Items: planes of the output. */
struct ow_pool2d {
  const char *input;      /* [image][phase][plane][input_stride] */
  int32_t input_stride, phases, images;
  struct ow_planes output;
  int32_t taps;
  const int32_t *offsets; /* lanes from plane 0 of the image's phases with plane 0: phase and shift */
  const float *count;     /* average: elements of each window, [16 * vectors] */
  float input_zero_point;
  struct ow_requantize requantize; /* uint8 average, one scale */
};

/* Mean of each plane's pixels, or of each row of a plain matrix. Items: planes, or rows. */
struct ow_mean {
  struct ow_planes input; /* planar */
  const char *plain;      /* plain: [rows, count] */
  char *output;           /* plain: [rows] or [images, channels] */
  int32_t rows, count, images, channels;
  float input_zero_point;
  struct ow_requantize requantize; /* uint8, one scale */
};

/* Softmax of bytes along the last axis of [rows, count]: see FixedSoftmax in lowering/steps/fixed_point.py. Items: rows. */
struct ow_fixed_softmax {
  const char *input;
  char *output;
  int32_t count;
  const int32_t *exponentials; /* [256] */
};

/* Softmax of bytes, or of floats, to bytes: see IntegerSoftmax and QuantizedSoftmax in lowering/steps/reducing.py.
 * Items: rows. */
struct ow_integer_softmax {
  const char *input;
  char *output;
  int32_t count;
  const void *exponentials;    /* int32[256] for bytes, float[last + 1] for floats */
  float resolution, last;      /* for floats */
  float scale;                 /* of the output */
  struct ow_requantize requantize; /* zero_point and bounds */
};

/* Normalization of bytes along the last axis of [rows, count]: see IntegerNormalize in lowering/steps/normalizing.py.
 * Items: rows. */
struct ow_integer_normalize {
  const char *input;
  char *output;
  const char *scale, *bias;   /* floats */
  int64_t scale_row, scale_element, bias_row, bias_element; /* strides in elements */
  int32_t count, input_zero_point;
  float input_scale, output_scale, epsilon;
  int32_t centred;
  struct ow_requantize requantize; /* zero_point and bounds */
};

/* Elementwise on `count` elements, cut into `items` equal pieces. */
struct ow_map {
  const char *input[2];
  char *output;
  int64_t count;
  int32_t items;
  float low, high;            /* x16_quantize... */
  float scale, zero_point;    /* ..._quantize, ..._dequantize */
  float input_zero_point;     /* u8_rescale */
  struct ow_requantize requantize; /* u8_rescale, one scale */
  struct ow_add_scales add;   /* u8_add */
};

/* output = input as another type, for `count` elements, cut into `items` equal pieces. */
struct ow_cast {
  const char *input;
  char *output;
  int64_t count;
  int32_t items;
  int32_t from, to; /* enum in cast.c; two different types */
};

/* output = table[input] for `count` bytes, cut into `items` equal pieces. */
struct ow_lookup {
  const char *input;
  char *output;
  int64_t count;
  int32_t items;
  const uint8_t *table; /* [256] */
};

/* Elementwise with broadcasting, by one of a kernel's functions (an enum in its source).
 * Plain: `count` elements, row-major over `rank` > 0 dimensions, cut into `items` equal pieces. Inputs have strides in bytes,
 * of one element or 0 in the last dimension.
 * Planar, if `planes.at` is set: items are planes of the output. Plane p of an input begins `image` bytes further for
 * each image and `plane` bytes for each plane of it; the first `repeat` bytes there stand for all lanes, unless 0. */
struct ow_elementwise {
  int32_t function;
  float parameters[3];
  const char *input[3];
  char *output;
  int64_t count;
  int32_t items, rank;
  int64_t shape[8], stride[3][8];
  struct ow_planes planes;
  int32_t groups;                  /* planes of an image */
  int64_t image[3], plane[3], repeat[3];
  float zero_points[2];            /* u8_mul */
  float offset;                    /* u8_mul, OW_FLOAT32: the zero point of the graph, added before rounding */
  struct ow_requantize requantize; /* u8_mul, one scale */
};

/* output[index . output_stride] = input[index . input_stride] over `rank` > 0 dimensions, strides in elements.
 * Transposes, slices (strides may be negative), broadcasts (stride 0) and concatenations. Items: equal pieces of the
 * first dimension. */
struct ow_copy {
  const char *input;
  char *output;
  int32_t rank, items;
  int64_t shape[8], input_stride[8], output_stride[8];
};

/* output[i, j, ...] = input[table0[i] * stride0 + table1[j] * stride1 + ...], or `value` where a table holds -1.
 * The last stride is one element. Padding and resizing. Items: equal pieces of all but the last axis. */
struct ow_take {
  const char *input;
  char *output;
  int32_t rank, items;
  int64_t rows;             /* product of all sizes but the last */
  int32_t shape[8];         /* of the output */
  int64_t stride[8];        /* of the input, in elements */
  const int32_t *table[8];
  uint64_t value;           /* bits of an element */
};

/* The same in planes: lane (y, x) of a plane is lane (rows[y], columns[x]) of the input's, or `value`. Items: planes. */
struct ow_take_planes {
  struct ow_planes input, output;
  const int32_t *rows, *columns;
  uint32_t value;
};

/* output[o, i] = input[o, indices[i]], rows of `bytes` bytes. Negative indices count from the end; all are kept
 * inside [0, size). Items: equal pieces of the rows. */
struct ow_gather {
  const char *input, *indices;
  char *output;
  int64_t outer, size, count, bytes;
  int32_t wide, items;      /* wide: indices are int64, else int32 */
};

/* output[o, i, :] = input[o, indices[o, i, :], :], elements of `bytes` bytes, element by element of the last axis; as
 * above. Items: equal pieces of the elements. */
struct ow_take_along {
  const char *input, *indices;
  char *output;
  int64_t outer, size, count, inner, bytes;
  int32_t wide, items;
};

/* Pixels of images [images, channels, size] where the grid [images, points, dimensions] points to. Items: equal pieces
 * of [images, points]. */
struct ow_grid_sample {
  const char *input, *grid;
  char *output;               /* [images, channels, points] */
  int64_t images, channels, points;
  int64_t size[3];            /* leading ones where there are two dimensions */
  int32_t dimensions, items;
  int32_t mode;               /* nearest, linear, cubic */
  int32_t padding;            /* zeros, border, reflection */
  int32_t align_corners;
};

/* output[o, i, :] = sum over k of weights[i, k] * input[o, places[i, k], :], rows of `inner` floats.
 * Items: equal pieces of [outer, size]. */
struct ow_resize {
  const char *input;
  char *output;
  int64_t outer, given, size, inner;
  int32_t taps, items;
  const int32_t *places;    /* [size, taps] */
  const float *weights;     /* [size, taps] */
};

/* Which two elements of an axis each result is made of, and with what weights. */
struct ow_taps {
  int32_t size, stride;      /* results; elements from the first tap's to the second's */
  const int32_t *places;     /* [2, stride]: a multiple of 16, the rest is valid too */
  const void *weights;       /* [2, stride]: float, or int32 with 10 fractional bits */
};

/* Linear resizing of bytes along two axes: see IntegerResize and FixedResize (OW_Q31) in lowering/steps/resizing.py.
 * Plain: [outer, given rows, given columns, inner]; items: equal pieces of [outer, rows].
 * Planes: those of `planes_in` and `planes_out`; items: planes. */
struct ow_u8_resize {
  const char *input;
  char *output;
  struct ow_planes planes_in, planes_out;
  int64_t outer, given[2], inner;
  int32_t items;
  struct ow_taps rows, columns;
  int32_t input_zero_point;  /* OW_Q31: what storing adds */
  float input_scale, scale;  /* OW_FLOAT32 */
  struct ow_requantize requantize; /* rounding, zero_point, bounds; OW_Q31: zero_point is what storing adds */
};

/* Between plain [images, channels, height, width] and planes. Items: planes. */
struct ow_relayout {
  const char *plain_input;
  char *plain_output;
  struct ow_planes planes;
  int32_t images, channels;
};

/* exp(x - max) / sum along the last axis of [rows, count], or its logarithm. Items: rows. */
struct ow_softmax {
  const char *input;
  char *output;
  int32_t count;
  int32_t logarithm;
};

/* output[batch] = a[batch] @ b[batch]. Rows of b are lanes: floats, or bytes of four rows as planes have them; whole vectors
 * of 16 are read. Elements of a lie anywhere; bytes of it in fours along a row. Results are stored in rows of `columns`
 * elements; by u8_matmul_planes in lanes of four rows, whole vectors.
 * Items: products * tiles of columns * blocks of rows. */
struct ow_matmul {
  const char *a, *b;
  char *output;
  int32_t rank;               /* of the batch */
  int64_t batches[8], a_batch[8], b_batch[8]; /* sizes; strides in elements of a, in lanes of b */
  int32_t rows, inner, columns;
  int64_t a_row, a_inner;     /* elements from row to row; from element to element, or from four bytes to four */
  int64_t b_row;              /* lanes from row to row, or from four rows to four */
  int64_t output_row, output_matrix; /* elements from row to row, or lanes from four rows to four; from product to product */
  int32_t block, blocks;      /* rows a work item */
  int32_t tile, tiles;        /* vectors of columns a work item */
  int32_t zero_points[2];     /* uint8 only */
  struct ow_requantize requantize; /* uint8 only, one scale */
};

/* One element from the middle axis of [outer, count, inner]. Items: outer * blocks of the inner axis. */
enum ow_reduction { OW_SUM, OW_MEAN, OW_MAX, OW_MIN, OW_PROD };
struct ow_reduce {
  const char *input;
  char *output;
  int32_t function;
  int64_t count, inner, block;
  int32_t blocks;
};

/* int64 indices along the middle axis of [outer, count, inner]. Items: outer * inner. */
struct ow_argmax {
  const char *input;
  char *output;
  int64_t count, inner;
  int32_t smallest, last;
};

/* int64 indices of the k foremost along the middle axis of [outer, count, inner]: [outer, k, inner]. Items: outer *
 * inner. */
struct ow_topk {
  const char *input;
  char *output;
  int64_t count, inner, k;
  int32_t smallest;
};

/* (x - mean) / sqrt(variance + epsilon) * scale + bias along the last axis of [rows, count]. Items: rows. */
struct ow_normalize {
  const char *input;
  char *output;
  const char *scale, *bias;   /* floats; NULL for none */
  int64_t count;
  int64_t scale_row, scale_element, bias_row, bias_element; /* strides in elements */
  float epsilon;
  int32_t centred;            /* else the mean counts as 0 */
};

/* Softmax along the channels of planes of floats. Items: images * tiles. */
struct ow_softmax_planes {
  const char *input;      /* lane 0 of plane 0 */
  char *output;
  int64_t input_stride, output_stride; /* lanes from plane to plane */
  int32_t channels, vectors;
  int32_t tile, tiles;    /* vectors a work item, four at most; work items an image */
};

/* The same for bytes, four channels a lane, 32767 channels at most; see struct ow_integer_softmax. */
struct ow_integer_softmax_planes {
  const char *input;
  char *output;
  int64_t input_stride, output_stride;
  int32_t channels, vectors;
  int32_t tile, tiles;
  const void *exponentials;    /* int32[256] */
  float scale;
  struct ow_requantize requantize;
};

/* The same for normalization, see struct ow_normalize. */
struct ow_normalize_planes {
  const char *input;
  char *output;
  int64_t input_stride, output_stride;
  int32_t channels, vectors;
  int32_t tile, tiles;
  const char *scale, *bias; /* float[channels]; NULL for none */
  float epsilon;
  int32_t centred;
};

/* The same for bytes, see struct ow_integer_normalize. */
struct ow_integer_normalize_planes {
  const char *input;
  char *output;
  int64_t input_stride, output_stride;
  int32_t channels, vectors;
  int32_t tile, tiles;
  const char *scale, *bias; /* float[channels] */
  int32_t input_zero_point;
  float input_scale, output_scale, epsilon;
  int32_t centred;
  struct ow_requantize requantize;
};

/* output[column, row] = input[row, column] of each matrix, in lanes of 32 bits. Items: matrices * sixteen rows each. */
struct ow_transpose {
  const char *input;
  char *output;
  int32_t rows, columns;
  int64_t input_row, output_row;       /* bytes from row to row */
  int64_t input_matrix, output_matrix; /* bytes from matrix to matrix */
  int32_t tail;                        /* bytes of the last lane of an output row: no more are written */
};

/* Planes into others of as many pixels, whose rows, gaps and padding lie otherwise. Items: planes. */
struct ow_replane {
  struct ow_planes input, output;
};

/* ---- what a generated plan defines and uses ---- */

struct ow_kernels; /* one table of kernels for each instruction set, declared in the generated kernels.h */

struct openwork_session {
  const struct ow_kernels *kernels;
  const char *isa;
  char *arena;
  const void *const *params; /* the tensors of deploy.params */
  struct ow_pool *pool;
  char *weights;             /* the whole of deploy.params */
  openwork_tap tap;
  void *user;
};

/* Runs `items` work items of one step on all threads and returns when all are done. */
void ow_run(const openwork_session *session, ow_kernel *kernel, const void *step, int32_t items);

static inline void ow_step_done(const openwork_session *session, int32_t step) {
  if (session->tap) session->tap(session->user, step, session->arena);
}

struct ow_plan {
  uint64_t id;                   /* stands in deploy.params too: the two belong together */
  size_t arena;                  /* bytes */
  int32_t inputs, outputs, params;
  const openwork_tensor *input, *output;
  const int64_t *param_bytes;    /* of each tensor, -1 where it depends on the number of nonzeros */
  void (*run)(const openwork_session *session, const char *const *in, char *const *out);
};

extern const struct ow_plan ow_plan;

struct ow_pool *ow_pool_start(int32_t threads);
void ow_pool_run(struct ow_pool *pool, ow_kernel *kernel, const void *step, int32_t items);
void ow_pool_stop(struct ow_pool *pool);

#endif
