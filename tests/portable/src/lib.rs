//! The core behind three functions that any wasm engine can call, without a single import: no clock, no randomness,
//! no files, no output.
#![cfg(target_family = "wasm")]
#![no_std]
#![expect(unsafe_code, reason = "a wasm module without an interface generator passes memory by address")]

extern crate alloc;

use alloc::{borrow::ToOwned, format, string::String, vec::Vec};
use core::{panic::PanicInfo, slice};
use zk_replica_core::{
    chain::{ChainSpec, Genesis},
    replica::{Input, Replica},
    source::datastream::{Assembler, FileDecoder},
    store::Memory,
};

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// Memory for `length` bytes, to be filled by the caller. It is never given back.
#[unsafe(no_mangle)]
pub extern "C" fn allocate(length: usize) -> *mut u8 {
    Vec::leak(alloc::vec![0; length]).as_mut_ptr()
}

/// Replays a stream and returns the address of a text: four bytes of length, little-endian, then what came out.
///
/// # Safety
///
/// Each pair is the address of memory from [`allocate`] and its length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn replay(
    stream: *const u8,
    stream_length: usize,
    genesis: *const u8,
    genesis_length: usize,
    chain: *const u8,
    chain_length: usize,
) -> *const u8 {
    // SAFETY: the caller's promise.
    let (stream, genesis, chain) = unsafe {
        (
            slice::from_raw_parts(stream, stream_length),
            slice::from_raw_parts(genesis, genesis_length),
            slice::from_raw_parts(chain, chain_length),
        )
    };
    let text = run(stream, genesis, chain).unwrap_or_else(|error| error);
    let length = u32::try_from(text.len()).unwrap_or(0).to_le_bytes();
    Vec::leak([&length, text.as_bytes()].concat()).as_ptr()
}

fn run(stream: &[u8], genesis: &[u8], chain: &[u8]) -> Result<String, String> {
    let genesis = Genesis::from_json(genesis).map_err(|error| format!("{error}"))?;
    let chain = ChainSpec::from_json(chain).map_err(|error| format!("{error}"))?;
    let store = Memory::new();
    let mut replica = Replica::open(chain, genesis, &store).map_err(|error| format!("{error}"))?;
    let mut decoder = FileDecoder::new();
    let mut assembler = Assembler::new();
    for piece in stream.chunks(1 << 16) {
        decoder.push(piece);
        while let Some(entry) = decoder.next().map_err(|error| format!("{error}"))? {
            if let Some(item) = assembler.push(entry).map_err(|error| format!("{error}"))? {
                replica.advance(&Input::from(item), &store).map_err(|error| format!("{error}"))?;
            }
        }
    }
    decoder.finish().map_err(|error| format!("{error}"))?;
    let head = replica.head().ok_or_else(|| "no blocks".to_owned())?;
    Ok(format!("tip {} state root {} hash {}", head.number, head.state_root, head.hash))
}
