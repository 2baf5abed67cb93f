/* threads.c: a small pool. One caller hands out work in chunks of items; workers and caller take them one by one.
 *
 * A single 64-bit ticket holds a job's number of chunks and the next free one. Whoever increments it and got a chunk
 * below the limit owns that chunk, and only an owner reads the job. The job is over when `done` reaches its chunks,
 * so it does not change while anybody owns one. A worker that sleeps through a whole job does no harm and is not
 * waited for. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "runtime.h"

enum { MAX_WORKERS = 63, SPINS_BEFORE_SLEEP = 20000, CHUNKS_A_THREAD = 8 };

struct job {
  ow_kernel *kernel;
  const void *step;
  int32_t items, chunk;
};

struct ow_pool {
  _Alignas(64) _Atomic uint64_t ticket; /* chunks : 32, next chunk : 32 */
  _Alignas(64) _Atomic int32_t done;
  _Alignas(64) _Atomic int32_t sleepers;
  _Atomic int32_t stop;
  struct job job;
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  int32_t workers;
  pthread_t thread[MAX_WORKERS];
};

static uint32_t ticket_next(uint64_t ticket) { return (uint32_t)ticket; }
static uint32_t ticket_chunks(uint64_t ticket) { return (uint32_t)(ticket >> 32); }

static int has_work(uint64_t ticket) { return ticket_next(ticket) < ticket_chunks(ticket); }

/* Takes chunks until none is left; returns whether it did any. */
static int work(struct ow_pool *pool) {
  int did = 0;
  while (has_work(atomic_load_explicit(&pool->ticket, memory_order_acquire))) {
    uint64_t mine = atomic_fetch_add(&pool->ticket, 1);
    if (!has_work(mine)) break;
    const struct job *job = &pool->job;
    int32_t begin = (int32_t)ticket_next(mine) * job->chunk, end = begin + job->chunk;
    job->kernel(job->step, begin, end < job->items ? end : job->items);
    atomic_fetch_add_explicit(&pool->done, 1, memory_order_release);
    did = 1;
  }
  return did;
}

static void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

static void sleep_until_work(struct ow_pool *pool) {
  pthread_mutex_lock(&pool->mutex);
  atomic_fetch_add(&pool->sleepers, 1);
  while (!has_work(atomic_load(&pool->ticket)) && !atomic_load(&pool->stop))
    pthread_cond_wait(&pool->wake, &pool->mutex);
  atomic_fetch_sub(&pool->sleepers, 1);
  pthread_mutex_unlock(&pool->mutex);
}

static void wake_all(struct ow_pool *pool) {
  pthread_mutex_lock(&pool->mutex);
  pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->mutex);
}

static void *worker(void *argument) {
  struct ow_pool *pool = argument;
  int32_t spins = 0;
  while (!atomic_load_explicit(&pool->stop, memory_order_relaxed)) {
    if (work(pool)) {
      spins = 0;
    } else if (++spins < SPINS_BEFORE_SLEEP) {
      pause_briefly();
    } else {
      sleep_until_work(pool);
      spins = 0;
    }
  }
  return NULL;
}

struct ow_pool *ow_pool_start(int32_t threads) {
  struct ow_pool *pool = aligned_alloc(64, (sizeof *pool + 63) / 64 * 64);
  if (!pool) return NULL;
  memset(pool, 0, sizeof *pool);
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->wake, NULL);
  for (int32_t i = 0; i < threads - 1 && i < MAX_WORKERS; i++) {
    if (pthread_create(&pool->thread[i], NULL, worker, pool) != 0) {
      ow_pool_stop(pool);
      return NULL;
    }
    pool->workers++;
  }
  return pool;
}

void ow_pool_run(struct ow_pool *pool, ow_kernel *kernel, const void *step, int32_t items) {
  if (pool->workers == 0 || items == 1) {
    kernel(step, 0, items);
    return;
  }
  int32_t wanted = CHUNKS_A_THREAD * (pool->workers + 1);
  int32_t chunk = items > wanted ? items / wanted : 1;
  int32_t chunks = (items + chunk - 1) / chunk;
  pool->job = (struct job){kernel, step, items, chunk};
  atomic_store_explicit(&pool->done, 0, memory_order_relaxed);
  atomic_store(&pool->ticket, (uint64_t)chunks << 32);
  if (atomic_load(&pool->sleepers)) wake_all(pool);
  work(pool);
  while (atomic_load_explicit(&pool->done, memory_order_acquire) < chunks) pause_briefly();
}

void ow_pool_stop(struct ow_pool *pool) {
  if (!pool) return;
  atomic_store(&pool->stop, 1);
  wake_all(pool);
  for (int32_t i = 0; i < pool->workers; i++) pthread_join(pool->thread[i], NULL);
  pthread_mutex_destroy(&pool->mutex);
  pthread_cond_destroy(&pool->wake);
  free(pool);
}
