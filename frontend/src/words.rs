//! Words of PyTorch that choose between a few ways (`reduction="mean"`): here enums, which still read those words, for models that are built
//! from a configuration.

/// Defines an enum of words: each variant has PyTorch's word as its text, and an unknown word is a diagnostic that lists those known.
macro_rules! words {
    ($(#[doc = $doc:literal])* pub enum $name:ident: $what:literal { $($(#[doc = $variant_doc:literal])* $variant:ident = $word:literal,)* }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum $name { $($(#[doc = $variant_doc])* $variant,)* }

        impl $name {
            /// PyTorch's word.
            pub const fn word(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = ::kiln_ir::Diagnostic;

            fn from_str(word: &str) -> Result<$name, ::kiln_ir::Diagnostic> {
                match word {
                    $($word => Ok($name::$variant),)*
                    _ => {
                        let known = [$(concat!("`", $word, "`")),*].join(", ");
                        let message = format!("{} needs one of {known}: found `{word}`", concat!("the ", $what));
                        Err(::kiln_ir::Diagnostic::new(::kiln_ir::Code::BadArgument, message))
                    }
                }
            }
        }
    };
}

pub(crate) use words;
