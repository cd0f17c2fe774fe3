//! Whole train steps: the program computes what the graph does, in as few kernels as it should.

mod networks;
mod support;

use kiln_ir::program::Class;
use kiln_ir::{Kernel, Program};
use networks::{batch_norm_step, full_lenet_step, layer_norm_step, lenet_predict, lenet_step, mlp_step, softmax_step};
use support::program::{check, check_program, launches};

fn kernel<'p>(program: &'p Program, name: &str) -> &'p Kernel {
    program.kernels.iter().find(|kernel| kernel.name == name).unwrap_or_else(|| panic!("no `{name}` in\n{program}"))
}

#[test]
fn mlp_trains() {
    let program = check(&mlp_step());
    let expected = [
        "fc1_bias_relu",
        "fc2_bias",
        "loss_softmax",
        "loss_sum",
        "fc2_bias_grad_update",
        "fc2_input_grad",
        "fc2_weight_grad_update",
        "fc1_bias_grad_update",
        "fc1_weight_grad_update",
    ];
    assert_eq!(launches(&program), expected, "{program}");
}

#[test]
fn softmax_forward_and_backward_are_one_kernel() {
    let program = check(&softmax_step());
    assert_eq!(launches(&program), ["loss_softmax", "loss_sum"], "{program}");
}

#[test]
fn lenet_trains() {
    let program = check(&lenet_step(3));
    assert_eq!(launches(&program).len(), 25, "{program}");
}

#[test]
fn lenet_is_scheduled() {
    let program = kiln_passes::program::run("lenet", vec![("train_step".to_owned(), full_lenet_step(64))]);
    // Four kernels more than groups: weight and bias gradients of the convolutions have partial results.
    assert_eq!(program.entries[0].steps.len(), 29, "{program}");
    let schedules = [
        ("conv1_bias_relu", "thread(n) grain(13) contract(m: oc; n: oh:14 ow; k: kh kw; pack b; a 1) vector(ow:4)"),
        ("conv2_input_grad", "thread(n) grain(3) contract(m: c; n: h:7 w; k: oc:8 kh kw; pack b; a 1) vector(w:4)"),
        (
            "conv2_weight_grad_update_partial",
            "thread(n) grain(6) contract(m: oc; n: c kh kw; k: oh ow; pack b; a 1) vector(kw:4)",
        ),
        ("fc1_bias_relu", "thread(o_block) grain(2) contract(m: b:64; n: o; k: i:200; pack b) vector(o:4)"),
        ("fc1_input_grad", "thread(b) grain(42) contract(m: b:64; n: i:224; k: o) vector(i:4)"),
        ("fc1_weight_grad_update", "thread(o) grain(70) contract(m: o; n: i; k: b:64) vector(i:4)"),
        ("fc1_bias_grad_update", "grain(1) vector(i:4)"),
        ("pool_grad", "thread(n) grain(2) vector(w_q:4) unroll(h_r w_r kh kw)"),
    ];
    for (name, schedule) in schedules {
        let text = kernel(&program, name).to_string();
        let found = text.lines().last().unwrap().trim();
        assert_eq!(found, format!("schedule {schedule}"), "{name}");
    }
}

#[test]
fn a_pool_gradient_overwrites_the_activation_it_masks() {
    let program = check(&lenet_step(3));
    let gradient = kernel(&program, "pool_grad");
    assert_eq!(gradient.tensors.last().unwrap().name, "relu_1", "{gradient}");
    assert_eq!(gradient.tensors.last().unwrap().access, kiln_ir::kernel::Access::Update, "{gradient}");
}

#[test]
fn batch_norm_keeps_one_activation() {
    let program = check(&batch_norm_step());
    assert_eq!(launches(&program).len(), 9, "{program}");
    // The convolution's result and what follows the normalisation; the normalised value is computed again.
    let forward = kernel(&program, "bn_sum_sqrt_relu_update");
    let large = forward.tensors.iter().filter(|tensor| tensor.ty.rank() == 4).count();
    assert_eq!(large, 2, "{forward}");
}

#[test]
fn layer_norm_trains() {
    let program = check(&layer_norm_step());
    assert_eq!(launches(&program).len(), 12, "{program}");
    // Only what the next layer reads is stored for every element.
    let forward = kernel(&program, "ln_sum_sqrt");
    let large = forward.tensors.iter().filter(|tensor| tensor.ty.shape.0.len() == 2 && tensor.ty.dim(1).factor > 1);
    assert_eq!(large.count(), 2, "{forward}");
}

#[test]
fn entries_share_parameters_and_kernels() {
    let (train, predict) = (lenet_step(3), lenet_predict(3));
    let entries = vec![("train_step".to_owned(), train.clone()), ("predict".to_owned(), predict.clone())];
    let program = kiln_passes::program::run("lenet", entries);
    check_program(&train, "train_step", &program);
    check_program(&predict, "predict", &program);
    let parameters = program.buffers.iter().filter(|buffer| buffer.class == Class::Parameter).count();
    assert_eq!(parameters, 10, "{program}");
    let shared = program.entries[1]
        .steps
        .iter()
        .filter(|step| program.entries[0].steps.iter().any(|other| other.kernel == step.kernel));
    assert!(shared.count() >= 4, "{program}");
}

#[test]
fn a_deep_network_compiles_in_time() {
    // No clock here: passes that are quadratic in the number of values would show as a hanging test.
    let program = kiln_passes::program::run("deep", vec![("train_step".to_owned(), networks::deep_step(50))]);
    assert!(program.entries[0].steps.len() < 50 * 12, "{}", program.entries[0].steps.len());
}
