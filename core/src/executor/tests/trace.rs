//! What tracers say. That a trace is the same run as execution is checked for every block of these tests ([`World::run`]).

use super::*;
use serde_json::{Value, json};

/// The traces of the transactions of `block`, which ran as in `execution`.
pub(super) fn traces(
    block: &PreparedInput,
    batch: &BatchContext<'_>,
    parent: Parent,
    store: &Memory,
    tracer: &Tracer,
) -> Result<Vec<Traced>, TraceError> {
    let mut paths = Paths::new();
    let mut state = State::at(store, parent.state_root, &mut paths);
    let request = TraceRequest { tracer, only: None, budget: 1 << 24 };
    trace_block(block, batch, parent, &mut state, &request)
}

/// Every transaction runs once more as it ran; one that cannot run has no trace.
pub(super) fn check(
    execution: &Execution,
    block: &PreparedInput,
    batch: &BatchContext<'_>,
    parent: Parent,
    store: &Memory,
) {
    let tracer = Tracer::Calls(CallsConfig { with_log: true, only_top_call: false });
    let traced = match traces(block, batch, parent, store, &tracer) {
        Ok(traced) => traced,
        Err(error) => {
            let refused = matches!(&error, TraceError::Unrunnable { index, .. } if *index == execution.skipped[0].index);
            assert!(refused, "{error:?}");
            return;
        }
    };
    assert!(execution.skipped.is_empty());
    assert_eq!(traced.len(), execution.receipts.len());
    for (traced, receipt) in traced.iter().zip(&execution.receipts) {
        assert_eq!((traced.success, traced.gas_used), (receipt.success, receipt.gas_used));
        let Trace::Calls(frame) = &traced.trace else { panic!("{traced:?}") };
        assert_eq!(frame.error.is_none(), receipt.success);
        let mut logs = Vec::new();
        gather(frame, &mut logs);
        logs.sort_by_key(|log| log.index);
        let logs: Vec<_> =
            logs.into_iter().map(|log| (log.address, log.topics.clone(), log.data.clone())).collect();
        let expected =
            receipt.logs.iter().map(|log| (log.address, log.topics().to_vec(), log.data.data.clone()));
        assert_eq!(logs, expected.collect::<Vec<_>>());
    }
}

fn gather<'f>(frame: &'f CallFrame, logs: &mut Vec<&'f CallLog>) {
    logs.extend(&frame.logs);
    frame.calls.iter().for_each(|call| gather(call, logs));
}

/// The trace of the first transaction, as it is served.
fn served(world: World, tracer: &Tracer) -> Value {
    let traced = world.run().unwrap().traced(tracer).unwrap();
    serde_json::to_value(&traced[0].trace).unwrap()
}

#[test]
fn what_a_contract_sends_as_it_ends_is_a_call() {
    let world = World::calling(&pushing(OTHER, &[0xff])).with(StateKey::Balance(CONTRACT), 5);
    let trace = served(world, &Tracer::Calls(CallsConfig::default()));
    let sent = json!([{
        "type": "SELFDESTRUCT", "from": CONTRACT, "to": OTHER, "value": "0x5", "gas": "0x0", "gasUsed": "0x0",
        "input": "0x",
    }]);
    assert_eq!(trace["calls"], sent);
}

#[test]
fn what_a_failed_call_logged_is_not_shown() {
    // Logs and reverts with four bytes; who calls it logs too.
    let inner = hex!("60006000a0 63aabbccdd600052 6004601cfd");
    let outer = [&hex!("6000600060006000600073")[..], OTHER.as_slice(), &hex!("5af160006000a000")].concat();
    let world = World::calling(&outer).with_code(OTHER, &inner);
    let trace = served(world, &Tracer::Calls(CallsConfig { with_log: true, only_top_call: false }));
    assert_eq!(trace["logs"][0]["position"], "0x1");
    let call = &trace["calls"][0];
    assert_eq!((&call["error"], &call["output"]), (&json!("execution reverted"), &json!("0xaabbccdd")));
    assert!(call.get("logs").is_none());
}

#[test]
fn functions_are_counted_where_code_runs() {
    // Calls itself's neighbour twice with a selector, and the identity precompile once.
    let call = |to: Address| [&hex!("6000600060046000600073")[..], to.as_slice(), &hex!("5af150")].concat();
    let code = [call(OTHER), call(OTHER), call(Address::with_last_byte(4))].concat();
    let world = World::calling(&code).with_code(OTHER, &[0x00]);
    assert_eq!(served(world, &Tracer::FourByte), json!({ "0x00000000-0": 2 }));
}

#[test]
fn steps_show_the_machine_before_each() {
    let world = World::calling(&hex!("602a60015560015450"));
    let config = StepsConfig { enable_memory: true, enable_return_data: true, ..StepsConfig::default() };
    let trace = served(world, &Tracer::Steps(config));
    let ops: Vec<_> = trace["structLogs"].as_array().unwrap().iter().map(|step| step["op"].clone()).collect();
    assert_eq!(json!(ops), json!(["PUSH1", "PUSH1", "SSTORE", "PUSH1", "SLOAD", "POP", "STOP"]));
    let store = &trace["structLogs"][2];
    let words = json!({ format!("{:064x}", 1): format!("{:064x}", 0x2a) });
    assert_eq!((&store["stack"], &store["storage"]), (&json!(["0x2a", "0x1"]), &words));
    // A cold slot that was zero.
    assert_eq!((&store["gasCost"], &store["depth"]), (&json!(22_100), &json!(1)));
    assert_eq!(trace["structLogs"][4]["storage"], words);
    let limited = StepsConfig { limit: 2, disable_stack: true, ..StepsConfig::default() };
    let trace = served(World::calling(&hex!("602a600155")), &Tracer::Steps(limited));
    assert_eq!(trace["structLogs"].as_array().unwrap().len(), 2);
    assert!(trace["structLogs"][0].get("stack").is_none());
}

#[test]
fn a_difference_says_what_became_zero() {
    let world = World::calling(&hex!("6000600155602a600255")).with(StateKey::Storage(CONTRACT, U256::ONE), 7);
    let config = PrestateConfig { diff_mode: true, ..PrestateConfig::default() };
    let trace = served(world, &Tracer::Prestate(config));
    let contract = |side: &str| trace[side][CONTRACT.to_string().to_lowercase()]["storage"].clone();
    let word = |number: u64| B256::from(U256::from(number));
    assert_eq!(contract("pre"), json!({ word(1).to_string(): word(7) }));
    assert_eq!(contract("post"), json!({ word(2).to_string(): word(0x2a) }));
}
