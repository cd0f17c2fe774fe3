// bias_relu
//   from     lenet.rs:21:17
//   launch   ceil(4704 * B / 256) blocks of 256 threads: one thread for each (n, c, oh, ow)
//   reads    18816 * B + 24 bytes
//   writes   18816 * B bytes
extern "C" __global__ void __launch_bounds__(256) bias_relu(
    const float* __restrict__ x,  // [B, 6, 28, 28]
    const float* __restrict__ b,  // [6]
    float* __restrict__ h,        // [B, 6, 28, 28]
    const int B                   // at most 64
) {
    // This thread's (n, c, oh, ow).
    const int position = blockIdx.x * 256 + threadIdx.x;
    if (position >= 4704 * B) {
        return;
    }
    const int n = position / 4704;
    const int c = position / 784 % 6;
    const int oh = position / 28 % 28;
    const int ow = position % 28;

    // The value.
    h[n * 4704 + c * 784 + oh * 28 + ow] = kiln_max(x[n * 4704 + c * 784 + oh * 28 + ow] + b[c], 0.0f);
}
