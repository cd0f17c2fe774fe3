// padded_max_pool
//   from     lenet.rs:23:17
//   launch   ceil(1024 * B / 256) blocks of 256 threads: one thread for each (n, c, oh, ow)
//   reads    12544 * B bytes
//   writes   4096 * B bytes
extern "C" __global__ void __launch_bounds__(256) padded_max_pool(
    const float* __restrict__ x,  // [B, 64, 7, 7]
    float* __restrict__ y,        // [B, 64, 4, 4]
    const int B                   // at most 64
) {
    // This thread's (n, c, oh, ow).
    const int position = blockIdx.x * 256 + threadIdx.x;
    if (position >= 1024 * B) {
        return;
    }
    const int n = position / 1024;
    const int c = position / 16 % 64;
    const int oh = position / 4 % 4;
    const int ow = position % 4;

    // best = max over (kh, kw).
    float best = -INFINITY;
    for (int kh = 0; kh < 3; ++kh) {
        for (int kw = 0; kw < 3; ++kw) {
            const int x_at_2 = oh * 2 + kh - 1;
            const int x_at_3 = ow * 2 + kw - 1;
            const float x_or_fill = kiln_in_range(x_at_2, 7) && kiln_in_range(x_at_3, 7) ? x[n * 3136 + c * 49 + x_at_2 * 7 + x_at_3] : -INFINITY;
            best = kiln_max(best, x_or_fill);
        }
    }

    // Epilogue.
    y[n * 1024 + c * 16 + oh * 4 + ow] = best;
}
