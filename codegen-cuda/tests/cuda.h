// CUDA's built-in names as far as the kernels use them, so that a C++ compiler can check the syntax and the types of emitted text.
// Nothing here runs.
#include <cmath>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(threads)
#define __shared__ static

struct uint3 {
    unsigned x, y, z;
};
extern const uint3 threadIdx, blockIdx, blockDim, gridDim;

void __syncthreads();
float __int_as_float(int bits);
int __shfl_xor_sync(unsigned mask, int value, int lanes);
unsigned __shfl_xor_sync(unsigned mask, unsigned value, int lanes);
long long __shfl_xor_sync(unsigned mask, long long value, int lanes);
unsigned long long __shfl_xor_sync(unsigned mask, unsigned long long value, int lanes);
float __shfl_xor_sync(unsigned mask, float value, int lanes);
double __shfl_xor_sync(unsigned mask, double value, int lanes);
unsigned long long atomicCAS(unsigned long long* address, unsigned long long expected, unsigned long long value);
