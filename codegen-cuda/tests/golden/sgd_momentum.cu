// sgd_momentum
//   from     lenet.rs:40:17
//   launch   10 blocks of 256 threads: one thread for each (oc, c, kh, kw)
//   reads    28804 bytes
//   writes   19200 bytes
extern "C" __global__ void __launch_bounds__(256) sgd_momentum(
    const float* __restrict__ d_w,              // [16, 6, 5, 5]
    const float* __restrict__ learning_rate,    // []
    float* __restrict__ conv2_weight,           // [16, 6, 5, 5], in place
    float* __restrict__ conv2_weight_momentum   // [16, 6, 5, 5], in place
) {
    // This thread's (oc, c, kh, kw).
    const int position = blockIdx.x * 256 + threadIdx.x;
    if (position >= 2400) {
        return;
    }
    const int oc = position / 150;
    const int c = position / 25 % 6;
    const int kh = position / 5 % 5;
    const int kw = position % 5;

    // The value.
    const float speed = 0.9f * conv2_weight_momentum[oc * 150 + c * 25 + kh * 5 + kw] + d_w[oc * 150 + c * 25 + kh * 5 + kw];
    conv2_weight_momentum[oc * 150 + c * 25 + kh * 5 + kw] = speed;
    conv2_weight[oc * 150 + c * 25 + kh * 5 + kw] = conv2_weight[oc * 150 + c * 25 + kh * 5 + kw] - learning_rate[0] * speed;
}
