//! Random numbers: Philox4x32-10 in scalar integers, which are as fast as 128-bit registers here: those have no 32-bit product with its
//! upper half.
//!
//! A block is four words, and so the numbers of four neighbours. Where the first of four lanes stands at a multiple of four, one block
//! serves them all; neighbours that start anywhere need two; other lanes have a block each. The words are the same.

use cranelift_codegen::ir::{InstBuilder, Value, types};
use kiln_ir::{DType, Expr};

use crate::emit::Emitter;
use crate::index::Step;
use crate::lanes::Lanes;

const ROUNDS: usize = 10;
const MULTIPLIERS: [i64; 2] = [0xD251_1F53, 0xCD9E_8D57];
const KEY_INCREMENTS: [i64; 2] = [0x9E37_79B9, 0xBB67_AE85];
const WORDS: usize = 4;

impl Emitter<'_> {
    /// [`Expr::Random`].
    pub(crate) fn random(&mut self, bits: u32, seed: &Expr, stream: &Expr, position: &Expr) -> Lanes {
        let neighbours = self.are_neighbours(position);
        let (seed, stream, position) = (self.eval(seed), self.eval(stream), self.eval(position));
        let words = match (&seed, &stream, &position) {
            (Lanes::Uniform(seed), Lanes::Uniform(stream), Lanes::Uniform(position)) => {
                let word = self.word(*seed, *stream, *position);
                return Lanes::Uniform(self.upper_bits(word, bits));
            }
            (Lanes::Uniform(seed), Lanes::Uniform(stream), _) if neighbours => {
                let positions = self.split(&position, DType::I64);
                positions.chunks(WORDS).flat_map(|lanes| self.four_words(*seed, *stream, lanes[0])).collect()
            }
            _ => {
                let [seeds, streams, positions] = [&seed, &stream, &position].map(|x| self.split(x, DType::I64));
                let lanes = seeds.into_iter().zip(streams).zip(positions);
                lanes.map(|((seed, stream), position)| self.word(seed, stream, position)).collect::<Vec<Value>>()
            }
        };
        Lanes::Split(words.into_iter().map(|word| self.upper_bits(word, bits)).collect())
    }

    /// Whether the lanes, a multiple of four, stand at consecutive positions.
    fn are_neighbours(&self, position: &Expr) -> bool {
        let Expr::Index(index) = position else { return false };
        self.lanes.is_multiple_of(WORDS) && self.step(&self.resolve(index)) == Step::Constant(1)
    }

    fn word(&mut self, seed: Value, stream: Value, position: Value) -> Value {
        let words = self.block(seed, stream, position);
        self.picked(&words, position, 1)[0]
    }

    /// The words from a position on. Where loops start is known when they run, so that is when this sees whether one block is enough.
    fn four_words(&mut self, seed: Value, stream: Value, first: Value) -> Vec<Value> {
        let words = self.block(seed, stream, first);
        let (second, after) = (self.b.create_block(), self.b.create_block());
        let results = [(); WORDS].map(|()| self.b.append_block_param(after, types::I32));
        let offset = self.b.ins().band_imm_s(first, WORDS as i64 - 1);
        self.b.ins().brif(offset, second, &[], after, &words.map(Into::into));
        self.b.switch_to_block(second);
        self.b.seal_block(second);
        let next = self.b.ins().iadd_imm_s(first, WORDS as i64);
        let next = self.block(seed, stream, next);
        let picked = self.picked(&[words, next].concat(), first, WORDS);
        let picked: Vec<_> = picked.into_iter().map(Into::into).collect();
        self.b.ins().jump(after, &picked);
        self.b.seal_block(after);
        self.b.switch_to_block(after);
        results.to_vec()
    }

    /// `count` words from the one at `position % 4` on.
    fn picked(&mut self, words: &[Value], position: Value, count: usize) -> Vec<Value> {
        let mut words = words.to_vec();
        for shift in [2, 1] {
            let shifted = self.b.ins().band_imm_s(position, shift as i64);
            // Those that the smaller shift may still need.
            let left = count + shift - 1;
            words = (0..left).map(|at| self.b.ins().select(shifted, words[at + shift], words[at])).collect();
        }
        words
    }

    /// The block that a position of a stream is in.
    fn block(&mut self, seed: Value, stream: Value, position: Value) -> [Value; WORDS] {
        let number = self.b.ins().ushr_imm_u(position, 2);
        let ([mut c0, mut c1], [mut c2, mut c3]) = (self.halves(number), self.halves(stream));
        let mut key = self.halves(seed);
        for _ in 0..ROUNDS {
            let ([low0, high0], [low1, high1]) = (self.product(c0, MULTIPLIERS[0]), self.product(c2, MULTIPLIERS[1]));
            let (mixed0, mixed1) = (self.b.ins().bxor(c1, key[0]), self.b.ins().bxor(c3, key[1]));
            (c0, c1) = (self.b.ins().bxor(high1, mixed0), low1);
            (c2, c3) = (self.b.ins().bxor(high0, mixed1), low0);
            key = [0, 1].map(|half| {
                let increment = self.b.ins().iconst(types::I32, KEY_INCREMENTS[half]);
                self.b.ins().iadd(key[half], increment)
            });
        }
        [c0, c1, c2, c3]
    }

    /// The lower and the upper half of a product of 32-bit numbers.
    fn product(&mut self, x: Value, multiplier: i64) -> [Value; 2] {
        let (x, multiplier) = (self.b.ins().uextend(types::I64, x), self.int(multiplier));
        let product = self.b.ins().imul(x, multiplier);
        self.halves(product)
    }

    fn halves(&mut self, wide: Value) -> [Value; 2] {
        let upper = self.b.ins().ushr_imm_u(wide, 32);
        [wide, upper].map(|half| self.b.ins().ireduce(types::I32, half))
    }

    fn upper_bits(&mut self, word: Value, bits: u32) -> Value {
        self.b.ins().ushr_imm_u(word, i64::from(u32::BITS - bits))
    }
}
