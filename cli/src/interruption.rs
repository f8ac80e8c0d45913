//! What stops a command from outside, and what it does: Ctrl-C, and on Unix the signals by which a system ends a process.
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::console;

/// What stops a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(unix),
    allow(dead_code, reason = "other systems have Ctrl-C alone")
)]
pub(crate) enum Signal {
    /// Ctrl-C, SIGINT.
    Interrupt,
    /// SIGTERM: the system shuts down, or somebody called `kill`.
    Terminate,
    /// SIGHUP: the terminal was closed, or the connection to it lost.
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

    /// The exit code of a process that it ended: 128 and the number of the signal.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::HangUp => 129,
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// What has been heard so far, and what it does.
#[derive(Clone, Default)]
pub(crate) struct Interruption {
    heard: Arc<Mutex<Heard>>,
    /// What is said at the end, once there is nothing left to save.
    last_words: Arc<OnceLock<String>>,
}

impl Interruption {
    /// Begins to listen.
    pub(crate) fn listen() -> io::Result<Self> {
        let this = Self::default();
        let heard = this.clone();
        listen(move |signal| {
            if let Some(signal) = heard.hear(signal, Instant::now()) {
                heard.last_words.get().inspect(|words| console::say(words));
                std::process::exit(i32::from(signal.exit_code()));
            }
        })?;
        Ok(this)
    }

    /// Takes note of a signal; gives it back if the process is to end at once.
    fn hear(&self, signal: Signal, now: Instant) -> Option<Signal> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing_to_save = self.last_words.get().is_some();
        heard.hear(signal, now, nothing_to_save).then_some(signal)
    }

    /// What training is to stop for.
    pub(crate) fn signal(&self) -> Option<Signal> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.first.map(|(signal, _)| signal)
    }

    /// From here on a signal ends the process at once, with these words; gives what training was to stop for before.
    pub(crate) fn leave_at_once(&self, last_words: String) -> Option<Signal> {
        // In this order: a signal that is not seen below is told of the words.
        self.last_words.get_or_init(|| last_words);
        self.signal()
    }
}

/// Signals that come within this time are one: a terminal and `timeout` both pass on a Ctrl-C, a terminal and its shell both say that it
/// was closed. Nobody who means a second Ctrl-C presses it so soon.
const ONE: Duration = Duration::from_millis(500);

/// The signals so far.
#[derive(Default)]
struct Heard {
    first: Option<(Signal, Instant)>,
}

impl Heard {
    /// Takes note of a signal; says whether the process is to end at once: after a second Ctrl-C, and where there is nothing to save.
    fn hear(&mut self, signal: Signal, now: Instant, nothing_to_save: bool) -> bool {
        match self.first {
            None => {
                self.first = Some((signal, now));
                nothing_to_save
            }
            Some((_, first)) if now.saturating_duration_since(first) < ONE => false,
            // A system that asks again has SIGKILL for impatience.
            Some(_) => nothing_to_save || signal == Signal::Interrupt,
        }
    }
}

/// Calls `hear` for each signal, in a thread of its own. A SIGHUP that is ignored, as `nohup` asks, stays ignored.
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

/// Other systems have Ctrl-C alone.
#[cfg(not(unix))]
fn listen(hear: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    ctrlc::set_handler(move || hear(Signal::Interrupt)).map_err(io::Error::other)
}

/// Whether this process was started by `nohup` or its like. Linux lists the ignored signals. Where it is not to be known, standard error
/// decides: `nohup` leaves none that is a terminal.
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

    /// What each of these signals, at these milliseconds, does: whether the process ends at once.
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
