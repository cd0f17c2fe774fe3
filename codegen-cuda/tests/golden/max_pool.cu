// max_pool
//   from     lenet.rs:22:17
//   launch   ceil(1176 * B / 256) blocks of 256 threads: one thread for each (n, c, oh, ow)
//   reads    18816 * B bytes
//   writes   14112 * B bytes
extern "C" __global__ void __launch_bounds__(256) max_pool(
    const float* __restrict__ x,  // [B, 6, 28, 28]
    float* __restrict__ y,        // [B, 6, 14, 14]
    i64* __restrict__ argmax,     // [B, 6, 14, 14]
    const int B                   // at most 64
) {
    // This thread's (n, c, oh, ow).
    const int position_2 = blockIdx.x * 256 + threadIdx.x;
    if (position_2 >= 1176 * B) {
        return;
    }
    const int n = position_2 / 1176;
    const int c = position_2 / 196 % 6;
    const int oh = position_2 / 14 % 14;
    const int ow = position_2 % 14;

    // best = max, position = argmax over (kh, kw).
    float best = -INFINITY;
    i64 position = 0;
    float position_best = -INFINITY;
    #pragma unroll
    for (int kh = 0; kh < 2; ++kh) {
        #pragma unroll
        for (int kw = 0; kw < 2; ++kw) {
            best = kiln_max(best, x[n * 4704 + c * 784 + (oh * 2 + kh) * 28 + ow * 2 + kw]);
            const float position_value = x[n * 4704 + c * 784 + (oh * 2 + kh) * 28 + ow * 2 + kw];
            if (kiln_exceeds(position_value, position_best)) {
                position_best = position_value;
                position = kh * 2 + kw;
            }
        }
    }

    // Epilogue.
    y[n * 1176 + c * 196 + oh * 14 + ow] = best;
    argmax[n * 1176 + c * 196 + oh * 14 + ow] = position;
}
