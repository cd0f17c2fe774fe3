// scatter_add
//   from     lenet.rs:45:17
//   launch   ceil(3 * B / 256) blocks of 256 threads: one thread for each (n, c)
//   reads    3000 * B bytes
//   writes   1200 * B bytes
extern "C" __global__ void __launch_bounds__(256) scatter_add(
    const float* __restrict__ base,  // [B, 100, 3]
    const i64* __restrict__ at,      // [B, 50, 3]
    const float* __restrict__ src,   // [B, 50, 3]
    float* __restrict__ y,           // [B, 100, 3]
    const int B,                     // at most 64
    kiln_fault* fault
) {
    // This thread's (n, c).
    const int position = blockIdx.x * 256 + threadIdx.x;
    if (position >= 3 * B) {
        return;
    }
    const int n = position / 3;
    const int c = position % 3;

    // Each (j).
    for (int j = 0; j < 100; ++j) {
        y[n * 300 + j * 3 + c] = base[n * 300 + j * 3 + c];
    }

    // Each (t), one after another.
    for (int t = 0; t < 50; ++t) {
        const i64 place = kiln_check(at[n * 150 + t * 3 + c], 100, 0, n * 150 + t * 3 + c, fault);
        y[n * 300 + (int)place * 3 + c] = y[n * 300 + (int)place * 3 + c] + src[n * 150 + t * 3 + c];
    }
}
