//! Tensors between pages that fault, and elements as bytes.

use half::{bf16, f16};
use kiln_ir::DType;
use kiln_ir::interpret::Value;

const PAGE: usize = 4096;

/// Memory whose first byte follows, or whose last byte precedes, a page that cannot be accessed.
pub struct Guarded {
    map: *mut u8,
    map_bytes: usize,
    start: usize,
    size_bytes: usize,
}

unsafe extern "C" {
    fn mmap(address: *mut u8, length: usize, protection: i32, flags: i32, file: i32, offset: i64) -> *mut u8;
    fn mprotect(address: *mut u8, length: usize, protection: i32) -> i32;
    fn munmap(address: *mut u8, length: usize) -> i32;
}

const READ_WRITE: i32 = 3;
const PRIVATE: i32 = 2;
const ANONYMOUS: i32 = if cfg!(target_os = "macos") { 0x1000 } else { 0x20 };

impl Guarded {
    pub fn new(size_bytes: usize, at_end: bool) -> Guarded {
        let inside = size_bytes.next_multiple_of(PAGE).max(PAGE);
        let map_bytes = inside + 2 * PAGE;
        // SAFETY: a new private mapping, whose outer pages are then closed.
        let map = unsafe {
            let map = mmap(std::ptr::null_mut(), map_bytes, READ_WRITE, PRIVATE | ANONYMOUS, -1, 0);
            assert!(map as isize != -1, "no memory for a test tensor");
            assert_eq!(mprotect(map, PAGE, 0), 0);
            assert_eq!(mprotect(map.add(PAGE + inside), PAGE, 0), 0);
            map
        };
        let start = if at_end { PAGE + inside - size_bytes } else { PAGE };
        Guarded { map, map_bytes, start, size_bytes }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: inside the mapping's open pages.
        unsafe { std::slice::from_raw_parts_mut(self.map.add(self.start), self.size_bytes) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the whole mapping made in `new`.
        unsafe { munmap(self.map, self.map_bytes) };
    }
}

/// Writes the elements.
pub fn write(bytes: &mut [u8], value: &Value) {
    for (bytes, &x) in bytes.chunks_mut(value.dtype.size_bytes()).zip(&value.data) {
        match value.dtype {
            DType::F32 => bytes.copy_from_slice(&(x as f32).to_ne_bytes()),
            DType::F64 => bytes.copy_from_slice(&x.to_ne_bytes()),
            DType::I64 => bytes.copy_from_slice(&(x as i64).to_ne_bytes()),
            DType::I32 => bytes.copy_from_slice(&(x as i32).to_ne_bytes()),
            DType::F16 => bytes.copy_from_slice(&f16::from_f32(x as f32).to_ne_bytes()),
            DType::BF16 => bytes.copy_from_slice(&bf16::from_f32(x as f32).to_ne_bytes()),
            _ => bytes[0] = x as u8,
        }
    }
}

/// Reads elements of the value's dtype.
pub fn read(bytes: &[u8], value: &Value) -> Value {
    let data = bytes.chunks(value.dtype.size_bytes()).map(|bytes| match value.dtype {
        DType::F32 => f64::from(f32::from_ne_bytes(bytes.try_into().expect("four bytes"))),
        DType::F64 => f64::from_ne_bytes(bytes.try_into().expect("eight bytes")),
        DType::I64 => i64::from_ne_bytes(bytes.try_into().expect("eight bytes")) as f64,
        DType::F16 => f16::from_ne_bytes(bytes.try_into().expect("two bytes")).to_f64(),
        DType::BF16 => bf16::from_ne_bytes(bytes.try_into().expect("two bytes")).to_f64(),
        DType::I32 => f64::from(i32::from_ne_bytes(bytes.try_into().expect("four bytes"))),
        _ => f64::from(bytes[0]),
    });
    Value::new(value.dtype, value.shape.clone(), data.collect()).expect("as many as the shape says")
}
