//! The options of optimisers: a struct with PyTorch's names and defaults, a constructor and a setter an option.

use std::fmt::Display;

/// Declares an optimiser's options; a default for `lr` also gives the struct a `Default`.
macro_rules! options {
    ($(#[$doc:meta])* pub struct $name:ident(lr $(= $lr:literal)?) {
        $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Debug)]
        pub struct $name {
            /// Learning rate.
            pub lr: f64,
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl $name {
            /// PyTorch's defaults with this learning rate.
            pub fn new(lr: f64) -> $name {
                $name { lr, $($field: $default,)* }
            }

            $($(#[$field_doc])*
            #[must_use]
            pub fn $field(self, $field: $type) -> $name {
                $name { $field, ..self }
            })*
        }

        $(impl Default for $name {
            fn default() -> $name {
                $name::new($lr)
            }
        })?
    };
}

pub(super) use options;

/// The first of `checks` that fails, in the words of `torch.optim`.
pub(super) fn first_fault(checks: impl IntoIterator<Item = (bool, String)>) -> Option<String> {
    checks.into_iter().find(|(holds, _)| !holds).map(|(_, message)| message)
}

/// `value >= 0`.
pub(super) fn at_least_zero(what: &str, value: f64) -> (bool, String) {
    (value >= 0.0, invalid(what, value))
}

/// `0 <= value < 1`.
pub(super) fn below_one(what: &str, value: f64) -> (bool, String) {
    ((0.0..1.0).contains(&value), invalid(what, value))
}

/// Both of `betas` in `[0, 1)`.
pub(super) fn valid_betas(betas: (f64, f64)) -> [(bool, String); 2] {
    [below_one("beta parameter at index 0", betas.0), below_one("beta parameter at index 1", betas.1)]
}

fn invalid(what: &str, value: impl Display) -> String {
    format!("Invalid {what}: {value}")
}
