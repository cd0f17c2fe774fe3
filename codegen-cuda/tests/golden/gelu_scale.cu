// gelu_scale
//   from     lenet.rs:20:17
//   launch   ceil(120 * B / 256) blocks of 256 threads: one thread for each (n, c)
//   reads    480 * B + 4 bytes
//   writes   480 * B bytes
extern "C" __global__ void __launch_bounds__(256) gelu_scale(
    const float* __restrict__ x,      // [B, 120]
    const float* __restrict__ scale,  // []
    float* __restrict__ y,            // [B, 120]
    const int B                       // at most 64
) {
    // This thread's (n, c).
    const int position = blockIdx.x * 256 + threadIdx.x;
    if (position >= 120 * B) {
        return;
    }
    const int n = position / 120;
    const int c = position % 120;

    // The value.
    const float h = x[n * 120 + c] * scale[0];
    y[n * 120 + c] = fabsf(h) < 1e-8f ? -h : 0.5f * h * (1.0f + erff(h * 0.70710677f));
}
