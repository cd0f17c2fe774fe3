// running_sum
//   from     lenet.rs:46:17
//   launch   ceil(B / 256) blocks of 256 threads: one thread for each (n)
//   reads    200 * B bytes
//   writes   200 * B bytes
extern "C" __global__ void __launch_bounds__(256) running_sum(
    const float* __restrict__ x,  // [B, 50]
    float* __restrict__ y,        // [B, 50]
    const int B                   // at most 64
) {
    // This thread's (n).
    const int n = blockIdx.x * 256 + threadIdx.x;
    if (n >= B) {
        return;
    }

    // Each (t), one after another.
    for (int t = 0; t < 50; ++t) {
        const int y_at_1 = 50 - t;
        const float y_or_fill = kiln_in_range(y_at_1, 50) ? y[n * 50 + y_at_1] : 0.0f;
        y[n * 50 + 49 - t] = y_or_fill + x[n * 50 + 49 - t];
    }
}
