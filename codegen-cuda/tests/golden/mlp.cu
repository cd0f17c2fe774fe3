// mlp, for batches of at most 64
//
// train_step
//     0  fc_0_bias_relu(x, fc.0.weight, fc.0.bias, relu)
//     1  fc_1_bias_relu(relu, fc.1.weight, fc.1.bias, relu_1)
//     2  fc_2_bias(relu_1, fc.2.weight, fc.2.bias, fc.2.add)
//     3  amax_softmax(fc.2.add, y, where_1, d_sub)
//     4  sum(where_1, loss)
//     5  fc_2_bias_grad_update(d_sub, lr, fc.2.bias)
//     6  fc_2_input_grad(d_sub, fc.2.weight, relu_1, d_fc.1.add)
//     7  fc_2_weight_grad_update(d_sub, relu_1, lr, fc.2.weight)
//     8  fc_1_bias_grad_update(d_fc.1.add, lr, fc.1.bias)
//     9  fc_1_input_grad(d_fc.1.add, fc.1.weight, relu, d_fc.0.add)
//    10  fc_1_weight_grad_update(d_fc.1.add, relu, lr, fc.1.weight)
//    11  fc_0_bias_grad_update(d_fc.0.add, lr, fc.0.bias)
//    12  fc_0_weight_grad_update(d_fc.0.add, x, lr, fc.0.weight)

// Kiln's prelude: types and functions that the kernels share. It includes no header, so that NVRTC needs none.

typedef unsigned char u8;
typedef long long i64;
typedef unsigned long long u64;

#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif
#ifndef NAN
#define NAN __int_as_float(0x7fffffff)
#endif
#define KILN_INT_MAX 2147483647
#define KILN_INT_MIN (-KILN_INT_MAX - 1)
#define KILN_I64_MAX 9223372036854775807ll
#define KILN_I64_MIN (-KILN_I64_MAX - 1ll)
#define KILN_DEVICE static __device__ __forceinline__

// The first index of a launch that was out of its range; `raised` is 0 until then.
struct kiln_fault {
    u64 raised;
    i64 check;     // which check of the kernel, from 0
    i64 position;  // row-major, of the index in the tensor that it is read from
    i64 value;
    i64 bound;
};

// An index that must lie in 0..bound. Where it does not, the fault is recorded and the kernel goes on with 0.
KILN_DEVICE i64 kiln_check(i64 value, i64 bound, i64 check, i64 position, kiln_fault* fault) {
    if (0 <= value && value < bound) {
        return value;
    }
    if (atomicCAS(&fault->raised, 0ull, 1ull) == 0ull) {
        fault->check = check;
        fault->position = position;
        fault->value = value;
        fault->bound = bound;
    }
    return 0;
}

KILN_DEVICE bool kiln_in_range(i64 index, i64 extent) { return 0 <= index && index < extent; }

// Division by a positive number, rounded towards minus infinity, and its remainder.
template <typename T> KILN_DEVICE T kiln_floor_div(T a, T b) { return a / b - (a % b < 0 ? 1 : 0); }
template <typename T> KILN_DEVICE T kiln_floor_mod(T a, T b) { return a % b + (a % b < 0 ? b : 0); }

// The upper bits of a word of Philox4x32-10: the key is the seed, the counter the number of four words and the stream.
KILN_DEVICE int kiln_random(int bits, i64 seed, i64 stream, i64 position) {
    unsigned k0 = (unsigned)seed, k1 = (unsigned)((u64)seed >> 32);
    unsigned c0 = (unsigned)((u64)position >> 2), c1 = (unsigned)((u64)position >> 34);
    unsigned c2 = (unsigned)stream, c3 = (unsigned)((u64)stream >> 32);
    for (int round = 0; round < 10; ++round) {
        const u64 p0 = 0xd2511f53ull * c0, p1 = 0xcd9e8d57ull * c2;
        c0 = (unsigned)(p1 >> 32) ^ c1 ^ k0;
        c1 = (unsigned)p1;
        c2 = (unsigned)(p0 >> 32) ^ c3 ^ k1;
        c3 = (unsigned)p0;
        k0 += 0x9e3779b9u;
        k1 += 0xbb67ae85u;
    }
    const unsigned low = position & 1 ? c1 : c0, high = position & 1 ? c3 : c2;
    return (int)((position & 2 ? high : low) >> (32 - bits));
}

// Sums, differences and products; integers wrap.
KILN_DEVICE float kiln_add(float a, float b) { return a + b; }
KILN_DEVICE double kiln_add(double a, double b) { return a + b; }
KILN_DEVICE u8 kiln_add(u8 a, u8 b) { return (u8)(a + b); }
KILN_DEVICE int kiln_add(int a, int b) { return (int)((unsigned)a + (unsigned)b); }
KILN_DEVICE i64 kiln_add(i64 a, i64 b) { return (i64)((u64)a + (u64)b); }
KILN_DEVICE u8 kiln_sub(u8 a, u8 b) { return (u8)(a - b); }
KILN_DEVICE int kiln_sub(int a, int b) { return (int)((unsigned)a - (unsigned)b); }
KILN_DEVICE i64 kiln_sub(i64 a, i64 b) { return (i64)((u64)a - (u64)b); }
KILN_DEVICE float kiln_mul(float a, float b) { return a * b; }
KILN_DEVICE double kiln_mul(double a, double b) { return a * b; }
KILN_DEVICE u8 kiln_mul(u8 a, u8 b) { return (u8)(a * b); }
KILN_DEVICE int kiln_mul(int a, int b) { return (int)((unsigned)a * (unsigned)b); }
KILN_DEVICE i64 kiln_mul(i64 a, i64 b) { return (i64)((u64)a * (u64)b); }

// Functions of integers.
KILN_DEVICE u8 kiln_abs(u8 a) { return a; }
KILN_DEVICE int kiln_abs(int a) { return a < 0 ? kiln_sub(0, a) : a; }
KILN_DEVICE i64 kiln_abs(i64 a) { return a < 0 ? kiln_sub(0ll, a) : a; }
// A zero divisor counts as one, and the least number by -1 wraps.
template <typename T> KILN_DEVICE T kiln_div(T a, T b) {
    return b == T(0) ? a : b < T(0) && b == T(-1) ? kiln_sub(T(0), a) : T(a / b);
}
template <typename T> KILN_DEVICE T kiln_rem(T a, T b) { return kiln_sub(a, kiln_mul(kiln_div(a, b), b)); }
template <typename T> KILN_DEVICE T kiln_pow(T base, T exponent) {
    T result = 1;
    if (exponent < T(0)) {
        const bool odd = exponent % 2 != 0;
        return base == T(1) || base == T(-1) ? (odd ? base : result) : T(0);
    }
    for (; exponent > T(0); exponent /= 2) {
        result = exponent % 2 != 0 ? kiln_mul(result, base) : result;
        base = kiln_mul(base, base);
    }
    return result;
}

// The greater and the smaller of two values; NaN if either is.
template <typename T> KILN_DEVICE T kiln_max(T a, T b) { return a > b || a != a ? a : b; }
template <typename T> KILN_DEVICE T kiln_min(T a, T b) { return a < b || a != a ? a : b; }

// Whether `a` takes the place of an earlier `b` as the greatest value: NaN counts as greatest, and the first one stays.
template <typename T> KILN_DEVICE bool kiln_exceeds(T a, T b) { return a > b || (a != a && b == b); }

// How a block's threads combine their partial results.
struct kiln_sum {
    template <typename T> KILN_DEVICE T combine(T a, T b) { return kiln_add(a, b); }
};
struct kiln_product {
    template <typename T> KILN_DEVICE T combine(T a, T b) { return kiln_mul(a, b); }
};
struct kiln_maximum {
    template <typename T> KILN_DEVICE T combine(T a, T b) { return kiln_max(a, b); }
};
struct kiln_minimum {
    template <typename T> KILN_DEVICE T combine(T a, T b) { return kiln_min(a, b); }
};

// Combines one value of each thread of a block, and gives the result to all of them. Lanes are combined by a tree of shuffles and
// warps in their order: the same bits each time. Every thread of the block must call it, and a block must be whole warps.
template <typename Monoid, typename T> KILN_DEVICE T kiln_block_reduce(T value) {
    __shared__ T warps[32];
    for (int offset = 16; offset > 0; offset /= 2) {
        value = Monoid::combine(value, (T)__shfl_xor_sync(0xffffffffu, value, offset));
    }
    if (threadIdx.x % 32 == 0) {
        warps[threadIdx.x / 32] = value;
    }
    __syncthreads();
    value = warps[0];
    for (int warp = 1; warp < (int)blockDim.x / 32; ++warp) {
        value = Monoid::combine(value, warps[warp]);
    }
    __syncthreads();
    return value;
}

// The position of the greatest of all threads' values; of equal ones the first position.
template <typename T> KILN_DEVICE i64 kiln_block_argmax(T value, i64 position) {
    __shared__ T values[32];
    __shared__ i64 positions[32];
    for (int offset = 16; offset > 0; offset /= 2) {
        const T other = (T)__shfl_xor_sync(0xffffffffu, value, offset);
        const i64 other_position = __shfl_xor_sync(0xffffffffu, position, offset);
        const bool same = !kiln_exceeds(other, value) && !kiln_exceeds(value, other);
        if (kiln_exceeds(other, value) || (same && other_position < position)) {
            value = other;
            position = other_position;
        }
    }
    if (threadIdx.x % 32 == 0) {
        values[threadIdx.x / 32] = value;
        positions[threadIdx.x / 32] = position;
    }
    __syncthreads();
    value = values[0];
    position = positions[0];
    for (int warp = 1; warp < (int)blockDim.x / 32; ++warp) {
        const bool same = !kiln_exceeds(values[warp], value) && !kiln_exceeds(value, values[warp]);
        if (kiln_exceeds(values[warp], value) || (same && positions[warp] < position)) {
            value = values[warp];
            position = positions[warp];
        }
    }
    __syncthreads();
    return position;
}

// fc_0_bias_relu
//   from     src/models/mlp.rs:24:23 in fc.0
//            src/models/mlp.rs:22:23
//   launch   8 * ceil(B / 64) blocks of 256 threads: one block for each 64 x 64 tile of (a) x (c_block, c)
//   reads    3136 * B + 1607680 bytes
//   writes   2048 * B bytes
extern "C" __global__ void __launch_bounds__(256) fc_0_bias_relu(
    const float* __restrict__ x,            // [B, 784]
    const float* __restrict__ fc_0_weight,  // [512, 784]
    const float* __restrict__ fc_0_bias,    // [512]
    float* __restrict__ relu,               // [B, 512]
    const int B                             // at most 64
) {
    // This block's tile of 64 rows (a) and 64 columns (c_block, c), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = 8;
    const int column_first = tile % column_tiles * 64;
    const int row_first = tile / column_tiles * 64;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float x_tile[16][64];  // [depth, row]
    __shared__ float fc_0_weight_tile[16][64];  // [depth, column]
    float sums[4][4] = {};

    // fc_0_einsum = sum over (b), 16 at a time.
    for (int depth_first = 0; depth_first < 784; depth_first += 16) {
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int row = row_first + at / 16;
            const int depth = depth_first + at % 16;
            float value = 0;
            if (row < B && depth < 784) {
                const int a = row;
                const int b = depth;
                value = x[a * 784 + b];
            }
            x_tile[at % 16][at / 16] = value;
        }
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int column = column_first + at / 16;
            const int depth = depth_first + at % 16;
            float value = 0;
            if (column < 512 && depth < 784) {
                const int c_block = column / 32;
                const int c = column % 32;
                const int b = depth;
                value = fc_0_weight[(c_block * 32 + c) * 784 + b];
            }
            fc_0_weight_tile[at % 16][at / 16] = value;
        }
        __syncthreads();
        for (int depth = 0; depth < 16; ++depth) {
            #pragma unroll
            for (int i = 0; i < 4; ++i) {
                #pragma unroll
                for (int j = 0; j < 4; ++j) {
                    sums[i][j] += x_tile[depth][row_lane + 16 * i] * fc_0_weight_tile[depth][column_lane + 16 * j];
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
            const int row = row_first + row_lane + 16 * i;
            const int column = column_first + column_lane + 16 * j;
            if (row < B && column < 512) {
                const int a = row;
                const int c_block = column / 32;
                const int c = column % 32;
                const float fc_0_einsum = sums[i][j];
                relu[a * 512 + c_block * 32 + c] = kiln_max(fc_0_einsum + fc_0_bias[c_block * 32 + c], 0.0f);
            }
        }
    }
}

// fc_1_bias_relu
//   from     src/models/mlp.rs:24:23 in fc.1
//            src/models/mlp.rs:22:23
//   launch   4 * ceil(B / 64) blocks of 256 threads: one block for each 64 x 64 tile of (a) x (c_block, c)
//   reads    2048 * B + 525312 bytes
//   writes   1024 * B bytes
extern "C" __global__ void __launch_bounds__(256) fc_1_bias_relu(
    const float* __restrict__ relu,         // [B, 512]
    const float* __restrict__ fc_1_weight,  // [256, 512]
    const float* __restrict__ fc_1_bias,    // [256]
    float* __restrict__ relu_1,             // [B, 256]
    const int B                             // at most 64
) {
    // This block's tile of 64 rows (a) and 64 columns (c_block, c), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = 4;
    const int column_first = tile % column_tiles * 64;
    const int row_first = tile / column_tiles * 64;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float relu_tile[16][64];  // [depth, row]
    __shared__ float fc_1_weight_tile[16][64];  // [depth, column]
    float sums[4][4] = {};

    // fc_1_einsum = sum over (b), 16 at a time.
    for (int depth_first = 0; depth_first < 512; depth_first += 16) {
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int row = row_first + at / 16;
            const int depth = depth_first + at % 16;
            float value = 0;
            if (row < B && depth < 512) {
                const int a = row;
                const int b = depth;
                value = relu[a * 512 + b];
            }
            relu_tile[at % 16][at / 16] = value;
        }
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int column = column_first + at / 16;
            const int depth = depth_first + at % 16;
            float value = 0;
            if (column < 256 && depth < 512) {
                const int c_block = column / 32;
                const int c = column % 32;
                const int b = depth;
                value = fc_1_weight[(c_block * 32 + c) * 512 + b];
            }
            fc_1_weight_tile[at % 16][at / 16] = value;
        }
        __syncthreads();
        for (int depth = 0; depth < 16; ++depth) {
            #pragma unroll
            for (int i = 0; i < 4; ++i) {
                #pragma unroll
                for (int j = 0; j < 4; ++j) {
                    sums[i][j] += relu_tile[depth][row_lane + 16 * i] * fc_1_weight_tile[depth][column_lane + 16 * j];
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
            const int row = row_first + row_lane + 16 * i;
            const int column = column_first + column_lane + 16 * j;
            if (row < B && column < 256) {
                const int a = row;
                const int c_block = column / 32;
                const int c = column % 32;
                const float fc_1_einsum = sums[i][j];
                relu_1[a * 256 + c_block * 32 + c] = kiln_max(fc_1_einsum + fc_1_bias[c_block * 32 + c], 0.0f);
            }
        }
    }
}

// fc_2_bias
//   from     src/models/mlp.rs:24:23 in fc.2
//   launch   ceil(B / 64) blocks of 256 threads: one block for each 64 x 16 tile of (a) x (c)
//   reads    1024 * B + 10280 bytes
//   writes   40 * B bytes
extern "C" __global__ void __launch_bounds__(256) fc_2_bias(
    const float* __restrict__ relu_1,       // [B, 256]
    const float* __restrict__ fc_2_weight,  // [10, 256]
    const float* __restrict__ fc_2_bias,    // [10]
    float* __restrict__ fc_2_add,           // [B, 10]
    const int B                             // at most 64
) {
    // This block's tile of 64 rows (a) and 16 columns (c), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = 1;
    const int column_first = tile % column_tiles * 16;
    const int row_first = tile / column_tiles * 64;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float relu_1_tile[16][64];  // [depth, row]
    __shared__ float fc_2_weight_tile[16][16];  // [depth, column]
    float sums[4][1] = {};

    // fc_2_einsum = sum over (b), 16 at a time.
    for (int depth_first = 0; depth_first < 256; depth_first += 16) {
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int row = row_first + at / 16;
            const int depth = depth_first + at % 16;
            float value = 0;
            if (row < B && depth < 256) {
                const int a = row;
                const int b = depth;
                value = relu_1[a * 256 + b];
            }
            relu_1_tile[at % 16][at / 16] = value;
        }
        for (int at = threadIdx.x; at < 256; at += 256) {
            const int column = column_first + at / 16;
            const int depth = depth_first + at % 16;
            float value = 0;
            if (column < 10 && depth < 256) {
                const int c = column;
                const int b = depth;
                value = fc_2_weight[c * 256 + b];
            }
            fc_2_weight_tile[at % 16][at / 16] = value;
        }
        __syncthreads();
        for (int depth = 0; depth < 16; ++depth) {
            #pragma unroll
            for (int i = 0; i < 4; ++i) {
                #pragma unroll
                for (int j = 0; j < 1; ++j) {
                    sums[i][j] += relu_1_tile[depth][row_lane + 16 * i] * fc_2_weight_tile[depth][column_lane + 16 * j];
                }
            }
        }
        __syncthreads();
    }

    // Epilogue of each sum.
    #pragma unroll
    for (int i = 0; i < 4; ++i) {
        #pragma unroll
        for (int j = 0; j < 1; ++j) {
            const int row = row_first + row_lane + 16 * i;
            const int column = column_first + column_lane + 16 * j;
            if (row < B && column < 10) {
                const int a = row;
                const int c = column;
                const float fc_2_einsum = sums[i][j];
                fc_2_add[a * 10 + c] = fc_2_einsum + fc_2_bias[c];
            }
        }
    }
}

// amax_softmax
//   from     src/models/mlp.rs:37:30
//   launch   ceil(B / 256) blocks of 256 threads: one thread for each (n)
//   reads    48 * B bytes
//   writes   44 * B bytes
extern "C" __global__ void __launch_bounds__(256) amax_softmax(
    const float* __restrict__ fc_2_add,  // [B, 10]
    const i64* __restrict__ y,           // [B]
    float* __restrict__ where_1,         // [B, 1]
    float* __restrict__ d_sub,           // [B, 10]
    const int B,                         // at most 64
    kiln_fault* fault
) {
    // This thread's (n).
    const int n = blockIdx.x * 256 + threadIdx.x;
    if (n >= B) {
        return;
    }

    // Prologue.
    const float d_sum_3 = -1.0f / (float)(i64)B;
    const i64 y_2_2 = kiln_check(y[n], 10, 0, n, fault);

    // amax = max, d_log = sum over (i).
    float amax = -INFINITY;
    float d_log = 0.0f;
    for (int i = 0; i < 10; ++i) {
        amax = kiln_max(amax, fc_2_add[n * 10 + i]);
        d_log += -(y_2_2 == (i64)i ? d_sum_3 : 0.0f);
    }

    // sum = sum over (i_2).
    float sum = 0.0f;
    for (int i_2 = 0; i_2 < 10; ++i_2) {
        sum += expf(fc_2_add[n * 10 + i_2] - amax);
    }

    // From the results so far.
    const float log_ = logf(sum);

    // where_1_2 = sum over (i_3).
    float where_1_2 = 0.0f;
    for (int i_3 = 0; i_3 < 10; ++i_3) {
        where_1_2 += y_2_2 == (i64)i_3 ? fc_2_add[n * 10 + i_3] - amax - log_ : 0.0f;
    }

    // From the results so far.
    where_1[n] = where_1_2;
    const float d_sum = d_log / sum;

    // Each (i_4).
    for (int i_4 = 0; i_4 < 10; ++i_4) {
        d_sub[n * 10 + i_4] = (y_2_2 == (i64)i_4 ? d_sum_3 : 0.0f) + expf(fc_2_add[n * 10 + i_4] - amax) * d_sum;
    }
}

// sum
//   from     src/models/mlp.rs:37:30
//   launch   1 block of 256 threads: one block
//   reads    4 * B bytes
//   writes   4 bytes
extern "C" __global__ void __launch_bounds__(256) sum(
    const float* __restrict__ where_1,  // [B, 1]
    float* __restrict__ neg,            // []
    const int B                         // at most 64
) {
    // sum_3 = sum over (n), shared by the block's threads.
    float sum_3 = 0.0f;
    for (int n = threadIdx.x; n < B; n += 256) {
        sum_3 += where_1[n];
    }
    sum_3 = kiln_block_reduce<kiln_sum>(sum_3);

    // Epilogue.
    if (threadIdx.x == 0) {
        neg[0] = -(sum_3 / (float)(i64)B);
    }
}

// fc_2_bias_grad_update
//   from     src/models/mlp.rs:24:23 in fc.2
//            frontend/src/optim/sgd.rs:75:18
//            frontend/src/optim/sgd.rs:75:9
//   launch   10 blocks of 32 threads: one block for each (i)
//   reads    40 * B + 48 bytes
//   writes   40 bytes
extern "C" __global__ void __launch_bounds__(32) fc_2_bias_grad_update(
    const float* __restrict__ d_sub,  // [B, 10]
    const double* __restrict__ lr,    // []
    float* __restrict__ fc_2_bias,    // [10], in place
    const int B                       // at most 64
) {
    // This block's (i).
    const int i = blockIdx.x;

    // d_fc_2_bias = sum over (n), shared by the block's threads.
    float d_fc_2_bias = 0.0f;
    for (int n = threadIdx.x; n < B; n += 32) {
        d_fc_2_bias += d_sub[n * 10 + i];
    }
    d_fc_2_bias = kiln_block_reduce<kiln_sum>(d_fc_2_bias);

    // Epilogue.
    __syncthreads();
    if (threadIdx.x == 0) {
        fc_2_bias[i] = fc_2_bias[i] - d_fc_2_bias * (float)lr[0];
    }
}

// fc_2_input_grad
//   from     src/models/mlp.rs:22:23
//            src/models/mlp.rs:24:23 in fc.2
//   launch   4 * ceil(B / 64) blocks of 256 threads: one block for each 64 x 64 tile of (n) x (i)
//   reads    1064 * B + 10240 bytes
//   writes   1024 * B bytes
extern "C" __global__ void __launch_bounds__(256) fc_2_input_grad(
    const float* __restrict__ d_sub,        // [B, 10]
    const float* __restrict__ fc_2_weight,  // [10, 256]
    const float* __restrict__ relu_1,       // [B, 256]
    float* __restrict__ d_fc_1_add,         // [B, 256]
    const int B                             // at most 64
) {
    // This block's tile of 64 rows (n) and 64 columns (i), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = 4;
    const int column_first = tile % column_tiles * 64;
    const int row_first = tile / column_tiles * 64;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float d_sub_tile[16][64];  // [depth, row]
    __shared__ float fc_2_weight_tile[16][64];  // [depth, column]
    float sums[4][4] = {};

    // d_relu_1 = sum over (c), 16 at a time.
    for (int depth_first = 0; depth_first < 10; depth_first += 16) {
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int row = row_first + at / 16;
            const int depth = depth_first + at % 16;
            float value = 0;
            if (row < B && depth < 10) {
                const int n = row;
                const int c = depth;
                value = d_sub[n * 10 + c];
            }
            d_sub_tile[at % 16][at / 16] = value;
        }
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int column = column_first + at % 64;
            const int depth = depth_first + at / 64;
            float value = 0;
            if (column < 256 && depth < 10) {
                const int i = column;
                const int c = depth;
                value = fc_2_weight[c * 256 + i];
            }
            fc_2_weight_tile[at / 64][at % 64] = value;
        }
        __syncthreads();
        for (int depth = 0; depth < 16; ++depth) {
            #pragma unroll
            for (int i_2 = 0; i_2 < 4; ++i_2) {
                #pragma unroll
                for (int j = 0; j < 4; ++j) {
                    sums[i_2][j] += d_sub_tile[depth][row_lane + 16 * i_2] * fc_2_weight_tile[depth][column_lane + 16 * j];
                }
            }
        }
        __syncthreads();
    }

    // Epilogue of each sum.
    #pragma unroll
    for (int i_2 = 0; i_2 < 4; ++i_2) {
        #pragma unroll
        for (int j = 0; j < 4; ++j) {
            const int row = row_first + row_lane + 16 * i_2;
            const int column = column_first + column_lane + 16 * j;
            if (row < B && column < 256) {
                const int n = row;
                const int i = column;
                const float d_relu_1 = sums[i_2][j];
                d_fc_1_add[n * 256 + i] = relu_1[n * 256 + i] > 0.0f ? d_relu_1 : 0.0f;
            }
        }
    }
}

// fc_2_weight_grad_update
//   from     src/models/mlp.rs:24:23 in fc.2
//            frontend/src/optim/sgd.rs:75:18
//            frontend/src/optim/sgd.rs:75:9
//   launch   4 blocks of 256 threads: one block for each 16 x 64 tile of (c) x (b)
//   reads    1064 * B + 10248 bytes
//   writes   10240 bytes
extern "C" __global__ void __launch_bounds__(256) fc_2_weight_grad_update(
    const float* __restrict__ d_sub,   // [B, 10]
    const float* __restrict__ relu_1,  // [B, 256]
    const double* __restrict__ lr,     // []
    float* __restrict__ fc_2_weight,   // [10, 256], in place
    const int B                        // at most 64
) {
    // This block's tile of 16 rows (c) and 64 columns (b), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = 4;
    const int column_first = tile % column_tiles * 64;
    const int row_first = tile / column_tiles * 16;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float d_sub_tile[16][16];  // [depth, row]
    __shared__ float relu_1_tile[16][64];  // [depth, column]
    float sums[1][4] = {};

    // d_fc_2_weight = sum over (a), 16 at a time.
    for (int depth_first = 0; depth_first < B; depth_first += 16) {
        for (int at = threadIdx.x; at < 256; at += 256) {
            const int row = row_first + at % 16;
            const int depth = depth_first + at / 16;
            float value = 0;
            if (row < 10 && depth < B) {
                const int c = row;
                const int a = depth;
                value = d_sub[a * 10 + c];
            }
            d_sub_tile[at / 16][at % 16] = value;
        }
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int column = column_first + at % 64;
            const int depth = depth_first + at / 64;
            float value = 0;
            if (column < 256 && depth < B) {
                const int b = column;
                const int a = depth;
                value = relu_1[a * 256 + b];
            }
            relu_1_tile[at / 64][at % 64] = value;
        }
        __syncthreads();
        for (int depth = 0; depth < 16; ++depth) {
            #pragma unroll
            for (int i = 0; i < 1; ++i) {
                #pragma unroll
                for (int j = 0; j < 4; ++j) {
                    sums[i][j] += d_sub_tile[depth][row_lane + 16 * i] * relu_1_tile[depth][column_lane + 16 * j];
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
            if (row < 10 && column < 256) {
                const int c = row;
                const int b = column;
                const float d_fc_2_weight = sums[i][j];
                fc_2_weight[c * 256 + b] = fc_2_weight[c * 256 + b] - (float)lr[0] * d_fc_2_weight;
            }
        }
    }
}

// fc_1_bias_grad_update
//   from     src/models/mlp.rs:24:23 in fc.1
//            frontend/src/optim/sgd.rs:75:18
//            frontend/src/optim/sgd.rs:75:9
//   launch   256 blocks of 32 threads: one block for each (i)
//   reads    1024 * B + 1032 bytes
//   writes   1024 bytes
extern "C" __global__ void __launch_bounds__(32) fc_1_bias_grad_update(
    const float* __restrict__ d_fc_1_add,  // [B, 256]
    const double* __restrict__ lr,         // []
    float* __restrict__ fc_1_bias,         // [256], in place
    const int B                            // at most 64
) {
    // This block's (i).
    const int i = blockIdx.x;

    // d_fc_1_bias = sum over (n), shared by the block's threads.
    float d_fc_1_bias = 0.0f;
    for (int n = threadIdx.x; n < B; n += 32) {
        d_fc_1_bias += d_fc_1_add[n * 256 + i];
    }
    d_fc_1_bias = kiln_block_reduce<kiln_sum>(d_fc_1_bias);

    // Epilogue.
    __syncthreads();
    if (threadIdx.x == 0) {
        fc_1_bias[i] = fc_1_bias[i] - (float)lr[0] * d_fc_1_bias;
    }
}

// fc_1_input_grad
//   from     src/models/mlp.rs:22:23
//            src/models/mlp.rs:24:23 in fc.1
//   launch   8 * ceil(B / 64) blocks of 256 threads: one block for each 64 x 64 tile of (n) x (i_block, i)
//   reads    3072 * B + 524288 bytes
//   writes   2048 * B bytes
extern "C" __global__ void __launch_bounds__(256) fc_1_input_grad(
    const float* __restrict__ d_fc_1_add,   // [B, 256]
    const float* __restrict__ fc_1_weight,  // [256, 512]
    const float* __restrict__ relu,         // [B, 512]
    float* __restrict__ d_fc_0_add,         // [B, 512]
    const int B                             // at most 64
) {
    // This block's tile of 64 rows (n) and 64 columns (i_block, i), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = 8;
    const int column_first = tile % column_tiles * 64;
    const int row_first = tile / column_tiles * 64;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float d_fc_1_add_tile[16][64];  // [depth, row]
    __shared__ float fc_1_weight_tile[16][64];  // [depth, column]
    float sums[4][4] = {};

    // d_relu = sum over (c), 16 at a time.
    for (int depth_first = 0; depth_first < 256; depth_first += 16) {
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int row = row_first + at / 16;
            const int depth = depth_first + at % 16;
            float value = 0;
            if (row < B && depth < 256) {
                const int n = row;
                const int c = depth;
                value = d_fc_1_add[n * 256 + c];
            }
            d_fc_1_add_tile[at % 16][at / 16] = value;
        }
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int column = column_first + at % 64;
            const int depth = depth_first + at / 64;
            float value = 0;
            if (column < 512 && depth < 256) {
                const int i_block = column / 32;
                const int i = column % 32;
                const int c = depth;
                value = fc_1_weight[c * 512 + i_block * 32 + i];
            }
            fc_1_weight_tile[at / 64][at % 64] = value;
        }
        __syncthreads();
        for (int depth = 0; depth < 16; ++depth) {
            #pragma unroll
            for (int i_2 = 0; i_2 < 4; ++i_2) {
                #pragma unroll
                for (int j = 0; j < 4; ++j) {
                    sums[i_2][j] += d_fc_1_add_tile[depth][row_lane + 16 * i_2] * fc_1_weight_tile[depth][column_lane + 16 * j];
                }
            }
        }
        __syncthreads();
    }

    // Epilogue of each sum.
    #pragma unroll
    for (int i_2 = 0; i_2 < 4; ++i_2) {
        #pragma unroll
        for (int j = 0; j < 4; ++j) {
            const int row = row_first + row_lane + 16 * i_2;
            const int column = column_first + column_lane + 16 * j;
            if (row < B && column < 512) {
                const int n = row;
                const int i_block = column / 32;
                const int i = column % 32;
                const float d_relu = sums[i_2][j];
                d_fc_0_add[n * 512 + i_block * 32 + i] = relu[n * 512 + i_block * 32 + i] > 0.0f ? d_relu : 0.0f;
            }
        }
    }
}

// fc_1_weight_grad_update
//   from     src/models/mlp.rs:24:23 in fc.1
//            frontend/src/optim/sgd.rs:75:18
//            frontend/src/optim/sgd.rs:75:9
//   launch   32 blocks of 256 threads: one block for each 64 x 64 tile of (c) x (b)
//   reads    3072 * B + 524296 bytes
//   writes   524288 bytes
extern "C" __global__ void __launch_bounds__(256) fc_1_weight_grad_update(
    const float* __restrict__ d_fc_1_add,  // [B, 256]
    const float* __restrict__ relu,        // [B, 512]
    const double* __restrict__ lr,         // []
    float* __restrict__ fc_1_weight,       // [256, 512], in place
    const int B                            // at most 64
) {
    // This block's tile of 64 rows (c) and 64 columns (b), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = 8;
    const int column_first = tile % column_tiles * 64;
    const int row_first = tile / column_tiles * 64;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float d_fc_1_add_tile[16][64];  // [depth, row]
    __shared__ float relu_tile[16][64];  // [depth, column]
    float sums[4][4] = {};

    // d_fc_1_weight = sum over (a), 16 at a time.
    for (int depth_first = 0; depth_first < B; depth_first += 16) {
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int row = row_first + at % 64;
            const int depth = depth_first + at / 64;
            float value = 0;
            if (row < 256 && depth < B) {
                const int c = row;
                const int a = depth;
                value = d_fc_1_add[a * 256 + c];
            }
            d_fc_1_add_tile[at / 64][at % 64] = value;
        }
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int column = column_first + at % 64;
            const int depth = depth_first + at / 64;
            float value = 0;
            if (column < 512 && depth < B) {
                const int b = column;
                const int a = depth;
                value = relu[a * 512 + b];
            }
            relu_tile[at / 64][at % 64] = value;
        }
        __syncthreads();
        for (int depth = 0; depth < 16; ++depth) {
            #pragma unroll
            for (int i = 0; i < 4; ++i) {
                #pragma unroll
                for (int j = 0; j < 4; ++j) {
                    sums[i][j] += d_fc_1_add_tile[depth][row_lane + 16 * i] * relu_tile[depth][column_lane + 16 * j];
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
            const int row = row_first + row_lane + 16 * i;
            const int column = column_first + column_lane + 16 * j;
            if (row < 256 && column < 512) {
                const int c = row;
                const int b = column;
                const float d_fc_1_weight = sums[i][j];
                fc_1_weight[c * 512 + b] = fc_1_weight[c * 512 + b] - (float)lr[0] * d_fc_1_weight;
            }
        }
    }
}

// fc_0_bias_grad_update
//   from     src/models/mlp.rs:24:23 in fc.0
//            frontend/src/optim/sgd.rs:75:18
//            frontend/src/optim/sgd.rs:75:9
//   launch   512 blocks of 32 threads: one block for each (i)
//   reads    2048 * B + 2056 bytes
//   writes   2048 bytes
extern "C" __global__ void __launch_bounds__(32) fc_0_bias_grad_update(
    const float* __restrict__ d_fc_0_add,  // [B, 512]
    const double* __restrict__ lr,         // []
    float* __restrict__ fc_0_bias,         // [512], in place
    const int B                            // at most 64
) {
    // This block's (i).
    const int i = blockIdx.x;

    // d_fc_0_bias = sum over (n), shared by the block's threads.
    float d_fc_0_bias = 0.0f;
    for (int n = threadIdx.x; n < B; n += 32) {
        d_fc_0_bias += d_fc_0_add[n * 512 + i];
    }
    d_fc_0_bias = kiln_block_reduce<kiln_sum>(d_fc_0_bias);

    // Epilogue.
    __syncthreads();
    if (threadIdx.x == 0) {
        fc_0_bias[i] = fc_0_bias[i] - (float)lr[0] * d_fc_0_bias;
    }
}

// fc_0_weight_grad_update
//   from     src/models/mlp.rs:24:23 in fc.0
//            frontend/src/optim/sgd.rs:75:18
//            frontend/src/optim/sgd.rs:75:9
//   launch   104 blocks of 256 threads: one block for each 64 x 64 tile of (c) x (b)
//   reads    5184 * B + 1605640 bytes
//   writes   1605632 bytes
extern "C" __global__ void __launch_bounds__(256) fc_0_weight_grad_update(
    const float* __restrict__ d_fc_0_add,  // [B, 512]
    const float* __restrict__ x,           // [B, 784]
    const double* __restrict__ lr,         // []
    float* __restrict__ fc_0_weight,       // [512, 784], in place
    const int B                            // at most 64
) {
    // This block's tile of 64 rows (c) and 64 columns (b), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = 13;
    const int column_first = tile % column_tiles * 64;
    const int row_first = tile / column_tiles * 64;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float d_fc_0_add_tile[16][64];  // [depth, row]
    __shared__ float x_tile[16][64];  // [depth, column]
    float sums[4][4] = {};

    // d_fc_0_weight = sum over (a), 16 at a time.
    for (int depth_first = 0; depth_first < B; depth_first += 16) {
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int row = row_first + at % 64;
            const int depth = depth_first + at / 64;
            float value = 0;
            if (row < 512 && depth < B) {
                const int c = row;
                const int a = depth;
                value = d_fc_0_add[a * 512 + c];
            }
            d_fc_0_add_tile[at / 64][at % 64] = value;
        }
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int column = column_first + at % 64;
            const int depth = depth_first + at / 64;
            float value = 0;
            if (column < 784 && depth < B) {
                const int b = column;
                const int a = depth;
                value = x[a * 784 + b];
            }
            x_tile[at / 64][at % 64] = value;
        }
        __syncthreads();
        for (int depth = 0; depth < 16; ++depth) {
            #pragma unroll
            for (int i = 0; i < 4; ++i) {
                #pragma unroll
                for (int j = 0; j < 4; ++j) {
                    sums[i][j] += d_fc_0_add_tile[depth][row_lane + 16 * i] * x_tile[depth][column_lane + 16 * j];
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
            const int row = row_first + row_lane + 16 * i;
            const int column = column_first + column_lane + 16 * j;
            if (row < 512 && column < 784) {
                const int c = row;
                const int b = column;
                const float d_fc_0_weight = sums[i][j];
                fc_0_weight[c * 784 + b] = fc_0_weight[c * 784 + b] - (float)lr[0] * d_fc_0_weight;
            }
        }
    }
}
