// log_softmax
//   from     lenet.rs:31:17
//   launch   B blocks of 128 threads: one block for each (n)
//   reads    4000 * B bytes
//   writes   4000 * B bytes
extern "C" __global__ void __launch_bounds__(128) log_softmax(
    const float* __restrict__ x,  // [B, 1000]
    float* __restrict__ y,        // [B, 1000]
    const int B                   // at most 64
) {
    // This block's (n).
    const int n = blockIdx.x;

    // top = max over (c), shared by the block's threads.
    float top = -INFINITY;
    for (int c = threadIdx.x; c < 1000; c += 128) {
        top = kiln_max(top, x[n * 1000 + c]);
    }
    top = kiln_block_reduce<kiln_maximum>(top);

    // total = sum over (c_sum), shared by the block's threads.
    float total = 0.0f;
    for (int c_sum = threadIdx.x; c_sum < 1000; c_sum += 128) {
        total += expf(x[n * 1000 + c_sum] - top);
    }
    total = kiln_block_reduce<kiln_sum>(total);

    // From the results so far.
    const float shift = top + logf(total);

    // Each (c_out), shared by the block's threads.
    for (int c_out = threadIdx.x; c_out < 1000; c_out += 128) {
        y[n * 1000 + c_out] = x[n * 1000 + c_out] - shift;
    }
}
