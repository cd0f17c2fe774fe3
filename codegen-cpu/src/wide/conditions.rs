//! The numbers of comparisons.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};

/// Quiet comparisons, by number.
pub(super) fn float_condition(condition: FloatCC) -> u8 {
    match condition {
        FloatCC::Equal => 0x00,
        FloatCC::NotEqual => 0x04,
        FloatCC::LessThan => 0x11,
        FloatCC::LessThanOrEqual => 0x12,
        FloatCC::GreaterThan => 0x1E,
        FloatCC::GreaterThanOrEqual => 0x1D,
        FloatCC::Ordered => 0x07,
        FloatCC::Unordered => 0x03,
        FloatCC::OrderedNotEqual => 0x0C,
        FloatCC::UnorderedOrEqual => 0x08,
        FloatCC::UnorderedOrLessThan => 0x19,
        FloatCC::UnorderedOrLessThanOrEqual => 0x1A,
        FloatCC::UnorderedOrGreaterThan => 0x16,
        FloatCC::UnorderedOrGreaterThanOrEqual => 0x15,
    }
}

/// The number of a comparison of integers in lanes, and whether it is one of numbers with a sign.
pub(super) fn int_condition(condition: IntCC) -> (u8, bool) {
    match condition {
        IntCC::Equal => (0, true),
        IntCC::NotEqual => (4, true),
        IntCC::SignedLessThan => (1, true),
        IntCC::SignedLessThanOrEqual => (2, true),
        IntCC::SignedGreaterThanOrEqual => (5, true),
        IntCC::SignedGreaterThan => (6, true),
        IntCC::UnsignedLessThan => (1, false),
        IntCC::UnsignedLessThanOrEqual => (2, false),
        IntCC::UnsignedGreaterThanOrEqual => (5, false),
        IntCC::UnsignedGreaterThan => (6, false),
    }
}

/// The last bits of the opcode of a jump.
pub(super) fn branch_condition(condition: IntCC) -> u8 {
    match condition {
        IntCC::Equal => 0x4,
        IntCC::NotEqual => 0x5,
        IntCC::SignedLessThan => 0xC,
        IntCC::SignedLessThanOrEqual => 0xE,
        IntCC::SignedGreaterThan => 0xF,
        IntCC::SignedGreaterThanOrEqual => 0xD,
        IntCC::UnsignedLessThan => 0x2,
        IntCC::UnsignedLessThanOrEqual => 0x6,
        IntCC::UnsignedGreaterThan => 0x7,
        IntCC::UnsignedGreaterThanOrEqual => 0x3,
    }
}
