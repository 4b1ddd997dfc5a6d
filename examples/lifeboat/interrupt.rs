//! Ctrl-C, and progress of long work.
//!
//! While the library works, the first Ctrl-C asks it to stop, and the program ends with status 4; at any other time,
//! and the second time, it ends at once with the same status. Progress is shown on standard error if that is a
//! terminal and the work lasts.

use crate::{CANCELLED, words};
use lifeboat::Control;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How long work lasts before its progress is shown.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often progress is shown anew.
const TICK: Duration = Duration::from_millis(100);

/// What is shared with the Ctrl-C handler.
#[derive(Debug, Default)]
pub(crate) struct Interrupt {
    control: Arc<Control>,
    working: Arc<AtomicBool>,
}

impl Interrupt {
    /// Takes charge of Ctrl-C. Where that is refused, Ctrl-C ends the program the system's way.
    pub(crate) fn install() -> Self {
        let interrupt = Self::default();
        let (control, working) = (Arc::clone(&interrupt.control), Arc::clone(&interrupt.working));
        let _ = ctrlc::set_handler(move || {
            if working.swap(false, Ordering::SeqCst) {
                control.cancel();
            } else {
                say_cancelled();
                std::process::exit(i32::from(CANCELLED));
            }
        });
        interrupt
    }

    /// Does long work that `control` can stop, and shows how far it is, as units of so many.
    pub(crate) fn during<T>(&self, what: &str, budget: u64, work: impl FnOnce(&Control) -> T) -> T {
        let control = &*self.control;
        self.working.store(true, Ordering::SeqCst);
        let result = if io::stderr().is_terminal() {
            std::thread::scope(|scope| {
                let (done, waiting) = mpsc::channel::<()>();
                scope.spawn(move || show_progress(what, budget, control, &waiting));
                let result = work(control);
                drop(done);
                result
            })
        } else {
            work(control)
        };
        self.working.store(false, Ordering::SeqCst);
        result
    }
}

/// Shows how much work is done until the other end of the channel goes.
fn show_progress(what: &str, budget: u64, control: &Control, done: &mpsc::Receiver<()>) {
    let start = Instant::now();
    let mut wait = PATIENCE;
    let mut shown = false;
    while done.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
        let seconds = start.elapsed().as_secs();
        let (work, budget) = (words::thousands(control.work_done()), words::thousands(budget));
        let _ = write!(io::stderr(), "\r\u{1b}[K{what}: {work} of at most {budget} units of work, {seconds} s");
        wait = TICK;
        shown = true;
    }
    if shown {
        let _ = write!(io::stderr(), "\r\u{1b}[K");
    }
}

/// Says that there is no answer because of Ctrl-C.
pub(crate) fn say_cancelled() {
    let _ = writeln!(io::stderr(), "cancelled");
}
