//! Stopping in good order: the first Ctrl-C asks the training loop to finish its step and save a checkpoint, the
//! second ends the process at once.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Exit status of a process that Ctrl-C ended: 128 + SIGINT.
const INTERRUPTED_STATUS: i32 = 130;

/// A request to stop, which a training loop looks at between steps. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Whether the loop should stop now.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks the loop to stop. Returns whether it had been asked before.
    pub fn set(&self) -> bool {
        self.0.swap(true, Ordering::Relaxed)
    }
}

/// The flag that Ctrl-C sets; every call gives the same one.
///
/// It takes Ctrl-C over, also where the parent process had it ignored, as shells do for background jobs. A program
/// that uses the `ctrlc` crate itself keeps its own handler, which should then call [`StopFlag::set`].
///
/// ```no_run
/// let stop = kiln_runtime::stop::on_interrupt();
/// while !stop.is_set() {
///     // one training step
/// }
/// // save a checkpoint
/// ```
pub fn on_interrupt() -> StopFlag {
    static FLAG: OnceLock<StopFlag> = OnceLock::new();
    FLAG.get_or_init(|| {
        let flag = StopFlag::default();
        let handler_flag = flag.clone();
        // The handler runs on a thread of its own, not in signal context, so it may print. Where no handler can be
        // installed Ctrl-C ends the process as it always does, which is no reason not to train.
        let _ = ctrlc::set_handler(move || {
            if handler_flag.set() {
                std::process::exit(INTERRUPTED_STATUS);
            }
            let message = b"\nstopping after this step; press Ctrl-C again to stop at once\n";
            let _ = std::io::stderr().write_all(message);
        });
        flag
    })
    .clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_request() {
        let flag = StopFlag::default();
        let clone = flag.clone();
        assert!(!clone.is_set());
        assert!(!flag.set());
        assert!(clone.is_set());
        assert!(clone.set());
    }

    /// Not a test of its own: the program that [`first_asks_second_kills`] sends signals to.
    #[test]
    #[ignore = "runs only as a child process"]
    fn child() {
        let stop = on_interrupt();
        println!("ready");
        while !stop.is_set() {
            std::thread::yield_now();
        }
        println!("asked");
        loop {
            std::thread::park();
        }
    }

    #[cfg(unix)]
    #[test]
    fn first_asks_second_kills() {
        use std::io::{BufRead, BufReader};
        use std::process::{Command, Stdio};
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "stop::tests::child", "--ignored", "--nocapture"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let interrupt = || {
            let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
            assert!(status.success());
        };
        assert!(lines.any(|line| line.ends_with("ready")));
        interrupt();
        assert!(lines.any(|line| line.ends_with("asked")));
        interrupt();
        assert_eq!(child.wait().unwrap().code(), Some(INTERRUPTED_STATUS));
    }
}
