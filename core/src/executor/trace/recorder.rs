use super::{
    super::{opcodes::Surroundings, state::State},
    Ended, Trace, TraceError, Tracer,
    calls::Calls,
    prestate,
    steps::Steps,
};
use crate::store::StoreError;
use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec::Vec,
};
use alloy_primitives::{Address, Log, hex};
use revm::{
    context::{TxEnv, result::ExecutionResult},
    context_interface::context::ContextError,
    inspector::Inspector,
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, InstructionResult, Interpreter,
        interpreter::EthInterpreter, interpreter_types::LoopControl,
    },
    state::EvmState,
};

/// Watches a transaction for a tracer.
pub(in crate::executor) struct Recorder {
    tracers: Vec<(String, Active)>,
    is_mux: bool,
    budget: Budget,
    /// Contracts that were created, whether they stayed or not.
    created: BTreeSet<Address>,
}

enum Active {
    Steps(Steps),
    Calls(Calls),
    Prestate(prestate::PrestateConfig),
    FourByte(FourByte),
    Noop,
}

/// Bytes that may still be recorded.
pub(super) struct Budget {
    left: usize,
    full: bool,
}

impl Budget {
    /// Whether so much may be recorded.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => self.full = true,
        }
        !self.full
    }
}

#[derive(Default)]
struct FourByte {
    /// What each call that is under way would count as.
    open: Vec<Option<String>>,
    counts: BTreeMap<String, u64>,
}

impl Recorder {
    /// Records no more than `budget` bytes. `logs` are those of the transactions before it.
    pub(super) fn new(tracer: &Tracer, budget: usize, logs: u64) -> Self {
        let active = |tracer: &Tracer| match tracer {
            Tracer::Steps(config) => Active::Steps(Steps::new(*config)),
            Tracer::Calls(config) => Active::Calls(Calls::new(*config, logs)),
            Tracer::Prestate(config) => Active::Prestate(*config),
            Tracer::FourByte => Active::FourByte(FourByte::default()),
            Tracer::Noop | Tracer::Mux(_) => Active::Noop,
        };
        let (tracers, is_mux) = match tracer {
            Tracer::Mux(tracers) => {
                (tracers.iter().map(|(name, tracer)| (name.clone(), active(tracer))).collect(), true)
            }
            tracer => (Vec::from([(String::new(), active(tracer))]), false),
        };
        let budget = Budget { left: budget, full: false };
        Self { tracers, is_mux, budget, created: BTreeSet::new() }
    }

    /// There was more to record than allowed.
    pub(super) fn is_full(&self) -> bool {
        self.budget.full
    }

    /// Bytes that are left.
    pub(super) fn left(&self) -> usize {
        self.budget.left
    }

    /// What was recorded. `state` is that before the transaction, `accounts` are what it loaded, as it left them.
    pub(super) fn finish(
        &mut self,
        transaction: &TxEnv,
        result: &ExecutionResult,
        accounts: &EvmState,
        state: &mut State<'_>,
    ) -> Result<Trace, TraceError> {
        let Self { tracers, is_mux, budget, created } = self;
        let ended = Ended { transaction, result };
        let mut traces = BTreeMap::new();
        for (name, tracer) in tracers.drain(..) {
            let trace = match tracer {
                Active::Steps(steps) => Trace::Steps(steps.finish(&ended, budget)),
                Active::Calls(calls) => Trace::Calls(calls.finish(&ended)),
                Active::Prestate(config) => {
                    Trace::Prestate(prestate::of(config, accounts, created, state, budget)?)
                }
                Active::FourByte(counter) => Trace::Counts(counter.counts),
                Active::Noop => Trace::Counts(BTreeMap::new()),
            };
            if budget.full {
                return Err(TraceError::TooLarge);
            }
            if !*is_mux {
                return Ok(trace);
            }
            traces.insert(name, trace);
        }
        Ok(Trace::Mux(traces))
    }

    fn active(&mut self) -> (impl Iterator<Item = &mut Active>, &mut Budget) {
        (self.tracers.iter_mut().map(|(_, tracer)| tracer), &mut self.budget)
    }
}

impl Inspector<Surroundings<'_, '_>, EthInterpreter> for Recorder {
    fn step(&mut self, interpreter: &mut Interpreter, context: &mut Surroundings<'_, '_>) {
        if self.budget.full {
            stop(interpreter, context);
            return;
        }
        for tracer in self.active().0 {
            match tracer {
                Active::Steps(steps) => steps.step(interpreter, context),
                Active::Calls(calls) => calls.step(interpreter, context),
                Active::Prestate(_) | Active::FourByte(_) | Active::Noop => {}
            }
        }
    }

    fn step_end(&mut self, interpreter: &mut Interpreter, _context: &mut Surroundings<'_, '_>) {
        let (tracers, budget) = self.active();
        for tracer in tracers {
            match tracer {
                Active::Steps(steps) => steps.step_end(interpreter, budget),
                Active::Calls(calls) => calls.step_end(interpreter, budget),
                Active::Prestate(_) | Active::FourByte(_) | Active::Noop => {}
            }
        }
    }

    fn log(&mut self, context: &mut Surroundings<'_, '_>, log: Log) {
        let position = context.journaled_state.inner.logs.len();
        let (tracers, budget) = self.active();
        for tracer in tracers {
            if let Active::Calls(calls) = tracer {
                calls.log(&log, position, budget);
            }
        }
    }

    fn call(&mut self, context: &mut Surroundings<'_, '_>, inputs: &mut CallInputs) -> Option<CallOutcome> {
        let (tracers, budget) = self.active();
        for tracer in tracers {
            match tracer {
                Active::Calls(calls) => calls.call(inputs, context, budget),
                Active::FourByte(counter) => counter.call(inputs, context),
                Active::Steps(_) | Active::Prestate(_) | Active::Noop => {}
            }
        }
        None
    }

    fn call_end(
        &mut self,
        _context: &mut Surroundings<'_, '_>,
        _inputs: &CallInputs,
        outcome: &mut CallOutcome,
    ) {
        let (tracers, budget) = self.active();
        for tracer in tracers {
            match tracer {
                Active::Calls(calls) => calls.end(&outcome.result, None, budget),
                Active::FourByte(counter) => counter.call_end(outcome, budget),
                Active::Steps(_) | Active::Prestate(_) | Active::Noop => {}
            }
        }
    }

    fn create(
        &mut self,
        _context: &mut Surroundings<'_, '_>,
        inputs: &mut CreateInputs,
    ) -> Option<CreateOutcome> {
        let (tracers, budget) = self.active();
        for tracer in tracers {
            if let Active::Calls(calls) = tracer {
                calls.create(inputs, budget);
            }
        }
        None
    }

    fn create_end(
        &mut self,
        _context: &mut Surroundings<'_, '_>,
        _inputs: &CreateInputs,
        outcome: &mut CreateOutcome,
    ) {
        self.created.extend(outcome.address);
        let (tracers, budget) = self.active();
        for tracer in tracers {
            if let Active::Calls(calls) = tracer {
                calls.end(&outcome.result, outcome.address, budget);
            }
        }
    }
}

/// Ends the whole transaction.
fn stop(interpreter: &mut Interpreter, context: &mut Surroundings<'_, '_>) {
    context.error = Err(ContextError::<StoreError>::Custom("too much to record".into()));
    interpreter.bytecode.action().take();
    interpreter.bytecode.reset_action();
    interpreter.halt(InstructionResult::FatalExternalError);
}

impl FourByte {
    fn call(&mut self, inputs: &CallInputs, context: &Surroundings<'_, '_>) {
        let input = inputs.input.bytes(context);
        let name = input
            .split_first_chunk::<4>()
            .map(|(selector, arguments)| format!("{}-{}", hex::encode_prefixed(selector), arguments.len()));
        self.open.push(name);
    }

    /// What runs no contract has no functions.
    fn call_end(&mut self, outcome: &CallOutcome, budget: &mut Budget) {
        let name = self.open.pop().flatten();
        if let Some(name) = name.filter(|_| !outcome.was_precompile_called)
            && budget.take(name.len() + 24)
        {
            *self.counts.entry(name).or_default() += 1;
        }
    }
}
