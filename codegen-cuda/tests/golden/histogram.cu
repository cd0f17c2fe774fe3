// histogram
//   from     lenet.rs:47:17
//   launch   1 block of 256 threads: one block
//   reads    8 * B bytes
//   writes   4000 bytes
extern "C" __global__ void __launch_bounds__(256) histogram(
    const i64* __restrict__ at,  // [B]
    float* __restrict__ count,   // [1000]
    const int B,                 // at most 64
    kiln_fault* fault
) {
    // Each (j), shared by the block's threads.
    for (int j = threadIdx.x; j < 1000; j += 256) {
        count[j] = 0.0f;
    }

    // Each (n), one after another.
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int n = 0; n < B; ++n) {
            const i64 place = kiln_check(at[n], 1000, 0, n, fault);
            count[(int)place] = count[(int)place] + 1.0f;
        }
    }
}
