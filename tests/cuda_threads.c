/* What LLVM's NVPTX intrinsics are on a CPU whose threads stand for those of a CUDA block: see test_nvptx.py. */
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#define MAX_THREADS 1024
#define WARP 32

typedef struct {
    atomic_int arrived, phase;
} Barrier;

static int block_threads;
static Barrier block, teams[MAX_THREADS];
static int exchanged[MAX_THREADS];
static _Thread_local int thread, block_index;

void cuda_launch(int threads) { block_threads = threads; }

void cuda_thread(int block_of_grid, int thread_of_block) {
    block_index = block_of_grid;
    thread = thread_of_block;
}

static void meet(Barrier *barrier, int count) {
    int phase = atomic_load(&barrier->phase);
    if (atomic_fetch_add(&barrier->arrived, 1) == count - 1) {
        atomic_store(&barrier->arrived, 0);
        atomic_fetch_add(&barrier->phase, 1);
    } else {
        while (atomic_load(&barrier->phase) == phase) sched_yield();
    }
}

int cuda_tid_x(void) { return thread; }
int cuda_ctaid_x(void) { return block_index; }
void cuda_barrier(int number) {
    if (number) abort();
    meet(&block, block_threads);
}

/* mask: the team's threads, a bit each, within their warp; the calling thread must be one of them. */
void cuda_warp_sync(int mask) {
    unsigned bits = (unsigned)mask;
    if (!(bits >> thread % WARP & 1)) abort();
    meet(&teams[thread / WARP * WARP + __builtin_ctz(bits)], __builtin_popcount(bits));
}

int cuda_shfl_bfly(int mask, int value, int distance, int clamp) {
    if (clamp != WARP - 1 || !((unsigned)mask >> (thread ^ distance) % WARP & 1)) abort();
    exchanged[thread] = value;
    cuda_warp_sync(mask);
    int other = exchanged[thread ^ distance];
    cuda_warp_sync(mask);
    return other;
}
