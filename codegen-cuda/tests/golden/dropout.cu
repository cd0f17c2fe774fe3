// dropout
//   from     lenet.rs:45:17
//   launch   ceil(120 * B / 256) blocks of 256 threads: one thread for each (n, c)
//   reads    480 * B + 16 bytes
//   writes   480 * B bytes
extern "C" __global__ void __launch_bounds__(256) dropout(
    const i64* __restrict__ seed,  // []
    const i64* __restrict__ step,  // []
    const float* __restrict__ x,   // [B, 120]
    float* __restrict__ y,         // [B, 120]
    const int B                    // at most 64
) {
    // This thread's (n, c).
    const int position = blockIdx.x * 256 + threadIdx.x;
    if (position >= 120 * B) {
        return;
    }
    const int n = position / 120;
    const int c = position % 120;

    // The value.
    const int word = kiln_random(24, seed[0], kiln_add(kiln_mul(step[0], 4294967296ll), 3ll), (i64)(n * 120 + c));
    y[n * 120 + c] = word >= 8388608 ? x[n * 120 + c] * 2.0f : 0.0f;
}
