/* What LLVM's NVPTX intrinsics are on a CPU whose threads stand for those of a CUDA block: see test_nvptx.py. */
#include <pthread.h>
#include <stdlib.h>

#define MAX_THREADS 1024
#define WARP 32

typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t complete;
    int arrived, phase;
} Barrier;

static int block_threads;
static Barrier block, teams[MAX_THREADS];
static int exchanged[MAX_THREADS];
static _Thread_local int thread, block_index;

static void init(Barrier *barrier) {
    pthread_mutex_init(&barrier->mutex, NULL);
    pthread_cond_init(&barrier->complete, NULL);
    barrier->arrived = 0;
}

void cuda_launch(int threads) {
    block_threads = threads;
    init(&block);
    for (int k = 0; k < MAX_THREADS; k++) init(&teams[k]);
}

void cuda_thread(int block_of_grid, int thread_of_block) {
    block_index = block_of_grid;
    thread = thread_of_block;
}

static void meet(Barrier *barrier, int count) {
    pthread_mutex_lock(&barrier->mutex);
    int phase = barrier->phase;
    if (++barrier->arrived == count) {
        barrier->arrived = 0;
        barrier->phase++;
        pthread_cond_broadcast(&barrier->complete);
    } else {
        while (barrier->phase == phase) pthread_cond_wait(&barrier->complete, &barrier->mutex);
    }
    pthread_mutex_unlock(&barrier->mutex);
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
