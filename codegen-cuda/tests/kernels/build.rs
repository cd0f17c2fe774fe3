//! A small builder, so that a kernel written by hand reads like its text.

use kiln_ir::kernel::{Access, Axis, Contract, Local, Reduction, Schedule, Statement, Tensor, Tile};
use kiln_ir::{AxisId, Binary, DType, Dim, Expr, Index, Kernel, Load, LocalId, Monoid, Number, Place, TensorId, Type};

pub struct Build(pub Kernel);

impl Build {
    pub fn new(name: &str, line: u32) -> Build {
        let place = Place { file: "lenet.rs".into(), line, column: 17, ..Place::NONE };
        Build(Kernel {
            name: name.into(),
            tensors: Vec::new(),
            axes: Vec::new(),
            locals: Vec::new(),
            body: Vec::new(),
            schedule: Schedule::default(),
            places: vec![place],
        })
    }

    pub fn read(&mut self, name: &str, dtype: DType, dims: &[Dim]) -> TensorId {
        self.tensor(name, dtype, dims, Access::Read)
    }

    pub fn write(&mut self, name: &str, dtype: DType, dims: &[Dim]) -> TensorId {
        self.tensor(name, dtype, dims, Access::Write)
    }

    pub fn update(&mut self, name: &str, dtype: DType, dims: &[Dim]) -> TensorId {
        self.tensor(name, dtype, dims, Access::Update)
    }

    fn tensor(&mut self, name: &str, dtype: DType, dims: &[Dim], access: Access) -> TensorId {
        self.0.tensors.push(Tensor { name: name.into(), ty: Type::new(dtype, dims.to_vec()), access });
        TensorId(self.0.tensors.len() as u32 - 1)
    }

    pub fn axis(&mut self, name: &str, extent: impl Into<Dim>) -> AxisId {
        self.0.axes.push(Axis { name: name.into(), extent: extent.into(), limit: None });
        AxisId(self.0.axes.len() as u32 - 1)
    }

    pub fn axes<const N: usize>(&mut self, axes: [(&str, Dim); N]) -> [AxisId; N] {
        axes.map(|(name, extent)| self.axis(name, extent))
    }

    pub fn local(&mut self, name: &str, dtype: DType) -> LocalId {
        self.0.locals.push(Local { name: name.into(), dtype });
        LocalId(self.0.locals.len() as u32 - 1)
    }

    pub fn contract(&mut self, m: &[AxisId], n: &[AxisId], k: &[AxisId], a_factor: usize) {
        let tiles = |axes: &[AxisId]| axes.iter().map(|&axis| Tile { axis, size: 16 }).collect();
        let (m, n, k) = (tiles(m), tiles(n), tiles(k));
        self.0.schedule.contracts = vec![Contract { m, n, k, pack_a: true, pack_b: true, a_factor }];
    }

    pub fn body(mut self, body: impl Into<Vec<Statement>>) -> Kernel {
        self.0.body = body.into();
        self.0
    }
}

pub const B: Dim = Dim::BATCH;

pub fn d(extent: usize) -> Dim {
    Dim::fixed(extent)
}

pub fn i(axis: AxisId) -> Index {
    Index::axis(axis)
}

pub fn at(axes: &[AxisId]) -> Vec<Index> {
    axes.iter().map(|&axis| i(axis)).collect()
}

pub fn load(tensor: TensorId, index: impl Into<Vec<Index>>) -> Expr {
    Expr::Load(Load { tensor, index: index.into(), fill: None })
}

pub fn load_or(tensor: TensorId, index: impl Into<Vec<Index>>, fill: f64) -> Expr {
    Expr::Load(Load { tensor, index: index.into(), fill: Some(Number::new(fill)) })
}

pub fn f32(value: f64) -> Expr {
    Expr::number(value, DType::F32)
}

pub fn add(a: Expr, b: Expr) -> Expr {
    Expr::binary(Binary::Add, a, b)
}

pub fn sub(a: Expr, b: Expr) -> Expr {
    Expr::binary(Binary::Sub, a, b)
}

pub fn mul(a: Expr, b: Expr) -> Expr {
    Expr::binary(Binary::Mul, a, b)
}

pub fn div(a: Expr, b: Expr) -> Expr {
    Expr::binary(Binary::Div, a, b)
}

pub fn max(a: Expr, b: Expr) -> Expr {
    Expr::binary(Binary::Max, a, b)
}

pub fn each(axes: &[AxisId], body: impl Into<Vec<Statement>>) -> Statement {
    Statement::For(axes.to_vec(), body.into())
}

pub fn store(tensor: TensorId, index: impl Into<Vec<Index>>, value: Expr) -> Statement {
    Statement::Store { tensor, index: index.into(), value }
}

pub fn reduce(axes: &[AxisId], results: impl Into<Vec<(LocalId, Monoid, Expr)>>) -> Statement {
    let results = results.into().into_iter().map(|(local, monoid, value)| Reduction { local, monoid, value }).collect();
    Statement::Reduce { axes: axes.to_vec(), lets: Vec::new(), results }
}

/// The same value by its name.
pub fn l(local: LocalId) -> Expr {
    Expr::Local(local)
}
