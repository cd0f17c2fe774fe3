//! Tests of the lines, with a made-up clock, and of the bar's state.

use super::*;
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Runs an epoch of `batches` steps that take `step_ms` each by a made-up clock.
fn run(batches: usize, skipped: usize, step_ms: u64) -> String {
    let log = Log::default();
    let mut progress = Progress::lines_to(log.clone());
    let start = Instant::now();
    progress.epoch_at(2, 12, batches, start);
    progress.skip(skipped);
    for step in 1..=(batches - skipped) as u64 {
        progress.step_at(0.5, 64, start + Duration::from_millis(step * step_ms));
    }
    progress.finish(&[("loss", 0.25), ("accuracy", 0.978)]);
    log.text()
}

#[test]
fn a_short_epoch_is_one_line() {
    assert_eq!(run(100, 0, 10), "epoch 3/12  loss 0.2500  accuracy 0.9780  100 steps  6400 samples/s\n");
    assert_eq!(run(1, 0, 0), "epoch 3/12  loss 0.2500  accuracy 0.9780  1 steps  - samples/s\n");
}

#[test]
fn a_long_epoch_has_a_line_for_each_tenth_at_most() {
    let text = run(1000, 0, 1000);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 10);
    assert_eq!(lines[0], "epoch 3/12  10 %  loss 0.5000  64 samples/s");
    assert_eq!(lines[8], "epoch 3/12  90 %  loss 0.5000  64 samples/s");
    // Five seconds: a line after 40 % and 80 %, since no two are closer than two seconds.
    let text = run(100, 0, 50);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].contains("  40 %  ") && lines[1].contains("  80 %  "), "{lines:?}");
}

#[test]
fn a_resumed_epoch_counts_its_own_steps() {
    let text = run(1000, 500, 1000);
    assert!(text.starts_with("epoch 3/12  60 %"), "{text}");
    assert!(text.ends_with("500 steps  64 samples/s\n"), "{text}");
}

#[test]
fn lines_have_no_escape_codes() {
    assert!(run(1000, 0, 1000).chars().all(|character| character == '\n' || !character.is_control()));
}

#[test]
fn the_style_follows_the_surroundings() {
    assert_eq!(Style::choose(true, "xterm-256color", ""), Style::Bar { coloured: true });
    assert_eq!(Style::choose(true, "xterm-256color", "1"), Style::Bar { coloured: false });
    assert_eq!(Style::choose(true, "dumb", ""), Style::Lines);
    assert_eq!(Style::choose(false, "xterm-256color", ""), Style::Lines);
}

#[test]
fn the_bars_can_be_drawn() {
    for template in [COLOURED_BAR, PLAIN_BAR] {
        ProgressStyle::with_template(template).unwrap();
    }
    let bar = ProgressBar::hidden();
    let style = ProgressStyle::with_template(PLAIN_BAR).unwrap();
    let mut progress =
        Progress { output: Output::Bar { bar, style }, epoch: EpochState::begin(0, 0, 0, Instant::now()) };
    progress.epoch(0, 1, 4);
    progress.skip(1);
    progress.step(f32::NAN, 8);
    if let Output::Bar { bar, .. } = &progress.output {
        assert_eq!((bar.position(), bar.length(), bar.prefix()), (2, Some(4), "epoch 1/1".to_owned()));
        assert!(bar.message().starts_with("loss NaN  "), "{}", bar.message());
    }
    drop(progress);
}

#[test]
fn numbers_are_short() {
    assert_eq!(
        [0.0, 2.345_678, 0.000_012, 3e9, f64::NAN, f64::NEG_INFINITY].map(short),
        ["0.0000", "2.3457", "1.200e-5", "3.000e9", "NaN", "-inf"]
    );
}
