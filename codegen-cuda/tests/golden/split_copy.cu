// split_copy
//   from     lenet.rs:37:17
//   launch   32 * B blocks of 32 threads: one block for each (n, c_outer, c_inner)
//   reads    112 * B bytes
//   writes   224 * B bytes
extern "C" __global__ void __launch_bounds__(32) split_copy(
    const float* __restrict__ x,  // [B, 28]
    float* __restrict__ y,        // [B, 28]
    float* __restrict__ sum,      // [B, 28]
    const int B                   // at most 64
) {
    // This block's (n, c_outer, c_inner).
    const int n = blockIdx.x / 32;
    const int c_outer = blockIdx.x / 8 % 4;
    const int c_inner = blockIdx.x % 8;
    if (c_outer * 8 + c_inner >= 28) {
        return;
    }

    // total = sum over (k_outer, k_inner), shared by the block's threads.
    float total = 0.0f;
    for (int step = threadIdx.x; step < 32; step += 32) {
        const int k_outer = step / 8;
        const int k_inner = step % 8;
        if (k_outer * 8 + k_inner >= 28) {
            continue;
        }
        total += x[n * 28 + k_outer * 8 + k_inner];
    }
    total = kiln_block_reduce<kiln_sum>(total);

    // Epilogue.
    if (threadIdx.x == 0) {
        y[n * 28 + c_outer * 8 + c_inner] = x[n * 28 + c_outer * 8 + c_inner];
        sum[n * 28 + c_outer * 8 + c_inner] = total;
    }
}
