use super::{Checks, Table, Unsupported};
use serde_json::Value as Json;
pub(super) fn check(_: &Table, _: &Json, _: &mut Checks) -> Result<(), Unsupported> {
    Err(Unsupported("later".to_owned()))
}
