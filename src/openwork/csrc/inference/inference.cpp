// inference.cpp: runs an artifact of openwork on its own test inputs and tells how fast and how right it was.
//
//     ./inference DIR
//
// Loads DIR/deploy.so with DIR/deploy.params, warms up, runs 100 times, and holds the results of DIR/inputK.bin
// against DIR/ref_result_K.bin. Exit status: 0 all elements are within their tolerance, 1 some are not, 2 a file
// is missing or broken. It needs nothing but C headers, so that it runs without a C++ run-time library.
#include <dlfcn.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "openwork.h"

static const int WARMUP = 10;
static const int RUNS = 100;

#define LOG(...) log_line(__LINE__, __VA_ARGS__)

static void log_line(int line, const char *format, ...) {
  time_t now = time(nullptr);
  struct tm local;
  localtime_r(&now, &local);
  printf("[%02d:%02d:%02d] %s:%d: ", local.tm_hour, local.tm_min, local.tm_sec, __FILE__, line);
  va_list arguments;
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  putchar('\n');
  fflush(stdout);
}

[[noreturn]] static void fail(const char *file, const char *reason) {
  fprintf(stderr, "%s: %s\n", file, reason);
  exit(2);
}

// The path of a file in a directory.
struct Path {
  char text[4096];

  Path(const char *directory, const char *format, int index = 0) {
    size_t length = (size_t)snprintf(text, sizeof text, "%s/", directory);
    if (length < sizeof text) length += (size_t)snprintf(text + length, sizeof text - length, format, index);
    if (length >= sizeof text) fail(directory, "the path is too long; move the artifact");
  }
};

// The content of a file and a zero behind it.
static char *read_file(const Path &path, size_t *size) {
  FILE *file = fopen(path.text, "rb");
  if (!file) fail(path.text, "cannot be read; give a directory that openwork compile wrote");
  fseek(file, 0, SEEK_END);
  long end = ftell(file);
  rewind(file);
  char *content = end < 0 ? nullptr : (char *)calloc((size_t)end + 1, 1);
  if (!content || fread(content, 1, (size_t)end, file) != (size_t)end) fail(path.text, "cannot be read");
  fclose(file);
  *size = (size_t)end;
  return content;
}

static char *read_tensor(const Path &path, const openwork_tensor &tensor) {
  size_t size;
  char *content = read_file(path, &size);
  if (size != tensor.bytes) fail(path.text, "does not have the size of its tensor; compile the model again");
  return content;
}

// deploy.json. Its tensor names cannot be mistaken for keys: a quote inside a JSON string is escaped.
struct Json {
  Path path;
  char *text;

  explicit Json(const char *directory) : path(directory, "deploy.json") {
    size_t size;
    text = read_file(path, &size);
  }
  ~Json() { free(text); }

  // What follows a key that stands only once in the file.
  const char *value(const char *key) const {
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *place = strstr(text, quoted);
    if (!place) fail(path.text, "is not complete; compile the model again");
    return place + strlen(quoted);
  }

  int threads() const { return (int)strtol(value("threads"), nullptr, 10); }

  // Of one output, from a list of numbers.
  double tolerance(int output) const {
    const char *place = strchr(value("tolerance"), '[');
    for (int i = 0; place && i < output; i++) place = strpbrk(place + 1, ",]");
    char *end = nullptr;
    double number = place && *place != ']' ? strtod(place + 1, &end) : 0;
    if (!end || end == place + 1) fail(path.text, "lacks a tolerance; compile the model again");
    return number;
  }
};

// The functions of openwork.h, out of one deploy.so.
struct Library {
  Path path;
  void *handle;

#define FUNCTION(name) decltype(&openwork_##name) name = (decltype(&openwork_##name))find("openwork_" #name)
  FUNCTION(abi);
  FUNCTION(input_count);
  FUNCTION(output_count);
  FUNCTION(input);
  FUNCTION(output);
  FUNCTION(open);
  FUNCTION(run);
  FUNCTION(close);
#undef FUNCTION

  explicit Library(const char *directory) : path(directory, "deploy.so"), handle(load(path)) {
    if (abi() != OPENWORK_ABI) fail(path.text, "is from another version of openwork; compile the model again");
  }

  // By an absolute path: a bare name would be searched for in the system's directories.
  static void *load(const Path &path) {
    char *absolute = realpath(path.text, nullptr);
    void *handle = absolute ? dlopen(absolute, RTLD_NOW | RTLD_LOCAL) : nullptr;
    free(absolute);
    if (!handle) fail(path.text, "cannot be loaded; compile the model again");
    return handle;
  }

  void *find(const char *name) const {
    void *function = dlsym(handle, name);
    if (!function) fail(path.text, "lacks a function of openwork.h; compile the model again");
    return function;
  }
};

static size_t element_bytes(openwork_type type) {
  switch (type) {
    case OPENWORK_UINT8:
    case OPENWORK_INT8:
    case OPENWORK_BOOL: return 1;
    case OPENWORK_INT16:
    case OPENWORK_UINT16: return 2;
    case OPENWORK_INT64: return 8;
    default: return 4;
  }
}

static double element(const void *data, openwork_type type, size_t index) {
  switch (type) {
    case OPENWORK_UINT8: return ((const uint8_t *)data)[index];
    case OPENWORK_INT8: return ((const int8_t *)data)[index];
    case OPENWORK_INT32: return ((const int32_t *)data)[index];
    case OPENWORK_INT64: return (double)((const int64_t *)data)[index];
    case OPENWORK_BOOL: return ((const uint8_t *)data)[index];
    case OPENWORK_INT16: return ((const int16_t *)data)[index];
    case OPENWORK_UINT16: return ((const uint16_t *)data)[index];
    default: return ((const float *)data)[index];
  }
}

// Whether every element lies within the tolerance. Infinity and NaN only lie within that of themselves.
static bool compare(const openwork_tensor &tensor, const void *result, const void *reference, double tolerance) {
  size_t count = tensor.bytes / element_bytes(tensor.type), correct = 0;
  double largest = 0, sum = 0;
  for (size_t i = 0; i < count; i++) {
    double a = element(result, tensor.type, i), b = element(reference, tensor.type, i);
    double diff = a == b || (isnan(a) && isnan(b)) ? 0 : fabs(a - b);
    if (!(diff <= largest)) largest = diff;
    sum += diff;
    correct += diff <= tolerance;
  }
  LOG("max abs diff: %g", largest);
  LOG("mean abs diff: %g", count ? sum / (double)count : 0);
  LOG("correct ratio: %.9g", count ? (double)correct / (double)count : 1);
  return correct == count;
}

static double milliseconds() {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

int main(int count, char **arguments) {
  if (count != 2) fail(arguments[0], "give one argument, the directory of an artifact");
  const char *directory = arguments[1];

  LOG("Loading json data...");
  const Json json(directory);
  LOG("Loading runtime module...");
  const Library library(directory);
  LOG("Loading parameters...");
  char error[256];
  openwork_session *session = library.open(Path(directory, "deploy.params").text, json.threads(), error, sizeof error);
  if (!session) fail(directory, error);

  LOG("Loading input...");
  const int inputs = library.input_count(), outputs = library.output_count();
  const void **input = (const void **)calloc((size_t)inputs + 1, sizeof *input);
  void **output = (void **)calloc((size_t)outputs + 1, sizeof *output);
  for (int i = 0; i < inputs; i++) input[i] = read_tensor(Path(directory, "input%d.bin", i), *library.input(i));
  for (int i = 0; i < outputs; i++) output[i] = calloc(library.output(i)->bytes, 1);

  LOG("Warming up...");
  for (int i = 0; i < WARMUP; i++) library.run(session, input, output);
  LOG("Running %d times...", RUNS);
  const double start = milliseconds();
  for (int i = 0; i < RUNS; i++) library.run(session, input, output);
  LOG("Took %.6g msec.", (milliseconds() - start) / RUNS);

  bool passed = true;
  for (int i = 0; i < outputs; i++) {
    char *reference = read_tensor(Path(directory, "ref_result_%d.bin", i), *library.output(i));
    passed &= compare(*library.output(i), output[i], reference, json.tolerance(i));
  }
  library.close(session);
  return passed ? 0 : 1;
}
