//! Signals that stop a command: Ctrl-C, and on Unix the signals with which a system ends a process.
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::console;

/// A signal that stops a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(unix),
    allow(dead_code, reason = "other systems have Ctrl-C alone")
)]
pub(crate) enum Signal {
    /// Ctrl-C, SIGINT.
    Interrupt,
    /// SIGTERM: the system shuts down, or a user called `kill`.
    Terminate,
    /// SIGHUP: the terminal was closed, or its connection was lost.
    HangUp,
}

impl Signal {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "Ctrl-C",
            Self::Terminate => "SIGTERM",
            Self::HangUp => "SIGHUP",
        }
    }

    /// The exit code of a process that this signal ended: 128 plus the signal's number.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::HangUp => 129,
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// Listens for signals and remembers them.
#[derive(Clone, Default)]
pub(crate) struct Interruption {
    heard: Arc<Mutex<Heard>>,
    /// The message for the end of the process, set when there is nothing left to save.
    last_words: Arc<Mutex<Option<String>>>,
}

impl Interruption {
    /// Starts listening.
    pub(crate) fn listen() -> io::Result<Self> {
        let this = Self::default();
        let heard = this.clone();
        listen(move |signal| {
            if let Some(signal) = heard.hear(signal, Instant::now()) {
                if let Some(words) = &*heard.last_words() {
                    console::say(words);
                }
                std::process::exit(i32::from(signal.exit_code()));
            }
        })?;
        Ok(this)
    }

    /// Records a signal. Returns it if the process must end at once.
    fn hear(&self, signal: Signal, now: Instant) -> Option<Signal> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing_to_save = self.last_words().is_some();
        heard.hear(signal, now, nothing_to_save).then_some(signal)
    }

    /// The signal that asks training to stop, if one came.
    pub(crate) fn signal(&self) -> Option<Signal> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.first.map(|(signal, _)| signal)
    }

    /// From now on a signal ends the process at once, with this message. Returns the signal that came before, if any.
    pub(crate) fn leave_at_once(&self, last_words: String) -> Option<Signal> {
        // The message is set first, so that a signal which comes after the check below finds it.
        *self.last_words() = Some(last_words);
        self.signal()
    }

    /// From now on there is something to save again, so the first signal only asks to stop.
    pub(crate) fn stay(&self) {
        *self.last_words() = None;
    }

    fn last_words(&self) -> MutexGuard<'_, Option<String>> {
        self.last_words
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Signals within this time count as one. A terminal and `timeout` both forward a Ctrl-C, and a terminal and its shell both report that it
/// was closed. Nobody presses a second Ctrl-C on purpose this soon.
const ONE: Duration = Duration::from_millis(500);

/// The signals so far.
#[derive(Default)]
struct Heard {
    first: Option<(Signal, Instant)>,
}

impl Heard {
    /// Records a signal. Returns true if the process must end at once: after a second Ctrl-C, or if there is nothing to save.
    fn hear(&mut self, signal: Signal, now: Instant, nothing_to_save: bool) -> bool {
        match self.first {
            None => {
                self.first = Some((signal, now));
                nothing_to_save
            }
            Some((_, first)) if now.saturating_duration_since(first) < ONE => false,
            // A repeated SIGTERM or SIGHUP changes nothing; an impatient system sends SIGKILL.
            Some(_) => nothing_to_save || signal == Signal::Interrupt,
        }
    }
}

/// Calls `hear` for each signal, in a separate thread. An ignored SIGHUP (`nohup`) stays ignored.
#[cfg(unix)]
fn listen(hear: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let mut wanted = vec![SIGINT, SIGTERM];
    if !ignores_hang_up() {
        wanted.push(SIGHUP);
    }
    let mut signals = signal_hook::iterator::Signals::new(wanted)?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                hear(match signal {
                    SIGTERM => Signal::Terminate,
                    SIGHUP => Signal::HangUp,
                    _ => Signal::Interrupt,
                });
            }
        })?;
    Ok(())
}

/// Other systems have only Ctrl-C.
#[cfg(not(unix))]
fn listen(hear: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    ctrlc::set_handler(move || hear(Signal::Interrupt)).map_err(io::Error::other)
}

/// Whether this process was started by `nohup` or a similar program. Linux lists the ignored signals. Elsewhere stderr
/// decides: `nohup` redirects it if it is a terminal.
#[cfg(unix)]
fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").ok();
    let ignored = status.as_deref().and_then(ignored_signals);
    match ignored {
        Some(signals) => signals & 1 != 0,
        None => !io::IsTerminal::is_terminal(&io::stderr()),
    }
}

/// The line `SigIgn` of `/proc/self/status`, see proc_pid_status(5): bit 0 stands for signal 1, which is SIGHUP.
#[cfg(unix)]
fn ignored_signals(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    u64::from_str_radix(line?.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::Signal::{HangUp, Interrupt, Terminate};
    use super::*;

    /// For each signal, at its time in milliseconds: whether the process ends at once.
    fn answers(signals: &[(Signal, u64)], nothing_to_save: bool) -> Vec<bool> {
        let (start, mut heard) = (Instant::now(), Heard::default());
        let hear = |(signal, at): &(Signal, u64)| {
            heard.hear(*signal, start + Duration::from_millis(*at), nothing_to_save)
        };
        signals.iter().map(hear).collect()
    }

    #[test]
    fn what_two_senders_send_together_is_one_ctrl_c_and_a_later_one_is_the_second() {
        let pressed = [
            (Interrupt, 0),
            (Interrupt, 0),
            (Interrupt, 499),
            (Interrupt, 500),
        ];
        assert_eq!(answers(&pressed, false), [false, false, false, true]);
    }

    #[test]
    fn a_system_that_asks_again_is_patient_and_a_person_need_not_be() {
        let asked = [
            (HangUp, 0),
            (HangUp, 2),
            (Terminate, 5000),
            (Terminate, 9000),
        ];
        assert_eq!(answers(&asked, false), [false; 4]);
        let pressed = [(Terminate, 0), (Interrupt, 3000)];
        assert_eq!(answers(&pressed, false), [false, true]);
    }

    #[test]
    fn once_there_is_nothing_to_save_the_first_signal_ends_the_process() {
        for signal in [Interrupt, Terminate, HangUp] {
            assert_eq!(answers(&[(signal, 0)], true), [true]);
            assert_eq!(
                answers(&[(Interrupt, 0), (signal, 600)], true),
                [true, true]
            );
        }
    }

    #[test]
    fn of_a_pair_that_came_before_the_last_words_the_second_does_not_end_the_process() {
        let (interruption, now) = (Interruption::default(), Instant::now());
        assert_eq!(interruption.hear(Interrupt, now), None);
        let words = "the model is saved".to_string();
        assert_eq!(interruption.leave_at_once(words), Some(Interrupt));
        assert_eq!(interruption.hear(Interrupt, now + ONE / 2), None);
        assert_eq!(interruption.hear(Terminate, now + ONE), Some(Terminate));
    }

    #[cfg(unix)]
    #[test]
    fn linux_says_which_signals_are_ignored() {
        let status = "Name:\thubel\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored_signals(status), Some(0x1001));
        assert_eq!(ignored_signals("Name:\thubel\n"), None);
    }
}
