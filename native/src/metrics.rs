//! What is counted and measured, for Prometheus. `docs/observability.md` has the same table.

use crate::http::Traffic;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// Names and values of labels.
pub(crate) type Labels<const N: usize> = [(&'static str, String); N];

/// All metrics of a process.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    #[cfg(test)]
    names: Vec<String>,
    /// Blocks verified by this process.
    pub(crate) blocks: Counter,
    /// Their transactions.
    pub(crate) transactions: Counter,
    /// Their gas.
    pub(crate) gas: Counter,
    /// Time to verify a block, in seconds.
    pub(crate) verify_time: Histogram,
    /// The last verified block.
    pub(crate) verified_block: Gauge,
    /// The last block on the disk: the one that is served.
    pub(crate) head_block: Gauge,
    /// Its timestamp.
    pub(crate) head_timestamp: Gauge,
    /// The main node's last block.
    pub(crate) highest_block: Gauge,
    pub(crate) finalized_block: Gauge,
    /// How many blocks the main node is ahead.
    pub(crate) lag: Gauge,
    /// 1 at the tip.
    pub(crate) at_tip: Gauge,
    /// 1 while connected.
    pub(crate) connected: Gauge,
    /// Connections made.
    pub(crate) connects: Counter,
    /// Connections lost, or not made.
    pub(crate) disconnects: Counter,
    /// Roll-backs.
    pub(crate) reorgs: Counter,
    /// Their depths, in blocks.
    pub(crate) reorg_depth: Histogram,
    /// Mismatches found.
    pub(crate) mismatches: Counter,
    /// 1 while the main node is wrong.
    pub(crate) mismatch: Gauge,
    /// Bytes of the database's files.
    pub(crate) database: Gauge,
    /// Requests, by method and outcome.
    pub(crate) requests: Family<Labels<2>, Counter>,
    /// Their time in seconds, by method.
    pub(crate) request_time: Family<Labels<1>, Histogram, Buckets>,
    /// Requests that wait for a worker.
    pub(crate) waiting: Gauge,
    /// Requests being worked on.
    pub(crate) running: Gauge,
    /// Requests for which there was no room.
    pub(crate) busy: Counter,
    /// Questions to main nodes, by method and outcome.
    pub(crate) forwarded: Family<Labels<2>, Counter>,
    /// Transactions sent from here that are not verified yet.
    pub(crate) pending: Gauge,
    /// Filters.
    pub(crate) filters: Gauge,
    /// Connections and refusals.
    pub(crate) traffic: Traffic,
}

/// Makes histograms of a family.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

const VERIFY_SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
const REQUEST_SECONDS: &[f64] = &[0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
const DEPTH_BLOCKS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1000.0, 10_000.0];

impl Metrics {
    /// Nothing has been counted yet.
    pub(crate) fn new() -> Self {
        let mut table = Table::new();
        let started = table.gauge("start_time_seconds", "When the process started, in seconds since 1970");
        started.set(seconds(SystemTime::now()));
        let build: Family<Labels<1>, Gauge> =
            table.add("build_info", "1, with the version as a label", Family::default());
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION").to_owned())]).set(1);
        let traffic = Traffic::default();
        table.add("http_connections", "Open HTTP connections", traffic.connections.clone());
        table.add("websocket_connections", "Open WebSocket connections", traffic.sessions.clone());
        table.count(
            "connections_turned_away",
            "Connections for which there was no room",
            traffic.turned_away.clone(),
        );
        table.count(
            "http_requests_refused",
            "Requests that were too large, too slow, too many, or malformed, or whose answers found no memory",
            traffic.refused.clone(),
        );
        table.count(
            "panics",
            "Requests that were answered with an internal error after a panic",
            traffic.panics.clone(),
        );
        Self {
            blocks: table.counter("blocks_verified", "Blocks verified since the start"),
            transactions: table.counter("transactions_verified", "Transactions of these blocks"),
            gas: table.counter("gas_verified", "Gas of these blocks"),
            verify_time: table.add(
                "block_verify_seconds",
                "Time to execute and check a block, in seconds",
                Buckets(VERIFY_SECONDS).new_metric(),
            ),
            verified_block: table.gauge("verified_block", "Number of the last verified block"),
            head_block: table
                .gauge("head_block", "Number of the last block on the disk, which is the one served"),
            head_timestamp: table
                .gauge("head_timestamp_seconds", "Timestamp of that block, in seconds since 1970"),
            finalized_block: table.gauge(
                "finalized_block",
                "Number of the last block that L1 has proved; 0 when that is not known",
            ),
            highest_block: table
                .gauge("highest_block", "Number of the main node's last block, as far as it is known"),
            lag: table.gauge("lag_blocks", "How many blocks the main node is ahead of the served block"),
            at_tip: table
                .gauge("at_tip", "1 when all that the main node has sent is verified and on the disk"),
            connected: table.gauge("connected", "1 while there is a connection to follow the main node"),
            connects: table.counter("connects", "Connections made to follow the main node"),
            disconnects: table
                .counter("disconnects", "Such connections that were lost, or could not be made"),
            reorgs: table.counter("reorgs", "Roll-backs of the chain"),
            reorg_depth: table.add(
                "reorg_depth_blocks",
                "Blocks that a roll-back removed",
                Buckets(DEPTH_BLOCKS).new_metric(),
            ),
            mismatches: table.counter("mismatches", "Claims of the main node that were found to be wrong"),
            mismatch: table.gauge("mismatch", "1 while the main node is wrong and the chain is not extended"),
            database: table.gauge("database_bytes", "Bytes of the database's files"),
            requests: table.family("rpc_requests", "JSON-RPC requests by method and outcome"),
            request_time: table.add(
                "rpc_request_seconds",
                "Time to answer a request by method, in seconds",
                Family::new_with_constructor(Buckets(REQUEST_SECONDS)),
            ),
            waiting: table.gauge("rpc_waiting", "Requests that wait for a worker"),
            running: table.gauge("rpc_running", "Requests that a worker works on"),
            busy: table.counter("rpc_busy", "Requests that were refused because too many waited"),
            forwarded: table.family("forwarded", "Questions to main nodes by method and outcome"),
            pending: table
                .gauge("pending_transactions", "Transactions sent through this replica and not verified yet"),
            filters: table.gauge("filters", "Filters that exist"),
            traffic,
            #[cfg(test)]
            names: table.names,
            registry: table.registry,
        }
    }

    /// In Prometheus's text format.
    pub(crate) fn encode(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

/// A number as a gauge takes it.
pub(crate) fn gauged(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn seconds(time: SystemTime) -> i64 {
    gauged(time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// What the name of each metric begins with.
const PREFIX: &str = env!("CARGO_CRATE_NAME");

/// The registry, and in tests the names in it.
struct Table {
    registry: Registry,
    #[cfg(test)]
    names: Vec<String>,
}

impl Table {
    fn new() -> Self {
        Self {
            registry: Registry::with_prefix(PREFIX),
            #[cfg(test)]
            names: Vec::new(),
        }
    }

    fn add<M: Metric + Clone>(&mut self, name: &'static str, help: &'static str, metric: M) -> M {
        #[cfg(test)]
        self.names.push(format!("{PREFIX}_{name}"));
        self.registry.register(name, help, metric.clone());
        metric
    }

    /// The text format puts `_total` behind the name.
    fn count<M: Metric + Clone>(&mut self, name: &'static str, help: &'static str, metric: M) -> M {
        #[cfg(test)]
        self.names.push(format!("{PREFIX}_{name}_total"));
        self.registry.register(name, help, metric.clone());
        metric
    }

    fn counter(&mut self, name: &'static str, help: &'static str) -> Counter {
        self.count(name, help, Counter::default())
    }

    fn family(&mut self, name: &'static str, help: &'static str) -> Family<Labels<2>, Counter> {
        self.count(name, help, Family::default())
    }

    fn gauge(&mut self, name: &'static str, help: &'static str) -> Gauge {
        self.add(name, help, Gauge::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    fn file(path: &str) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        fs::read_to_string(root.join(path)).unwrap()
    }

    /// Every word that is the name of a metric, or would be one.
    fn named(text: &str) -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.filter(|word| word.starts_with("zk_replica_")).map(str::to_owned).collect()
    }

    #[test]
    fn the_manual_lists_each_metric_and_no_other() {
        let rows: BTreeSet<String> = file("docs/observability.md")
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned))
            .filter(|name| name.starts_with("zk_replica_"))
            .collect();
        assert_eq!(rows, Metrics::new().names.into_iter().collect());
    }

    #[test]
    fn dashboard_and_alerts_name_what_exists() {
        let names = Metrics::new().names;
        for path in ["ops/grafana-dashboard.json", "ops/prometheus-alerts.yml"] {
            let used = named(&file(path));
            assert!(used.len() > 5, "{path}: {used:?}");
            for name in used {
                let plain = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
                let known = |name: &str| names.iter().any(|known| known == name);
                assert!(known(&name) || plain.is_some_and(known), "{path}: {name}");
            }
        }
        serde_json::from_str::<serde_json::Value>(&file("ops/grafana-dashboard.json")).unwrap();
    }

    #[test]
    fn what_is_counted_is_in_the_text() {
        let metrics = Metrics::new();
        metrics.blocks.inc_by(3);
        metrics.requests.get_or_create(&[("method", "eth_call".into()), ("outcome", "ok".into())]).inc();
        let text = metrics.encode().unwrap();
        assert!(text.contains("\nzk_replica_blocks_verified_total 3\n"), "{text}");
        let request = r#"zk_replica_rpc_requests_total{method="eth_call",outcome="ok"} 1"#;
        assert!(text.contains(request), "{text}");
    }
}
