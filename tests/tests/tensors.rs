//! What the rows of the mission's table ask of tensors beyond what operator cases show: literals, queries, factories, views and assignments.

#[path = "examples/support.rs"]
mod support;

use kiln::functional::{arange, empty, eye, ones, tensor, zeros};
use kiln::prelude::*;
use kiln::{Code, Compiler, Function, at};

use self::support::{assert_elements, counting, f32s, run, run_one, run_with_gradients};

/// TEN-01: as many axes as brackets.
#[test]
fn literals_have_the_rank_of_their_brackets() {
    run(&[], |_| {
        let (number, vector, matrix) =
            (tensor(2.5), tensor([2.5]), tensor([[1, 2, 3], [4, 5, 6]].map(|row| row.map(i64::from))));
        assert_eq!([number.rank(), vector.rank(), matrix.rank()], [0, 1, 2]);
        assert_eq!((number.dtype(), matrix.dtype(), tensor([true]).dtype()), (DType::F32, DType::I64, DType::Bool));
        vec![matrix]
    });
}

/// TEN-07, TEN-08.
#[test]
fn factories() {
    let results = run(&[], |_| {
        vec![zeros([2], DType::F64), ones([2], DType::I64), eye(2, 3, DType::F32), empty([1], DType::F32)]
    });
    assert_eq!((results[0].dtype, results[1].dtype), (DType::F64, DType::I64));
    assert_elements(&results[0], &[2], &[0., 0.]);
    assert_elements(&results[1], &[2], &[1., 1.]);
    assert_elements(&results[2], &[2, 3], &[1., 0., 0., 0., 1., 0.]);
    assert_elements(&results[3], &[1], &[0.]);
}

/// TEN-09, TEN-13: shape and dtype are those of a tensor, or its dtype alone.
#[test]
fn factories_after_a_tensor() {
    let x = support::tensor(DType::F64, &[2, 3], (0..6).map(f64::from));
    run(&[("x", x)], |given| {
        let x = given["x"];
        let alike = [x.zeros_like(), x.ones_like(), x.full_like(7), x.rand_like(), x.randn_like(), x.empty_like()];
        assert!(alike.iter().all(|one| one.ty() == x.ty()));
        let new = [x.new_zeros([4]), x.new_ones([4]), x.new_empty([4]), x.new_full([4], 7)];
        assert!(new.iter().all(|one| one.dtype() == DType::F64 && one.numel() == Dim::fixed(4)));
        vec![alike[0]]
    });
}

/// TEN-10, TEN-17, TEN-18: towards zero to an integer, to 0 and 1 from a truth value; a mask of bytes is a mask.
#[test]
fn casts() {
    let results = run(&[("x", f32s(&[3], [-1.5, 0., 2.5]))], |given| {
        let x = given["x"];
        let bytes = x.gt(0).to(DType::U8);
        assert_eq!((x.to(DType::I32).dtype(), arange(0, 9, 1).dtype()), (DType::I32, DType::I64));
        vec![x.to(DType::I32), x.gt(0).to(DType::F32), x.masked_fill(bytes.to_bool(), f64::NEG_INFINITY)]
    });
    assert_elements(&results[0], &[3], &[-1., 0., 2.]);
    assert_elements(&results[1], &[3], &[0., 0., 1.]);
    assert_elements(&results[2], &[3], &[-1.5, 0., f64::NEG_INFINITY]);
}

/// SH-03, SH-14: shapes are known when the model is traced, and the batch axis is never taken for one of extent 1.
#[test]
fn shapes_are_known() {
    let signature =
        Function::new("shapes").input("x", DType::F32, [BATCH, Dim::fixed(1), Dim::fixed(8), Dim::fixed(4)]);
    let traced = signature.trace(|given| {
        let x = given["x"];
        let [batch, channels, height, width] = x.shape().0[..] else { panic!("{} has four axes", x.ty()) };
        assert_eq!([batch, channels, height, width], [BATCH, Dim::ONE, Dim::fixed(8), Dim::fixed(4)]);
        assert_eq!((x.size(-1), x.dim(), x.ndim()), (Dim::fixed(4), 4, 4));
        assert_eq!(x.squeeze_all().shape().0, [batch, height, width]);
        assert_eq!(x.squeeze(1).shape().0, [batch, height, width]);
        assert_eq!(x.rearrange("b c h w -> b (w h c)", &[]).shape().0, [batch, Dim::fixed(32)]);
        vec![x]
    });
    assert!(traced.is_ok());
}

/// IX-05: positions in a list change places, and their gradients with them.
#[test]
fn a_list_of_positions_is_differentiable() {
    let (results, gradients) = run_with_gradients(&[("x", counting(&[2, 2]))], &["x"], |given| {
        vec![given["x"].at(at![.., vec![1, 0]]) * tensor([1., 10.])]
    });
    assert_elements(&results[0], &[2, 2], &[1., 0., 3., 20.]);
    assert_elements(&gradients[0], &[2, 2], &[10., 1., 10., 1.]);
}

/// IX-08: `a[1:3, 0:2]` is not `a[1:3][0:2]`.
#[test]
fn two_ranges_are_not_one_range_of_another() {
    let results = run(&[("a", counting(&[4, 4]))], |given| {
        let a = given["a"];
        vec![a.at(at![1..3, 0..2]), a.at(at![1..3]).at(at![0..2]), a.at(at![0, 0]), a.at(at![0]).at(at![0])]
    });
    assert_elements(&results[0], &[2, 2], &[4., 5., 8., 9.]);
    assert_eq!(results[1].shape, [2, 4]);
    assert_eq!(results[2], results[3]);
}

/// IX-09: an assignment to each row in a loop has the gradient of the whole.
#[test]
fn a_loop_of_assignments_has_the_gradient_of_the_whole() {
    let (results, gradients) = run_with_gradients(&[("x", counting(&[3, 2]))], &["x"], |given| {
        let mut feature = given["x"];
        for row in 0..3 {
            feature = feature.put_at(at![row], feature.at(at![row]) * (row + 1));
        }
        vec![feature]
    });
    assert_elements(&results[0], &[3, 2], &[0., 1., 4., 6., 12., 15.]);
    assert_elements(&gradients[0], &[3, 2], &[1., 1., 2., 2., 3., 3.]);
}

/// DM-13: a transposed tensor is read where it is; no kernel copies it.
#[test]
fn transposed_tensors_are_not_copied() {
    let signature = Function::new("views").input("x", DType::F32, [8, 4, 6]);
    let kernels = |function: fn(Tensor) -> Tensor| {
        let traced = signature.trace(|given| vec![function(given["x"])]).expect("it is sound");
        Compiler::new().compile_traced(traced).expect("it compiles").program.kernels.len()
    };
    assert_eq!(kernels(|x| x.exp()), 1);
    assert_eq!(kernels(|x| x.transpose(0, 2).exp()), 1);
    assert_eq!(kernels(|x| x.permute(&[1, 2, 0]).unsqueeze(1).exp().squeeze(1).sum(&[0], false)), 1);
}

/// DM-03: a gradient that is asked of integers is a mistake.
#[test]
fn integers_have_no_gradient() {
    for dtype in [DType::Bool, DType::U8, DType::I32, DType::I64] {
        let signature = Function::new("whole").input("x", dtype, [2]).gradient_of("x");
        let mistakes = signature.trace(|given| vec![given["x"].to(DType::F32)]).expect_err("it has no gradient");
        assert_eq!(mistakes[0].code, Code::NotDifferentiable);
    }
}

/// MA-19: a polynomial of numbers and a tensor; its gradient at 2 is `2 + 2·2`.
#[test]
fn numbers_stand_beside_tensors() {
    let (results, gradients) = run_with_gradients(&[("x", f32s(&[], [2.]))], &["x"], |given| {
        let x = given["x"];
        vec![x * 2 + x.pow(2) + 3]
    });
    assert_elements(&results[0], &[], &[11.]);
    assert_elements(&gradients[0], &[], &[6.]);
}

/// SE-07: what is masked away has a share of exactly 0.
#[test]
fn softmax_of_minus_infinity_is_zero() {
    let result = run_one(&[("x", counting(&[1, 3]))], |given| {
        given["x"].masked_fill(tensor([false, true, false]), f64::NEG_INFINITY).softmax(-1)
    });
    assert_eq!(result.data[1], 0.0);
    assert!((result.data.iter().sum::<f64>() - 1.0).abs() < 1e-6);
}
