// conv_bias_relu
//   from     lenet.rs:14:17
//   launch   ceil(196 * B / 64) blocks of 256 threads: one block for each 16 x 64 tile of (oc) x (n, oh, ow)
//   reads    4704 * B + 9664 bytes
//   writes   12544 * B bytes
extern "C" __global__ void __launch_bounds__(256) conv_bias_relu(
    const float* __restrict__ x,  // [B, 6, 14, 14]
    const float* __restrict__ w,  // [16, 6, 5, 5]
    const float* __restrict__ b,  // [16]
    float* __restrict__ h,        // [B, 16, 14, 14]
    const int B                   // at most 64
) {
    // This block's tile of 16 rows (oc) and 64 columns (n, oh, ow), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = (196 * B + 63) / 64;
    const int column_first = tile % column_tiles * 64;
    const int row_first = tile / column_tiles * 16;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float w_tile[16][16];  // [depth, row]
    __shared__ float x_tile[16][64];  // [depth, column]
    float sums[1][4] = {};

    // acc = sum over (c, kh, kw), 16 at a time.
    for (int depth_first = 0; depth_first < 150; depth_first += 16) {
        for (int at = threadIdx.x; at < 256; at += 256) {
            const int row = row_first + at / 16;
            const int depth = depth_first + at % 16;
            float value = 0;
            if (row < 16 && depth < 150) {
                const int oc = row;
                const int c = depth / 25;
                const int kh = depth / 5 % 5;
                const int kw = depth % 5;
                value = w[oc * 150 + c * 25 + kh * 5 + kw];
            }
            w_tile[at % 16][at / 16] = value;
        }
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int column = column_first + at % 64;
            const int depth = depth_first + at / 64;
            float value = 0;
            if (column < 196 * B && depth < 150) {
                const int n = column / 196;
                const int oh = column / 14 % 14;
                const int ow = column % 14;
                const int c = depth / 25;
                const int kh = depth / 5 % 5;
                const int kw = depth % 5;
                const int x_at_2 = oh + kh - 2;
                const int x_at_3 = ow + kw - 2;
                const float x_or_fill = kiln_in_range(x_at_2, 14) && kiln_in_range(x_at_3, 14) ? x[n * 1176 + c * 196 + x_at_2 * 14 + x_at_3] : 0.0f;
                value = x_or_fill;
            }
            x_tile[at / 64][at % 64] = value;
        }
        __syncthreads();
        for (int depth = 0; depth < 16; ++depth) {
            #pragma unroll
            for (int i = 0; i < 1; ++i) {
                #pragma unroll
                for (int j = 0; j < 4; ++j) {
                    sums[i][j] += w_tile[depth][row_lane + 16 * i] * x_tile[depth][column_lane + 16 * j];
                }
            }
        }
        __syncthreads();
    }

    // Epilogue of each sum.
    #pragma unroll
    for (int i = 0; i < 1; ++i) {
        #pragma unroll
        for (int j = 0; j < 4; ++j) {
            const int row = row_first + row_lane + 16 * i;
            const int column = column_first + column_lane + 16 * j;
            if (row < 16 && column < 196 * B) {
                const int oc = row;
                const int n = column / 196;
                const int oh = column / 14 % 14;
                const int ow = column % 14;
                const float acc = sums[i][j];
                h[n * 3136 + oc * 196 + oh * 14 + ow] = kiln_max(acc + b[oc], 0.0f);
            }
        }
    }
}
