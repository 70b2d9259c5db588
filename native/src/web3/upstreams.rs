//! Questions that only a main node can answer, and transactions on their way to it (`spec/rpc.md` §7).

use crate::http::{Client, ClientError, ClientLimits, Endpoint};
use crate::metrics::Metrics;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Semaphore};
use tokio::time;

/// A price is as good as new for so long.
const FRESH: Duration = Duration::from_secs(3);

/// For answers without which there is another one.
const SHORT: Duration = Duration::from_secs(2);

/// Questions at a time.
const AT_ONCE: usize = 64;

/// Bytes of an answer: all that is asked for is small.
const ANSWER: usize = 1 << 20;

/// The main nodes. Without any, nobody answers.
#[derive(Debug)]
pub(super) struct Upstreams {
    client: Client,
    list: Vec<Upstream>,
    room: Semaphore,
    /// The last answers to questions about prices. Each is asked by one caller at a time, the others wait for it.
    prices: BTreeMap<&'static str, Mutex<Option<Price>>>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Upstream {
    endpoint: Endpoint,
    /// In a row, up to now.
    failures: AtomicU32,
    /// The last one, in words.
    trouble: Lock<Option<String>>,
}

#[derive(Clone, Debug)]
struct Price {
    answer: Vec<u8>,
    asked: Instant,
}

/// How one main node does.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct UpstreamStatus {
    url: String,
    failures: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
}

impl Upstreams {
    /// Nothing is asked yet.
    pub(super) fn new(endpoints: &[Endpoint], time: Duration, metrics: Arc<Metrics>) -> Self {
        let limits = ClientLimits { total: time, answer: ANSWER, ..ClientLimits::default() };
        let upstream = |endpoint: &Endpoint| Upstream {
            endpoint: endpoint.clone(),
            failures: AtomicU32::new(0),
            trouble: Lock::default(),
        };
        let prices = ["eth_gasPrice", "eth_maxPriorityFeePerGas"].map(|method| (method, Mutex::default()));
        Self {
            client: Client::new(limits),
            list: endpoints.iter().map(upstream).collect(),
            room: Semaphore::new(AT_ONCE),
            prices: prices.into(),
            metrics,
        }
    }

    /// There is none to ask.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How each does.
    pub(super) fn status(&self) -> Vec<UpstreamStatus> {
        let status = |upstream: &Upstream| UpstreamStatus {
            url: upstream.endpoint.to_string(),
            failures: upstream.failures.load(Ordering::Relaxed),
            trouble: upstream.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        self.list.iter().map(status).collect()
    }

    /// The answer to a request; `None` when there is none.
    pub(super) async fn ask(&self, request: &str) -> Option<Vec<u8>> {
        let method = method(request)?;
        match self.prices.get(method.as_ref()) {
            Some(price) => self.price(price, &method, request).await,
            None => self.send(&method, request).await,
        }
    }

    /// The main node's last block.
    pub(super) async fn height(&self) -> Option<u64> {
        #[derive(Deserialize)]
        struct Height {
            result: alloy_primitives::U64,
        }
        let method = "eth_blockNumber";
        let answer = self.send(method, r#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}"#);
        let height: Height = serde_json::from_slice(&answer.await?).ok()?;
        Some(height.result.to())
    }

    /// What was heard lately; what is heard now; or else what was heard last.
    async fn price(&self, price: &Mutex<Option<Price>>, method: &str, request: &str) -> Option<Vec<u8>> {
        let mut price = price.lock().await;
        match &*price {
            Some(price) if price.asked.elapsed() < FRESH => return Some(price.answer.clone()),
            _ => {}
        }
        let heard = self.send(method, request).await.filter(|answer| has_result(answer));
        match (heard, &mut *price) {
            (Some(answer), price) => {
                *price = Some(Price { answer: answer.clone(), asked: Instant::now() });
                Some(answer)
            }
            (None, Some(price)) => {
                // Not every caller has to wait for a main node that does not answer.
                price.asked = Instant::now();
                Some(price.answer.clone())
            }
            (None, None) => None,
        }
    }

    async fn send(&self, method: &str, request: &str) -> Option<Vec<u8>> {
        let answer = match self.room.try_acquire() {
            Ok(_place) => self.try_all(request, patience(method)).await,
            Err(_) => None,
        };
        let outcome = match &answer {
            Some(answer) if has_result(answer) => "ok",
            Some(_) => "error",
            None => "no answer",
        };
        let labels = [("method", method.to_owned()), ("outcome", outcome.to_owned())];
        self.metrics.forwarded.get_or_create(&labels).inc();
        answer
    }

    /// Asks one after the other, those that have failed less first, until one answers.
    async fn try_all(&self, request: &str, patience: Option<Duration>) -> Option<Vec<u8>> {
        let mut order: Vec<&Upstream> = self.list.iter().collect();
        order.sort_by_key(|upstream| upstream.failures.load(Ordering::Relaxed));
        let mut said = None;
        for upstream in order {
            let asked = self.client.post(&upstream.endpoint, request.to_owned());
            let heard = match patience {
                Some(patience) => {
                    time::timeout(patience, asked).await.unwrap_or(Err(ClientError::TimedOut(patience)))
                }
                None => asked.await,
            };
            let reason = match heard {
                Ok(answer) if is_answer(&answer) => {
                    upstream.failures.store(0, Ordering::Relaxed);
                    upstream.note(None);
                    return Some(answer.into());
                }
                Ok(_) => "the answer is not JSON-RPC".to_owned(),
                Err(error) => {
                    let reason = error.to_string();
                    if let ClientError::Status { body, .. } = error {
                        // Better than nothing, should no other answer.
                        said = said.or(Some(body).filter(|body| is_answer(body)));
                    }
                    reason
                }
            };
            upstream.failures.fetch_add(1, Ordering::Relaxed);
            upstream.note(Some(reason));
        }
        said.map(Into::into)
    }
}

impl Upstream {
    fn note(&self, trouble: Option<String>) {
        let mut noted = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if *noted != trouble {
            match &trouble {
                Some(reason) => {
                    tracing::warn!(event = "main node fails", "main node {}: {reason}", self.endpoint);
                }
                None => {
                    tracing::info!(event = "main node answers", "main node {}: answers again", self.endpoint)
                }
            }
            *noted = trouble;
        }
    }
}

/// How long one main node is waited for; `None`: as long as for any request.
fn patience(method: &str) -> Option<Duration> {
    let short = [
        "eth_blockNumber",
        "eth_gasPrice",
        "eth_getTransactionByHash",
        "eth_getTransactionCount",
        "eth_maxPriorityFeePerGas",
    ];
    short.contains(&method).then_some(SHORT)
}

/// The method of a request that the core has written.
fn method(request: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        method: Cow<'a, str>,
    }
    serde_json::from_str::<Named<'_>>(request).ok().map(|named| named.method)
}

/// As far as one has to look to know that a main node has spoken.
#[derive(Deserialize)]
struct Shape {
    #[serde(default, deserialize_with = "present")]
    result: bool,
    error: Option<IgnoredAny>,
}

/// `null` is a result, too.
fn present<'de, D: serde::Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

fn is_answer(body: &[u8]) -> bool {
    serde_json::from_slice::<Shape>(body).is_ok_and(|shape| shape.result || shape.error.is_some())
}

fn has_result(body: &[u8]) -> bool {
    serde_json::from_slice::<Shape>(body).is_ok_and(|shape| shape.result && shape.error.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_result_or_an_error() {
        for (body, answer, result) in [
            (r#"{"jsonrpc":"2.0","id":1,"result":null}"#, true, true),
            (r#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#, true, true),
            (r#"{"error":{"code":1,"message":"no"}}"#, true, false),
            (r#"{"result":"0x1","error":null}"#, true, true),
            (r#"{"jsonrpc":"2.0","id":1}"#, false, false),
            ("<html>", false, false),
            ("", false, false),
            ("[]", false, false),
        ] {
            assert_eq!((is_answer(body.as_bytes()), has_result(body.as_bytes())), (answer, result), "{body}");
        }
    }
}
