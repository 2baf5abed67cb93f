/* openwork.h: call a compiled network from any language that can call C.
 *
 *     char error[256];
 *     openwork_session *session = openwork_open("deploy/deploy.params", 2, error, sizeof error);
 *     if (!session) { fputs(error, stderr); return 1; }
 *     const void *inputs[] = {image};
 *     void *outputs[] = {logits};
 *     openwork_run(session, inputs, outputs);
 *     openwork_close(session);
 *
 * Arrays are row-major and dense, in the shape and type that openwork_input() and openwork_output() tell;
 * names of tensors are in deploy.json, in the same order. A session runs one inference at a time: use one
 * session per calling thread. Sessions share nothing.
 */
#ifndef OPENWORK_H
#define OPENWORK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OPENWORK_ABI 1
#define OPENWORK_API __attribute__((visibility("default")))

enum openwork_type {
  OPENWORK_FLOAT32 = 1,
  OPENWORK_UINT8 = 2,
  OPENWORK_INT8 = 3,
  OPENWORK_INT32 = 4,
  OPENWORK_INT64 = 5,
  OPENWORK_BOOL = 6, /* one byte: 0 or 1 */
  OPENWORK_INT16 = 7,
  OPENWORK_UINT16 = 8,
};

typedef struct openwork_tensor {
  enum openwork_type type;
  int32_t rank;
  const int64_t *shape;
  size_t bytes;
} openwork_tensor;

typedef struct openwork_session openwork_session;

/* Called after each step of openwork_run_tapped, with the working memory. For debugging and comparison:
 * deploy.json tells where each step's result lies. A tap may put another value in its place: the next step reads it. */
typedef void (*openwork_tap)(void *user, int32_t step, void *arena);

/* The OPENWORK_ABI this library was built with. */
OPENWORK_API int32_t openwork_abi(void);

OPENWORK_API int32_t openwork_input_count(void);
OPENWORK_API int32_t openwork_output_count(void);
OPENWORK_API const openwork_tensor *openwork_input(int32_t index);  /* NULL when out of range */
OPENWORK_API const openwork_tensor *openwork_output(int32_t index); /* NULL when out of range */

/* Reads and checks the weights, allocates all memory, starts threads - 1 workers.
 * params: path of deploy.params. threads: 1..64.
 * Environment: OPENWORK_ISA = avx512vnni | avx512 | avx2 | portable forces an instruction set.
 * Returns NULL on failure and writes a one-line reason into error (size bytes, always terminated). */
OPENWORK_API openwork_session *openwork_open(const char *params, int32_t threads, char *error, size_t size);

/* Runs the network once. Never fails: everything was checked and allocated by openwork_open. */
OPENWORK_API void openwork_run(openwork_session *session, const void *const *inputs, void *const *outputs);
OPENWORK_API void openwork_run_tapped(openwork_session *session, const void *const *inputs, void *const *outputs,
                                      openwork_tap tap, void *user);

/* The instruction set in use: "avx512vnni", "avx512", "avx2" or "portable". */
OPENWORK_API const char *openwork_isa(const openwork_session *session);

/* Stops the workers and frees everything. NULL is allowed. */
OPENWORK_API void openwork_close(openwork_session *session);

#ifdef __cplusplus
}
#endif

#endif
