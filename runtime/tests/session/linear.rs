//! A program of hand-written kernels: a linear regression y = scale * x · w with an embedded scale, its loss, and one step
//! of gradient descent; and a check of labels.

use std::borrow::Cow::Borrowed;

use kiln_runtime::abi::*;
use kiln_runtime::brgemm::BrgemmArgs;

pub const FEATURES: u64 = 5;
pub const MAX_BATCH: u64 = 64;
const CLASSES: i64 = 10;

// Arena offsets.
const W: u64 = 0; // [features]
const X: u64 = 64; // [batch, features]
const TARGET: u64 = X + MAX_BATCH * FEATURES * 4; // [batch]
const ERROR: u64 = TARGET + MAX_BATCH * 4; // [batch], the output "error"
const LOSS: u64 = ERROR + MAX_BATCH * 4; // []
const LR: u64 = LOSS + 8;
const LR_1: u64 = LR + 4;
const SCALE: u64 = LR_1 + 4; // [1], a constant
const RANDOM: u64 = SCALE + 64; // slots with random values
pub const LABELS: u64 = RANDOM + 4096; // [batch] of i64
pub const ARENA: u64 = LABELS + MAX_BATCH * 8;

/// Safety: buffer `index` holds `len` elements of type `T`.
unsafe fn slice<'a, T>(buffers: *const *mut u8, index: usize, len: u64) -> &'a mut [T] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut((*buffers.add(index)).cast(), len as usize) }
}

/// error[i] = scale * (x[i] · w) - target[i]
unsafe extern "C" fn forward(cx: *const KernelContext, buffers: *const *mut u8, begin: u64, end: u64) {
    // SAFETY: called by the session with the buffers of the step below.
    unsafe {
        let batch = (*cx).batch;
        let x = slice::<f32>(buffers, 0, batch * FEATURES);
        let w = slice::<f32>(buffers, 1, FEATURES);
        let target = slice::<f32>(buffers, 2, batch);
        let scale = slice::<f32>(buffers, 3, 1)[0];
        let error = (*buffers.add(4)).cast::<f32>();
        // Scratch memory belongs to this thread; leave something for others to trip over.
        let scratch = (*cx).scratch.cast::<f32>();
        assert_eq!(scratch as usize % 64, 0);
        for i in begin..end {
            let args = BrgemmArgs {
                m: 1,
                n: 1,
                k: FEATURES,
                count: 1,
                a: x[(i * FEATURES) as usize..].as_ptr(),
                a_m_stride: 0,
                a_k_stride: 1,
                a_batch_stride: 0,
                b: w.as_ptr(),
                b_k_stride: 1,
                b_batch_stride: 0,
                a_panel_stride: 0,
                b_panel_stride: 32,
                c: scratch,
                c_m_stride: 1,
                accumulate: 0,
            };
            ((*cx).brgemm_f32)(&args);
            *error.add(i as usize) = scale * *scratch - target[i as usize];
        }
    }
}

/// loss = mean of error^2: one item, so one thread sums in one order.
unsafe extern "C" fn mean_square(cx: *const KernelContext, buffers: *const *mut u8, _: u64, _: u64) {
    // SAFETY: called by the session with the buffers of the step below.
    unsafe {
        let batch = (*cx).batch;
        let sum: f32 =
            slice::<f32>(buffers, 0, batch).iter().map(|&error| ((*cx).pow_f64)(error.into(), 2.0) as f32).sum();
        slice::<f32>(buffers, 1, 1)[0] = sum / batch as f32;
    }
}

/// w[j] -= lr * mean over i of 2 error[i] x[i, j]
unsafe extern "C" fn update(cx: *const KernelContext, buffers: *const *mut u8, begin: u64, end: u64) {
    // SAFETY: called by the session with the buffers of the step below.
    unsafe {
        let batch = (*cx).batch;
        let x = slice::<f32>(buffers, 0, batch * FEATURES);
        let error = slice::<f32>(buffers, 1, batch);
        let lr = slice::<f32>(buffers, 2, 1)[0];
        let w = (*buffers.add(3)).cast::<f32>();
        for j in begin..end {
            let gradient: f32 = (0..batch).map(|i| 2.0 * error[i as usize] * x[(i * FEATURES + j) as usize]).sum();
            *w.add(j as usize) -= lr * gradient / batch as f32;
        }
    }
}

/// Checks that each label is a class.
unsafe extern "C" fn check_labels(cx: *const KernelContext, buffers: *const *mut u8, begin: u64, end: u64) {
    // SAFETY: called by the session with the buffers of the step below.
    unsafe {
        let labels = slice::<i64>(buffers, 0, (*cx).batch);
        for i in begin..end {
            let label = labels[i as usize];
            if !(0..CLASSES).contains(&label) {
                ((*cx).report_fault)((*cx).fault, FAULT_INDEX, i, label, CLASSES);
            }
        }
    }
}

const fn slot(name: &'static str, kind: SlotKind, shape: &'static [Extent], offset: u64, init: Init) -> Slot {
    slot_of(ElementType::F32, name, kind, shape, offset, init)
}

const fn slot_of(
    element: ElementType,
    name: &'static str,
    kind: SlotKind,
    shape: &'static [Extent],
    offset: u64,
    init: Init,
) -> Slot {
    Slot { name: Borrowed(name), kind, element, shape: Borrowed(shape), offset, init }
}

const fn step(name: &'static str, kernel: KernelFn, buffers: &'static [u64], items: Extent, grain: u64) -> Step {
    Step {
        name: Borrowed(name),
        kernel,
        buffers: Borrowed(buffers),
        items,
        grain,
        scratch_bytes: 16,
        place: Borrowed("linear.rs:7:9"),
        watch: None,
        checks: Borrowed(&[]),
    }
}

const FORWARD: Step = step("forward", forward, &[X, W, TARGET, SCALE, ERROR], Extent::batch(1), 3);
const MEAN_SQUARE: Step = step("mean_square", mean_square, &[ERROR, LOSS], Extent::fixed(1), 1);
const UPDATE: Step = step("update", update, &[X, ERROR, LR, W], Extent::fixed(FEATURES), 2);
const CHECK_LABELS: Step = step("check_labels", check_labels, &[LABELS], Extent::batch(1), 4);

/// As generated code writes it: everything borrowed and constant.
pub static PROGRAM: Program = Program {
    name: Borrowed("linear"),
    max_batch: MAX_BATCH,
    arena_bytes: ARENA,
    memory: Borrowed(&[MemoryClass { name: Borrowed("parameters"), size_bytes: 20 }]),
    slots: Borrowed(&[
        slot("w", SlotKind::Parameter, &[Extent::fixed(FEATURES)], W, Init::Constant(0.5)),
        slot("x", SlotKind::Input, &[Extent::batch(1), Extent::fixed(FEATURES)], X, Init::Zeros),
        slot("target", SlotKind::Input, &[Extent::batch(1)], TARGET, Init::Zeros),
        slot("error", SlotKind::Output, &[Extent::batch(1)], ERROR, Init::Zeros),
        slot("loss", SlotKind::Output, &[], LOSS, Init::Zeros),
        slot("lr.0", SlotKind::Scalar, &[], LR, Init::Constant(0.1)),
        slot("lr.1", SlotKind::Scalar, &[], LR_1, Init::Constant(0.2)),
        slot("uniform", SlotKind::Parameter, &[Extent::fixed(100)], RANDOM, Init::Uniform { low: -2.0, high: 3.0 }),
        slot("normal", SlotKind::Buffer, &[Extent::fixed(100)], RANDOM + 400, Init::Normal { mean: 5.0, std: 2.0 }),
        slot(
            "truncated",
            SlotKind::OptimizerState,
            &[Extent::fixed(10), Extent::fixed(10)],
            RANDOM + 800,
            Init::TruncatedNormal { mean: 0.0, std: 1.0, low: -0.5, high: 1.0 },
        ),
        slot("data", SlotKind::Buffer, &[Extent::fixed(2)], RANDOM + 1200, Init::Data(1)),
        slot_of(ElementType::I64, "key", SlotKind::Buffer, &[Extent::fixed(1)], RANDOM + 1208, Init::Seed),
        slot_of(ElementType::I64, "labels", SlotKind::Input, &[Extent::batch(1)], LABELS, Init::Zeros),
    ]),
    constants: Borrowed(&[
        Constant { offset: SCALE, bytes: Borrowed(&2f32.to_ne_bytes()) },
        Constant { offset: RANDOM + 1200, bytes: Borrowed(&[1, 2, 3, 4, 5, 6, 7, 8]) },
    ]),
    entries: Borrowed(&[
        Entry {
            name: Borrowed("train_step"),
            inputs: Borrowed(&[1, 2]),
            outputs: Borrowed(&[4]),
            steps: Borrowed(&[FORWARD, MEAN_SQUARE, UPDATE]),
        },
        Entry {
            name: Borrowed("eval_loss"),
            inputs: Borrowed(&[1, 2]),
            outputs: Borrowed(&[4]),
            steps: Borrowed(&[FORWARD, MEAN_SQUARE]),
        },
        Entry {
            name: Borrowed("predict"),
            inputs: Borrowed(&[1, 2]),
            outputs: Borrowed(&[3]),
            steps: Borrowed(&[FORWARD]),
        },
        Entry {
            name: Borrowed("check"),
            inputs: Borrowed(&[12]),
            outputs: Borrowed(&[]),
            steps: Borrowed(&[CHECK_LABELS, MEAN_SQUARE]),
        },
    ]),
    required_features: Borrowed(&[]),
    code: None,
};
