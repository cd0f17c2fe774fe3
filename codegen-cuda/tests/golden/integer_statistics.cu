// integer_statistics
//   from     lenet.rs:38:17
//   launch   1 block of 256 threads: one block
//   reads    65 * B bytes
//   writes   5 * B + 8 bytes
extern "C" __global__ void __launch_bounds__(256) integer_statistics(
    const u8* __restrict__ pixels,  // [B, 64]
    const bool* __restrict__ mask,  // [B]
    double* __restrict__ mean,      // []
    bool* __restrict__ bright,      // [B]
    int* __restrict__ hash,         // [B]
    const int B                     // at most 64
) {
    // total = sum, least = min, any = max over (n, p), shared by the block's threads.
    i64 total = 0ll;
    u8 least = 255;
    bool any = false;
    for (int step = threadIdx.x; step < 64 * B; step += 256) {
        const int n = step / 64;
        const int p = step % 64;
        total = kiln_add(total, (i64)(mask[n] ? pixels[n * 64 + p] : (u8)0));
        least = kiln_min(least, pixels[n * 64 + p]);
        any = kiln_max(any, mask[n]);
    }
    total = kiln_block_reduce<kiln_sum>(total);
    least = kiln_block_reduce<kiln_minimum>(least);
    any = kiln_block_reduce<kiln_maximum>(any);

    // From the results so far.
    if (threadIdx.x == 0) {
        mean[0] = (double)total / (double)kiln_mul((i64)(64 * B), 1ll);
    }

    // Each (n_out), shared by the block's threads.
    for (int n_out = threadIdx.x; n_out < B; n_out += 256) {
        bright[n_out] = kiln_min(mask[n_out], any) && !(pixels[n_out * 64] <= least);
        hash[n_out] = kiln_pow(kiln_sub(0, (int)pixels[n_out * 64]), 3);
    }
}
