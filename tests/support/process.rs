use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// How long a test waits for what has to come. No test is about speed: it is only to end one that has failed.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// A running program, and the lines that it has written so far to both outputs. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sources: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().expect("piped")), Box::new(child.stderr.take().expect("piped"))];
        for source in sources {
            let lines = Arc::clone(&lines);
            thread::spawn(move || {
                for line in BufReader::new(source).lines().map_while(Result::ok) {
                    lines.lock().expect("not poisoned").push(line);
                }
            });
        }
        Self { child, lines }
    }

    /// What it has written.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("not poisoned").clone()
    }

    /// How many lines have these words.
    pub fn count(&self, words: &str) -> usize {
        self.lines().iter().filter(|line| line.contains(words)).count()
    }

    /// Waits for a line, and gives the last one that has these words.
    pub fn line(&self, words: &str) -> String {
        let mut found = None;
        self.await_that(words, || {
            found = self.lines().into_iter().rev().find(|line| line.contains(words));
            found.is_some()
        });
        found.expect("awaited")
    }

    /// Waits for a line.
    pub fn await_line(&self, words: &str) {
        self.line(words);
    }

    /// Waits until a block is told as verified and durable.
    pub fn await_block(&self, number: u64) {
        self.await_line(&format!("block {number} state root "));
    }

    /// Waits until it is so.
    ///
    /// # Panics
    ///
    /// When it is not so after [`PATIENCE`].
    pub fn await_that(&self, what: &str, mut is: impl FnMut() -> bool) {
        let started = Instant::now();
        while !is() {
            assert!(started.elapsed() < PATIENCE, "{what:?} does not come; said: {:#?}", self.lines());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for a line, and gives what stands behind these words in it.
    pub fn behind(&self, words: &str) -> String {
        self.line(words).split_once(words).map_or_else(String::new, |(_, rest)| rest.trim().to_owned())
    }

    /// Waits until it ends by itself, and gives its exit code.
    pub fn wait(mut self) -> Option<i32> {
        self.child.wait().expect("it was started").code()
    }

    /// Ends it by a signal (`TERM`), and gives its exit code.
    pub fn stop(self, signal: &str) -> Option<i32> {
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success());
        self.wait()
    }

    /// Ends it without a warning.
    pub fn kill(mut self) {
        self.child.kill().expect("it was started");
        self.child.wait().expect("it was started");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
