//! What L1 has fixed, as in the native program: which batch was last proved there is asked now and then, and the engine
//! compares it with the verified chain once that is so far.

use alloc::{
    format,
    string::{String, ToString},
};
use zk_replica_core::{
    source::l1::{L1Error, L1Query, L1View, RollupStorage},
    types::ConsolidatedBatch,
};

/// A rollup's entry on L1, and what is known of it.
pub(crate) struct L1 {
    storage: RollupStorage,
    chain_id: u64,
    /// The L1 block that is asked for.
    tag: String,
    query: Option<L1Query>,
    /// What L1 said last.
    heard: Option<L1View>,
    /// What it says is proved, until that can be compared and agrees.
    posted: Option<ConsolidatedBatch>,
    /// It was not looked at since it came.
    news: bool,
    /// L1 was found to have another state, and has not agreed since.
    disagrees: bool,
}

impl L1 {
    pub(crate) fn new(storage: RollupStorage, chain_id: u64, tag: String) -> Self {
        let (query, heard, posted) = (None, None, None);
        Self { storage, chain_id, tag, query, heard, posted, news: false, disagrees: false }
    }

    /// Begins to ask what is proved. The body of a request.
    pub(crate) fn ask(&mut self) -> Option<String> {
        let query = L1Query::new(self.storage, self.chain_id, self.tag.as_str());
        self.query.insert(query).request()
    }

    /// Takes an answer, and the status that it came with. The body of the next request; `None` when all was asked.
    pub(crate) fn tell(&mut self, status: u16, body: &[u8]) -> Result<Option<String>, String> {
        let Some(query) = &mut self.query else { return Ok(None) };
        let told = query.tell(body);
        // Some servers say no twice: by a status, and by a JSON-RPC error in the body.
        if !(200..300).contains(&status) && !matches!(told, Err(L1Error::Refused { .. })) {
            return Err(format!("the L1 node answers with status {status}"));
        }
        told.map_err(|error| error.to_string())?;
        if let Some(request) = query.request() {
            return Ok(Some(request));
        }
        if let Some(view) = query.view() {
            let before = self.heard.replace(view).map(|view| view.consolidated);
            if before != Some(view.consolidated) {
                self.posted = Some(view.consolidated);
                self.news = true;
            }
        }
        Ok(None)
    }

    /// What is to be compared, if something is.
    pub(crate) fn posted(&mut self) -> Option<ConsolidatedBatch> {
        self.news = false;
        self.posted
    }

    /// The verified chain has it, too.
    pub(crate) fn agrees(&mut self) {
        (self.posted, self.disagrees) = (None, false);
    }

    /// It has another state: nothing is right before it agrees.
    pub(crate) fn disagree(&mut self) {
        self.disagrees = true;
    }

    pub(crate) fn disagrees(&self) -> bool {
        self.disagrees
    }

    /// Something was said that was not compared yet.
    pub(crate) fn has_news(&self) -> bool {
        self.news
    }

    pub(crate) fn heard(&self) -> Option<&L1View> {
        self.heard.as_ref()
    }
}
