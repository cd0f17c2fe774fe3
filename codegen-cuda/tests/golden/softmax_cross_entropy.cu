// softmax_cross_entropy
//   from     lenet.rs:30:17
//   launch   ceil(B / 256) blocks of 256 threads: one thread for each (n)
//   reads    48 * B bytes
//   writes   44 * B bytes
extern "C" __global__ void __launch_bounds__(256) softmax_cross_entropy(
    const float* __restrict__ logits,  // [B, 10]
    const i64* __restrict__ label,     // [B]
    float* __restrict__ loss,          // [B]
    float* __restrict__ d_logits,      // [B, 10]
    const int B,                       // at most 64
    kiln_fault* fault
) {
    // This thread's (n).
    const int n = blockIdx.x * 256 + threadIdx.x;
    if (n >= B) {
        return;
    }

    // Prologue.
    const i64 target = kiln_check(label[n], 10, 0, n, fault);

    // top = max over (c).
    float top = -INFINITY;
    for (int c = 0; c < 10; ++c) {
        top = kiln_max(top, logits[n * 10 + c]);
    }

    // total = sum over (c_sum).
    float total = 0.0f;
    for (int c_sum = 0; c_sum < 10; ++c_sum) {
        total += expf(logits[n * 10 + c_sum] - top);
    }

    // From the results so far.
    loss[n] = logf(total) + top - logits[n * 10 + (int)target];

    // Each (c_grad).
    for (int c_grad = 0; c_grad < 10; ++c_grad) {
        const float p = expf(logits[n * 10 + c_grad] - top) / total;
        d_logits[n * 10 + c_grad] = (p - (float)((i64)c_grad == target)) / (float)(i64)B;
    }
}
