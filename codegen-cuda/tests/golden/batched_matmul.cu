// batched_matmul
//   from     lenet.rs:43:17
//   launch   2 * B blocks of 256 threads: one block for each 64 x 64 tile of (row) x (column)
//   reads    34560 * B bytes
//   writes   32000 * B bytes
extern "C" __global__ void __launch_bounds__(256) batched_matmul(
    const double* __restrict__ q,  // [B, 2, 40, 24]
    const double* __restrict__ k,  // [B, 2, 50, 24]
    double* __restrict__ s,        // [B, 2, 40, 50]
    const int B                    // at most 64
) {
    // This block's tile of 64 rows (row) and 64 columns (column), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = 1;
    const int column_first = tile % column_tiles * 64;
    const int row_tiles = 1;
    const int row_first = tile / column_tiles % row_tiles * 64;
    const int outer = tile / (column_tiles * row_tiles);
    const int n = outer / 2;
    const int h = outer % 2;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ double q_tile[16][64];  // [depth_2, row_2]
    __shared__ double k_tile[16][64];  // [depth_2, column_2]
    double sums[4][4] = {};

    // sum = sum over (depth), 16 at a time.
    for (int depth_first = 0; depth_first < 24; depth_first += 16) {
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int row_2 = row_first + at / 16;
            const int depth_2 = depth_first + at % 16;
            double value = 0;
            if (row_2 < 40 && depth_2 < 24) {
                const int row = row_2;
                const int depth = depth_2;
                value = q[n * 1920 + h * 960 + row * 24 + depth];
            }
            q_tile[at % 16][at / 16] = value;
        }
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int column_2 = column_first + at / 16;
            const int depth_2 = depth_first + at % 16;
            double value = 0;
            if (column_2 < 50 && depth_2 < 24) {
                const int column = column_2;
                const int depth = depth_2;
                value = k[n * 2400 + h * 1200 + column * 24 + depth];
            }
            k_tile[at % 16][at / 16] = value;
        }
        __syncthreads();
        for (int depth_2 = 0; depth_2 < 16; ++depth_2) {
            #pragma unroll
            for (int i = 0; i < 4; ++i) {
                #pragma unroll
                for (int j = 0; j < 4; ++j) {
                    sums[i][j] += q_tile[depth_2][row_lane + 16 * i] * k_tile[depth_2][column_lane + 16 * j];
                }
            }
        }
        __syncthreads();
    }

    // Epilogue of each sum.
    #pragma unroll
    for (int i = 0; i < 4; ++i) {
        #pragma unroll
        for (int j = 0; j < 4; ++j) {
            const int row_2 = row_first + row_lane + 16 * i;
            const int column_2 = column_first + column_lane + 16 * j;
            if (row_2 < 40 && column_2 < 50) {
                const int row = row_2;
                const int column = column_2;
                const double sum = sums[i][j];
                s[n * 4000 + h * 2000 + row * 50 + column] = sum * 0.20412414523193154;
            }
        }
    }
}
