//! `debug_trace*` (`spec/rpc.md` §3.4): what a verified transaction did, by running it once more.

use super::{
    Error,
    calls::{apply, member, present},
    error::revert_reason,
    json::Json,
    params::{self, Params, Selector},
    view::{Found, StateError, View},
    witness::{input, kind},
};
use crate::{
    executor::{
        BatchContext, CallFrame, CallsConfig, Parent, PrestateConfig, StepsConfig, Trace, TraceError,
        TraceRequest, Traced, Tracer, trace_block,
    },
    types::BatchPart,
};
use alloc::{format, string::String, vec::Vec};
use alloy_primitives::{B256, keccak256};
use serde::Serialize;

/// A transaction of a block and its trace.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TracedObject {
    tx_hash: B256,
    result: Trace,
}

impl View<'_> {
    pub(super) fn trace_transaction(&self, params: Params<'_>) -> Result<Trace, Error> {
        let (hash, tracer) = (params.hash(0)?, tracer(params.get(1), 1)?);
        let (found, index) = self.transaction(hash)?.ok_or_else(|| Error::server("transaction not found"))?;
        let budget = self.rpc.config.limits.response;
        let traced = self.traced(&found, &TraceRequest { tracer: &tracer, only: Some(index), budget })?;
        traced.into_iter().next().map(|traced| explained(traced.trace)).ok_or_else(Error::internal)
    }

    pub(super) fn trace_block_by_number(&self, params: Params<'_>) -> Result<Vec<TracedObject>, Error> {
        self.trace_whole(params.number_or_tag(0)?, params)
    }

    pub(super) fn trace_block_by_hash(&self, params: Params<'_>) -> Result<Vec<TracedObject>, Error> {
        self.trace_whole(Selector::Hash { hash: params.hash(0)?, require_canonical: false }, params)
    }

    /// `debug_traceCall`: the overrides are part of the tracer's options.
    pub(super) fn trace_call(&self, params: Params<'_>) -> Result<Trace, Error> {
        let options = params.get(2);
        let tracer = tracer(options, 2)?;
        let option = |name| options.and_then(|options| present(options, name));
        let overrides = [(option("stateOverrides"), 2), (option("blockOverrides"), 2)];
        let wanted = self.wanted_with(params, overrides)?;
        let found = self.state_block(params.required_selector(1)?)?;
        let context = self.context(&found, &wanted.block)?;
        let budget = self.rpc.config.limits.response;
        self.with_call_state(&found, params, &wanted, |state| {
            apply(&wanted.accounts, state)?;
            context.trace(&wanted.call, state, &tracer, budget)
        })
        .map(explained)
    }

    fn trace_whole(&self, selector: Selector, params: Params<'_>) -> Result<Vec<TracedObject>, Error> {
        let tracer = tracer(params.get(1), 1)?;
        let found = self.state_block(selector)?;
        self.with_body(found.number())?;
        if found.number() == 0 {
            return Err(Error::server("genesis is not traceable"));
        }
        let mut budget = self.rpc.config.limits.response;
        self.trace_objects(&found, &tracer, &mut budget)
    }

    /// All transactions of a batch, as `zkevm-node` has it.
    pub(super) fn trace_batch(&self, params: Params<'_>) -> Result<Vec<TracedObject>, Error> {
        let (batch, tracer) = (params.count(0)?, tracer(params.get(1), 1)?);
        let first = self.first_block_from(batch)?;
        let (mut traces, mut budget) = (Vec::new(), self.rpc.config.limits.response);
        let mut number = first.unwrap_or(u64::MAX).max(1);
        while let Some(found) = self.block_by_number(number)?.filter(|found| found.record.batch == batch) {
            traces.extend(self.trace_objects(&found, &tracer, &mut budget)?);
            number += 1;
        }
        if batch > self.head()?.batch {
            return Err(Error::server(format!("batch {batch} not found")));
        }
        Ok(traces)
    }

    /// The traces of a block; `budget` is what is left for it and those after it.
    fn trace_objects(
        &self,
        found: &Found,
        tracer: &Tracer,
        budget: &mut usize,
    ) -> Result<Vec<TracedObject>, Error> {
        let traced = self.traced(found, &TraceRequest { tracer, only: None, budget: *budget })?;
        *budget = traced.last().map_or(*budget, |last| last.budget_left);
        let transactions = found.record.transactions.iter().zip(traced);
        let object = transactions.map(|(transaction, traced)| TracedObject {
            tx_hash: keccak256(&transaction.encoded),
            result: explained(traced.trace),
        });
        Ok(object.collect())
    }

    /// Runs a block once more. That every transaction does what its receipt says is a proof that it is the same run.
    fn traced(&self, found: &Found, request: &TraceRequest<'_>) -> Result<Vec<Traced>, Error> {
        let number = found.number();
        if found.record.transactions.is_empty() {
            return Ok(Vec::new());
        }
        let before = number.checked_sub(1).map(|before| self.stored(before)).transpose()?;
        let before = before.ok_or_else(Error::internal)?;
        let parent = Parent { number: before.number(), state_root: before.record.header.state_root };
        let batch = BatchContext {
            rules: self.rules(found)?,
            kind: kind(&found.record),
            chain_id: self.rpc.spec.chain_id,
            part: BatchPart::WHOLE,
        };
        let block = input(&found.record);
        let traced = self.with_state(&before, |state| trace_block(&block, &batch, parent, state, request))?;
        let same = |traced: &Traced| {
            let receipt = found.record.receipts.get(traced.index);
            receipt.is_some_and(|receipt| {
                (receipt.success, receipt.gas_used) == (traced.success, traced.gas_used)
            })
        };
        if !traced.iter().all(same) {
            // Before fork 7 an exit root may come in between two blocks; the state after it is not kept.
            return Err(Error::new(Error::PRUNED, format!("state before block {number} is not available")));
        }
        Ok(traced)
    }
}

impl From<StateError<TraceError>> for Error {
    fn from(StateError { number, error }: StateError<TraceError>) -> Self {
        match error {
            TraceError::Call(error) => StateError { number, error }.into(),
            TraceError::TooLarge => Self::server("trace too large"),
            TraceError::Invalid(_) | TraceError::Unrunnable { .. } => Self::internal(),
        }
    }
}

/// Says what reverts mean.
fn explained(mut trace: Trace) -> Trace {
    match &mut trace {
        Trace::Calls(frame) => explain(frame),
        Trace::Mux(traces) => {
            for trace in traces.values_mut() {
                if let Trace::Calls(frame) = trace {
                    explain(frame);
                }
            }
        }
        Trace::Steps(_) | Trace::Prestate(_) | Trace::Counts(_) => {}
    }
    trace
}

fn explain(frame: &mut CallFrame) {
    if frame.error.is_some() {
        frame.revert_reason = frame.output.as_ref().and_then(|output| revert_reason(output));
    }
    frame.calls.iter_mut().for_each(explain);
}

/// The tracer that the options at this position ask for.
fn tracer(options: Option<&Json<'_>>, position: usize) -> Result<Tracer, Error> {
    let argument = |reason: String| Error::argument(position, reason);
    let Some(options) = options else {
        return Ok(Tracer::Steps(StepsConfig::default()));
    };
    if !matches!(options, Json::Object(_)) {
        return Err(argument("an object was expected".into()));
    }
    match member(options, "tracer", params::string).map_err(argument)? {
        None | Some("") => steps(options).map_err(argument),
        Some(name) => {
            let config = member(options, "tracerConfig", Ok).map_err(argument)?;
            named(name, config).map_err(argument)
        }
    }
}

/// The other options (how long to wait, how far to look for a state) have no meaning here.
fn steps(options: &Json<'_>) -> Result<Tracer, String> {
    let flag =
        |name| -> Result<bool, String> { Ok(member(options, name, params::boolean)?.unwrap_or(false)) };
    let limit = member(options, "limit", params::number)?.unwrap_or(0);
    Ok(Tracer::Steps(StepsConfig {
        disable_stack: flag("disableStack")?,
        disable_storage: flag("disableStorage")?,
        enable_memory: flag("enableMemory")?,
        enable_return_data: flag("enableReturnData")?,
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
    }))
}

fn named(name: &str, config: Option<&Json<'_>>) -> Result<Tracer, String> {
    Ok(match name {
        "callTracer" => {
            let [only_top_call, with_log] = flags(config, ["onlyTopCall", "withLog"])?;
            Tracer::Calls(CallsConfig { only_top_call, with_log })
        }
        "prestateTracer" => {
            let names = ["diffMode", "disableCode", "disableStorage"];
            let [diff_mode, disable_code, disable_storage] = flags(config, names)?;
            Tracer::Prestate(PrestateConfig { diff_mode, disable_code, disable_storage })
        }
        "4byteTracer" => flags(config, []).map(|[]| Tracer::FourByte)?,
        "noopTracer" => flags(config, []).map(|[]| Tracer::Noop)?,
        "muxTracer" => Tracer::Mux(mux(config)?),
        // Code, not a name.
        code if code.contains(['{', '(', ';']) => return Err("JavaScript tracers are not supported".into()),
        other => return Err(format!("tracer {other:?} is not known")),
    })
}

fn mux(config: Option<&Json<'_>>) -> Result<Vec<(String, Tracer)>, String> {
    let tracers = match config {
        Some(Json::Object(members)) => members.as_slice(),
        None => &[],
        Some(_) => return Err("tracerConfig: an object was expected".into()),
    };
    let tracer = |(name, config): &(super::json::Text<'_>, Json<'_>)| match name.as_str() {
        "muxTracer" => Err("muxTracer cannot be part of itself".into()),
        name => {
            let config = Some(config).filter(|config| **config != Json::Null);
            Ok((String::from(name), named(name, config)?))
        }
    };
    tracers.iter().map(tracer).collect()
}

/// The members of a configuration, all of which are flags that are false when nothing is said.
fn flags<const N: usize>(config: Option<&Json<'_>>, names: [&str; N]) -> Result<[bool; N], String> {
    let mut flags = [false; N];
    let members = match config {
        None => return Ok(flags),
        Some(Json::Object(members)) => members,
        Some(_) => return Err("tracerConfig: an object was expected".into()),
    };
    for (name, value) in members {
        let position = names.iter().position(|known| *known == name.as_str());
        let Some(flag) = position.and_then(|position| flags.get_mut(position)) else {
            return Err(format!("tracerConfig: {:?} is not known", name.as_str()));
        };
        *flag = *value != Json::Null
            && params::boolean(value)
                .map_err(|reason| format!("tracerConfig: {}: {reason}", name.as_str()))?;
    }
    Ok(flags)
}
