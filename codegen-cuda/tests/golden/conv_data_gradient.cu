// conv_data_gradient
//   from     lenet.rs:15:17
//   launch   ceil(784 * B / 256) blocks of 256 threads: one thread for each (n, c, ih, iw)
//   reads    1568 * B + 1152 bytes
//   writes   3136 * B bytes
extern "C" __global__ void __launch_bounds__(256) conv_data_gradient(
    const float* __restrict__ d_y,  // [B, 8, 7, 7]
    const float* __restrict__ w,    // [8, 4, 3, 3]
    float* __restrict__ d_x,        // [B, 4, 14, 14]
    const int B                     // at most 64
) {
    // This thread's (n, c, ih, iw).
    const int position = blockIdx.x * 256 + threadIdx.x;
    if (position >= 784 * B) {
        return;
    }
    const int n = position / 784;
    const int c = position / 196 % 4;
    const int ih = position / 14 % 14;
    const int iw = position % 14;

    // sum = sum over (oc, kh, kw).
    float sum = 0.0f;
    for (int oc = 0; oc < 8; ++oc) {
        for (int kh = 0; kh < 3; ++kh) {
            for (int kw = 0; kw < 3; ++kw) {
                const int d_y_at_2 = (ih - kh + 1) / 2;
                const int d_y_at_3 = (iw - kw + 1) / 2;
                const float d_y_or_fill = (ih - kh + 1) % 2 == 0 && kiln_in_range(d_y_at_2, 7) && (iw - kw + 1) % 2 == 0 && kiln_in_range(d_y_at_3, 7) ? d_y[n * 392 + oc * 49 + d_y_at_2 * 7 + d_y_at_3] : 0.0f;
                sum += d_y_or_fill * w[oc * 36 + c * 9 + kh * 3 + kw];
            }
        }
    }

    // Epilogue.
    d_x[n * 784 + c * 196 + ih * 14 + iw] = sum;
}
