//! What a person sees: results on stdout, progress and remarks on stderr.
use std::borrow::Cow;
use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hubel::Event;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::wording::of_command_line;

/// Where remarks and errors go.
pub(crate) struct Console {
    quiet: bool,
    terminal: bool,
    colour: bool,
}

impl Console {
    /// The console of this process; a `quiet` one shows errors alone.
    pub(crate) fn new(quiet: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        // https://no-color.org: set and not empty.
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            quiet,
            terminal,
            colour: terminal && !plain,
        }
    }

    /// One line on stderr.
    pub(crate) fn remark(&self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }

    /// The error and what led to it, once, on stderr.
    pub(crate) fn error(&self, error: &(dyn Error + 'static)) {
        let label = if self.colour {
            "\x1b[1;31merror:\x1b[0m"
        } else {
            "error:"
        };
        let text = of_command_line(&chain(error));
        let _ = writeln!(io::stderr(), "{label} {}", harmless(&text));
    }

    /// The progress of a measurement: its parts are named as they come.
    pub(crate) fn task(&self) -> Task {
        let spinner = (self.terminal && !self.quiet).then(|| {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(plain())
        });
        Task {
            spinner,
            quiet: self.quiet,
            last_line: Instant::now(),
        }
    }

    /// The progress of what is done to one picture after the other, such as `reading` them; shown when it takes a while.
    pub(crate) fn pictures(&self, doing: &'static str) -> Pictures {
        Pictures {
            doing,
            bar: (self.terminal && !self.quiet).then(|| {
                let style =
                    ProgressStyle::with_template("{prefix} {pos}/{len} pictures {wide_bar}")
                        .expect("the template is valid")
                        .progress_chars("━╸─");
                ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr())
                    .with_style(style)
                    .with_prefix(doing)
            }),
            quiet: self.quiet,
            last_line: Mutex::new(Instant::now()),
        }
    }

    /// The progress of one training run. Its loss is shown as `loss*` where it is not to be compared with the validation loss.
    pub(crate) fn progress(&self, differs: bool) -> Progress {
        let bar = (self.terminal && !self.quiet)
            .then(|| ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()));
        let template = if self.colour {
            "{prefix} {wide_bar:.cyan/dim} {pos}/{len}  {msg}"
        } else {
            "{prefix} {wide_bar} {pos}/{len}  {msg}"
        };
        let wide = ProgressStyle::with_template(template)
            .expect("the template is valid")
            .progress_chars("━╸─");
        Progress {
            bar,
            wide,
            quiet: self.quiet,
            loss: if differs { "loss*" } else { "loss" },
            last_line: Instant::now(),
            epochs: 0,
            last_epoch: None,
            not_saved: None,
        }
    }
}

/// Says what is being done: one line that changes on a terminal, now and then a line elsewhere.
pub(crate) struct Task {
    spinner: Option<ProgressBar>,
    quiet: bool,
    last_line: Instant,
}

impl Task {
    /// Says what comes next.
    pub(crate) fn show(&mut self, text: &str) {
        if let Some(spinner) = &self.spinner {
            spinner.set_message(fitting(&[text.to_string()], width()));
            spinner.tick();
        } else if !self.quiet && self.last_line.elapsed() >= BETWEEN_LINES {
            self.last_line = Instant::now();
            say(text);
        }
    }

    /// Takes the line away.
    pub(crate) fn finish(self) {
        if let Some(spinner) = self.spinner {
            spinner.finish_and_clear();
        }
    }
}

/// Shows how many pictures are done: a bar on a terminal, now and then a line elsewhere. Any thread may tell it.
pub(crate) struct Pictures {
    doing: &'static str,
    bar: Option<ProgressBar>,
    quiet: bool,
    last_line: Mutex<Instant>,
}

impl Pictures {
    /// So many are done, of all, if it is known how many these are.
    pub(crate) fn show(&self, done: usize, all: impl Into<Option<usize>>) {
        let all = all.into();
        if let Some(bar) = &self.bar {
            match all {
                Some(all) => bar.set_length(all as u64),
                None => bar.set_style(
                    ProgressStyle::with_template("{prefix} {pos} pictures")
                        .expect("the template is valid"),
                ),
            }
            bar.set_position(done as u64);
        } else if !self.quiet
            && let Ok(mut last_line) = self.last_line.try_lock()
            && last_line.elapsed() >= BETWEEN_LINES
        {
            *last_line = Instant::now();
            let of_all = all.map_or_else(String::new, |all| format!("/{}", thousands(all)));
            say(&format!(
                "{} pictures: {}{of_all}",
                self.doing,
                thousands(done)
            ));
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Columns from which there is room for a bar beside the numbers, which take about 85.
const ROOM_FOR_A_BAR: usize = 96;

/// A line of text alone.
fn plain() -> ProgressStyle {
    ProgressStyle::with_template("{msg}").expect("the template is valid")
}

/// Columns of the terminal.
fn width() -> usize {
    usize::from(::console::Term::stderr().size().1)
}

/// The first of the parts, as many as fit on a line of this width without its last column; of the first one its beginning.
fn fitting(parts: &[String], width: usize) -> String {
    let room = width.saturating_sub(1);
    let mut line = String::new();
    for part in parts {
        let gap = if line.is_empty() { "" } else { "  " };
        let longer = format!("{line}{gap}{part}");
        if longer.chars().count() > room {
            break;
        }
        line = longer;
    }
    match parts.first() {
        Some(first) if line.is_empty() => first.chars().take(room).collect(),
        _ => line,
    }
}

/// Where there is no terminal, a step is worth a line this often.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// An epoch is worth a line this often, and the first and the last one of a phase are.
const BETWEEN_EPOCHS: Duration = Duration::from_secs(1);

/// Shows the events of a training run: a bar on a terminal, lines elsewhere.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    /// The line with a bar in it, for a terminal that has room for one.
    wide: ProgressStyle,
    quiet: bool,
    /// What the training loss is called.
    loss: &'static str,
    last_line: Instant,
    /// Epochs of the phase, and when the last one had a line.
    epochs: usize,
    last_epoch: Option<Instant>,
    /// Why it could not be saved last.
    not_saved: Option<String>,
}

impl Progress {
    /// Shows one event.
    pub(crate) fn show(&mut self, event: &Event) {
        let name = self.loss;
        match event {
            Event::Step {
                epoch,
                epochs,
                step,
                steps,
                loss,
                accuracy,
                images_per_second,
                seconds_left,
                ..
            } => {
                self.epochs = *epochs;
                let state = || {
                    format!(
                        "{name} {loss:.4}  accuracy {:.2} %  {images_per_second:.0} images/s  {} left",
                        accuracy * 100.0,
                        clock(*seconds_left)
                    )
                };
                if let Some(bar) = &self.bar {
                    bar.set_length(*steps as u64);
                    bar.set_position(*step as u64);
                    let width = width();
                    if width >= ROOM_FOR_A_BAR {
                        bar.set_style(self.wide.clone());
                        bar.set_prefix(format!("epoch {epoch}/{epochs}"));
                        bar.set_message(state());
                    } else {
                        let parts = [
                            format!("epoch {epoch}/{epochs}"),
                            format!("{step}/{steps}"),
                            format!("{name} {loss:.4}"),
                            format!("accuracy {:.2} %", accuracy * 100.0),
                            format!("{} left", clock(*seconds_left)),
                            format!("{images_per_second:.0} images/s"),
                        ];
                        bar.set_style(plain());
                        bar.set_message(fitting(&parts, width));
                    }
                } else if !self.quiet && self.last_line.elapsed() >= BETWEEN_LINES {
                    self.last_line = Instant::now();
                    say(&format!(
                        "epoch {epoch}/{epochs}  step {step}/{steps}  {}",
                        state()
                    ));
                }
            }
            Event::Epoch {
                epoch,
                loss,
                accuracy,
                validation_loss,
                validation_accuracy,
                validation_balanced_accuracy,
                seconds,
                ..
            } => {
                let mut line = format!(
                    "epoch {epoch}  {name} {loss:.4}  accuracy {:.2} %",
                    accuracy * 100.0
                );
                if let (Some(loss), Some(accuracy)) = (validation_loss, validation_accuracy) {
                    line += &format!("  validation {loss:.4}  {:.2} %", accuracy * 100.0);
                    // As in a report: where frequent classes decide.
                    if let Some(balanced) = validation_balanced_accuracy
                        && (balanced - accuracy).abs() > 0.02
                    {
                        line += &format!(" (balanced {:.2} %)", balanced * 100.0);
                    }
                }
                // Of epochs that are over in no time not each one.
                let is_soon = (self.last_epoch).is_some_and(|last| last.elapsed() < BETWEEN_EPOCHS);
                if !is_soon || *epoch == self.epochs {
                    self.last_epoch = Some(Instant::now());
                    self.line(&format!("{line}  {seconds:.1} s"));
                }
            }
            Event::BadFile(file) => self.line(&format!(
                "can no longer be read and is passed over: {}: {}",
                hubel::shown(&file.path),
                file.problem
            )),
            Event::Phase {
                phase,
                phases,
                frozen,
            } => {
                self.last_epoch = None;
                let what = match frozen {
                    None => "all layers are trained".to_owned(),
                    Some(layer) => format!("the layers up to `{layer}` stay as they are"),
                };
                let number = match phases {
                    1 => String::new(),
                    _ => format!("phase {phase} of {phases}: "),
                };
                self.line(&format!("{number}{what}"));
            }
            Event::Features {
                done,
                all,
                seconds_left,
            } => self.features(*done, *all, *seconds_left),
            Event::Kept { position, accuracy } => self.line(&format!(
                "kept: the weights of {position}, with {:.2} % on the images held out",
                100.0 * accuracy
            )),
            Event::EndedEarly {
                position, epochs, ..
            } => self.line(&format!(
                "ended after {position}: the validation images have shown no progress for {epochs} {}",
                if *epochs == 1 { "epoch" } else { "epochs" }
            )),
            Event::Saved { .. } => self.not_saved = None,
            Event::NotSaved { problem }
                // Not each minute of a night.
                if self.not_saved.as_ref() != Some(problem) => {
                    self.line(&format!(
                        "{problem}; training goes on, and is saved once it can be"
                    ));
                    self.not_saved = Some(problem.clone());
                }
            // What a later version of the library tells.
            _ => {}
        }
    }

    /// How many pictures the frozen layers have seen.
    fn features(&mut self, done: usize, all: usize, seconds_left: f64) {
        let state = format!("{} left", clock(seconds_left));
        if let Some(bar) = &self.bar {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
            let width = width();
            if width >= ROOM_FOR_A_BAR {
                bar.set_style(self.wide.clone());
                bar.set_prefix("features");
                bar.set_message(state);
            } else {
                let parts = [format!("features {done}/{all}"), state];
                bar.set_style(plain());
                bar.set_message(fitting(&parts, width));
            }
        } else if !self.quiet && self.last_line.elapsed() >= BETWEEN_LINES {
            self.last_line = Instant::now();
            say(&format!(
                "features {}/{}  {state}",
                thousands(done),
                thousands(all)
            ));
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    /// A line above the bar.
    pub(crate) fn line(&mut self, text: &str) {
        self.last_line = Instant::now();
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None if self.quiet => {}
            None => say(text),
        }
    }
}

/// Columns of what a result is shown on; 100 where that is no terminal.
pub(crate) fn columns() -> usize {
    let size = ::console::Term::stdout().size_checked();
    size.map_or(100, |(_, columns)| usize::from(columns))
}

/// Writes a result to stdout. That nobody reads it any more (`hubel … | head`) is no error: what is left to do is done.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    print_part(&format!("{text}{end}")).map(|_| ())
}

/// Writes a part of a result to stdout, as it is; says whether somebody still reads.
pub(crate) fn print_part(text: &str) -> io::Result<bool> {
    let mut stdout = io::stdout().lock();
    let written = write!(stdout, "{}", harmless(text)).and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

/// The number for JSON: 0.9938, and not the 0.9937999844551086 that the nearest `f32` is in full.
pub(crate) fn decimal(number: f32) -> f64 {
    number.to_string().parse().unwrap_or(f64::NAN)
}

/// `1234567` as `1,234,567`.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time that a person reads: `8 s`, `3:05`, `2:00:09`.
fn clock(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// Each message of the chain on its own line; one that the message above already ends with is left out.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text += &format!("\n  because: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// One line on stderr; that nobody reads it is no reason to stop.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", harmless(&of_command_line(text)));
}

/// The text with what would steer a terminal written out: file and class names may hold anything.
fn harmless(text: &str) -> Cow<'_, str> {
    let steers = |letter: char| letter.is_control() && letter != '\n' && letter != '\t';
    if !text.contains(steers) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match steers(letter) {
            // Four digits without braces: JSON, which leaves some of these letters as they are, has the same escapes.
            true => shown += &format!("\\u{:04x}", u32::from(letter)),
            false => shown.push(letter),
        }
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_written_for_people() {
        assert_eq!(
            [0, 999, 1000, 60_000, 1_234_567].map(thousands),
            ["0", "999", "1,000", "60,000", "1,234,567"]
        );
        assert_eq!(
            [0.0, 8.4, 185.0, 7209.0].map(clock),
            ["0 s", "8 s", "3:05", "2:00:09"]
        );
        assert_eq!(clock(f64::NAN), "0 s");
    }

    #[test]
    fn what_would_steer_a_terminal_is_written_out() {
        assert_eq!(harmless("a\tb\n"), "a\tb\n");
        assert_eq!(
            harmless("cat\x1b[2J\r\u{9b}3m.jpg"),
            "cat\\u001b[2J\\u000d\\u009b3m.jpg"
        );
        let name = "it\u{e2}\u{80}\u{99}s\u{7f}";
        let json = serde_json::json!(name).to_string();
        let read: String = serde_json::from_str(&harmless(&json)).unwrap();
        assert_eq!(read, name);
    }

    #[test]
    fn json_has_the_shortest_number() {
        assert_eq!(serde_json::json!(decimal(0.9938)).to_string(), "0.9938");
        assert_eq!(decimal(1e-30), 1e-30);
        assert!(serde_json::json!(decimal(f32::NAN)).is_null());
    }

    #[test]
    fn the_progress_fits_its_line_and_drops_what_matters_least() {
        let state: Vec<String> = STATE.map(String::from).into();
        for width in 0..120 {
            let line = fitting(&state, width);
            assert!(line.chars().count() <= width.saturating_sub(1), "{line}");
        }
        assert_eq!(fitting(&state, 40), "epoch 1/3  12/446  loss 0.1234");
        assert_eq!(fitting(&state, 5), "epoc");
        assert_eq!(fitting(&state, 100), STATE.join("  "));
    }

    const STATE: [&str; 6] = [
        "epoch 1/3",
        "12/446",
        "loss 0.1234",
        "accuracy 95.00 %",
        "8 s left",
        "1234 images/s",
    ];

    #[test]
    fn a_chain_names_every_cause_once() {
        let error = hubel::Error::Io {
            action: "read",
            path: "model.safetensors".into(),
            source: io::Error::other("disk on fire"),
        };
        assert_eq!(
            chain(&error),
            "cannot read model.safetensors\n  because: disk on fire"
        );
    }
}
