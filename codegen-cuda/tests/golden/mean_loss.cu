// mean_loss
//   from     lenet.rs:33:17
//   launch   1 block of 32 threads: one block
//   reads    4 * B bytes
//   writes   4 bytes
extern "C" __global__ void __launch_bounds__(32) mean_loss(
    const float* __restrict__ losses,  // [B]
    float* __restrict__ loss,          // []
    const int B                        // at most 64
) {
    // sum = sum over (n), shared by the block's threads.
    float sum = 0.0f;
    for (int n = threadIdx.x; n < B; n += 32) {
        sum += losses[n];
    }
    sum = kiln_block_reduce<kiln_sum>(sum);

    // Epilogue.
    if (threadIdx.x == 0) {
        loss[0] = sum / (float)(i64)B;
    }
}
