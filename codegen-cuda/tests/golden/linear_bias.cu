// linear_bias
//   from     lenet.rs:16:17
//   launch   2 * ceil(B / 64) blocks of 256 threads: one block for each 64 x 64 tile of (n) x (o)
//   reads    480 * B + 40656 bytes
//   writes   336 * B bytes
extern "C" __global__ void __launch_bounds__(256) linear_bias(
    const float* __restrict__ x,  // [B, 120]
    const float* __restrict__ w,  // [84, 120]
    const float* __restrict__ b,  // [84]
    float* __restrict__ y,        // [B, 84]
    const int B                   // at most 64
) {
    // This block's tile of 64 rows (n) and 64 columns (o), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = 2;
    const int column_first = tile % column_tiles * 64;
    const int row_first = tile / column_tiles * 64;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float x_tile[16][64];  // [depth, row]
    __shared__ float w_tile[16][64];  // [depth, column]
    float sums[4][4] = {};

    // sum = sum over (j), 16 at a time.
    for (int depth_first = 0; depth_first < 120; depth_first += 16) {
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int row = row_first + at / 16;
            const int depth = depth_first + at % 16;
            float value = 0;
            if (row < B && depth < 120) {
                const int n = row;
                const int j = depth;
                value = x[n * 120 + j];
            }
            x_tile[at % 16][at / 16] = value;
        }
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int column = column_first + at / 16;
            const int depth = depth_first + at % 16;
            float value = 0;
            if (column < 84 && depth < 120) {
                const int o = column;
                const int j = depth;
                value = w[o * 120 + j];
            }
            w_tile[at % 16][at / 16] = value;
        }
        __syncthreads();
        for (int depth = 0; depth < 16; ++depth) {
            #pragma unroll
            for (int i = 0; i < 4; ++i) {
                #pragma unroll
                for (int j_2 = 0; j_2 < 4; ++j_2) {
                    sums[i][j_2] += x_tile[depth][row_lane + 16 * i] * w_tile[depth][column_lane + 16 * j_2];
                }
            }
        }
        __syncthreads();
    }

    // Epilogue of each sum.
    #pragma unroll
    for (int i = 0; i < 4; ++i) {
        #pragma unroll
        for (int j_2 = 0; j_2 < 4; ++j_2) {
            const int row = row_first + row_lane + 16 * i;
            const int column = column_first + column_lane + 16 * j_2;
            if (row < B && column < 84) {
                const int n = row;
                const int o = column;
                const float sum = sums[i][j_2];
                y[n * 84 + o] = sum + b[o];
            }
        }
    }
}
