//! The parts of text that the three levels share: counts, extents, types, places and initial values.

use super::cursor::{Cursor, Parsed};
use super::lexer::TokenKind;
use crate::{Code, DType, Dim, Init, Place, Shape, Type};

/// Elements of a tensor, with the batch size taken as 1: far above any machine, and sums of byte counts cannot overflow.
const MAX_ELEMENTS: u128 = 1 << 44;

/// Whether a word begins an `Init`.
pub(super) fn is_init_word(word: &str) -> bool {
    is_bare_init(word)
        || matches!(
            word,
            "constant" | "uniform" | "normal" | "truncated_normal" | "orthogonal" | "sparse" | "padded" | "data"
        )
}

/// Whether that `Init` is the word alone.
pub(super) fn is_bare_init(word: &str) -> bool {
    matches!(word, "zeros" | "seed")
}

impl Cursor<'_> {
    /// A count without sign or suffix.
    pub fn integer<T: std::str::FromStr>(&mut self, what: &str) -> Parsed<T> {
        let TokenKind::Number(text) = self.peek() else { return Err(self.expected(what)) };
        let value = text.parse().map_err(|_| self.expected(what))?;
        self.advance();
        Ok(value)
    }

    /// A number without dtype: `0`, `-0.5`, `inf`, `nan`.
    pub fn float(&mut self) -> Parsed<f64> {
        let what = "a number";
        let negative = self.eat("-");
        let value: f64 = match self.peek() {
            TokenKind::Number(text) => text.parse().map_err(|_| self.expected(what))?,
            TokenKind::Name("inf") => f64::INFINITY,
            TokenKind::Name("nan") => f64::NAN,
            _ => return Err(self.expected(what)),
        };
        self.advance();
        Ok(if negative { -value } else { value })
    }

    /// `6`, `B` or `4*B`.
    pub fn dim(&mut self) -> Parsed<Dim> {
        let what = "an extent such as `6`, `B` or `4*B`";
        if self.eat_word("B") {
            return Ok(Dim::BATCH);
        }
        let factor: u32 = self.integer(what)?;
        let batch = self.eat("*");
        if batch {
            self.expect_word("B")?;
        }
        Ok(Dim { factor: factor as usize, batch })
    }

    pub fn dtype(&mut self) -> Parsed<DType> {
        self.known("a dtype", DType::from_name)
    }

    /// `f32[B,28,28]`.
    pub fn ty(&mut self) -> Parsed<Type> {
        let dtype = self.dtype()?;
        let dims = self.list("[", "]", Self::dim)?;
        self.check_count(&dims)?;
        Ok(Type::new(dtype, Shape(dims)))
    }

    /// Whether the product of extents is one that a tensor can have.
    pub fn check_count(&self, dims: &[Dim]) -> Parsed<()> {
        let count = dims.iter().try_fold(1u128, |count, dim| {
            count.checked_mul(dim.factor.max(1) as u128).filter(|&count| count <= MAX_ELEMENTS)
        });
        let message = || format!("a tensor holds at most {MAX_ELEMENTS} elements for each sample of a batch");
        count.map(|_| ()).ok_or_else(|| self.error(Code::Syntax, message()))
    }

    /// `@lenet.rs:14:17 in conv1 as conv2d`, if one is here.
    pub fn place_mark(&mut self) -> Parsed<Option<Place>> {
        let TokenKind::Place(file, line, column) = self.peek() else { return Ok(None) };
        let (file, line, column) = (file.clone(), *line, *column);
        self.advance();
        let module = if self.eat_word("in") { self.name("a module path")? } else { String::new() };
        let method = if self.eat_word("as") { Some(self.name("a method")?.into()) } else { None };
        Ok(Some(Place { file, line, column, module, method }))
    }

    /// `uniform(-0.2, 0.2)`.
    pub fn init(&mut self) -> Parsed<Init> {
        let what = "`zeros`, `constant`, `uniform`, `normal`, `truncated_normal`, `orthogonal`, `sparse`, `padded`, `data` or `seed`";
        let Some(word) = self.word().filter(|word| is_init_word(word)) else { return Err(self.expected(what)) };
        self.advance();
        if is_bare_init(word) {
            return Ok(if word == "zeros" { Init::Zeros } else { Init::Seed });
        }
        let values = self.list("(", ")", Self::float)?;
        match (word, values.as_slice()) {
            ("data", _) => Ok(Init::Data(values)),
            ("constant", &[value]) => Ok(Init::Constant(value)),
            ("uniform", &[low, high]) => Ok(Init::Uniform { low, high }),
            ("normal", &[mean, std]) => Ok(Init::Normal { mean, std }),
            ("truncated_normal", &[mean, std, low, high]) => Ok(Init::TruncatedNormal { mean, std, low, high }),
            ("orthogonal", &[gain]) => Ok(Init::Orthogonal { gain }),
            ("sparse", &[sparsity, std]) => Ok(Init::Sparse { sparsity, std }),
            ("padded", &[std, row]) if row >= 0.0 && row.fract() == 0.0 => Ok(Init::Padded { std, row: row as usize }),
            _ => Err(self.error(Code::Syntax, format!("`{word}` does not take {} numbers", values.len()))),
        }
    }
}
