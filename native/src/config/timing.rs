use crate::disk::Group;
use clap::Args;
use std::time::Duration;

/// Time-outs, intervals and bounds of following a main node.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Time and size")]
pub(crate) struct Timing {
    /// How often a main node is asked over JSON-RPC for what is new, at the tip
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse_duration)]
    pub(crate) poll_interval: Duration,

    /// Time to connect to a main node, for each address of its host
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    pub(crate) connect_timeout: Duration,

    /// Time to find the addresses of a main node's host (data stream)
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    pub(crate) resolve_timeout: Duration,

    /// Time for a JSON-RPC request and its whole answer, connecting included; for an answer on the data stream, too
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub(crate) request_timeout: Duration,

    /// Bytes that an answer of a main node may have
    #[arg(long, value_name = "BYTES", default_value_t = 25 << 20)]
    pub(crate) answer_bytes: usize,

    /// JSON-RPC requests to a main node that may be under way at once
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    pub(crate) requests_in_flight: usize,

    /// Batches that are asked for ahead of the one that is verified (JSON-RPC)
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    pub(crate) batches_ahead: u64,

    /// Without a byte on the data stream for so long, the main node is asked for a sign of life
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    pub(crate) silence: Duration,

    /// Time to get rid of a command on the data stream
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    pub(crate) write_timeout: Duration,

    /// At the tip without an entry for so long, the data stream's length is asked for on another connection
    ///
    /// A main node does not say so when it cuts its stream, and may fail to send what it wrote when history became
    /// present.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    pub(crate) quiet: Duration,

    /// The first wait before a main node is tried again; it doubles with each failure
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = parse_duration)]
    pub(crate) retry_first: Duration,

    /// The longest wait before a main node is tried again
    #[arg(long, value_name = "TIME", default_value = "1500ms", value_parser = parse_duration)]
    pub(crate) retry_longest: Duration,

    /// How often main nodes that do not serve are compared with what is verified
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    pub(crate) compare_interval: Duration,

    /// When nothing was verified for so long and another main node has more blocks, that one is followed
    ///
    /// Only main nodes with JSON-RPC are looked at while they do not serve: nobody sees that another data stream has more.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub(crate) stall_timeout: Duration,

    /// Records that gather in memory before they are written to the database
    #[arg(long, value_name = "COUNT", default_value_t = 50_000)]
    pub(crate) commit_records: usize,

    /// Time after which what has gathered is written to the database, while catching up
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    pub(crate) commit_age: Duration,

    /// Time between two reports of progress while catching up, where there is no terminal
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub(crate) report_interval: Duration,
}

impl Timing {
    /// When a commit is handed to the disk.
    pub(crate) fn group(&self) -> Group {
        Group { records: self.commit_records, age: self.commit_age }
    }
}

/// A number and its unit: `500ms`, `2s`, `5m`.
/// A time, as it is written: a whole number and a unit.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let unlike = || "expected a number above 0 and a unit, as 500ms, 2s or 5m".to_owned();
    let unit = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(unlike)?;
    let number: u32 = text[..unit].parse().map_err(|_| unlike())?;
    let unit = match &text[unit..] {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        _ => return Err(unlike()),
    };
    if number == 0 { Err(unlike()) } else { Ok(unit * number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(parse_duration("5m"), Ok(Duration::from_secs(300)));
        for bad in ["", "5", "s", "-1s", "1.5s", "0s", "1h", "99999999999s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
