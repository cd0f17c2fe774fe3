// layer1.0.float
//   from     lenet.rs:42:17
//   launch   1 block of 256 threads: one thread for each (position, exp_)
//   reads    100 bytes
//   writes   80 bytes
extern "C" __global__ void __launch_bounds__(256) layer1_0_float(
    const float* __restrict__ v_0_weight,  // [4, 5]
    const float* __restrict__ B_,          // [5]
    float* __restrict__ float_             // [4, 5]
) {
    // This thread's (position, exp_).
    const int position_2 = blockIdx.x * 256 + threadIdx.x;
    if (position_2 >= 20) {
        return;
    }
    const int position = position_2 / 5;
    const int exp_ = position_2 % 5;

    // The value.
    const float v_0_weight_2 = v_0_weight[position * 5 + exp_] + B_[exp_];
    float_[position * 5 + exp_] = expf(v_0_weight_2);
}
