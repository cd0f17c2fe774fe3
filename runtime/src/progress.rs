//! Progress of a training run: a bar on a terminal, plain lines everywhere else. All of it goes to stderr, so that
//! stdout stays the program's own.
//!
//! Lines, for logs: one per epoch, and in a long epoch one for each tenth of it at most. No escape code is ever
//! written to something that is no terminal or to `TERM=dumb`, and no colour where `NO_COLOR` is set
//! (<https://no-color.org>).

#[cfg(test)]
mod tests;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// An epoch is long, and gets lines on its way, as soon as the last line is this old.
const QUIET_TIME: Duration = Duration::from_secs(2);
/// How often the bar's text is renewed: often enough to look alive, too seldom to cost anything.
const BAR_INTERVAL: Duration = Duration::from_millis(50);
/// The message comes last and is cut to the terminal's width: a bar that wraps cannot be redrawn in place.
const COLOURED_BAR: &str = "{prefix} {bar:20.cyan/blue} {pos}/{len}  ETA {eta}  {wide_msg}";
const PLAIN_BAR: &str = "{prefix} {bar:20} {pos}/{len}  ETA {eta}  {wide_msg}";

/// Shows how far a training loop is.
///
/// ```
/// use kiln_runtime::progress::Progress;
/// let (epochs, batches, batch_size) = (2, 3, 64);
/// let mut progress = Progress::new();
/// for epoch in 0..epochs {
///     progress.epoch(epoch, epochs, batches);
///     for _ in 0..batches {
///         progress.step(0.25_f32, batch_size);
///     }
///     progress.finish(&[("loss", 0.25), ("accuracy", 0.97)]);
/// }
/// ```
pub struct Progress {
    output: Output,
    epoch: EpochState,
}

/// What the surroundings can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Bar { coloured: bool },
    Lines,
}

enum Output {
    Bar { bar: ProgressBar, style: ProgressStyle },
    Lines(Box<dyn Write + Send>),
}

/// The epoch that is running.
struct EpochState {
    /// `epoch 3/12`
    title: String,
    batches: usize,
    steps_done: usize,
    /// Steps that an earlier run had done; they say nothing about this run's speed.
    steps_skipped: usize,
    samples: usize,
    started: Instant,
    last_step: Instant,
    last_shown: Instant,
    tenths_shown: usize,
}

impl Progress {
    /// Shows progress on stderr, in the form that fits it.
    pub fn new() -> Self {
        let variable = |name| std::env::var(name).unwrap_or_default();
        let style = Style::choose(std::io::stderr().is_terminal(), &variable("TERM"), &variable("NO_COLOR"));
        let output = match style {
            Style::Bar { coloured } => {
                let template = if coloured { COLOURED_BAR } else { PLAIN_BAR };
                let style = ProgressStyle::with_template(template).expect("the template is a constant that parses");
                Output::Bar { bar: ProgressBar::hidden(), style }
            }
            Style::Lines => Output::Lines(Box::new(std::io::stderr())),
        };
        Self { output, epoch: EpochState::begin(0, 0, 0, Instant::now()) }
    }

    /// Writes plain lines to `writer`, such as a log file.
    pub fn lines_to(writer: impl Write + Send + 'static) -> Self {
        Self { output: Output::Lines(Box::new(writer)), epoch: EpochState::begin(0, 0, 0, Instant::now()) }
    }

    /// Begins epoch `epoch`, counted from 0, of `epochs` epochs with `batches` steps each.
    pub fn epoch(&mut self, epoch: u64, epochs: u64, batches: usize) {
        self.epoch_at(epoch, epochs, batches, Instant::now());
    }

    /// Counts `steps` steps as done that a resumed run does not repeat. Call it right after [`Progress::epoch`].
    pub fn skip(&mut self, steps: usize) {
        self.epoch.steps_done += steps;
        self.epoch.steps_skipped += steps;
        self.epoch.tenths_shown = self.epoch.tenths_done();
        if let Output::Bar { bar, .. } = &self.output {
            bar.set_position(self.epoch.steps_done as u64);
            bar.reset_eta();
        }
    }

    /// One training step is done, on `samples` samples, with this loss.
    pub fn step(&mut self, loss: impl Into<f64>, samples: usize) {
        self.step_at(loss.into(), samples, Instant::now());
    }

    /// Ends the epoch with one line of figures. Time since the last step, such as an evaluation, does not count as
    /// training.
    pub fn finish(&mut self, summary: &[(&str, f64)]) {
        let figures: String = summary.iter().map(|&(name, value)| format!("  {name} {}", short(value))).collect();
        let epoch = &self.epoch;
        let steps = epoch.steps_done - epoch.steps_skipped;
        let line = format!("{}{figures}  {steps} steps  {}\n", epoch.title, epoch.speed());
        // Progress that cannot be shown (a closed stderr) is no reason to stop training.
        let _ = match &mut self.output {
            Output::Bar { bar, .. } => {
                bar.finish_and_clear();
                std::io::stderr().write_all(line.as_bytes())
            }
            Output::Lines(writer) => writer.write_all(line.as_bytes()).and_then(|()| writer.flush()),
        };
    }

    fn epoch_at(&mut self, epoch: u64, epochs: u64, batches: usize, now: Instant) {
        self.epoch = EpochState::begin(epoch, epochs, batches, now);
        if let Output::Bar { bar, style } = &mut self.output {
            *bar = ProgressBar::with_draw_target(Some(batches as u64), ProgressDrawTarget::stderr());
            bar.set_style(style.clone());
            bar.set_prefix(self.epoch.title.clone());
        }
    }

    fn step_at(&mut self, loss: f64, samples: usize, now: Instant) {
        let epoch = &mut self.epoch;
        epoch.steps_done += 1;
        epoch.samples += samples;
        epoch.last_step = now;
        let first = epoch.steps_done == epoch.steps_skipped + 1;
        match &mut self.output {
            Output::Bar { bar, .. } => {
                if first || now.duration_since(epoch.last_shown) >= BAR_INTERVAL {
                    epoch.last_shown = now;
                    bar.set_message(format!("loss {}  {}", short(loss), epoch.speed()));
                }
                bar.inc(1);
            }
            Output::Lines(writer) => {
                let tenths = epoch.tenths_done();
                let unfinished = epoch.steps_done < epoch.batches;
                if unfinished && tenths > epoch.tenths_shown && now.duration_since(epoch.last_shown) >= QUIET_TIME {
                    (epoch.tenths_shown, epoch.last_shown) = (tenths, now);
                    let line = format!("{}  {}0 %  loss {}  {}\n", epoch.title, tenths, short(loss), epoch.speed());
                    let _ = writer.write_all(line.as_bytes()).and_then(|()| writer.flush());
                }
            }
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Style {
    fn choose(is_terminal: bool, term: &str, no_color: &str) -> Self {
        if is_terminal && term != "dumb" { Self::Bar { coloured: no_color.is_empty() } } else { Self::Lines }
    }
}

impl EpochState {
    fn begin(epoch: u64, epochs: u64, batches: usize, now: Instant) -> Self {
        Self {
            title: format!("epoch {}/{epochs}", epoch + 1),
            batches,
            steps_done: 0,
            steps_skipped: 0,
            samples: 0,
            started: now,
            last_step: now,
            last_shown: now,
            tenths_shown: 0,
        }
    }

    fn tenths_done(&self) -> usize {
        self.steps_done * 10 / self.batches.max(1)
    }

    fn speed(&self) -> String {
        let seconds = self.last_step.duration_since(self.started).as_secs_f64();
        // The first step of a run may be done before the clock has moved.
        if seconds > 0.0 { format!("{:.0} samples/s", self.samples as f64 / seconds) } else { "- samples/s".to_owned() }
    }
}

/// Four decimals where they say something, else the exponent.
fn short(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 || !value.is_finite() || (1e-3..1e6).contains(&magnitude) {
        format!("{value:.4}")
    } else {
        format!("{value:.3e}")
    }
}
