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
    const int x_at_1 = kiln_floor_div<int>(c - side * 7, 4) + kiln_floor_mod<int>(c - side * 7, 3);
    const float x_or_fill = kiln_in_range(x_at_1, 12) ? x[n * 12 + x_at_1] : NAN;
    y[n * 24 + c * 2 + side] = x[n * 12 + 11 - c] - x[n * 12 + (c + 7) % 12] + powf(x_or_fill, (float)(i64)((i64)n * 12 + (i64)c + (i64)side * 1000000000000));
}
