//! Lines on standard error: a time, a level, a sentence; or the same as JSON.

use clap::{Args, ValueEnum};
use std::io;
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How it is told what happens.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Logging")]
pub(crate) struct LogOptions {
    /// Lines for people, or one JSON object each
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    log_format: Format,

    /// The least important lines to be written: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value_t = Level::INFO)]
    log_level: Level,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Time, level, sentence.
    Text,
    /// One object on each line.
    Json,
}

/// From now on lines are written. To be called once.
pub(crate) fn start(options: &LogOptions) {
    let level = LevelFilter::from_level(options.log_level);
    // Libraries are heard when something is wrong.
    let filter = Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_target(env!("CARGO_CRATE_NAME"), level);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match options.log_format {
        Format::Json => {
            let layer = fmt::layer().json().flatten_event(true).with_target(false).with_writer(io::stderr);
            registry.with(layer).try_init()
        }
        Format::Text => {
            // The sentence says it all: the other fields are for machines.
            let sentence = fmt::format::debug_fn(|writer, field, value| match field.name() {
                "message" => write!(writer, "{value:?}"),
                _ => Ok(()),
            });
            let layer =
                fmt::layer().fmt_fields(sentence).with_target(false).with_ansi(false).with_writer(io::stderr);
            registry.with(layer).try_init()
        }
    };
    // There is a subscriber already: it has been called before.
    drop(started);
}
