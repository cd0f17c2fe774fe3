//! Convolution over any number of spatial axes and its two gradients. The three are closed under differentiation: each one's
//! gradients are the other two. Cross-correlation, as in PyTorch: the kernel is not flipped.

use super::checks;
use super::contract::product;
use crate::op::{Example, Operator, op};
use crate::{Body, Code, DType, Diagnostic, Dim, Index, Type, ValueId, Vjp, axes, load};

/// How the window moves; one number for each spatial axis.
#[derive(Clone)]
struct Geometry<'a> {
    stride: &'a [usize],
    padding: &'a [usize],
    dilation: &'a [usize],
    groups: usize,
}

macro_rules! geometry {
    ($name:ident) => {
        impl $name {
            fn geometry(&self) -> Geometry<'_> {
                Geometry { stride: &self.stride, padding: &self.padding, dilation: &self.dilation, groups: self.groups }
            }
        }
    };
}

geometry!(Conv);
geometry!(ConvInputGrad);
geometry!(ConvWeightGrad);

impl Geometry<'_> {
    fn check(&self, op: &str, operands: &[Type]) -> Result<(), Diagnostic> {
        let spatial = self.stride.len();
        checks::float(op, &operands[0])?;
        checks::same_dtype(op, &operands[0], &operands[1])?;
        for (name, ty) in ["input", "weight"].into_iter().zip(operands) {
            checks::rank(op, name, ty, spatial + 2)?;
        }
        let numbers = [self.stride, self.dilation].concat();
        if self.padding.len() != spatial || self.dilation.len() != spatial {
            return Err(checks::argument(op, &format!("stride, padding and dilation for {spatial} axes each")));
        }
        if numbers.contains(&0) || self.groups == 0 {
            return Err(checks::argument(op, "stride, dilation and groups of at least 1"));
        }
        Ok(())
    }

    /// The input position that a window at output position `out` sees at kernel position `tap`.
    fn input(&self, out: &[Index], tap: &[Index]) -> Vec<Index> {
        (0..out.len())
            .map(|i| {
                let origin = out[i].times(self.stride[i] as i64);
                origin.plus(&tap[i].times(self.dilation[i] as i64)).shifted(-(self.padding[i] as i64))
            })
            .collect()
    }

    /// The output position whose window sees the input position at kernel position `tap`, where there is one.
    fn output(&self, input: &[Index], tap: &[Index]) -> Vec<Index> {
        (0..input.len())
            .map(|i| {
                let origin = input[i].plus(&tap[i].times(-(self.dilation[i] as i64)));
                origin.shifted(self.padding[i] as i64).exact_div(self.stride[i] as i64)
            })
            .collect()
    }

    /// The extent of an output axis, or `None` when the window does not fit.
    fn output_extent(&self, axis: usize, input: usize, kernel: usize) -> Option<usize> {
        let window = self.dilation[axis].saturating_mul(kernel.checked_sub(1)?).saturating_add(1);
        Some((input + 2 * self.padding[axis]).checked_sub(window)? / self.stride[axis] + 1)
    }

    /// An output axis of `conv` has this extent.
    fn check_output(&self, op: &str, axis: usize, [input, kernel, out]: [usize; 3]) -> Result<(), Diagnostic> {
        match self.output_extent(axis, input, kernel) {
            Some(found) => checks::extent(op, "the output extents of `conv`", Dim::fixed(found), Dim::fixed(out)),
            None => Err(checks::argument(op, "a kernel no larger than its padded input")),
        }
    }

    /// Channels come in equal groups.
    fn check_groups(&self, op: &str, channels: Dim) -> Result<(), Diagnostic> {
        if channels.factor.is_multiple_of(self.groups) {
            return Ok(());
        }
        Err(checks::argument(op, &format!("channels in {} equal groups, found {channels}", self.groups)))
    }

    /// Zero outside the input; nothing is outside when there is no padding.
    fn fill(&self) -> Option<f64> {
        self.padding.iter().any(|&padding| padding > 0).then_some(0.0)
    }

    /// The channel `inner` of the group that `channel` of the other side belongs to.
    fn channel(&self, inner: &Index, per_group: usize, channel: &Index, others_per_group: usize) -> Index {
        match self.groups {
            1 => inner.clone(),
            // Without channels there is no position that could ask for its group.
            _ => channel.div(others_per_group.max(1) as i64).times(per_group as i64).plus(inner),
        }
    }
}

/// The first two axes and the spatial ones, from a starting axis.
fn split(from: usize, spatial: usize) -> (Index, Index, Vec<Index>) {
    let mut all = axes(from, spatial + 2);
    let rest = all.split_off(2);
    (all[0].clone(), all[1].clone(), rest)
}

fn extents(ty: &Type, op: &str) -> Result<Vec<usize>, Diagnostic> {
    (2..ty.rank()).map(|axis| checks::fixed(op, ty, axis)).collect()
}

op! {
    /// `y[n, o, p..] = Σ x[n, c, p·stride + k·dilation - padding] · w[o, c, k..]`; x: `[batch, in, spatial..]`, w: `[out, in/groups, kernel..]`.
    /// Gradients: `conv_input_grad`, `conv_weight_grad`.
    Conv(input, weight) {
        /// Distance between windows.
        stride: Vec<usize>,
        /// Zeros on both sides.
        padding: Vec<usize>,
        /// Distance between the taps of a window.
        dilation: Vec<usize>,
        /// Number of groups that the channels are divided into.
        groups: usize,
    }
}

impl Operator for Conv {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        let geometry = self.geometry();
        geometry.check("conv", operands)?;
        let (input, weight) = (&operands[0], &operands[1]);
        let (channels, out) = (checks::fixed("conv", input, 1)?, checks::fixed("conv", weight, 0)?);
        let per_group = checks::fixed("conv", weight, 1)?;
        if channels != per_group * self.groups || out % self.groups != 0 {
            let groups = if self.groups == 1 { String::new() } else { format!(" in {} groups", self.groups) };
            let (takes, input, weight) = (per_group * self.groups, &input.shape, &weight.shape);
            let message = format!(
                "conv needs the input channels that its weight takes: input {input} has {channels}, weight {weight} takes \
                 {takes}{groups}"
            );
            return Err(Diagnostic::new(Code::ShapeMismatch, message));
        }
        let mut shape = vec![input.dim(0), Dim::fixed(out)];
        for (axis, (size, kernel)) in extents(input, "conv")?.into_iter().zip(extents(weight, "conv")?).enumerate() {
            let extent = geometry.output_extent(axis, size, kernel).ok_or_else(|| {
                let message = format!(
                    "conv needs a kernel no larger than its padded input: {} and {}",
                    weight.shape, input.shape
                );
                Diagnostic::new(Code::ShapeMismatch, message)
            })?;
            shape.push(Dim::fixed(extent));
        }
        Ok(input.with_shape(shape))
    }

    fn body(&self, operands: &[Type], result: &Type) -> Body {
        let (geometry, spatial) = (self.geometry(), result.rank() - 2);
        let (n, o, p) = split(0, spatial);
        let taps = axes(spatial + 2, spatial + 1);
        let (c, k) = (&taps[0], &taps[1..]);
        let (out, per_group) = (operands[1].dim(0).factor, operands[1].dim(1).factor);
        let channel = geometry.channel(c, per_group, &o, out / self.groups);
        let x = [vec![n, channel], geometry.input(&p, k)].concat();
        let w = [vec![o, c.clone()], k.to_vec()].concat();
        let reduction = operands[1].shape.0[1..].to_vec();
        product(reduction, load(0, x, geometry.fill()), load(1, w, None), result.dtype)
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let (x, w, g) = (cx.operand(0), cx.operand(1), cx.cotangent());
        let op = self.input_grad(&cx.operand_shape(0).0);
        let dx = cx.emit(op, &[g, w]);
        let op = self.weight_grad(&cx.operand_shape(1).0);
        let dw = cx.emit(op, &[x, g]);
        vec![Some(dx), Some(dw)]
    }

    fn examples() -> Vec<Example> {
        let conv = |stride, padding, dilation, groups| Conv {
            stride: vec![stride, 1],
            padding: vec![padding, 1],
            dilation: vec![dilation, 1],
            groups,
        };
        let input = Type::new(DType::F32, [Dim::BATCH, 4.into(), 6.into(), 5.into()]);
        let weight = |channels: usize| Type::new(DType::F32, [2, channels, 3, 2]);
        vec![
            Example::new(conv(1, 0, 1, 1), [input.clone(), weight(4)]),
            Example::new(conv(2, 1, 1, 2), [input.clone(), weight(2)]),
            Example::new(conv(1, 2, 2, 1), [input, weight(4)]),
        ]
    }
}

macro_rules! conversions {
    ($($name:ident),*) => {$(
        #[allow(dead_code)]
        impl $name {
            fn forward(&self) -> Conv {
                let (stride, padding) = (self.stride.clone(), self.padding.clone());
                Conv { stride, padding, dilation: self.dilation.clone(), groups: self.groups }
            }

            fn input_grad(&self, input: &[Dim]) -> ConvInputGrad {
                let Conv { stride, padding, dilation, groups } = self.forward();
                ConvInputGrad { stride, padding, dilation, groups, input: spatial(input) }
            }

            fn weight_grad(&self, weight: &[Dim]) -> ConvWeightGrad {
                let Conv { stride, padding, dilation, groups } = self.forward();
                ConvWeightGrad { stride, padding, dilation, groups, kernel: spatial(weight) }
            }
        }
    )*};
}

conversions!(Conv, ConvInputGrad, ConvWeightGrad);

fn spatial(dims: &[Dim]) -> Vec<usize> {
    dims[2..].iter().map(|dim| dim.factor).collect()
}

op! {
    /// The gradient of `conv` for its input: `dx[n, c, i..] = Σ g[n, o, (i + padding - k·dilation)/stride] · w[o, c, k..]` where the division is
    /// exact. It is PyTorch's `conv_transpose`. Gradients: `conv`, `conv_weight_grad`.
    ConvInputGrad(cotangent, weight) {
        /// As in `conv`.
        stride: Vec<usize>,
        /// As in `conv`.
        padding: Vec<usize>,
        /// As in `conv`.
        dilation: Vec<usize>,
        /// As in `conv`.
        groups: usize,
        /// The spatial extents of the input, which the output's do not determine.
        input: Vec<usize>,
    }
}

impl Operator for ConvInputGrad {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        let geometry = self.geometry();
        geometry.check("conv_input_grad", operands)?;
        let (cotangent, weight) = (&operands[0], &operands[1]);
        checks::extent("conv_input_grad", "equal output channels", cotangent.dim(1), weight.dim(0))?;
        let kernel = extents(weight, "conv_input_grad")?;
        for (axis, (&size, out)) in self.input.iter().zip(extents(cotangent, "conv_input_grad")?).enumerate() {
            geometry.check_output("conv_input_grad", axis, [size, kernel[axis], out])?;
        }
        geometry.check_groups("conv_input_grad", weight.dim(0))?;
        let channels = Dim::fixed(weight.dim(1).factor * self.groups);
        let spatial = self.input.iter().map(|&extent| Dim::fixed(extent));
        Ok(cotangent.with_shape([cotangent.dim(0), channels].into_iter().chain(spatial).collect::<Vec<Dim>>()))
    }

    fn body(&self, operands: &[Type], result: &Type) -> Body {
        let (geometry, spatial) = (self.geometry(), result.rank() - 2);
        let (n, channel, i) = split(0, spatial);
        let taps = axes(spatial + 2, spatial + 1);
        let (o, k) = (&taps[0], &taps[1..]);
        let (out, per_group) = (operands[1].dim(0).factor / self.groups, operands[1].dim(1).factor);
        let o = geometry.channel(o, out, &channel, per_group);
        let inner = if self.groups == 1 { channel } else { channel.rem(per_group.max(1) as i64) };
        let g = [vec![n, o.clone()], geometry.output(&i, k)].concat();
        let w = [vec![o, inner], k.to_vec()].concat();
        let reduction = [&[Dim::fixed(out)], &operands[1].shape.0[2..]].concat();
        product(reduction, load(0, g, Some(0.0)), load(1, w, None), result.dtype)
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let (gy, w, h) = (cx.operand(0), cx.operand(1), cx.cotangent());
        let d_gy = cx.emit(self.forward(), &[h, w]);
        let op = self.weight_grad(&cx.operand_shape(1).0);
        let dw = cx.emit(op, &[h, gy]);
        vec![Some(d_gy), Some(dw)]
    }

    fn examples() -> Vec<Example> {
        gradient_examples(|example, op| {
            let [input, weight] = example else { unreachable!("conv has two operands") };
            let output = Operator::infer(op, example).expect("the examples of conv fit");
            (op.input_grad(&input.shape.0).into(), [output, weight.clone()])
        })
    }
}

op! {
    /// The gradient of `conv` for its weight: `dw[o, c, k..] = Σ x[n, c, p·stride + k·dilation - padding] · g[n, o, p..]` over batch and positions.
    /// Gradients: `conv_input_grad`, `conv`.
    ConvWeightGrad(input, cotangent) {
        /// As in `conv`.
        stride: Vec<usize>,
        /// As in `conv`.
        padding: Vec<usize>,
        /// As in `conv`.
        dilation: Vec<usize>,
        /// As in `conv`.
        groups: usize,
        /// The spatial extents of the weight.
        kernel: Vec<usize>,
    }
}

impl Operator for ConvWeightGrad {
    fn infer(&self, operands: &[Type]) -> Result<Type, Diagnostic> {
        let geometry = self.geometry();
        geometry.check("conv_weight_grad", operands)?;
        let (input, cotangent) = (&operands[0], &operands[1]);
        checks::extent("conv_weight_grad", "equal batches", input.dim(0), cotangent.dim(0))?;
        let out = extents(cotangent, "conv_weight_grad")?;
        for (axis, (size, &kernel)) in extents(input, "conv_weight_grad")?.into_iter().zip(&self.kernel).enumerate() {
            geometry.check_output("conv_weight_grad", axis, [size, kernel, out[axis]])?;
        }
        geometry.check_groups("conv_weight_grad", input.dim(1))?;
        geometry.check_groups("conv_weight_grad", cotangent.dim(1))?;
        let channels = checks::fixed("conv_weight_grad", input, 1)? / self.groups;
        let kernel = self.kernel.iter().map(|&extent| Dim::fixed(extent));
        Ok(input.with_shape([cotangent.dim(1), Dim::fixed(channels)].into_iter().chain(kernel).collect::<Vec<Dim>>()))
    }

    fn body(&self, operands: &[Type], result: &Type) -> Body {
        let (geometry, spatial) = (self.geometry(), result.rank() - 2);
        let (o, c, k) = split(0, spatial);
        let positions = axes(spatial + 2, spatial + 1);
        let (n, p) = (&positions[0], &positions[1..]);
        let (out, per_group) = (result.dim(0).factor, result.dim(1).factor);
        let channel = geometry.channel(&c, per_group, &o, out / self.groups);
        let x = [vec![n.clone(), channel], geometry.input(p, &k)].concat();
        let g = [vec![n.clone(), o], p.to_vec()].concat();
        let reduction = [&[operands[0].dim(0)], &operands[1].shape.0[2..]].concat();
        product(reduction, load(0, x, geometry.fill()), load(1, g, None), result.dtype)
    }

    fn vjp(&self, cx: &mut Vjp<'_>) -> Vec<Option<ValueId>> {
        let (x, gy, h) = (cx.operand(0), cx.operand(1), cx.cotangent());
        let op = self.input_grad(&cx.operand_shape(0).0);
        let dx = cx.emit(op, &[gy, h]);
        let d_gy = cx.emit(self.forward(), &[x, h]);
        vec![Some(dx), Some(d_gy)]
    }

    fn examples() -> Vec<Example> {
        gradient_examples(|example, op| {
            let [input, weight] = example else { unreachable!("conv has two operands") };
            let output = Operator::infer(op, example).expect("the examples of conv fit");
            (op.weight_grad(&weight.shape.0).into(), [input.clone(), output])
        })
    }
}

/// The examples of `conv`, turned into those of one of its gradients.
fn gradient_examples(turn: impl Fn(&[Type], &Conv) -> (super::Op, [Type; 2])) -> Vec<Example> {
    let turn = |example: Example| match &example.op {
        super::Op::Conv(conv) => {
            let types: Vec<Type> = example.operands.iter().map(|(ty, _)| ty.clone()).collect();
            let (op, operands) = turn(&types, conv);
            Some(Example::new(op, operands))
        }
        _ => None,
    };
    Conv::examples().into_iter().filter_map(turn).collect()
}
