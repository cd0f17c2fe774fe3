// conv_weight_gradient
//   from     lenet.rs:14:17
//   launch   150 blocks of 256 threads: one block for each (oc, c, kh, kw)
//   reads    21952 * B bytes
//   writes   600 bytes
extern "C" __global__ void __launch_bounds__(256) conv_weight_gradient(
    const float* __restrict__ x,    // [B, 1, 28, 28]
    const float* __restrict__ d_h,  // [B, 6, 28, 28]
    float* __restrict__ d_w,        // [6, 1, 5, 5]
    const int B                     // at most 64
) {
    // This block's (oc, c, kh, kw).
    const int oc = blockIdx.x / 25;
    const int c = 0;
    const int kh = blockIdx.x / 5 % 5;
    const int kw = blockIdx.x % 5;

    // sum = sum over (n, oh, ow), shared by the block's threads.
    float sum = 0.0f;
    for (int step = threadIdx.x; step < 784 * B; step += 256) {
        const int n = step / 784;
        const int oh = step / 28 % 28;
        const int ow = step % 28;
        const int x_at_2 = kh + oh - 2;
        const int x_at_3 = kw + ow - 2;
        const float x_or_fill = kiln_in_range(x_at_2, 28) && kiln_in_range(x_at_3, 28) ? x[n * 784 + c * 784 + x_at_2 * 28 + x_at_3] : 0.0f;
        sum += d_h[n * 4704 + oc * 784 + oh * 28 + ow] * x_or_fill;
    }
    sum = kiln_block_reduce<kiln_sum>(sum);

    // Epilogue.
    if (threadIdx.x == 0) {
        d_w[oc * 25 + c * 25 + kh * 5 + kw] = sum;
    }
}
