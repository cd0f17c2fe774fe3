//! Every node of an expression, against numbers worked out by hand.

use kiln_ir::interpret::{InterpretError, Named, Precision, Scalar, Scope, Value};
use kiln_ir::{Atom, AxisId, Binary, Comparison, DType, Dim, Expr, Index, Load, LocalId, Number, TensorId, Unary};

const F32: DType = DType::F32;
const F64: DType = DType::F64;
const NAN: f64 = f64::NAN;
const INFINITY: f64 = f64::INFINITY;

/// Axes 0 and 1 stand at 2 and -1 (axis 2 is not running), local 0 is 1.5 (local 1 is not bound), the batch size is 7. Tensor 0 is `x`,
/// f32[2,3] = [[10, 11, 12], [20, 21, 22]]; tensor 1 is `labels`, i64[2] = [1, 5].
fn evaluate_as(expr: &Expr, precision: Precision) -> Result<Scalar, InterpretError> {
    let x = Value::new(F32, vec![2, 3], vec![10.0, 11.0, 12.0, 20.0, 21.0, 22.0]).unwrap();
    let labels = Value::new(DType::I64, vec![2], vec![1.0, 5.0]).unwrap();
    let operands = [("x", &x), ("labels", &labels)];
    let scope = Scope {
        batch: 7,
        precision,
        axes: &[Some(2), Some(-1), None],
        locals: &[Some(Scalar::Float(1.5, F64)), None],
        operands: &Named(&operands),
    };
    scope.evaluate(expr)
}

fn evaluate(expr: Expr) -> Result<Scalar, InterpretError> {
    evaluate_as(&expr, Precision::Exact)
}

/// The value, which has to have this dtype.
fn number(expr: Expr, dtype: DType) -> f64 {
    let value = evaluate(expr).unwrap();
    assert_eq!(value.dtype(), dtype);
    value.to_f64()
}

fn error(expr: Expr) -> InterpretError {
    evaluate(expr).unwrap_err()
}

fn f64s(a: f64, b: f64) -> (Expr, Expr) {
    (Expr::number(a, F64), Expr::number(b, F64))
}

fn binary(op: Binary, a: f64, b: f64, dtype: DType) -> f64 {
    number(Expr::binary(op, Expr::number(a, dtype), Expr::number(b, dtype)), dtype)
}

fn axis(number: u32) -> Index {
    Index::axis(AxisId(number))
}

fn load(tensor: u32, index: Vec<Index>, fill: Option<f64>) -> Expr {
    Expr::Load(Load { tensor: TensorId(tensor), index, fill: fill.map(Number::new) })
}

#[test]
fn leaves() {
    assert_eq!(number(Expr::number(2.5, F32), F32), 2.5);
    assert_eq!(number(Expr::number(-3.0, DType::I32), DType::I32), -3.0);
    assert_eq!(number(Expr::Extent(Dim { factor: 3, batch: true }), DType::I64), 21.0);
    assert_eq!(number(Expr::Extent(Dim::fixed(4)), DType::I64), 4.0);
    assert_eq!(number(Expr::Local(LocalId(0)), F64), 1.5);
    assert_eq!(error(Expr::Local(LocalId(1))), InterpretError::UnboundLocal(1));
    assert_eq!(error(Expr::axis(2)), InterpretError::UnboundAxis(2));
}

#[test]
fn indices_divide_towards_minus_infinity() {
    let value = |index: Index| number(Expr::Index(index), DType::I64);
    assert_eq!(value(axis(0).times(3).plus(&axis(1)).shifted(10)), 15.0);
    assert_eq!(value(Index::atom(Atom::Div(Box::new(axis(1)), 4))), -1.0);
    assert_eq!(value(Index::atom(Atom::Mod(Box::new(axis(1)), 4))), 3.0);
    assert_eq!(value(Index::atom(Atom::ExactDiv(Box::new(axis(0).shifted(-8)), 3))), -2.0);
    assert_eq!(value(Index::atom(Atom::Value(Box::new(load(1, vec![Index::constant(1)], None)))).times(2)), 10.0);
    let inexact = Index::atom(Atom::ExactDiv(Box::new(axis(0)), 3));
    assert_eq!(error(Expr::Index(inexact)), InterpretError::InexactDivision);
    let float = Index::atom(Atom::Value(Box::new(Expr::number(1.0, F32))));
    assert!(matches!(error(Expr::Index(float)), InterpretError::WrongDType { node: "index", .. }));
}

#[test]
fn loads() {
    let at = |row: i64, column: i64| vec![Index::constant(row), Index::constant(column)];
    assert_eq!(number(load(0, at(1, 2), None), F32), 22.0);
    assert_eq!(number(load(0, vec![Index::constant(0), axis(0)], None), F32), 12.0);
    // Outside, on either side of any axis, is the fill value; and an error without one.
    for (row, column) in [(2, 0), (-1, 0), (0, 3), (0, -1)] {
        assert_eq!(number(load(0, at(row, column), Some(0.5)), F32), 0.5);
        let expected =
            InterpretError::OutOfBounds { tensor: "x".to_owned(), index: vec![row, column], shape: vec![2, 3] };
        assert_eq!(error(load(0, at(row, column), None)), expected);
    }
    let inexact = vec![Index::constant(0), Index::atom(Atom::ExactDiv(Box::new(axis(0)), 3))];
    assert_eq!(number(load(0, inexact.clone(), Some(-1.0)), F32), -1.0);
    assert_eq!(error(load(0, inexact, None)), InterpretError::InexactDivision);
    // A gather: x[0, labels[0]], and labels[1] = 5 is outside.
    let gathered = |n: i64, fill| {
        let label = Index::atom(Atom::Value(Box::new(load(1, vec![Index::constant(n)], None))));
        load(0, vec![Index::constant(0), label], fill)
    };
    assert_eq!(number(gathered(0, None), F32), 11.0);
    assert_eq!(number(gathered(1, Some(0.0)), F32), 0.0);
    assert!(matches!(error(gathered(1, None)), InterpretError::OutOfBounds { .. }));
    assert_eq!(error(load(2, vec![], None)), InterpretError::UnknownTensor(2));
    assert!(matches!(error(load(0, vec![axis(0)], None)), InterpretError::WrongCount { .. }));
}

#[test]
fn functions_of_one_float() {
    let cases = [
        (Unary::Neg, 2.0, -2.0),
        (Unary::Abs, -2.0, 2.0),
        (Unary::Exp, 0.5, 1.6487212707001282),
        (Unary::Log, 3.0, 1.0986122886681098),
        (Unary::Sqrt, 3.0, 1.7320508075688772),
        (Unary::Tanh, 0.5, 0.46211715726000973),
        (Unary::Erf, 1.0, 0.8427007929497149),
        (Unary::Sin, 1.0, 0.8414709848078965),
        (Unary::Cos, 1.0, 0.5403023058681398),
        (Unary::Floor, -1.5, -2.0),
    ];
    for (op, x, y) in cases {
        let got = number(Expr::unary(op, Expr::number(x, F64)), F64);
        assert!((got - y).abs() <= 4e-16 * y.abs(), "{}({x}) is {y}, got {got}", op.name());
    }
    assert!(matches!(error(Expr::unary(Unary::Not, Expr::number(1.0, F32))), InterpretError::WrongDType { .. }));
}

#[test]
fn functions_of_one_integer() {
    let unary = |op, x, dtype| number(Expr::unary(op, Expr::number(x, dtype)), dtype);
    assert_eq!(unary(Unary::Neg, 3.0, DType::I32), -3.0);
    assert_eq!(unary(Unary::Neg, 1.0, DType::U8), 255.0);
    assert_eq!(unary(Unary::Abs, -3.0, DType::I64), 3.0);
    assert_eq!(unary(Unary::Abs, -2147483648.0, DType::I32), -2147483648.0);
    assert_eq!(unary(Unary::Floor, 3.0, DType::I32), 3.0);
    assert_eq!(unary(Unary::Not, 1.0, DType::Bool), 0.0);
    assert_eq!(unary(Unary::Not, 0.0, DType::Bool), 1.0);
    assert!(matches!(error(Expr::unary(Unary::Exp, Expr::number(1.0, DType::I64))), InterpretError::WrongDType { .. }));
}

#[test]
fn functions_of_two_floats() {
    assert_eq!(binary(Binary::Add, 0.5, 0.25, F64), 0.75);
    assert_eq!(binary(Binary::Sub, 0.5, 0.25, F64), 0.25);
    assert_eq!(binary(Binary::Mul, 0.5, 0.25, F64), 0.125);
    assert_eq!(binary(Binary::Div, 1.0, 8.0, F64), 0.125);
    assert_eq!(binary(Binary::Div, 1.0, 0.0, F64), INFINITY);
    assert_eq!(binary(Binary::Max, 1.0, 2.0, F64), 2.0);
    assert_eq!(binary(Binary::Min, 1.0, 2.0, F64), 1.0);
    for op in [Binary::Max, Binary::Min] {
        assert!(binary(op, NAN, 2.0, F64).is_nan() && binary(op, 2.0, NAN, F64).is_nan());
    }
    assert_eq!(binary(Binary::Pow, 9.0, 0.5, F64), 3.0);
    assert_eq!(binary(Binary::Pow, -2.0, 3.0, F64), -8.0);
    let (a, b) = f64s(1.0, 1.0);
    assert!(matches!(error(Expr::binary(Binary::And, a, b)), InterpretError::WrongDType { .. }));
    let mixed = Expr::binary(Binary::Add, Expr::number(1.0, F32), Expr::number(1.0, F64));
    assert_eq!(error(mixed), InterpretError::MixedDTypes { node: "+", left: F32, right: F64 });
}

#[test]
fn functions_of_two_integers_wrap_and_truncate() {
    assert_eq!(binary(Binary::Add, 2147483647.0, 1.0, DType::I32), -2147483648.0);
    assert_eq!(binary(Binary::Sub, 1.0, 2.0, DType::U8), 255.0);
    assert_eq!(binary(Binary::Mul, 65536.0, 65536.0, DType::I32), 0.0);
    assert_eq!(binary(Binary::Div, -7.0, 2.0, DType::I64), -3.0);
    assert_eq!(binary(Binary::Div, -2147483648.0, -1.0, DType::I32), -2147483648.0);
    assert_eq!(binary(Binary::Max, -7.0, 2.0, DType::I64), 2.0);
    assert_eq!(binary(Binary::Min, -7.0, 2.0, DType::I64), -7.0);
    assert_eq!(binary(Binary::And, 1.0, 0.0, DType::Bool), 0.0);
    assert_eq!(binary(Binary::Or, 1.0, 0.0, DType::Bool), 1.0);
    assert_eq!(binary(Binary::Add, 1.0, 1.0, DType::Bool), 1.0);
    for op in [Binary::Div, Binary::Rem] {
        let by_zero = Expr::binary(op, Expr::number(1.0, DType::I64), Expr::number(0.0, DType::I64));
        assert_eq!(error(by_zero), InterpretError::DivisionByZero);
    }
    assert_eq!(binary(Binary::Rem, -7.0, 2.0, DType::I64), -1.0);
    assert_eq!(binary(Binary::Rem, 7.0, -4.0, DType::I32), 3.0);
    assert_eq!(binary(Binary::Rem, 255.0, 16.0, DType::U8), 15.0);
    assert_eq!(binary(Binary::Pow, 2.0, 3.0, DType::I64), 8.0);
    assert_eq!(binary(Binary::Pow, 3.0, 21.0, DType::I32), 10_460_353_203u64 as u32 as i32 as f64);
    assert_eq!(binary(Binary::Pow, 3.0, 6.0, DType::U8), 217.0);
    for (base, power) in [(2.0, 0.0), (0.0, 0.0), (1.0, 1.0), (-1.0, -1.0)] {
        assert_eq!(binary(Binary::Pow, base, -3.0, DType::I64), power);
    }
}

#[test]
fn integers_stay_exact_beyond_the_mantissa() {
    // (2^53 + 1) - 2^53, which is 0 in f64.
    let big = || Expr::number(9007199254740992.0, DType::I64);
    let sum = Expr::binary(Binary::Add, big(), Expr::number(1.0, DType::I64));
    assert_eq!(evaluate(sum.clone()).unwrap().to_element(), Err(InterpretError::IntegerTooLarge(9007199254740993)));
    assert_eq!(number(Expr::binary(Binary::Sub, sum, big()), DType::I64), 1.0);
}

#[test]
fn comparisons() {
    let holds = |op, a, b| {
        let (a, b) = f64s(a, b);
        number(Expr::compare(op, a, b), DType::Bool) == 1.0
    };
    // Of 1 with 2, of 2 with 2, of 3 with 2, and of NaN with 2.
    let cases = [
        (Comparison::Eq, [false, true, false, false]),
        (Comparison::Ne, [true, false, true, true]),
        (Comparison::Lt, [true, false, false, false]),
        (Comparison::Le, [true, true, false, false]),
        (Comparison::Gt, [false, false, true, false]),
        (Comparison::Ge, [false, true, true, false]),
    ];
    for (op, expected) in cases {
        assert_eq!([1.0, 2.0, 3.0, NAN].map(|a| holds(op, a, 2.0)), expected, "{}", op.name());
    }
    let mixed = Expr::compare(Comparison::Lt, Expr::number(1.0, F32), Expr::number(1.0, DType::I64));
    assert!(matches!(error(mixed), InterpretError::MixedDTypes { node: "<", .. }));
}

#[test]
fn selects_evaluate_both_sides() {
    let truth = |value| Expr::number(value, DType::Bool);
    let (a, b) = f64s(1.0, 2.0);
    assert_eq!(number(Expr::select(truth(1.0), a.clone(), b.clone()), F64), 1.0);
    assert_eq!(number(Expr::select(truth(0.0), a.clone(), b.clone()), F64), 2.0);
    let outside = load(0, vec![Index::constant(9), Index::constant(0)], None);
    let one = Expr::number(1.0, F32);
    assert!(matches!(error(Expr::select(truth(1.0), one.clone(), outside)), InterpretError::OutOfBounds { .. }));
    assert!(matches!(error(Expr::select(truth(1.0), a.clone(), one)), InterpretError::MixedDTypes { .. }));
    assert!(matches!(error(Expr::select(a.clone(), a, b)), InterpretError::WrongDType { .. }));
}

#[test]
fn casts() {
    let cast = |to, x, from| number(Expr::cast(to, Expr::number(x, from)), to);
    assert_eq!(cast(DType::I64, -2.9, F32), -2.0);
    assert_eq!(cast(DType::I32, 1e20, F64), 2147483647.0);
    assert_eq!(cast(DType::U8, -5.0, F64), 0.0);
    assert_eq!(cast(DType::I64, NAN, F64), 0.0);
    assert_eq!(cast(DType::U8, 257.0, DType::I64), 1.0);
    assert_eq!(cast(DType::I32, 4294967297.0, DType::I64), 1.0);
    assert_eq!([0.0, -0.5, NAN].map(|x| cast(DType::Bool, x, F64)), [0.0, 1.0, 1.0]);
    assert_eq!(cast(DType::Bool, 256.0, DType::I64), 1.0);
    assert_eq!(cast(F32, 1.0, DType::Bool), 1.0);
    assert_eq!(cast(DType::F16, 0.1, F64), 0.1);
}

#[test]
fn checks() {
    let check = |value| Expr::check(Expr::number(value, DType::I64), Dim::BATCH);
    assert_eq!(number(check(0.0), DType::I64), 0.0);
    assert_eq!(number(check(6.0), DType::I64), 6.0);
    assert_eq!(error(check(7.0)), InterpretError::CheckFailed { value: 7, position: None, bound: 7 });
    assert_eq!(error(check(-1.0)), InterpretError::CheckFailed { value: -1, position: None, bound: 7 });
}

/// Random123's known answer for a key and a counter of zeros; the other words are compared with the runtime's generator.
#[test]
fn random_words() {
    let word = |bits, position: i64| {
        let [seed, stream] = [0.0; 2].map(|zero| Box::new(Expr::number(zero, DType::I64)));
        number(
            Expr::Random { bits, seed, stream, position: Box::new(Expr::number(position as f64, DType::I64)) },
            DType::I32,
        )
    };
    let known = [0x6627_e8d5_u32, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8];
    for (position, words) in known.into_iter().enumerate() {
        for bits in [1, 24, 31] {
            assert_eq!(word(bits, position as i64), f64::from(words >> (32 - bits)));
        }
    }
    let seed = Box::new(Expr::number(0.0, F32));
    let zero = || Box::new(Expr::number(0.0, DType::I64));
    let wrong = Expr::Random { bits: 24, seed, stream: zero(), position: zero() };
    assert_eq!(error(wrong), InterpretError::WrongDType { node: "random", needs: "an integer", found: F32 });
}

#[test]
fn declared_precision_rounds_every_node() {
    let declared = |expr: Expr| evaluate_as(&expr, Precision::Declared).unwrap().to_f64();
    assert_eq!(declared(Expr::number(0.1, F32)), f64::from(0.1f32));
    // 1 + 2^-24 is a tie in f32 and goes to even, so taking 1 away again leaves nothing.
    let one = || Expr::number(1.0, F32);
    let sum = Expr::binary(Binary::Add, one(), Expr::number(2f64.powi(-24), F32));
    let difference = Expr::binary(Binary::Sub, sum, one());
    assert_eq!(declared(difference.clone()), 0.0);
    assert_eq!(number(difference, F32), 2f64.powi(-24));
    assert_eq!(declared(Expr::cast(DType::BF16, Expr::number(1.00390625, F32))), 1.0);
    assert_eq!(declared(Expr::cast(DType::F16, Expr::number(1e6, F32))), INFINITY);
    // 2^24 + 1 is a tie in f32; 2^60 + 2^36 + 1 is just above one, which f64 cannot see.
    let integer = Expr::binary(
        Binary::Add,
        Expr::number(2f64.powi(60) + 2f64.powi(36), DType::I64),
        Expr::number(1.0, DType::I64),
    );
    assert_eq!(declared(Expr::cast(F32, integer)), 2f64.powi(60) + 2f64.powi(37));
}
