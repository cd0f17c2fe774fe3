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
