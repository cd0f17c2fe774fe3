// lenet, for batches of at most 64
//
// train_step
//     0  conv1_bias_relu(x, conv1.weight, conv1.bias, relu)
//     1  max_pool(relu, max_pool, cast_1)
//     2  conv2_bias_relu(max_pool, conv2.weight, conv2.bias, relu_1)
//     3  max_pool_2(relu_1, max_pool_1, cast)
//     4  fc1_bias_relu(max_pool_1, fc1.weight, fc1.bias, relu_2)
//     5  fc2_bias_relu(relu_2, fc2.weight, fc2.bias, relu_3)
//     6  fc3_bias(relu_3, fc3.weight, fc3.bias, fc3.add)
//     7  amax_softmax(fc3.add, y, where_1, d_sub)
//     8  sum(where_1, loss)
//     9  fc3_bias_grad_update(d_sub, momentum, lr, optimizer.fc3.bias.momentum_buffer, fc3.bias)
//    10  fc3_input_grad(d_sub, fc3.weight, relu_3, d_fc2.add)
//    11  fc3_weight_grad_update(d_sub, relu_3, momentum, lr, optimizer.fc3.weight.momentum_buffer, fc3.weight)
//    12  fc2_bias_grad_update(d_fc2.add, momentum, lr, optimizer.fc2.bias.momentum_buffer, fc2.bias)
//    13  fc2_input_grad(d_fc2.add, fc2.weight, relu_2, d_fc1.add)
//    14  fc2_weight_grad_update(d_fc2.add, relu_2, momentum, lr, optimizer.fc2.weight.momentum_buffer, fc2.weight)
//    15  fc1_bias_grad_update(d_fc1.add, momentum, lr, optimizer.fc1.bias.momentum_buffer, fc1.bias)
//    16  fc1_input_grad(d_fc1.add, fc1.weight, d_reshape)
//    17  fc1_weight_grad_update(d_fc1.add, max_pool_1, momentum, lr, optimizer.fc1.weight.momentum_buffer, fc1.weight)
//    18  max_pool_grad(cast, d_reshape, relu_1)
//    19  conv2_bias_grad_update_partial(relu_1, d_conv2.bias_partial)
//    20  conv2_bias_grad_update(momentum, lr, d_conv2.bias_partial, optimizer.conv2.bias.momentum_buffer, conv2.bias)
//    21  conv2_input_grad(relu_1, conv2.weight, d_max_pool)
//    22  max_pool_grad_2(cast_1, d_max_pool, relu)
//    23  conv2_weight_grad_update_partial(max_pool, relu_1, d_conv2.weight_partial)
//    24  conv2_weight_grad_update(momentum, lr, d_conv2.weight_partial, optimizer.conv2.weight.momentum_buffer, conv2.weight)
//    25  conv1_bias_grad_update_partial(relu, d_conv1.bias_partial)
//    26  conv1_weight_grad_update_partial(x, relu, d_conv1.weight_partial)
//    27  conv1_weight_grad_update(momentum, lr, d_conv1.weight_partial, optimizer.conv1.weight.momentum_buffer, conv1.weight)
//    28  conv1_bias_grad_update(momentum, lr, d_conv1.bias_partial, optimizer.conv1.bias.momentum_buffer, conv1.bias)

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

// conv1_bias_relu
//   from     examples/mnist/src/model.rs:30:22 in conv1
//            examples/mnist/src/model.rs:30:31
//   launch   ceil(784 * B / 64) blocks of 256 threads: one block for each 16 x 64 tile of (oc) x (n, oh, ow)
//   reads    3136 * B + 624 bytes
//   writes   18816 * B bytes
extern "C" __global__ void __launch_bounds__(256) conv1_bias_relu(
    const float* __restrict__ x,             // [B, 1, 28, 28]
    const float* __restrict__ conv1_weight,  // [6, 1, 5, 5]
    const float* __restrict__ conv1_bias,    // [6]
    float* __restrict__ relu,                // [B, 6, 28, 28]
    const int B                              // at most 64
) {
    // This block's tile of 16 rows (oc) and 64 columns (n, oh, ow), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = (784 * B + 63) / 64;
    const int column_first = tile % column_tiles * 64;
    const int row_first = tile / column_tiles * 16;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float conv1_weight_tile[16][16];  // [depth, row]
    __shared__ float x_tile[16][64];  // [depth, column]
    float sums[1][4] = {};

    // conv1_conv = sum over (kh, kw), 16 at a time.
    for (int depth_first = 0; depth_first < 25; depth_first += 16) {
        for (int at = threadIdx.x; at < 256; at += 256) {
            const int row = row_first + at / 16;
            const int depth = depth_first + at % 16;
            float value = 0;
            if (row < 6 && depth < 25) {
                const int oc = row;
                const int kh = depth / 5;
                const int kw = depth % 5;
                value = conv1_weight[oc * 25 + kh * 5 + kw];
            }
            conv1_weight_tile[at % 16][at / 16] = value;
        }
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int column = column_first + at % 64;
            const int depth = depth_first + at / 64;
            float value = 0;
            if (column < 784 * B && depth < 25) {
                const int n = column / 784;
                const int oh = column / 28 % 28;
                const int ow = column % 28;
                const int kh = depth / 5;
                const int kw = depth % 5;
                const int x_at_2 = oh + kh - 2;
                const int x_at_3 = ow + kw - 2;
                const float x_or_fill = kiln_in_range(x_at_2, 28) && kiln_in_range(x_at_3, 28) ? x[n * 784 + x_at_2 * 28 + x_at_3] : 0.0f;
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
                    sums[i][j] += conv1_weight_tile[depth][row_lane + 16 * i] * x_tile[depth][column_lane + 16 * j];
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
            if (row < 6 && column < 784 * B) {
                const int oc = row;
                const int n = column / 784;
                const int oh = column / 28 % 28;
                const int ow = column % 28;
                const float conv1_conv = sums[i][j];
                relu[n * 4704 + oc * 784 + oh * 28 + ow] = kiln_max(conv1_conv + conv1_bias[oc], 0.0f);
            }
        }
    }
}

// max_pool
//   from     examples/mnist/src/model.rs:30:38
//   launch   ceil(1176 * B / 256) blocks of 256 threads: one thread for each (n, c, oh, ow)
//   reads    18816 * B bytes
//   writes   5880 * B bytes
extern "C" __global__ void __launch_bounds__(256) max_pool(
    const float* __restrict__ relu,  // [B, 6, 28, 28]
    float* __restrict__ max_pool,    // [B, 6, 14, 14]
    u8* __restrict__ cast_1,         // [B, 6, 14, 14]
    const int B                      // at most 64
) {
    // This thread's (n, c, oh, ow).
    const int position = blockIdx.x * 256 + threadIdx.x;
    if (position >= 1176 * B) {
        return;
    }
    const int n = position / 1176;
    const int c = position / 196 % 6;
    const int oh = position / 14 % 14;
    const int ow = position % 14;

    // The value.
    const float tap = relu[n * 4704 + c * 784 + oh * 2 * 28 + ow * 2];
    const float tap_2 = relu[n * 4704 + c * 784 + oh * 2 * 28 + ow * 2 + 1];
    const bool better = tap_2 > tap || (tap_2 != tap_2 && tap == tap);
    const float best = better ? tap_2 : tap;
    const float tap_3 = relu[n * 4704 + c * 784 + (oh * 2 + 1) * 28 + ow * 2];
    const bool better_2 = tap_3 > best || (tap_3 != tap_3 && best == best);
    const float best_2 = better_2 ? tap_3 : best;
    const float tap_4 = relu[n * 4704 + c * 784 + (oh * 2 + 1) * 28 + ow * 2 + 1];
    max_pool[n * 1176 + c * 196 + oh * 14 + ow] = kiln_max(kiln_max(kiln_max(tap, tap_2), tap_3), tap_4);
    cast_1[n * 1176 + c * 196 + oh * 14 + ow] = (u8)(i64)(tap_4 > best_2 || (tap_4 != tap_4 && best_2 == best_2) ? 3.0f : (better_2 ? 2.0f : (better ? 1.0f : 0.0f)));
}

// conv2_bias_relu
//   from     examples/mnist/src/model.rs:31:22 in conv2
//            examples/mnist/src/model.rs:31:31
//   launch   ceil(100 * B / 64) blocks of 256 threads: one block for each 16 x 64 tile of (oc) x (n, oh, ow)
//   reads    4704 * B + 9664 bytes
//   writes   6400 * B bytes
extern "C" __global__ void __launch_bounds__(256) conv2_bias_relu(
    const float* __restrict__ max_pool,      // [B, 6, 14, 14]
    const float* __restrict__ conv2_weight,  // [16, 6, 5, 5]
    const float* __restrict__ conv2_bias,    // [16]
    float* __restrict__ relu_1,              // [B, 16, 10, 10]
    const int B                              // at most 64
) {
    // This block's tile of 16 rows (oc) and 64 columns (n, oh, ow), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = (100 * B + 63) / 64;
    const int column_first = tile % column_tiles * 64;
    const int row_first = tile / column_tiles * 16;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float conv2_weight_tile[16][16];  // [depth, row]
    __shared__ float max_pool_tile[16][64];  // [depth, column]
    float sums[1][4] = {};

    // conv2_conv = sum over (c, kh, kw), 16 at a time.
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
                value = conv2_weight[oc * 150 + c * 25 + kh * 5 + kw];
            }
            conv2_weight_tile[at % 16][at / 16] = value;
        }
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int column = column_first + at % 64;
            const int depth = depth_first + at / 64;
            float value = 0;
            if (column < 100 * B && depth < 150) {
                const int n = column / 100;
                const int oh = column / 10 % 10;
                const int ow = column % 10;
                const int c = depth / 25;
                const int kh = depth / 5 % 5;
                const int kw = depth % 5;
                value = max_pool[n * 1176 + c * 196 + (oh + kh) * 14 + ow + kw];
            }
            max_pool_tile[at / 64][at % 64] = value;
        }
        __syncthreads();
        for (int depth = 0; depth < 16; ++depth) {
            #pragma unroll
            for (int i = 0; i < 1; ++i) {
                #pragma unroll
                for (int j = 0; j < 4; ++j) {
                    sums[i][j] += conv2_weight_tile[depth][row_lane + 16 * i] * max_pool_tile[depth][column_lane + 16 * j];
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
            if (row < 16 && column < 100 * B) {
                const int oc = row;
                const int n = column / 100;
                const int oh = column / 10 % 10;
                const int ow = column % 10;
                const float conv2_conv = sums[i][j];
                relu_1[n * 1600 + oc * 100 + oh * 10 + ow] = kiln_max(conv2_conv + conv2_bias[oc], 0.0f);
            }
        }
    }
}

// max_pool_2
//   from     examples/mnist/src/model.rs:31:38
//   launch   ceil(400 * B / 256) blocks of 256 threads: one thread for each (n, c, oh, ow)
//   reads    6400 * B bytes
//   writes   2000 * B bytes
extern "C" __global__ void __launch_bounds__(256) max_pool_2(
    const float* __restrict__ relu_1,  // [B, 16, 10, 10]
    float* __restrict__ max_pool_1,    // [B, 16, 5, 5]
    u8* __restrict__ cast,             // [B, 16, 5, 5]
    const int B                        // at most 64
) {
    // This thread's (n, c, oh, ow).
    const int position = blockIdx.x * 256 + threadIdx.x;
    if (position >= 400 * B) {
        return;
    }
    const int n = position / 400;
    const int c = position / 25 % 16;
    const int oh = position / 5 % 5;
    const int ow = position % 5;

    // The value.
    const float tap = relu_1[n * 1600 + c * 100 + oh * 2 * 10 + ow * 2];
    const float tap_2 = relu_1[n * 1600 + c * 100 + oh * 2 * 10 + ow * 2 + 1];
    const bool better = tap_2 > tap || (tap_2 != tap_2 && tap == tap);
    const float best = better ? tap_2 : tap;
    const float tap_3 = relu_1[n * 1600 + c * 100 + (oh * 2 + 1) * 10 + ow * 2];
    const bool better_2 = tap_3 > best || (tap_3 != tap_3 && best == best);
    const float best_2 = better_2 ? tap_3 : best;
    const float tap_4 = relu_1[n * 1600 + c * 100 + (oh * 2 + 1) * 10 + ow * 2 + 1];
    max_pool_1[n * 400 + c * 25 + oh * 5 + ow] = kiln_max(kiln_max(kiln_max(tap, tap_2), tap_3), tap_4);
    cast[n * 400 + c * 25 + oh * 5 + ow] = (u8)(i64)(tap_4 > best_2 || (tap_4 != tap_4 && best_2 == best_2) ? 3.0f : (better_2 ? 2.0f : (better ? 1.0f : 0.0f)));
}

// fc1_bias_relu
//   from     examples/mnist/src/model.rs:32:22 in fc1
//            examples/mnist/src/model.rs:32:44
//   launch   2 * ceil(B / 64) blocks of 256 threads: one block for each 64 x 64 tile of (a) x (c_block, c)
//   reads    1600 * B + 192480 bytes
//   writes   480 * B bytes
extern "C" __global__ void __launch_bounds__(256) fc1_bias_relu(
    const float* __restrict__ max_pool_1,  // [B, 400]
    const float* __restrict__ fc1_weight,  // [120, 400]
    const float* __restrict__ fc1_bias,    // [120]
    float* __restrict__ relu_2,            // [B, 120]
    const int B                            // at most 64
) {
    // This block's tile of 64 rows (a) and 64 columns (c_block, c), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = 2;
    const int column_first = tile % column_tiles * 64;
    const int row_first = tile / column_tiles * 64;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float max_pool_1_tile[16][64];  // [depth, row]
    __shared__ float fc1_weight_tile[16][64];  // [depth, column]
    float sums[4][4] = {};

    // fc1_einsum = sum over (b), 16 at a time.
    for (int depth_first = 0; depth_first < 400; depth_first += 16) {
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int row = row_first + at / 16;
            const int depth = depth_first + at % 16;
            float value = 0;
            if (row < B && depth < 400) {
                const int a = row;
                const int b = depth;
                value = max_pool_1[a * 400 + b];
            }
            max_pool_1_tile[at % 16][at / 16] = value;
        }
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int column = column_first + at / 16;
            const int depth = depth_first + at % 16;
            float value = 0;
            if (column < 120 && depth < 400) {
                const int c_block = column / 30;
                const int c = column % 30;
                const int b = depth;
                value = fc1_weight[(c_block * 30 + c) * 400 + b];
            }
            fc1_weight_tile[at % 16][at / 16] = value;
        }
        __syncthreads();
        for (int depth = 0; depth < 16; ++depth) {
            #pragma unroll
            for (int i = 0; i < 4; ++i) {
                #pragma unroll
                for (int j = 0; j < 4; ++j) {
                    sums[i][j] += max_pool_1_tile[depth][row_lane + 16 * i] * fc1_weight_tile[depth][column_lane + 16 * j];
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
            if (row < B && column < 120) {
                const int a = row;
                const int c_block = column / 30;
                const int c = column % 30;
                const float fc1_einsum = sums[i][j];
                relu_2[a * 120 + c_block * 30 + c] = kiln_max(fc1_einsum + fc1_bias[c_block * 30 + c], 0.0f);
            }
        }
    }
}

// fc2_bias_relu
//   from     examples/mnist/src/model.rs:33:22 in fc2
//            examples/mnist/src/model.rs:33:29
//   launch   2 * ceil(B / 64) blocks of 256 threads: one block for each 64 x 64 tile of (a) x (c_block, c)
//   reads    480 * B + 40656 bytes
//   writes   336 * B bytes
extern "C" __global__ void __launch_bounds__(256) fc2_bias_relu(
    const float* __restrict__ relu_2,      // [B, 120]
    const float* __restrict__ fc2_weight,  // [84, 120]
    const float* __restrict__ fc2_bias,    // [84]
    float* __restrict__ relu_3,            // [B, 84]
    const int B                            // at most 64
) {
    // This block's tile of 64 rows (a) and 64 columns (c_block, c), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = 2;
    const int column_first = tile % column_tiles * 64;
    const int row_first = tile / column_tiles * 64;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float relu_2_tile[16][64];  // [depth, row]
    __shared__ float fc2_weight_tile[16][64];  // [depth, column]
    float sums[4][4] = {};

    // fc2_einsum = sum over (b), 16 at a time.
    for (int depth_first = 0; depth_first < 120; depth_first += 16) {
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int row = row_first + at / 16;
            const int depth = depth_first + at % 16;
            float value = 0;
            if (row < B && depth < 120) {
                const int a = row;
                const int b = depth;
                value = relu_2[a * 120 + b];
            }
            relu_2_tile[at % 16][at / 16] = value;
        }
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int column = column_first + at / 16;
            const int depth = depth_first + at % 16;
            float value = 0;
            if (column < 84 && depth < 120) {
                const int c_block = column / 28;
                const int c = column % 28;
                const int b = depth;
                value = fc2_weight[(c_block * 28 + c) * 120 + b];
            }
            fc2_weight_tile[at % 16][at / 16] = value;
        }
        __syncthreads();
        for (int depth = 0; depth < 16; ++depth) {
            #pragma unroll
            for (int i = 0; i < 4; ++i) {
                #pragma unroll
                for (int j = 0; j < 4; ++j) {
                    sums[i][j] += relu_2_tile[depth][row_lane + 16 * i] * fc2_weight_tile[depth][column_lane + 16 * j];
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
            if (row < B && column < 84) {
                const int a = row;
                const int c_block = column / 28;
                const int c = column % 28;
                const float fc2_einsum = sums[i][j];
                relu_3[a * 84 + c_block * 28 + c] = kiln_max(fc2_einsum + fc2_bias[c_block * 28 + c], 0.0f);
            }
        }
    }
}

// fc3_bias
//   from     examples/mnist/src/model.rs:34:14 in fc3
//   launch   ceil(B / 64) blocks of 256 threads: one block for each 64 x 16 tile of (a) x (c)
//   reads    336 * B + 3400 bytes
//   writes   40 * B bytes
extern "C" __global__ void __launch_bounds__(256) fc3_bias(
    const float* __restrict__ relu_3,      // [B, 84]
    const float* __restrict__ fc3_weight,  // [10, 84]
    const float* __restrict__ fc3_bias,    // [10]
    float* __restrict__ fc3_add,           // [B, 10]
    const int B                            // at most 64
) {
    // This block's tile of 64 rows (a) and 16 columns (c), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = 1;
    const int column_first = tile % column_tiles * 16;
    const int row_first = tile / column_tiles * 64;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float relu_3_tile[16][64];  // [depth, row]
    __shared__ float fc3_weight_tile[16][16];  // [depth, column]
    float sums[4][1] = {};

    // fc3_einsum = sum over (b), 16 at a time.
    for (int depth_first = 0; depth_first < 84; depth_first += 16) {
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int row = row_first + at / 16;
            const int depth = depth_first + at % 16;
            float value = 0;
            if (row < B && depth < 84) {
                const int a = row;
                const int b = depth;
                value = relu_3[a * 84 + b];
            }
            relu_3_tile[at % 16][at / 16] = value;
        }
        for (int at = threadIdx.x; at < 256; at += 256) {
            const int column = column_first + at / 16;
            const int depth = depth_first + at % 16;
            float value = 0;
            if (column < 10 && depth < 84) {
                const int c = column;
                const int b = depth;
                value = fc3_weight[c * 84 + b];
            }
            fc3_weight_tile[at % 16][at / 16] = value;
        }
        __syncthreads();
        for (int depth = 0; depth < 16; ++depth) {
            #pragma unroll
            for (int i = 0; i < 4; ++i) {
                #pragma unroll
                for (int j = 0; j < 1; ++j) {
                    sums[i][j] += relu_3_tile[depth][row_lane + 16 * i] * fc3_weight_tile[depth][column_lane + 16 * j];
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
                const float fc3_einsum = sums[i][j];
                fc3_add[a * 10 + c] = fc3_einsum + fc3_bias[c];
            }
        }
    }
}

// amax_softmax
//   from     examples/mnist/src/model.rs:45:30
//   launch   ceil(B / 256) blocks of 256 threads: one thread for each (n)
//   reads    48 * B bytes
//   writes   44 * B bytes
extern "C" __global__ void __launch_bounds__(256) amax_softmax(
    const float* __restrict__ fc3_add,  // [B, 10]
    const i64* __restrict__ y,          // [B]
    float* __restrict__ where_1,        // [B, 1]
    float* __restrict__ d_sub,          // [B, 10]
    const int B,                        // at most 64
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
        amax = kiln_max(amax, fc3_add[n * 10 + i]);
        d_log += -(y_2_2 == (i64)i ? d_sum_3 : 0.0f);
    }

    // sum = sum over (i_2).
    float sum = 0.0f;
    for (int i_2 = 0; i_2 < 10; ++i_2) {
        sum += expf(fc3_add[n * 10 + i_2] - amax);
    }

    // From the results so far.
    const float log_ = logf(sum);

    // where_1_2 = sum over (i_3).
    float where_1_2 = 0.0f;
    for (int i_3 = 0; i_3 < 10; ++i_3) {
        where_1_2 += y_2_2 == (i64)i_3 ? fc3_add[n * 10 + i_3] - amax - log_ : 0.0f;
    }

    // From the results so far.
    where_1[n] = where_1_2;
    const float d_sum = d_log / sum;

    // Each (i_4).
    for (int i_4 = 0; i_4 < 10; ++i_4) {
        d_sub[n * 10 + i_4] = (y_2_2 == (i64)i_4 ? d_sum_3 : 0.0f) + expf(fc3_add[n * 10 + i_4] - amax) * d_sum;
    }
}

// sum
//   from     examples/mnist/src/model.rs:45:30
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

// fc3_bias_grad_update
//   from     frontend/src/optim/sgd.rs:68:29
//            examples/mnist/src/model.rs:34:14 in fc3
//            frontend/src/optim/sgd.rs:75:18
//            frontend/src/optim/sgd.rs:75:9
//   launch   10 blocks of 32 threads: one block for each (i)
//   reads    40 * B + 96 bytes
//   writes   80 bytes
extern "C" __global__ void __launch_bounds__(32) fc3_bias_grad_update(
    const float* __restrict__ d_sub,                         // [B, 10]
    const double* __restrict__ momentum,                     // []
    const double* __restrict__ lr,                           // []
    float* __restrict__ optimizer_fc3_bias_momentum_buffer,  // [10], in place
    float* __restrict__ fc3_bias,                            // [10], in place
    const int B                                              // at most 64
) {
    // This block's (i).
    const int i = blockIdx.x;

    // d_fc3_bias = sum over (n), shared by the block's threads.
    float d_fc3_bias = 0.0f;
    for (int n = threadIdx.x; n < B; n += 32) {
        d_fc3_bias += d_sub[n * 10 + i];
    }
    d_fc3_bias = kiln_block_reduce<kiln_sum>(d_fc3_bias);

    // Epilogue.
    const float optimizer_fc3_bias_momentum_buffer_new_2 = optimizer_fc3_bias_momentum_buffer[i] * (float)momentum[0] + d_fc3_bias;
    __syncthreads();
    if (threadIdx.x == 0) {
        optimizer_fc3_bias_momentum_buffer[i] = optimizer_fc3_bias_momentum_buffer_new_2;
        fc3_bias[i] = fc3_bias[i] - optimizer_fc3_bias_momentum_buffer_new_2 * (float)lr[0];
    }
}

// fc3_input_grad
//   from     examples/mnist/src/model.rs:33:29
//            examples/mnist/src/model.rs:34:14 in fc3
//   launch   2 * ceil(B / 64) blocks of 256 threads: one block for each 64 x 64 tile of (n) x (i)
//   reads    376 * B + 3360 bytes
//   writes   336 * B bytes
extern "C" __global__ void __launch_bounds__(256) fc3_input_grad(
    const float* __restrict__ d_sub,       // [B, 10]
    const float* __restrict__ fc3_weight,  // [10, 84]
    const float* __restrict__ relu_3,      // [B, 84]
    float* __restrict__ d_fc2_add,         // [B, 84]
    const int B                            // at most 64
) {
    // This block's tile of 64 rows (n) and 64 columns (i), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = 2;
    const int column_first = tile % column_tiles * 64;
    const int row_first = tile / column_tiles * 64;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float d_sub_tile[16][64];  // [depth, row]
    __shared__ float fc3_weight_tile[16][64];  // [depth, column]
    float sums[4][4] = {};

    // d_relu_3 = sum over (c), 16 at a time.
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
            if (column < 84 && depth < 10) {
                const int i = column;
                const int c = depth;
                value = fc3_weight[c * 84 + i];
            }
            fc3_weight_tile[at / 64][at % 64] = value;
        }
        __syncthreads();
        for (int depth = 0; depth < 16; ++depth) {
            #pragma unroll
            for (int i_2 = 0; i_2 < 4; ++i_2) {
                #pragma unroll
                for (int j = 0; j < 4; ++j) {
                    sums[i_2][j] += d_sub_tile[depth][row_lane + 16 * i_2] * fc3_weight_tile[depth][column_lane + 16 * j];
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
            if (row < B && column < 84) {
                const int n = row;
                const int i = column;
                const float d_relu_3 = sums[i_2][j];
                d_fc2_add[n * 84 + i] = relu_3[n * 84 + i] > 0.0f ? d_relu_3 : 0.0f;
            }
        }
    }
}

// fc3_weight_grad_update
//   from     frontend/src/optim/sgd.rs:68:29
//            examples/mnist/src/model.rs:34:14 in fc3
//            frontend/src/optim/sgd.rs:75:18
//            frontend/src/optim/sgd.rs:75:9
//   launch   2 blocks of 256 threads: one block for each 16 x 64 tile of (n) x (i)
//   reads    376 * B + 6736 bytes
//   writes   6720 bytes
extern "C" __global__ void __launch_bounds__(256) fc3_weight_grad_update(
    const float* __restrict__ d_sub,                           // [B, 10]
    const float* __restrict__ relu_3,                          // [B, 84]
    const double* __restrict__ momentum,                       // []
    const double* __restrict__ lr,                             // []
    float* __restrict__ optimizer_fc3_weight_momentum_buffer,  // [10, 84], in place
    float* __restrict__ fc3_weight,                            // [10, 84], in place
    const int B                                                // at most 64
) {
    // This block's tile of 16 rows (n) and 64 columns (i), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = 2;
    const int column_first = tile % column_tiles * 64;
    const int row_first = tile / column_tiles * 16;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float d_sub_tile[16][16];  // [depth, row]
    __shared__ float relu_3_tile[16][64];  // [depth, column]
    float sums[1][4] = {};

    // d_fc3_weight = sum over (a), 16 at a time.
    for (int depth_first = 0; depth_first < B; depth_first += 16) {
        for (int at = threadIdx.x; at < 256; at += 256) {
            const int row = row_first + at % 16;
            const int depth = depth_first + at / 16;
            float value = 0;
            if (row < 10 && depth < B) {
                const int n = row;
                const int a = depth;
                value = d_sub[a * 10 + n];
            }
            d_sub_tile[at / 16][at % 16] = value;
        }
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int column = column_first + at % 64;
            const int depth = depth_first + at / 64;
            float value = 0;
            if (column < 84 && depth < B) {
                const int i = column;
                const int a = depth;
                value = relu_3[a * 84 + i];
            }
            relu_3_tile[at / 64][at % 64] = value;
        }
        __syncthreads();
        for (int depth = 0; depth < 16; ++depth) {
            #pragma unroll
            for (int i_2 = 0; i_2 < 1; ++i_2) {
                #pragma unroll
                for (int j = 0; j < 4; ++j) {
                    sums[i_2][j] += d_sub_tile[depth][row_lane + 16 * i_2] * relu_3_tile[depth][column_lane + 16 * j];
                }
            }
        }
        __syncthreads();
    }

    // Epilogue of each sum.
    #pragma unroll
    for (int i_2 = 0; i_2 < 1; ++i_2) {
        #pragma unroll
        for (int j = 0; j < 4; ++j) {
            const int row = row_first + row_lane + 16 * i_2;
            const int column = column_first + column_lane + 16 * j;
            if (row < 10 && column < 84) {
                const int n = row;
                const int i = column;
                const float d_fc3_weight = sums[i_2][j];
                const float optimizer_fc3_weight_momentum_buffer_new_2 = optimizer_fc3_weight_momentum_buffer[n * 84 + i] * (float)momentum[0] + d_fc3_weight;
                optimizer_fc3_weight_momentum_buffer[n * 84 + i] = optimizer_fc3_weight_momentum_buffer_new_2;
                fc3_weight[n * 84 + i] = fc3_weight[n * 84 + i] - (float)lr[0] * optimizer_fc3_weight_momentum_buffer_new_2;
            }
        }
    }
}

// fc2_bias_grad_update
//   from     frontend/src/optim/sgd.rs:68:29
//            examples/mnist/src/model.rs:33:22 in fc2
//            frontend/src/optim/sgd.rs:75:18
//            frontend/src/optim/sgd.rs:75:9
//   launch   84 blocks of 32 threads: one block for each (i)
//   reads    336 * B + 688 bytes
//   writes   672 bytes
extern "C" __global__ void __launch_bounds__(32) fc2_bias_grad_update(
    const float* __restrict__ d_fc2_add,                     // [B, 84]
    const double* __restrict__ momentum,                     // []
    const double* __restrict__ lr,                           // []
    float* __restrict__ optimizer_fc2_bias_momentum_buffer,  // [84], in place
    float* __restrict__ fc2_bias,                            // [84], in place
    const int B                                              // at most 64
) {
    // This block's (i).
    const int i = blockIdx.x;

    // d_fc2_bias = sum over (n), shared by the block's threads.
    float d_fc2_bias = 0.0f;
    for (int n = threadIdx.x; n < B; n += 32) {
        d_fc2_bias += d_fc2_add[n * 84 + i];
    }
    d_fc2_bias = kiln_block_reduce<kiln_sum>(d_fc2_bias);

    // Epilogue.
    const float optimizer_fc2_bias_momentum_buffer_new_2 = optimizer_fc2_bias_momentum_buffer[i] * (float)momentum[0] + d_fc2_bias;
    __syncthreads();
    if (threadIdx.x == 0) {
        optimizer_fc2_bias_momentum_buffer[i] = optimizer_fc2_bias_momentum_buffer_new_2;
        fc2_bias[i] = fc2_bias[i] - (float)lr[0] * optimizer_fc2_bias_momentum_buffer_new_2;
    }
}

// fc2_input_grad
//   from     examples/mnist/src/model.rs:32:44
//            examples/mnist/src/model.rs:33:22 in fc2
//   launch   2 * ceil(B / 64) blocks of 256 threads: one block for each 64 x 64 tile of (n) x (i)
//   reads    816 * B + 40320 bytes
//   writes   480 * B bytes
extern "C" __global__ void __launch_bounds__(256) fc2_input_grad(
    const float* __restrict__ d_fc2_add,   // [B, 84]
    const float* __restrict__ fc2_weight,  // [84, 120]
    const float* __restrict__ relu_2,      // [B, 120]
    float* __restrict__ d_fc1_add,         // [B, 120]
    const int B                            // at most 64
) {
    // This block's tile of 64 rows (n) and 64 columns (i), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = 2;
    const int column_first = tile % column_tiles * 64;
    const int row_first = tile / column_tiles * 64;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float d_fc2_add_tile[16][64];  // [depth, row]
    __shared__ float fc2_weight_tile[16][64];  // [depth, column]
    float sums[4][4] = {};

    // d_relu_2 = sum over (c), 16 at a time.
    for (int depth_first = 0; depth_first < 84; depth_first += 16) {
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int row = row_first + at / 16;
            const int depth = depth_first + at % 16;
            float value = 0;
            if (row < B && depth < 84) {
                const int n = row;
                const int c = depth;
                value = d_fc2_add[n * 84 + c];
            }
            d_fc2_add_tile[at % 16][at / 16] = value;
        }
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int column = column_first + at % 64;
            const int depth = depth_first + at / 64;
            float value = 0;
            if (column < 120 && depth < 84) {
                const int i = column;
                const int c = depth;
                value = fc2_weight[c * 120 + i];
            }
            fc2_weight_tile[at / 64][at % 64] = value;
        }
        __syncthreads();
        for (int depth = 0; depth < 16; ++depth) {
            #pragma unroll
            for (int i_2 = 0; i_2 < 4; ++i_2) {
                #pragma unroll
                for (int j = 0; j < 4; ++j) {
                    sums[i_2][j] += d_fc2_add_tile[depth][row_lane + 16 * i_2] * fc2_weight_tile[depth][column_lane + 16 * j];
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
            if (row < B && column < 120) {
                const int n = row;
                const int i = column;
                const float d_relu_2 = sums[i_2][j];
                d_fc1_add[n * 120 + i] = relu_2[n * 120 + i] > 0.0f ? d_relu_2 : 0.0f;
            }
        }
    }
}

// fc2_weight_grad_update
//   from     frontend/src/optim/sgd.rs:68:29
//            examples/mnist/src/model.rs:33:22 in fc2
//            frontend/src/optim/sgd.rs:75:18
//            frontend/src/optim/sgd.rs:75:9
//   launch   4 blocks of 256 threads: one block for each 64 x 64 tile of (n) x (i)
//   reads    816 * B + 80656 bytes
//   writes   80640 bytes
extern "C" __global__ void __launch_bounds__(256) fc2_weight_grad_update(
    const float* __restrict__ d_fc2_add,                       // [B, 84]
    const float* __restrict__ relu_2,                          // [B, 120]
    const double* __restrict__ momentum,                       // []
    const double* __restrict__ lr,                             // []
    float* __restrict__ optimizer_fc2_weight_momentum_buffer,  // [84, 120], in place
    float* __restrict__ fc2_weight,                            // [84, 120], in place
    const int B                                                // at most 64
) {
    // This block's tile of 64 rows (n) and 64 columns (i), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = 2;
    const int column_first = tile % column_tiles * 64;
    const int row_first = tile / column_tiles * 64;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float d_fc2_add_tile[16][64];  // [depth, row]
    __shared__ float relu_2_tile[16][64];  // [depth, column]
    float sums[4][4] = {};

    // d_fc2_weight = sum over (a), 16 at a time.
    for (int depth_first = 0; depth_first < B; depth_first += 16) {
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int row = row_first + at % 64;
            const int depth = depth_first + at / 64;
            float value = 0;
            if (row < 84 && depth < B) {
                const int n = row;
                const int a = depth;
                value = d_fc2_add[a * 84 + n];
            }
            d_fc2_add_tile[at / 64][at % 64] = value;
        }
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int column = column_first + at % 64;
            const int depth = depth_first + at / 64;
            float value = 0;
            if (column < 120 && depth < B) {
                const int i = column;
                const int a = depth;
                value = relu_2[a * 120 + i];
            }
            relu_2_tile[at / 64][at % 64] = value;
        }
        __syncthreads();
        for (int depth = 0; depth < 16; ++depth) {
            #pragma unroll
            for (int i_2 = 0; i_2 < 4; ++i_2) {
                #pragma unroll
                for (int j = 0; j < 4; ++j) {
                    sums[i_2][j] += d_fc2_add_tile[depth][row_lane + 16 * i_2] * relu_2_tile[depth][column_lane + 16 * j];
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
            if (row < 84 && column < 120) {
                const int n = row;
                const int i = column;
                const float d_fc2_weight = sums[i_2][j];
                const float optimizer_fc2_weight_momentum_buffer_new_2 = optimizer_fc2_weight_momentum_buffer[n * 120 + i] * (float)momentum[0] + d_fc2_weight;
                optimizer_fc2_weight_momentum_buffer[n * 120 + i] = optimizer_fc2_weight_momentum_buffer_new_2;
                fc2_weight[n * 120 + i] = fc2_weight[n * 120 + i] - (float)lr[0] * optimizer_fc2_weight_momentum_buffer_new_2;
            }
        }
    }
}

// fc1_bias_grad_update
//   from     frontend/src/optim/sgd.rs:68:29
//            examples/mnist/src/model.rs:32:22 in fc1
//            frontend/src/optim/sgd.rs:75:18
//            frontend/src/optim/sgd.rs:75:9
//   launch   120 blocks of 32 threads: one block for each (i)
//   reads    480 * B + 976 bytes
//   writes   960 bytes
extern "C" __global__ void __launch_bounds__(32) fc1_bias_grad_update(
    const float* __restrict__ d_fc1_add,                     // [B, 120]
    const double* __restrict__ momentum,                     // []
    const double* __restrict__ lr,                           // []
    float* __restrict__ optimizer_fc1_bias_momentum_buffer,  // [120], in place
    float* __restrict__ fc1_bias,                            // [120], in place
    const int B                                              // at most 64
) {
    // This block's (i).
    const int i = blockIdx.x;

    // d_fc1_bias = sum over (n), shared by the block's threads.
    float d_fc1_bias = 0.0f;
    for (int n = threadIdx.x; n < B; n += 32) {
        d_fc1_bias += d_fc1_add[n * 120 + i];
    }
    d_fc1_bias = kiln_block_reduce<kiln_sum>(d_fc1_bias);

    // Epilogue.
    const float optimizer_fc1_bias_momentum_buffer_new_2 = optimizer_fc1_bias_momentum_buffer[i] * (float)momentum[0] + d_fc1_bias;
    __syncthreads();
    if (threadIdx.x == 0) {
        optimizer_fc1_bias_momentum_buffer[i] = optimizer_fc1_bias_momentum_buffer_new_2;
        fc1_bias[i] = fc1_bias[i] - (float)lr[0] * optimizer_fc1_bias_momentum_buffer_new_2;
    }
}

// fc1_input_grad
//   from     examples/mnist/src/model.rs:32:22 in fc1
//   launch   7 * ceil(B / 64) blocks of 256 threads: one block for each 64 x 64 tile of (a) x (b)
//   reads    480 * B + 192000 bytes
//   writes   1600 * B bytes
extern "C" __global__ void __launch_bounds__(256) fc1_input_grad(
    const float* __restrict__ d_fc1_add,   // [B, 120]
    const float* __restrict__ fc1_weight,  // [120, 400]
    float* __restrict__ d_reshape,         // [B, 400]
    const int B                            // at most 64
) {
    // This block's tile of 64 rows (a) and 64 columns (b), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = 7;
    const int column_first = tile % column_tiles * 64;
    const int row_first = tile / column_tiles * 64;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float d_fc1_add_tile[16][64];  // [depth, row]
    __shared__ float fc1_weight_tile[16][64];  // [depth, column]
    float sums[4][4] = {};

    // d_reshape_2 = sum over (c), 16 at a time.
    for (int depth_first = 0; depth_first < 120; depth_first += 16) {
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int row = row_first + at / 16;
            const int depth = depth_first + at % 16;
            float value = 0;
            if (row < B && depth < 120) {
                const int a = row;
                const int c = depth;
                value = d_fc1_add[a * 120 + c];
            }
            d_fc1_add_tile[at % 16][at / 16] = value;
        }
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int column = column_first + at % 64;
            const int depth = depth_first + at / 64;
            float value = 0;
            if (column < 400 && depth < 120) {
                const int b = column;
                const int c = depth;
                value = fc1_weight[c * 400 + b];
            }
            fc1_weight_tile[at / 64][at % 64] = value;
        }
        __syncthreads();
        for (int depth = 0; depth < 16; ++depth) {
            #pragma unroll
            for (int i = 0; i < 4; ++i) {
                #pragma unroll
                for (int j = 0; j < 4; ++j) {
                    sums[i][j] += d_fc1_add_tile[depth][row_lane + 16 * i] * fc1_weight_tile[depth][column_lane + 16 * j];
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
            if (row < B && column < 400) {
                const int a = row;
                const int b = column;
                const float d_reshape_2 = sums[i][j];
                d_reshape[a * 400 + b] = d_reshape_2;
            }
        }
    }
}

// fc1_weight_grad_update
//   from     frontend/src/optim/sgd.rs:68:29
//            examples/mnist/src/model.rs:32:22 in fc1
//            frontend/src/optim/sgd.rs:75:18
//            frontend/src/optim/sgd.rs:75:9
//   launch   14 blocks of 256 threads: one block for each 64 x 64 tile of (n) x (i)
//   reads    2080 * B + 384016 bytes
//   writes   384000 bytes
extern "C" __global__ void __launch_bounds__(256) fc1_weight_grad_update(
    const float* __restrict__ d_fc1_add,                       // [B, 120]
    const float* __restrict__ max_pool_1,                      // [B, 400]
    const double* __restrict__ momentum,                       // []
    const double* __restrict__ lr,                             // []
    float* __restrict__ optimizer_fc1_weight_momentum_buffer,  // [120, 400], in place
    float* __restrict__ fc1_weight,                            // [120, 400], in place
    const int B                                                // at most 64
) {
    // This block's tile of 64 rows (n) and 64 columns (i), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = 7;
    const int column_first = tile % column_tiles * 64;
    const int row_first = tile / column_tiles * 64;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float d_fc1_add_tile[16][64];  // [depth, row]
    __shared__ float max_pool_1_tile[16][64];  // [depth, column]
    float sums[4][4] = {};

    // d_fc1_weight = sum over (a), 16 at a time.
    for (int depth_first = 0; depth_first < B; depth_first += 16) {
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int row = row_first + at % 64;
            const int depth = depth_first + at / 64;
            float value = 0;
            if (row < 120 && depth < B) {
                const int n = row;
                const int a = depth;
                value = d_fc1_add[a * 120 + n];
            }
            d_fc1_add_tile[at / 64][at % 64] = value;
        }
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int column = column_first + at % 64;
            const int depth = depth_first + at / 64;
            float value = 0;
            if (column < 400 && depth < B) {
                const int i = column;
                const int a = depth;
                value = max_pool_1[a * 400 + i];
            }
            max_pool_1_tile[at / 64][at % 64] = value;
        }
        __syncthreads();
        for (int depth = 0; depth < 16; ++depth) {
            #pragma unroll
            for (int i_2 = 0; i_2 < 4; ++i_2) {
                #pragma unroll
                for (int j = 0; j < 4; ++j) {
                    sums[i_2][j] += d_fc1_add_tile[depth][row_lane + 16 * i_2] * max_pool_1_tile[depth][column_lane + 16 * j];
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
            if (row < 120 && column < 400) {
                const int n = row;
                const int i = column;
                const float d_fc1_weight = sums[i_2][j];
                const float optimizer_fc1_weight_momentum_buffer_new_2 = optimizer_fc1_weight_momentum_buffer[n * 400 + i] * (float)momentum[0] + d_fc1_weight;
                optimizer_fc1_weight_momentum_buffer[n * 400 + i] = optimizer_fc1_weight_momentum_buffer_new_2;
                fc1_weight[n * 400 + i] = fc1_weight[n * 400 + i] - (float)lr[0] * optimizer_fc1_weight_momentum_buffer_new_2;
            }
        }
    }
}

// max_pool_grad
//   from     examples/mnist/src/model.rs:31:31
//            examples/mnist/src/model.rs:31:38
//   launch   ceil(1600 * B / 256) blocks of 256 threads: one thread for each (n, c, h_q, h_r, w_r, w_q)
//   reads    8400 * B bytes
//   writes   6400 * B bytes
extern "C" __global__ void __launch_bounds__(256) max_pool_grad(
    const u8* __restrict__ cast,          // [B, 16, 5, 5]
    const float* __restrict__ d_reshape,  // [B, 16, 5, 5]
    float* __restrict__ relu_1,           // [B, 16, 10, 10], in place
    const int B                           // at most 64
) {
    // This thread's (n, c, h_q, h_r, w_r, w_q).
    const int position = blockIdx.x * 256 + threadIdx.x;
    if (position >= 1600 * B) {
        return;
    }
    const int n = position / 1600;
    const int c = position / 100 % 16;
    const int h_q = position / 20 % 5;
    const int h_r = position / 10 % 2;
    const int w_r = position / 5 % 2;
    const int w_q = position % 5;

    // d_relu_1 = sum over (kh, kw).
    float d_relu_1 = 0.0f;
    #pragma unroll
    for (int kh = 0; kh < 2; ++kh) {
        #pragma unroll
        for (int kw = 0; kw < 2; ++kw) {
            const int d_reshape_at_2 = h_q + (h_r - kh) / 2;
            const int d_reshape_at_3 = w_q + (w_r - kw) / 2;
            const float d_reshape_or_fill = (h_r - kh) % 2 == 0 && kiln_in_range(d_reshape_at_2, 5) && (w_r - kw) % 2 == 0 && kiln_in_range(d_reshape_at_3, 5) ? d_reshape[n * 400 + c * 25 + d_reshape_at_2 * 5 + d_reshape_at_3] : 0.0f;
            const int cast_at_2 = h_q + (h_r - kh) / 2;
            const int cast_at_3 = w_q + (w_r - kw) / 2;
            const u8 cast_or_fill = (h_r - kh) % 2 == 0 && kiln_in_range(cast_at_2, 5) && (w_r - kw) % 2 == 0 && kiln_in_range(cast_at_3, 5) ? cast[n * 400 + c * 25 + cast_at_2 * 5 + cast_at_3] : (u8)0;
            d_relu_1 += (i64)cast_or_fill == (i64)(kh * 2 + kw) ? d_reshape_or_fill : 0.0f;
        }
    }

    // Epilogue.
    relu_1[n * 1600 + c * 100 + (h_q * 2 + h_r) * 10 + w_r + w_q * 2] = relu_1[n * 1600 + c * 100 + (h_q * 2 + h_r) * 10 + w_r + w_q * 2] > 0.0f ? d_relu_1 : 0.0f;
}

// conv2_bias_grad_update_partial
//   from     frontend/src/optim/sgd.rs:68:29
//            examples/mnist/src/model.rs:31:22 in conv2
//            frontend/src/optim/sgd.rs:75:18
//            frontend/src/optim/sgd.rs:75:9
//   launch   16 * B blocks of 32 threads: one block for each (n_i)
//   reads    6400 * B bytes
//   writes   64 * B bytes
extern "C" __global__ void __launch_bounds__(32) conv2_bias_grad_update_partial(
    const float* __restrict__ d_conv2_add,     // [16*B, 100]
    float* __restrict__ d_conv2_bias_partial,  // [16*B]
    const int B                                // at most 64
) {
    // This block's (n_i).
    const int n_i = blockIdx.x;

    // d_conv2_bias = sum over (h_w), shared by the block's threads.
    float d_conv2_bias = 0.0f;
    for (int h_w = threadIdx.x; h_w < 100; h_w += 32) {
        d_conv2_bias += d_conv2_add[n_i * 100 + h_w];
    }
    d_conv2_bias = kiln_block_reduce<kiln_sum>(d_conv2_bias);

    // Epilogue.
    if (threadIdx.x == 0) {
        d_conv2_bias_partial[n_i] = d_conv2_bias;
    }
}

// conv2_bias_grad_update
//   from     frontend/src/optim/sgd.rs:68:29
//            examples/mnist/src/model.rs:31:22 in conv2
//            frontend/src/optim/sgd.rs:75:18
//            frontend/src/optim/sgd.rs:75:9
//   launch   16 blocks of 32 threads: one block for each (i)
//   reads    64 * B + 144 bytes
//   writes   128 bytes
extern "C" __global__ void __launch_bounds__(32) conv2_bias_grad_update(
    const double* __restrict__ momentum,                       // []
    const double* __restrict__ lr,                             // []
    const float* __restrict__ d_conv2_bias_partial,            // [B, 16]
    float* __restrict__ optimizer_conv2_bias_momentum_buffer,  // [16], in place
    float* __restrict__ conv2_bias,                            // [16], in place
    const int B                                                // at most 64
) {
    // This block's (i).
    const int i = blockIdx.x;

    // d_conv2_bias = sum over (n), shared by the block's threads.
    float d_conv2_bias = 0.0f;
    for (int n = threadIdx.x; n < B; n += 32) {
        d_conv2_bias += d_conv2_bias_partial[n * 16 + i];
    }
    d_conv2_bias = kiln_block_reduce<kiln_sum>(d_conv2_bias);

    // Epilogue.
    const float optimizer_conv2_bias_momentum_buffer_new_2 = optimizer_conv2_bias_momentum_buffer[i] * (float)momentum[0] + d_conv2_bias;
    __syncthreads();
    if (threadIdx.x == 0) {
        optimizer_conv2_bias_momentum_buffer[i] = optimizer_conv2_bias_momentum_buffer_new_2;
        conv2_bias[i] = conv2_bias[i] - (float)lr[0] * optimizer_conv2_bias_momentum_buffer_new_2;
    }
}

// conv2_input_grad
//   from     examples/mnist/src/model.rs:31:22 in conv2
//   launch   ceil(196 * B / 64) blocks of 256 threads: one block for each 16 x 64 tile of (c) x (n, h, w)
//   reads    6400 * B + 9600 bytes
//   writes   4704 * B bytes
extern "C" __global__ void __launch_bounds__(256) conv2_input_grad(
    const float* __restrict__ d_conv2_add,   // [B, 16, 10, 10]
    const float* __restrict__ conv2_weight,  // [16, 6, 5, 5]
    float* __restrict__ d_max_pool,          // [B, 6, 14, 14]
    const int B                              // at most 64
) {
    // This block's tile of 16 rows (c) and 64 columns (n, h, w), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = (196 * B + 63) / 64;
    const int column_first = tile % column_tiles * 64;
    const int row_first = tile / column_tiles * 16;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float conv2_weight_tile[16][16];  // [depth, row]
    __shared__ float d_conv2_add_tile[16][64];  // [depth, column]
    float sums[1][4] = {};

    // d_max_pool_2 = sum over (oc, kh, kw), 16 at a time.
    for (int depth_first = 0; depth_first < 400; depth_first += 16) {
        for (int at = threadIdx.x; at < 256; at += 256) {
            const int row = row_first + at / 16;
            const int depth = depth_first + at % 16;
            float value = 0;
            if (row < 6 && depth < 400) {
                const int c = row;
                const int oc = depth / 25;
                const int kh = depth / 5 % 5;
                const int kw = depth % 5;
                value = conv2_weight[oc * 150 + c * 25 + kh * 5 + kw];
            }
            conv2_weight_tile[at % 16][at / 16] = value;
        }
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int column = column_first + at % 64;
            const int depth = depth_first + at / 64;
            float value = 0;
            if (column < 196 * B && depth < 400) {
                const int n = column / 196;
                const int h = column / 14 % 14;
                const int w = column % 14;
                const int oc = depth / 25;
                const int kh = depth / 5 % 5;
                const int kw = depth % 5;
                const int d_conv2_add_at_2 = h - kh;
                const int d_conv2_add_at_3 = w - kw;
                const float d_conv2_add_or_fill = kiln_in_range(d_conv2_add_at_2, 10) && kiln_in_range(d_conv2_add_at_3, 10) ? d_conv2_add[n * 1600 + oc * 100 + d_conv2_add_at_2 * 10 + d_conv2_add_at_3] : 0.0f;
                value = d_conv2_add_or_fill;
            }
            d_conv2_add_tile[at / 64][at % 64] = value;
        }
        __syncthreads();
        for (int depth = 0; depth < 16; ++depth) {
            #pragma unroll
            for (int i = 0; i < 1; ++i) {
                #pragma unroll
                for (int j = 0; j < 4; ++j) {
                    sums[i][j] += conv2_weight_tile[depth][row_lane + 16 * i] * d_conv2_add_tile[depth][column_lane + 16 * j];
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
            if (row < 6 && column < 196 * B) {
                const int c = row;
                const int n = column / 196;
                const int h = column / 14 % 14;
                const int w = column % 14;
                const float d_max_pool_2 = sums[i][j];
                d_max_pool[n * 1176 + c * 196 + h * 14 + w] = d_max_pool_2;
            }
        }
    }
}

// max_pool_grad_2
//   from     examples/mnist/src/model.rs:30:31
//            examples/mnist/src/model.rs:30:38
//   launch   ceil(4704 * B / 256) blocks of 256 threads: one thread for each (n, c, h_q, h_r, w_r, w_q)
//   reads    24696 * B bytes
//   writes   18816 * B bytes
extern "C" __global__ void __launch_bounds__(256) max_pool_grad_2(
    const u8* __restrict__ cast_1,         // [B, 6, 14, 14]
    const float* __restrict__ d_max_pool,  // [B, 6, 14, 14]
    float* __restrict__ relu,              // [B, 6, 28, 28], in place
    const int B                            // at most 64
) {
    // This thread's (n, c, h_q, h_r, w_r, w_q).
    const int position = blockIdx.x * 256 + threadIdx.x;
    if (position >= 4704 * B) {
        return;
    }
    const int n = position / 4704;
    const int c = position / 784 % 6;
    const int h_q = position / 56 % 14;
    const int h_r = position / 28 % 2;
    const int w_r = position / 14 % 2;
    const int w_q = position % 14;

    // d_relu = sum over (kh, kw).
    float d_relu = 0.0f;
    #pragma unroll
    for (int kh = 0; kh < 2; ++kh) {
        #pragma unroll
        for (int kw = 0; kw < 2; ++kw) {
            const int d_max_pool_at_2 = h_q + (h_r - kh) / 2;
            const int d_max_pool_at_3 = w_q + (w_r - kw) / 2;
            const float d_max_pool_or_fill = (h_r - kh) % 2 == 0 && kiln_in_range(d_max_pool_at_2, 14) && (w_r - kw) % 2 == 0 && kiln_in_range(d_max_pool_at_3, 14) ? d_max_pool[n * 1176 + c * 196 + d_max_pool_at_2 * 14 + d_max_pool_at_3] : 0.0f;
            const int cast_1_at_2 = h_q + (h_r - kh) / 2;
            const int cast_1_at_3 = w_q + (w_r - kw) / 2;
            const u8 cast_1_or_fill = (h_r - kh) % 2 == 0 && kiln_in_range(cast_1_at_2, 14) && (w_r - kw) % 2 == 0 && kiln_in_range(cast_1_at_3, 14) ? cast_1[n * 1176 + c * 196 + cast_1_at_2 * 14 + cast_1_at_3] : (u8)0;
            d_relu += (i64)cast_1_or_fill == (i64)(kh * 2 + kw) ? d_max_pool_or_fill : 0.0f;
        }
    }

    // Epilogue.
    relu[n * 4704 + c * 784 + (h_q * 2 + h_r) * 28 + w_r + w_q * 2] = relu[n * 4704 + c * 784 + (h_q * 2 + h_r) * 28 + w_r + w_q * 2] > 0.0f ? d_relu : 0.0f;
}

// conv2_weight_grad_update_partial
//   from     frontend/src/optim/sgd.rs:68:29
//            examples/mnist/src/model.rs:31:22 in conv2
//            frontend/src/optim/sgd.rs:75:18
//            frontend/src/optim/sgd.rs:75:9
//   launch   3 * B blocks of 256 threads: one block for each 16 x 64 tile of (n) x (c, h, w)
//   reads    11104 * B bytes
//   writes   9600 * B bytes
extern "C" __global__ void __launch_bounds__(256) conv2_weight_grad_update_partial(
    const float* __restrict__ max_pool,          // [B, 6, 14, 14]
    const float* __restrict__ d_conv2_add,       // [B, 16, 10, 10]
    float* __restrict__ d_conv2_weight_partial,  // [B, 16, 6, 5, 5]
    const int B                                  // at most 64
) {
    // This block's tile of 16 rows (n) and 64 columns (c, h, w), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = 3;
    const int column_first = tile % column_tiles * 64;
    const int row_tiles = 1;
    const int row_first = tile / column_tiles % row_tiles * 16;
    const int outer = tile / (column_tiles * row_tiles);
    const int n_2 = outer;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float d_conv2_add_tile[16][16];  // [depth, row]
    __shared__ float max_pool_tile[16][64];  // [depth, column]
    float sums[1][4] = {};

    // d_conv2_weight = sum over (oh, ow), 16 at a time.
    for (int depth_first = 0; depth_first < 100; depth_first += 16) {
        for (int at = threadIdx.x; at < 256; at += 256) {
            const int row = row_first + at / 16;
            const int depth = depth_first + at % 16;
            float value = 0;
            if (row < 16 && depth < 100) {
                const int n = row;
                const int oh = depth / 10;
                const int ow = depth % 10;
                value = d_conv2_add[n_2 * 1600 + n * 100 + oh * 10 + ow];
            }
            d_conv2_add_tile[at % 16][at / 16] = value;
        }
        for (int at = threadIdx.x; at < 1024; at += 256) {
            const int column = column_first + at % 64;
            const int depth = depth_first + at / 64;
            float value = 0;
            if (column < 150 && depth < 100) {
                const int c = column / 25;
                const int h = column / 5 % 5;
                const int w = column % 5;
                const int oh = depth / 10;
                const int ow = depth % 10;
                value = max_pool[n_2 * 1176 + c * 196 + (h + oh) * 14 + w + ow];
            }
            max_pool_tile[at / 64][at % 64] = value;
        }
        __syncthreads();
        for (int depth = 0; depth < 16; ++depth) {
            #pragma unroll
            for (int i = 0; i < 1; ++i) {
                #pragma unroll
                for (int j = 0; j < 4; ++j) {
                    sums[i][j] += d_conv2_add_tile[depth][row_lane + 16 * i] * max_pool_tile[depth][column_lane + 16 * j];
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
            if (row < 16 && column < 150) {
                const int n = row;
                const int c = column / 25;
                const int h = column / 5 % 5;
                const int w = column % 5;
                const float d_conv2_weight = sums[i][j];
                d_conv2_weight_partial[n_2 * 2400 + n * 150 + c * 25 + h * 5 + w] = d_conv2_weight;
            }
        }
    }
}

// conv2_weight_grad_update
//   from     frontend/src/optim/sgd.rs:68:29
//            examples/mnist/src/model.rs:31:22 in conv2
//            frontend/src/optim/sgd.rs:75:18
//            frontend/src/optim/sgd.rs:75:9
//   launch   2400 blocks of 32 threads: one block for each (n_c_h_w)
//   reads    9600 * B + 19216 bytes
//   writes   19200 bytes
extern "C" __global__ void __launch_bounds__(32) conv2_weight_grad_update(
    const double* __restrict__ momentum,                         // []
    const double* __restrict__ lr,                               // []
    const float* __restrict__ d_conv2_weight_partial,            // [B, 2400]
    float* __restrict__ optimizer_conv2_weight_momentum_buffer,  // [2400], in place
    float* __restrict__ conv2_weight,                            // [2400], in place
    const int B                                                  // at most 64
) {
    // This block's (n_c_h_w).
    const int n_c_h_w = blockIdx.x;

    // d_conv2_weight = sum over (n_2), shared by the block's threads.
    float d_conv2_weight = 0.0f;
    for (int n_2 = threadIdx.x; n_2 < B; n_2 += 32) {
        d_conv2_weight += d_conv2_weight_partial[n_2 * 2400 + n_c_h_w];
    }
    d_conv2_weight = kiln_block_reduce<kiln_sum>(d_conv2_weight);

    // Epilogue.
    const float optimizer_conv2_weight_momentum_buffer_new_2 = optimizer_conv2_weight_momentum_buffer[n_c_h_w] * (float)momentum[0] + d_conv2_weight;
    __syncthreads();
    if (threadIdx.x == 0) {
        optimizer_conv2_weight_momentum_buffer[n_c_h_w] = optimizer_conv2_weight_momentum_buffer_new_2;
        conv2_weight[n_c_h_w] = conv2_weight[n_c_h_w] - (float)lr[0] * optimizer_conv2_weight_momentum_buffer_new_2;
    }
}

// conv1_bias_grad_update_partial
//   from     frontend/src/optim/sgd.rs:68:29
//            examples/mnist/src/model.rs:30:22 in conv1
//            frontend/src/optim/sgd.rs:75:18
//            frontend/src/optim/sgd.rs:75:9
//   launch   6 * B blocks of 128 threads: one block for each (n_i)
//   reads    18816 * B bytes
//   writes   24 * B bytes
extern "C" __global__ void __launch_bounds__(128) conv1_bias_grad_update_partial(
    const float* __restrict__ d_conv1_add,     // [6*B, 784]
    float* __restrict__ d_conv1_bias_partial,  // [6*B]
    const int B                                // at most 64
) {
    // This block's (n_i).
    const int n_i = blockIdx.x;

    // d_conv1_bias = sum over (h_w), shared by the block's threads.
    float d_conv1_bias = 0.0f;
    for (int h_w = threadIdx.x; h_w < 784; h_w += 128) {
        d_conv1_bias += d_conv1_add[n_i * 784 + h_w];
    }
    d_conv1_bias = kiln_block_reduce<kiln_sum>(d_conv1_bias);

    // Epilogue.
    if (threadIdx.x == 0) {
        d_conv1_bias_partial[n_i] = d_conv1_bias;
    }
}

// conv1_weight_grad_update_partial
//   from     frontend/src/optim/sgd.rs:68:29
//            examples/mnist/src/model.rs:30:22 in conv1
//            frontend/src/optim/sgd.rs:75:18
//            frontend/src/optim/sgd.rs:75:9
//   launch   B blocks of 256 threads: one block for each 16 x 32 tile of (n) x (h, w)
//   reads    21952 * B bytes
//   writes   600 * B bytes
extern "C" __global__ void __launch_bounds__(256) conv1_weight_grad_update_partial(
    const float* __restrict__ x,                 // [B, 1, 28, 28]
    const float* __restrict__ d_conv1_add,       // [B, 6, 28, 28]
    float* __restrict__ d_conv1_weight_partial,  // [B, 6, 5, 5]
    const int B                                  // at most 64
) {
    // This block's tile of 16 rows (n) and 32 columns (h, w), and this thread's place in it.
    const int tile = blockIdx.x;
    const int column_tiles = 1;
    const int column_first = tile % column_tiles * 32;
    const int row_tiles = 1;
    const int row_first = tile / column_tiles % row_tiles * 16;
    const int outer = tile / (column_tiles * row_tiles);
    const int n_2 = outer;
    const int row_lane = threadIdx.x / 16;
    const int column_lane = threadIdx.x % 16;
    __shared__ float d_conv1_add_tile[16][16];  // [depth, row]
    __shared__ float x_tile[16][32];  // [depth, column]
    float sums[1][2] = {};

    // d_conv1_weight = sum over (oh, ow), 16 at a time.
    for (int depth_first = 0; depth_first < 784; depth_first += 16) {
        for (int at = threadIdx.x; at < 256; at += 256) {
            const int row = row_first + at / 16;
            const int depth = depth_first + at % 16;
            float value = 0;
            if (row < 6 && depth < 784) {
                const int n = row;
                const int oh = depth / 28;
                const int ow = depth % 28;
                value = d_conv1_add[n_2 * 4704 + n * 784 + oh * 28 + ow];
            }
            d_conv1_add_tile[at % 16][at / 16] = value;
        }
        for (int at = threadIdx.x; at < 512; at += 256) {
            const int column = column_first + at % 32;
            const int depth = depth_first + at / 32;
            float value = 0;
            if (column < 25 && depth < 784) {
                const int h = column / 5;
                const int w = column % 5;
                const int oh = depth / 28;
                const int ow = depth % 28;
                const int x_at_2 = h + oh - 2;
                const int x_at_3 = w + ow - 2;
                const float x_or_fill = kiln_in_range(x_at_2, 28) && kiln_in_range(x_at_3, 28) ? x[n_2 * 784 + x_at_2 * 28 + x_at_3] : 0.0f;
                value = x_or_fill;
            }
            x_tile[at / 32][at % 32] = value;
        }
        __syncthreads();
        for (int depth = 0; depth < 16; ++depth) {
            #pragma unroll
            for (int i = 0; i < 1; ++i) {
                #pragma unroll
                for (int j = 0; j < 2; ++j) {
                    sums[i][j] += d_conv1_add_tile[depth][row_lane + 16 * i] * x_tile[depth][column_lane + 16 * j];
                }
            }
        }
        __syncthreads();
    }

    // Epilogue of each sum.
    #pragma unroll
    for (int i = 0; i < 1; ++i) {
        #pragma unroll
        for (int j = 0; j < 2; ++j) {
            const int row = row_first + row_lane + 16 * i;
            const int column = column_first + column_lane + 16 * j;
            if (row < 6 && column < 25) {
                const int n = row;
                const int h = column / 5;
                const int w = column % 5;
                const float d_conv1_weight = sums[i][j];
                d_conv1_weight_partial[n_2 * 150 + n * 25 + h * 5 + w] = d_conv1_weight;
            }
        }
    }
}

// conv1_weight_grad_update
//   from     frontend/src/optim/sgd.rs:68:29
//            examples/mnist/src/model.rs:30:22 in conv1
//            frontend/src/optim/sgd.rs:75:18
//            frontend/src/optim/sgd.rs:75:9
//   launch   150 blocks of 32 threads: one block for each (n, h_w)
//   reads    600 * B + 1216 bytes
//   writes   1200 bytes
extern "C" __global__ void __launch_bounds__(32) conv1_weight_grad_update(
    const double* __restrict__ momentum,                         // []
    const double* __restrict__ lr,                               // []
    const float* __restrict__ d_conv1_weight_partial,            // [B, 6, 25]
    float* __restrict__ optimizer_conv1_weight_momentum_buffer,  // [6, 1, 25], in place
    float* __restrict__ conv1_weight,                            // [6, 1, 25], in place
    const int B                                                  // at most 64
) {
    // This block's (n, h_w).
    const int n = blockIdx.x / 25;
    const int h_w = blockIdx.x % 25;

    // d_conv1_weight = sum over (n_2), shared by the block's threads.
    float d_conv1_weight = 0.0f;
    for (int n_2 = threadIdx.x; n_2 < B; n_2 += 32) {
        d_conv1_weight += d_conv1_weight_partial[n_2 * 150 + n * 25 + h_w];
    }
    d_conv1_weight = kiln_block_reduce<kiln_sum>(d_conv1_weight);

    // Epilogue.
    const float optimizer_conv1_weight_momentum_buffer_new_2 = optimizer_conv1_weight_momentum_buffer[n * 25 + h_w] * (float)momentum[0] + d_conv1_weight;
    __syncthreads();
    if (threadIdx.x == 0) {
        optimizer_conv1_weight_momentum_buffer[n * 25 + h_w] = optimizer_conv1_weight_momentum_buffer_new_2;
        conv1_weight[n * 25 + h_w] = conv1_weight[n * 25 + h_w] - (float)lr[0] * optimizer_conv1_weight_momentum_buffer_new_2;
    }
}

// conv1_bias_grad_update
//   from     frontend/src/optim/sgd.rs:68:29
//            examples/mnist/src/model.rs:30:22 in conv1
//            frontend/src/optim/sgd.rs:75:18
//            frontend/src/optim/sgd.rs:75:9
//   launch   6 blocks of 32 threads: one block for each (i)
//   reads    24 * B + 64 bytes
//   writes   48 bytes
extern "C" __global__ void __launch_bounds__(32) conv1_bias_grad_update(
    const double* __restrict__ momentum,                       // []
    const double* __restrict__ lr,                             // []
    const float* __restrict__ d_conv1_bias_partial,            // [B, 6]
    float* __restrict__ optimizer_conv1_bias_momentum_buffer,  // [6], in place
    float* __restrict__ conv1_bias,                            // [6], in place
    const int B                                                // at most 64
) {
    // This block's (i).
    const int i = blockIdx.x;

    // d_conv1_bias = sum over (n), shared by the block's threads.
    float d_conv1_bias = 0.0f;
    for (int n = threadIdx.x; n < B; n += 32) {
        d_conv1_bias += d_conv1_bias_partial[n * 6 + i];
    }
    d_conv1_bias = kiln_block_reduce<kiln_sum>(d_conv1_bias);

    // Epilogue.
    const float optimizer_conv1_bias_momentum_buffer_new_2 = optimizer_conv1_bias_momentum_buffer[i] * (float)momentum[0] + d_conv1_bias;
    __syncthreads();
    if (threadIdx.x == 0) {
        optimizer_conv1_bias_momentum_buffer[i] = optimizer_conv1_bias_momentum_buffer_new_2;
        conv1_bias[i] = conv1_bias[i] - (float)lr[0] * optimizer_conv1_bias_momentum_buffer_new_2;
    }
}
