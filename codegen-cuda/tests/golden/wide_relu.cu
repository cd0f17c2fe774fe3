// wide_relu
//   from     lenet.rs:44:17
//   launch   ceil(50331648 * B / 256) blocks of 256 threads: one thread for each (n, c, h, w)
//   reads    201326592 * B bytes
//   writes   201326592 * B bytes
extern "C" __global__ void __launch_bounds__(256) wide_relu(
    const float* __restrict__ x,  // [B, 3, 4096, 4096]
    float* __restrict__ y,        // [B, 3, 4096, 4096]
    const int B                   // at most 64
) {
    // This thread's (n, c, h, w).
    const i64 position = (i64)blockIdx.x * 256 + threadIdx.x;
    if (position >= 50331648ll * B) {
        return;
    }
    const i64 n = position / 50331648;
    const i64 c = position / 16777216 % 3;
    const i64 h = position / 4096 % 4096;
    const i64 w = position % 4096;

    // The value.
    y[n * 50331648 + c * 16777216 + h * 4096 + w] = kiln_max(x[n * 50331648 + c * 16777216 + h * 4096 + w], 0.0f);
}
