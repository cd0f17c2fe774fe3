// flip_and_fold
//   from     lenet.rs:39:17
//   launch   ceil(24 * B / 256) blocks of 256 threads: one thread for each (n, c, side)
//   reads    48 * B bytes
//   writes   96 * B bytes
extern "C" __global__ void __launch_bounds__(256) flip_and_fold(
    const float* __restrict__ x,  // [B, 12]
    float* __restrict__ y,        // [B, 12, 2]
    const int B                   // at most 64
) {
    // This thread's (n, c, side).
    const int position = blockIdx.x * 256 + threadIdx.x;
    if (position >= 24 * B) {
        return;
    }
    const int n = position / 24;
    const int c = position / 2 % 12;
    const int side = position % 2;

    // The value.
    y[n * 24 + c * 2 + side] = x[n * 12 + 11 - c] - x[n * 12 + (c + 7) % 12] + powf(kiln_in_range((c - side + 2) / 4 - 2, 12) ? x[n * 12 + (c - side + 2) / 4 - 2] : NAN, (float)(i64)((i64)n * 12 + (i64)c + (i64)side * 1000000000000));
}
