// normalize_in_place
//   from     lenet.rs:41:17
//   launch   B blocks of 128 threads: one block for each (n)
//   reads    1200 * B bytes
//   writes   1200 * B bytes
extern "C" __global__ void __launch_bounds__(128) normalize_in_place(
    float* __restrict__ x,  // [B, 300], in place
    const int B             // at most 64
) {
    // This block's (n).
    const int n = blockIdx.x;

    // squares = sum over (c), shared by the block's threads.
    float squares = 0.0f;
    for (int c = threadIdx.x; c < 300; c += 128) {
        squares += x[n * 300 + c] * x[n * 300 + c];
    }
    squares = kiln_block_reduce<kiln_sum>(squares);

    // From the results so far.
    const float scale = 1.0f / sqrtf(squares / 300.0f + 1e-5f);

    // Each (c_out), shared by the block's threads.
    __syncthreads();
    for (int c_out = threadIdx.x; c_out < 300; c_out += 128) {
        x[n * 300 + c_out] = x[n * 300 + c_out] * scale;
    }
}
