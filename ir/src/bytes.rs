//! Amounts of memory, as people write them: `512 MiB`.

use std::fmt;
use std::str::FromStr;

use crate::{Code, Diagnostic, Place};

/// A number of bytes. Its text is a number and a unit: `512 MiB`, `1.5 GiB`, `800 MB`; without a unit it is bytes.
///
/// ```
/// use kiln_ir::Bytes;
///
/// assert_eq!("1.5 GiB".parse(), Ok(Bytes(1_610_612_736)));
/// assert_eq!("800MB".parse(), Ok(Bytes(800_000_000)));
/// assert_eq!(Bytes(1_610_612_736).to_string(), "1536.0 MiB");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Bytes(pub usize);

/// What a program has promised about its memory, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeakMemory {
    /// The most that its arena may have.
    pub limit: Bytes,
    /// The line that says so, if a line does.
    pub place: Place,
}

impl PeakMemory {
    /// The promise that is harder to keep; the first of equals.
    pub fn stricter(a: Option<PeakMemory>, b: Option<PeakMemory>) -> Option<PeakMemory> {
        [a, b].into_iter().flatten().min_by_key(|promise| promise.limit)
    }
}

/// The units, those of powers of 1000 and those of powers of 1024, in any case.
const UNITS: [(&str, u128); 10] = [
    ("", 1),
    ("B", 1),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// More decimal places than this say nothing.
const MAX_DIGITS: usize = 18;

impl FromStr for Bytes {
    type Err = Diagnostic;

    fn from_str(text: &str) -> Result<Bytes, Diagnostic> {
        let trimmed = text.trim();
        let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
        let (number, unit) = (&trimmed[..end], trimmed[end..].trim());
        let refused = |needed: &str| {
            let message = format!("an amount of memory needs {needed}: found `{text}`");
            Diagnostic::new(Code::BadArgument, message).help("write it as in `512 MiB`, `1.5 GiB` or `800 MB`")
        };
        let factor = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, factor)| *factor);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = |part: &str| part.len() <= MAX_DIGITS && part.chars().all(|c| c.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || number.ends_with('.') {
            return Err(refused("a number in front, such as 512 or 1.5"));
        }
        let Some(factor) = factor else {
            return Err(refused("a unit of B, KB, MB, GB, TB, KiB, MiB, GiB or TiB"));
        };
        // At most 18 digits and 41 bits: the products have fewer than 128.
        let part = |digits: &str| digits.parse::<u128>().unwrap_or(0) * factor;
        let bytes = part(whole) + part(fraction) / 10_u128.pow(fraction.len() as u32);
        match usize::try_from(bytes) {
            Ok(0) => Err(refused("at least one byte")),
            Ok(bytes) => Ok(Bytes(bytes)),
            Err(_) => Err(refused("less than this machine can address")),
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bytes(bytes) = *self;
        match bytes {
            0..1024 => write!(f, "{bytes} bytes"),
            1024..1_048_576 => write!(f, "{:.1} KiB", bytes as f64 / 1024.0),
            _ => write!(f, "{:.1} MiB", bytes as f64 / 1_048_576.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_numbers_and_units() {
        for (text, bytes) in [
            ("512 MiB", 512 << 20),
            ("1.5 GiB", 3 << 29),
            ("800 MB", 800_000_000),
            ("1GB", 1_000_000_000),
            (" 0.25 kib ", 256),
            ("4096", 4096),
            ("7 B", 7),
        ] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_told() {
        for (text, needed) in [
            ("", "a number in front"),
            ("MiB", "a number in front"),
            ("-5 MiB", "a number in front"),
            ("1.2.3 MiB", "a number in front"),
            ("5. MiB", "a number in front"),
            ("12345678901234567890", "a number in front"),
            ("512 M", "a unit of"),
            ("1 e9", "a unit of"),
            ("5 MiB!", "a unit of"),
            ("0", "at least one byte"),
            ("0.0001 KiB", "at least one byte"),
            ("999999999999 TiB", "less than this machine"),
        ] {
            let told = text.parse::<Bytes>().expect_err(text);
            assert_eq!(told.code, Code::BadArgument);
            assert!(told.message.contains(needed) && told.message.contains(text), "{told}");
        }
    }
}
