// one_hot
//   from     lenet.rs:34:17
//   launch   ceil(10 * B / 256) blocks of 256 threads: one thread for each (n, class_)
//   reads    8 * B bytes
//   writes   40 * B bytes
extern "C" __global__ void __launch_bounds__(256) one_hot(
    const i64* __restrict__ label,  // [B]
    float* __restrict__ y,          // [B, 10]
    const int B,                    // at most 64
    kiln_fault* fault
) {
    // This thread's (n, class_).
    const int position = blockIdx.x * 256 + threadIdx.x;
    if (position >= 10 * B) {
        return;
    }
    const int n = position / 10;
    const int class_ = position % 10;

    // The value.
    y[n * 10 + class_] = (float)((i64)class_ == kiln_check(label[n], 10, 0, n, fault));
}
