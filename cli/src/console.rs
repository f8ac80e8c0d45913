//! Terminal output: results on stdout, progress and remarks on stderr.
use std::borrow::Cow;
use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hubel::Event;
use hubel::data::Kind;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::wording::of_command_line;

/// Writes remarks, errors and progress to stderr.
pub(crate) struct Console {
    quiet: bool,
    terminal: bool,
    colour: bool,
}

impl Console {
    /// The console of this process. A `quiet` one shows only errors.
    pub(crate) fn new(quiet: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        Self {
            quiet,
            terminal,
            colour: terminal && !is_plain(),
        }
    }

    /// One line on stderr.
    pub(crate) fn remark(&self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }

    /// Writes the error and its causes to stderr.
    pub(crate) fn error(&self, error: &(dyn Error + 'static)) {
        let label = if self.colour {
            "\x1b[1;31merror:\x1b[0m"
        } else {
            "error:"
        };
        let text = of_command_line(&chain(error));
        let _ = writeln!(io::stderr(), "{label} {}", harmless(&text));
    }

    /// Progress of a measurement, which names each part when it begins.
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

    /// Progress of an action on many things of this name, such as `reading` files. It appears only if the action takes a while.
    pub(crate) fn count(&self, doing: &'static str, things: &'static str) -> Count {
        Count {
            doing,
            things,
            bar: (self.terminal && !self.quiet).then(|| {
                let template = format!("{{prefix}} {{pos}}/{{len}} {things} {{wide_bar}}");
                let style = ProgressStyle::with_template(&template)
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

    /// Progress of a training run. The loss is shown as `loss*` if it `differs` in kind from the validation loss.
    pub(crate) fn progress(&self, kind: Kind, differs: bool) -> Progress {
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
            things: kind.plural(),
            loss: if differs { "loss*" } else { "loss" },
            last_line: Instant::now(),
            epochs: 0,
            last_epoch: None,
            not_saved: None,
        }
    }
}

/// Whether colours are not wanted (https://no-color.org): `NO_COLOR` is set and not empty.
fn is_plain() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Whether results on stdout may have colours: it is a terminal, and they are wanted.
pub(crate) fn has_colour() -> bool {
    io::stdout().is_terminal() && !is_plain()
}

/// Shows the current part of a measurement: one changing line on a terminal, occasional lines elsewhere.
pub(crate) struct Task {
    spinner: Option<ProgressBar>,
    quiet: bool,
    last_line: Instant,
}

impl Task {
    /// Shows the next part.
    pub(crate) fn show(&mut self, text: &str) {
        if let Some(spinner) = &self.spinner {
            spinner.set_message(fitting(&[text.to_string()], width()));
            spinner.tick();
        } else if !self.quiet && self.last_line.elapsed() >= BETWEEN_LINES {
            self.last_line = Instant::now();
            say(text);
        }
    }

    /// Removes the line.
    pub(crate) fn finish(self) {
        if let Some(spinner) = self.spinner {
            spinner.finish_and_clear();
        }
    }
}

/// Shows how many things, such as pictures, are done: a bar on a terminal, occasional lines elsewhere. Any thread may call it.
pub(crate) struct Count {
    doing: &'static str,
    things: &'static str,
    bar: Option<ProgressBar>,
    quiet: bool,
    last_line: Mutex<Instant>,
}

impl Count {
    /// `done` things of `all` are done; `all` is `None` if the total is unknown.
    pub(crate) fn show(&self, done: usize, all: impl Into<Option<usize>>) {
        let all = all.into();
        if let Some(bar) = &self.bar {
            match all {
                Some(all) => bar.set_length(all as u64),
                None => bar.set_style(
                    ProgressStyle::with_template(&format!("{{prefix}} {{pos}} {}", self.things))
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
                "{} {}: {}{of_all}",
                self.doing,
                self.things,
                thousands(done)
            ));
        }
    }

    /// Removes the bar.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Least width for a bar: the numbers beside it take about 85 columns.
const ROOM_FOR_A_BAR: usize = 96;

/// A style without a bar.
fn plain() -> ProgressStyle {
    ProgressStyle::with_template("{msg}").expect("the template is valid")
}

/// Width of the terminal in columns.
fn width() -> usize {
    usize::from(::console::Term::stderr().size().1)
}

/// Joins the first parts, as many as fit in `width` − 1 columns. Cuts the first part if even that is too long.
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

/// Least time between two step lines if there is no terminal.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Least time between two epoch lines. The first and last epoch of a phase always get a line.
const BETWEEN_EPOCHS: Duration = Duration::from_secs(1);

/// Shows the events of a training run: a bar on a terminal, lines elsewhere.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    /// The style with a bar, if the terminal is wide enough.
    wide: ProgressStyle,
    quiet: bool,
    /// What it is trained on: `images`.
    things: &'static str,
    /// The label of the training loss.
    loss: &'static str,
    last_line: Instant,
    /// Epochs of the phase, and when an epoch was last printed.
    epochs: usize,
    last_epoch: Option<Instant>,
    /// The problem of the last save, if it failed.
    not_saved: Option<String>,
}

impl Progress {
    /// Shows one event.
    pub(crate) fn show(&mut self, event: &Event) {
        let (name, things) = (self.loss, self.things);
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
                        "{name} {loss:.4}  accuracy {:.2} %  {images_per_second:.0} {things}/s  {} left",
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
                            format!("{images_per_second:.0} {things}/s"),
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
                    // As in a report: shown if frequent classes dominate the accuracy.
                    if let Some(balanced) = validation_balanced_accuracy
                        && (balanced - accuracy).abs() > 0.02
                    {
                        line += &format!(" (balanced {:.2} %)", balanced * 100.0);
                    }
                }
                // Very short epochs do not get a line each.
                let is_soon = (self.last_epoch).is_some_and(|last| last.elapsed() < BETWEEN_EPOCHS);
                if !is_soon || *epoch == self.epochs {
                    self.last_epoch = Some(Instant::now());
                    self.line(&format!("{line}  {seconds:.1} s"));
                }
            }
            Event::BadFile(file) => self.line(&format!(
                "can no longer be read and is skipped: {}: {}",
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
                    Some(layer) => format!("frozen: the layers up to `{layer}`"),
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
                "kept: the weights of {position}, with {:.2} % on the validation part",
                100.0 * accuracy
            )),
            Event::EndedEarly {
                position, epochs, ..
            } => self.line(&format!(
                "ended after {position}: the validation part has shown no progress for {epochs} {}",
                if *epochs == 1 { "epoch" } else { "epochs" }
            )),
            Event::Saved { .. } => self.not_saved = None,
            Event::NotSaved { problem }
                // Says the same problem once, not every minute.
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

    /// Shows how many pictures' features have been computed.
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

    /// Removes the bar.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    /// Prints a line above the bar.
    pub(crate) fn line(&mut self, text: &str) {
        self.last_line = Instant::now();
        match &self.bar {
            Some(bar) => bar.suspend(|| say(text)),
            None if self.quiet => {}
            None => say(text),
        }
    }
}

/// Width for results in columns: that of the terminal, or 100 if stdout is no terminal.
pub(crate) fn columns() -> usize {
    let size = ::console::Term::stdout().size_checked();
    size.map_or(100, |(_, columns)| usize::from(columns))
}

/// Writes a result to stdout. A closed pipe (`hubel … | head`) is no error; the command finishes its work.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let end = if text.ends_with('\n') { "" } else { "\n" };
    print_part(&format!("{text}{end}")).map(|_| ())
}

/// Writes a part of a result to stdout. Returns false if the pipe is closed.
pub(crate) fn print_part(text: &str) -> io::Result<bool> {
    let mut stdout = io::stdout().lock();
    let written = write!(stdout, "{}", harmless(text)).and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

/// The value for JSON: 0.9938 instead of 0.9937999844551086, the exact value of the nearest `f32`.
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

/// Formats seconds: `8 s`, `3:05`, `2:00:09`.
pub(crate) fn clock(seconds: f64) -> String {
    let seconds = seconds.max(0.0).round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// The messages of the error chain, one per line. Skips a message that the one above already ends with.
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

/// Writes one line to stderr and ignores failures.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", harmless(&of_command_line(text)));
}

/// Escapes control characters, since names of files and classes may contain any.
fn harmless(text: &str) -> Cow<'_, str> {
    let steers = |letter: char| letter.is_control() && letter != '\n' && letter != '\t';
    if !text.contains(steers) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match steers(letter) {
            // Four digits without braces, as JSON escapes them: some of these characters appear unescaped in JSON.
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
