//! The core for browsers and Node: [`Engine`], which a script drives.
//!
//! It does no I/O but to the disk that it is given, and nothing in it waits: each call does some work and says what is
//! needed next. A panic is therefore an exception of the call in which it happens; a future in wasm would just never end.

extern crate alloc;

#[cfg(feature = "full")]
mod disk;
#[cfg(feature = "full")]
mod engine;
#[cfg(feature = "light")]
mod evidence;
#[cfg(feature = "full")]
mod follow;
#[cfg(feature = "full")]
mod l1;
#[cfg(feature = "light")]
mod light;
mod machine;
mod message;
#[cfg(feature = "full")]
mod store;
#[cfg(feature = "full")]
mod stream;
mod web3;

use alloc::{
    boxed::Box,
    string::{String, ToString},
    vec::Vec,
};
use alloy_primitives::B256;
#[cfg(feature = "full")]
use disk::Disk;
#[cfg(feature = "full")]
use engine::Core;
#[cfg(feature = "light")]
use light::LightCore;
use machine::Machine;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance)]
    fn now() -> f64;

    #[wasm_bindgen(js_namespace = console)]
    fn error(text: &str);
}

/// A replica that a script drives.
#[wasm_bindgen]
#[expect(missing_debug_implementations, reason = "scripts do not print it")]
pub struct Engine {
    core: Box<dyn Machine>,
}

#[wasm_bindgen]
impl Engine {
    /// Continues the chain that `disk` has, or begins one. `secret` is 32 random bytes.
    #[cfg(feature = "full")]
    #[wasm_bindgen(constructor)]
    pub fn new(chain: &str, genesis: &str, secret: &[u8], disk: Option<Disk>) -> Result<Engine, JsError> {
        hear_panics();
        let file = disk.map(|disk| Box::new(disk) as _);
        let secret = B256::try_from(secret)?;
        let core = Core::open(chain.as_bytes(), genesis.as_bytes(), secret, file)?;
        Ok(Self { core: Box::new(core) })
    }

    /// Begins behind a checkpoint, `NUMBER:HASH:STATE_ROOT`, and holds no state. `secret` is 32 random bytes.
    #[cfg(feature = "light")]
    pub fn light(chain: &str, checkpoint: &str, secret: &[u8]) -> Result<Engine, JsError> {
        hear_panics();
        let core = LightCore::open(chain.as_bytes(), checkpoint, B256::try_from(secret)?)?;
        Ok(Self { core: Box::new(core) })
    }

    /// Continues the chain that `disk` has, or begins one behind a checkpoint, `NUMBER:HASH:STATE_ROOT`, as soon as `restore`
    /// has brought the state. `secret` is 32 random bytes.
    #[cfg(feature = "full")]
    pub fn behind(
        chain: &str,
        checkpoint: &str,
        secret: &[u8],
        disk: Option<Disk>,
    ) -> Result<Engine, JsError> {
        hear_panics();
        let file = disk.map(|disk| Box::new(disk) as _);
        let core = Core::open_behind(chain.as_bytes(), checkpoint, B256::try_from(secret)?, file)?;
        Ok(Self { core: Box::new(core) })
    }

    /// The snapshot that the chain begins with. `work` says whether it is the checkpoint's: `opened`, or `lost`.
    pub fn restore(&mut self, file: &[u8]) {
        self.core.restore(file);
    }

    /// A stream file's bytes come next, by `pushStream`.
    #[wasm_bindgen(js_name = beginStream)]
    pub fn begin_stream(&mut self) {
        self.core.begin_stream();
    }

    /// The next bytes of the stream.
    #[wasm_bindgen(js_name = pushStream)]
    pub fn push_stream(&mut self, bytes: &[u8]) {
        self.core.push_stream(bytes);
    }

    /// The stream has no more bytes.
    #[wasm_bindgen(js_name = endStream)]
    pub fn end_stream(&mut self) {
        self.core.end_stream();
    }

    /// The stream does not come.
    #[wasm_bindgen(js_name = stopStream)]
    pub fn stop_stream(&mut self, reason: &str) {
        self.core.stop_stream(reason);
    }

    /// Bytes of the stream, once its first page was read. What the file has behind is no part of it.
    #[wasm_bindgen(js_name = streamLength)]
    pub fn stream_length(&self) -> Option<f64> {
        self.core.stream_length().map(|length| length as f64)
    }

    /// A main node is to be followed, by `work` and `tell`.
    pub fn connect(&mut self) {
        self.core.connect();
    }

    /// The main node does not answer.
    pub fn fail(&mut self, id: f64, reason: &str) {
        self.core.fail(whole(id), reason);
    }

    /// What the main node answered, and under which HTTP status.
    pub fn tell(&mut self, id: f64, status: u16, body: &[u8]) {
        self.core.tell(whole(id), status, body);
    }

    /// Time has passed at the tip: asks for what is new.
    pub fn poll(&mut self) {
        self.core.poll();
    }

    /// What is proved on L1 is to be compared: of the rollup `rollup_id` at the contract `manager`, as of the L1 block
    /// `finalized`, `safe` or `latest`. It is asked by `askL1` and `tellL1`.
    #[wasm_bindgen(js_name = watchL1)]
    pub fn watch_l1(&mut self, manager: &str, rollup_id: u32, block: &str) -> Result<(), JsError> {
        Ok(self.core.watch_l1(manager.parse()?, rollup_id, block.to_string())?)
    }

    /// Begins to ask an L1 node: the body of a request.
    #[wasm_bindgen(js_name = askL1)]
    pub fn ask_l1(&mut self) -> Option<String> {
        self.core.ask_l1()
    }

    /// What the L1 node answered, and under which HTTP status. The body of the next request; `undefined` when all was
    /// asked: `work` compares it.
    #[wasm_bindgen(js_name = tellL1)]
    pub fn tell_l1(&mut self, status: u16, body: &[u8]) -> Result<Option<String>, JsError> {
        self.core.tell_l1(status, body).map_err(|reason| JsError::new(&reason))
    }

    /// Verifies for so many milliseconds, or until there is nothing to do. A report, as JSON.
    pub fn work(&mut self, budget: f64) -> String {
        json(&self.core.work(now() + budget, &now))
    }

    /// Writes what was gathered.
    pub fn flush(&mut self) {
        self.core.flush(now());
    }

    /// How far it is, as JSON.
    pub fn status(&self) -> String {
        json(&self.core.status())
    }

    /// The main node's last block, as it says.
    #[wasm_bindgen(js_name = setHighest)]
    pub fn set_highest(&mut self, highest: Option<f64>) {
        self.core.set_highest(highest.map(whole));
    }

    /// The evidence of the last mismatch, as a file.
    pub fn evidence(&self) -> Result<Option<Vec<u8>>, JsError> {
        Ok(self.core.evidence()?)
    }

    /// Begins a connection: its number.
    #[wasm_bindgen(js_name = openSession)]
    pub fn open_session(&mut self) -> u32 {
        self.core.web3().open()
    }

    /// Ends a connection, and its subscriptions.
    #[wasm_bindgen(js_name = closeSession)]
    pub fn close_session(&mut self, session: u32) {
        self.core.web3().close(session);
    }

    /// Works on a JSON-RPC body: `{"answer": text}`, `{"forward": {id, requests}}` for `finish`, or
    /// `{"fetch": {id, body}}` for `proved`.
    pub fn request(&mut self, session: u32, body: &str) -> String {
        json(&self.core.request(session, body, &now))
    }

    /// The answer to a forwarded body, given what the main node said to each request; `undefined` where it said nothing.
    pub fn finish(&mut self, id: u32, answers: Vec<JsValue>) -> Option<String> {
        let answers = answers.into_iter().map(|answer| answer.as_string().map(String::into_bytes)).collect();
        self.core.web3().finish(id, answers, now())
    }

    /// Goes on with a body, given what came for it; `undefined` when nothing did. As `request`.
    pub fn proved(&mut self, id: u32, answer: Option<Vec<u8>>) -> Option<String> {
        self.core.proved(id, answer.as_deref(), &now).map(|reply| json(&reply))
    }

    /// What a connection is told, as a JSON list of messages; `undefined` when it missed something.
    pub fn notifications(&mut self, session: u32) -> Option<String> {
        self.core.web3().notifications(session).map(|texts| json(&texts))
    }

    /// Transactions to send again, as a JSON list of `[hash, body]`. Call it every second.
    pub fn tidy(&mut self) -> String {
        let again = self.core.web3().tidy(now());
        json(&again.into_iter().map(|resend| (resend.hash, resend.request)).collect::<Vec<_>>())
    }

    /// What the main node said to a transaction that was sent again; `undefined` when it said nothing.
    pub fn resent(&mut self, hash: &str, answer: Option<String>) {
        if let Ok(hash) = hash.parse() {
            self.core.web3().answered(hash, answer.as_ref().map(String::as_bytes), now());
        }
    }

    /// Fails as a defect would, with the engine borrowed: for tests of what happens then.
    #[wasm_bindgen(js_name = panicForTest)]
    #[expect(clippy::panic, reason = "that is what it is for")]
    pub fn panic_for_test(&mut self) {
        panic!("as asked");
    }
}

/// Repeats the check of an evidence file: a judgement, as JSON.
#[cfg(feature = "light")]
#[wasm_bindgen(js_name = checkEvidence)]
pub fn check_evidence(file: &[u8]) -> String {
    json(&evidence::judge(file))
}

fn hear_panics() {
    std::panic::set_hook(Box::new(|panic| error(&panic.to_string())));
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a whole number")]
fn whole(number: f64) -> u64 {
    number as u64
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
