// embedding
//   from     lenet.rs:35:17
//   launch   ceil(512 * B / 256) blocks of 256 threads: one thread for each (n, t, c)
//   reads    128 * B + 64000 bytes
//   writes   2048 * B bytes
extern "C" __global__ void __launch_bounds__(256) embedding(
    const i64* __restrict__ token,    // [B, 16]
    const float* __restrict__ table,  // [500, 32]
    float* __restrict__ y,            // [B, 16, 32]
    const int B,                      // at most 64
    kiln_fault* fault
) {
    // This thread's (n, t, c).
    const int position = blockIdx.x * 256 + threadIdx.x;
    if (position >= 512 * B) {
        return;
    }
    const int n = position / 512;
    const int t = position / 32 % 16;
    const int c = position % 32;

    // The value.
    y[n * 512 + t * 32 + c] = table[(int)kiln_check(token[n * 16 + t], 500, 0, n * 16 + t, fault) * 32 + c];
}
