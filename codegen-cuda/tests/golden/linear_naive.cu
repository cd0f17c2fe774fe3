// linear_naive
//   from     lenet.rs:16:17
//   launch   512 * B blocks of 32 threads: one block for each (n, o)
//   reads    480 * B + 247808 bytes
//   writes   2048 * B bytes
extern "C" __global__ void __launch_bounds__(32) linear_naive(
    const float* __restrict__ x,  // [B, 120]
    const float* __restrict__ w,  // [512, 120]
    const float* __restrict__ b,  // [512]
    float* __restrict__ y,        // [B, 512]
    const int B                   // at most 64
) {
    // This block's (n, o).
    const int n = blockIdx.x / 512;
    const int o = blockIdx.x % 512;

    // sum = sum over (j), shared by the block's threads.
    float sum = 0.0f;
    for (int j = threadIdx.x; j < 120; j += 32) {
        sum += x[n * 120 + j] * w[o * 120 + j];
    }
    sum = kiln_block_reduce<kiln_sum>(sum);

    // Epilogue.
    if (threadIdx.x == 0) {
        y[n * 512 + o] = sum + b[o];
    }
}
