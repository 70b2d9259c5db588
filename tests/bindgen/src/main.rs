//! `zk-replica-bindgen MODULE FOLDER [names]`: wasm-bindgen's generator, at the version that `Cargo.lock` has for the
//! crate. Installed on its own it could be another one, and the two refuse each other. With `names` the functions keep
//! theirs, for a profile.

use std::{env, error::Error, process::ExitCode};
use wasm_bindgen_cli_support::Bindgen;

#[expect(clippy::print_stderr, reason = "a tool of the build says what went wrong")]
fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let (Some(module), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: zk-replica-bindgen MODULE FOLDER [names]".into());
    };
    let names = arguments.next().is_some_and(|word| word == "names");
    Ok(Bindgen::new()
        .input_path(module)
        .web(true)?
        .typescript(true)
        .omit_default_module_path(true)
        .remove_name_section(!names)
        .remove_producers_section(true)
        // After a panic the module's state is not to be trusted any more: a fresh one takes its place.
        .reset_state_function(true)
        .out_name("engine")
        .generate(folder)?)
}
