// argmax_rows
//   from     lenet.rs:36:17
//   launch   B blocks of 128 threads: one block for each (n)
//   reads    2000 * B bytes
//   writes   8 * B bytes
extern "C" __global__ void __launch_bounds__(128) argmax_rows(
    const float* __restrict__ x,  // [B, 20, 25]
    i64* __restrict__ y,          // [B]
    const int B                   // at most 64
) {
    // This block's (n).
    const int n = blockIdx.x;

    // best = argmax over (row, column), shared by the block's threads.
    i64 best = 0;
    float best_best = -INFINITY;
    for (int step = threadIdx.x; step < 500; step += 128) {
        const int row = step / 25;
        const int column = step % 25;
        const float best_value = x[n * 500 + row * 25 + column];
        if (kiln_exceeds(best_value, best_best)) {
            best_best = best_value;
            best = row * 25 + column;
        }
    }
    best = kiln_block_argmax(best_best, best);

    // Epilogue.
    if (threadIdx.x == 0) {
        y[n] = best;
    }
}
