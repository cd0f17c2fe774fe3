//! Kiln's three levels of IR.
