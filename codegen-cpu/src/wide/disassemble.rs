//! Wide functions as text, behind that of the function which calls them.

use std::fmt::Write;

use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter, Mnemonic};

/// The disassembly of a kernel, and after it that of the wide functions that start at these places of its code.
pub(crate) fn disassembled(mut text: String, bytes: &[u8], starts: &[usize]) -> String {
    for (number, &start) in starts.iter().enumerate() {
        let _ = writeln!(text, "wide function {number}:");
        let mut decoder = Decoder::with_ip(64, &bytes[start..], start as u64, DecoderOptions::NONE);
        let (mut formatter, mut line) = (GasFormatter::new(), String::new());
        for instruction in &mut decoder {
            line.clear();
            formatter.format(&instruction, &mut line);
            let _ = writeln!(text, "  {:5x}: {line}", instruction.ip());
            // There is one, and then come constants.
            if instruction.mnemonic() == Mnemonic::Ret {
                break;
            }
        }
    }
    text
}
