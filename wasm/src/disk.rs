//! The disk that a script gives.

use crate::store::{File, FileError};
use alloc::string::{String, ToString};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// What the script gives as a disk. Each method may throw; a `QuotaExceededError` is told from the rest.
    #[wasm_bindgen(typescript_type = "Disk")]
    pub type Disk;
    #[wasm_bindgen(method, catch, js_name = size)]
    fn js_size(this: &Disk) -> Result<f64, JsValue>;
    #[wasm_bindgen(method, catch, js_name = read)]
    fn js_read(this: &Disk, at: f64, into: &mut [u8]) -> Result<f64, JsValue>;
    #[wasm_bindgen(method, catch, js_name = write)]
    fn js_write(this: &Disk, at: f64, bytes: &[u8]) -> Result<f64, JsValue>;
    #[wasm_bindgen(method, catch, js_name = flush)]
    fn js_flush(this: &Disk) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch, js_name = truncate)]
    fn js_truncate(this: &Disk, size: f64) -> Result<(), JsValue>;

    /// What scripts throw.
    type Thrown;
    #[wasm_bindgen(method, getter, structural)]
    fn name(this: &Thrown) -> Option<String>;
    #[wasm_bindgen(method, getter, structural)]
    fn message(this: &Thrown) -> Option<String>;
}

#[wasm_bindgen(typescript_custom_section)]
const DISK: &str = r#"
export interface Disk {
  size(): number;
  read(at: number, into: Uint8Array): number;
  write(at: number, bytes: Uint8Array): number;
  flush(): void;
  truncate(size: number): void;
}
"#;

impl File for Disk {
    fn size(&self) -> Result<u64, FileError> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a file's size")]
        self.js_size().map(|size| size as u64).map_err(thrown)
    }

    fn read(&self, at: u64, into: &mut [u8]) -> Result<(), FileError> {
        let expected = into.len() as f64;
        match self.js_read(at as f64, into).map_err(thrown)? {
            count if count == expected => Ok(()),
            _ => Err(FileError::Other("the file ends before its end".to_string())),
        }
    }

    fn write(&self, at: u64, bytes: &[u8]) -> Result<(), FileError> {
        match self.js_write(at as f64, bytes).map_err(thrown)? {
            count if count == bytes.len() as f64 => Ok(()),
            // What browsers do instead of an exception.
            _ => Err(FileError::Quota("not everything was written".to_string())),
        }
    }

    fn flush(&self) -> Result<(), FileError> {
        self.js_flush().map_err(thrown)
    }

    fn truncate(&self, size: u64) -> Result<(), FileError> {
        self.js_truncate(size as f64).map_err(thrown)
    }
}

fn thrown(error: JsValue) -> FileError {
    let error: Thrown = error.unchecked_into();
    let message = error.message().unwrap_or_default();
    match error.name().as_deref() {
        Some("QuotaExceededError") => FileError::Quota(message),
        _ => FileError::Other(message),
    }
}
