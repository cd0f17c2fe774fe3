// bias_gradient
//   from     lenet.rs:14:17
//   launch   6 blocks of 256 threads: one block for each (c)
//   reads    18816 * B bytes
//   writes   24 bytes
extern "C" __global__ void __launch_bounds__(256) bias_gradient(
    const float* __restrict__ d_h,  // [B, 6, 28, 28]
    float* __restrict__ d_b,        // [6]
    const int B                     // at most 64
) {
    // This block's (c).
    const int c = blockIdx.x;

    // sum = sum over (n, oh, ow), shared by the block's threads.
    float sum = 0.0f;
    for (int step = threadIdx.x; step < 784 * B; step += 256) {
        const int n = step / 784;
        const int oh = step / 28 % 28;
        const int ow = step % 28;
        sum += d_h[n * 4704 + c * 784 + oh * 28 + ow];
    }
    sum = kiln_block_reduce<kiln_sum>(sum);

    // Epilogue.
    if (threadIdx.x == 0) {
        d_b[c] = sum;
    }
}
