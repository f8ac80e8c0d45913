//! Work that takes long. It runs once for each question, says how far it is, and its result is kept for the next time.
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// How far a piece of work is.
#[derive(Default)]
pub(crate) struct Progress {
    what: Mutex<&'static str>,
    done: AtomicUsize,
    all: AtomicUsize,
}

impl Progress {
    /// Begins a stage of the work: "reading", "testing".
    pub(crate) fn begin(&self, what: &'static str) {
        *locked(&self.what) = what;
        self.set(0, 0);
    }

    /// Says how many of how many files are done.
    pub(crate) fn set(&self, done: usize, all: usize) {
        self.all.store(all, Ordering::Relaxed);
        self.done.store(done, Ordering::Relaxed);
    }
}

/// What is known of a piece of work.
pub(crate) enum State<T> {
    Working {
        what: &'static str,
        done: usize,
        all: usize,
    },
    Done(Arc<T>),
    Failed(String),
}

struct Job<T> {
    progress: Progress,
    result: OnceLock<Result<Arc<T>, String>>,
}

/// Work by its question.
pub(crate) struct Jobs<K, T> {
    /// The newest ones are at the end.
    jobs: Mutex<VecDeque<(K, Arc<Job<T>>)>>,
    /// How many results are kept.
    most: usize,
}

/// Only one piece of work runs at a time, since each uses all cores.
static TURN: Mutex<()> = Mutex::new(());

impl<K: PartialEq + Send, T: Send + Sync + 'static> Jobs<K, T> {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            jobs: Mutex::new(VecDeque::new()),
            most,
        }
    }

    /// The state of the work for `question`, which is begun if it is not known. An error is told once; the next question begins the work again.
    pub(crate) fn ask(
        &self,
        question: K,
        work: impl FnOnce(&Progress) -> Result<T, String> + Send + 'static,
    ) -> State<T> {
        let mut jobs = locked(&self.jobs);
        let place = jobs.iter().position(|(known, _)| *known == question);
        if let Some(place) = place {
            let job = jobs[place].1.clone();
            return match job.result.get() {
                Some(Ok(result)) => State::Done(result.clone()),
                Some(Err(problem)) => {
                    jobs.remove(place);
                    State::Failed(problem.clone())
                }
                None => State::Working {
                    what: *locked(&job.progress.what),
                    done: job.progress.done.load(Ordering::Relaxed),
                    all: job.progress.all.load(Ordering::Relaxed),
                },
            };
        }
        let job = Arc::new(Job {
            progress: Progress::default(),
            result: OnceLock::new(),
        });
        job.progress.begin("waiting");
        jobs.push_back((question, job.clone()));
        if jobs.len() > self.most {
            // Work that is not done yet goes on, and nobody asks for it.
            jobs.pop_front();
        }
        std::thread::spawn(move || {
            let _turn = locked(&TURN);
            // A panic must not leave the page waiting.
            let work = std::panic::AssertUnwindSafe(|| work(&job.progress));
            let result = std::panic::catch_unwind(work);
            let result = result.unwrap_or_else(|_| {
                Err("this is a bug of hubel: the work ended in a panic".into())
            });
            let _ = job.result.set(result.map(Arc::new));
        });
        State::Working {
            what: "waiting",
            done: 0,
            all: 0,
        }
    }

    /// The result for a question, if it is there.
    pub(crate) fn known(&self, question: &K) -> Option<Arc<T>> {
        let jobs = locked(&self.jobs);
        let job = jobs.iter().find(|(known, _)| known == question);
        job.and_then(|(_, job)| job.result.get()?.as_ref().ok().cloned())
    }

    /// Forgets results.
    pub(crate) fn forget(&self, is_stale: impl Fn(&K) -> bool) {
        locked(&self.jobs).retain(|(question, _)| !is_stale(question));
    }
}

/// Locks; what a panic of another thread left behind is whole, since no lock is held over work that may panic.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    fn wait(ask: impl Fn() -> State<usize>) -> Result<usize, String> {
        for _ in 0..1000 {
            match ask() {
                State::Done(result) => return Ok(*result),
                State::Failed(problem) => return Err(problem),
                State::Working { .. } => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        panic!("the work does not end");
    }

    #[test]
    fn work_is_done_once_and_its_result_is_kept() {
        let jobs = Arc::new(Jobs::<u8, usize>::new(2));
        let is_begun = Arc::new(AtomicBool::new(false));
        let ask = |question: u8| {
            let is_begun = is_begun.clone();
            jobs.ask(question, move |_| {
                assert!(!is_begun.swap(true, Ordering::SeqCst), "it is begun twice");
                Ok(usize::from(question) + 1)
            })
        };
        assert_eq!(wait(|| ask(3)), Ok(4));
        assert_eq!(wait(|| ask(3)), Ok(4));
        assert_eq!(jobs.known(&3).as_deref(), Some(&4));
        jobs.forget(|question| *question == 3);
        assert_eq!(jobs.known(&3), None);
    }

    #[test]
    fn an_error_and_a_panic_are_told_and_tried_again() {
        let jobs = Jobs::<u8, usize>::new(2);
        let told = wait(|| jobs.ask(1, |_| Err("there is no data".into())));
        assert_eq!(told, Err("there is no data".to_owned()));
        let told = wait(|| jobs.ask(1, |_| panic!("on purpose")));
        assert!(told.unwrap_err().contains("bug of hubel"));
        assert_eq!(wait(|| jobs.ask(1, |_| Ok(7))), Ok(7));
    }

    #[test]
    fn only_the_newest_results_are_kept() {
        let jobs = Jobs::<u8, usize>::new(2);
        for question in 0..3 {
            assert_eq!(wait(|| jobs.ask(question, |_| Ok(1))), Ok(1));
        }
        assert_eq!(jobs.known(&0), None);
        assert!(jobs.known(&1).is_some() && jobs.known(&2).is_some());
    }
}
