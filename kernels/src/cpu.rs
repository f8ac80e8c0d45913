//! The processor as the kernels see it: which instructions it has and how many threads may run.
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::simd::{self, Kernel};
use crate::threads::{DisjointMut, Threads};

/// The vector instructions for which the kernels are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionSet {
    /// Plain loops, one lane. Every processor has it.
    Scalar,
    /// 128-bit vectors of aarch64.
    Neon,
    /// 256-bit vectors with fused multiply-add.
    Avx2,
    /// 512-bit vectors with masks.
    Avx512,
}

impl InstructionSet {
    pub(crate) const ALL: [Self; 4] = [Self::Scalar, Self::Neon, Self::Avx2, Self::Avx512];

    /// The instruction sets that this processor has, slowest first.
    pub fn available() -> Vec<Self> {
        Self::ALL
            .into_iter()
            .filter(|set| simd::is_available(*set))
            .collect()
    }

    /// The fastest instruction set that this processor has.
    pub fn best() -> Self {
        *Self::available()
            .last()
            .expect("scalar code runs everywhere")
    }
}

impl fmt::Display for InstructionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Scalar => "scalar",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        })
    }
}

impl FromStr for InstructionSet {
    type Err = String;

    /// Reads `auto`, `scalar`, `neon`, `avx2` or `avx512`. Returns a message for an unknown name, and for a set that this
    /// processor lacks.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::best());
        }
        let known = Self::ALL.into_iter().find(|set| set.to_string() == text);
        let available = || {
            Self::available()
                .iter()
                .map(Self::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        };
        match known {
            Some(set) if simd::is_available(set) => Ok(set),
            Some(_) => Err(format!(
                "this processor has no {text}; it has {}",
                available()
            )),
            None => Err(format!(
                "no instruction set `{text}`; this processor has auto, {}",
                available()
            )),
        }
    }
}

/// The processor: an instruction set and a pool of threads. It is built once and passed down, never global. Clones share the
/// threads.
#[derive(Clone)]
pub struct Cpu {
    instruction_set: InstructionSet,
    threads: Arc<Threads>,
}

impl Cpu {
    /// A processor with `threads` threads, the caller's included.
    ///
    /// # Panics
    /// If this machine lacks `instruction_set`, if `threads` is 0, or if the system cannot start so many.
    pub fn new(instruction_set: InstructionSet, threads: usize) -> Self {
        assert!(
            simd::is_available(instruction_set),
            "no {instruction_set} on this processor"
        );
        Self {
            instruction_set,
            threads: Arc::new(Threads::new(threads)),
        }
    }

    /// The fastest instruction set of this machine on `threads` threads.
    pub fn best(threads: usize) -> Self {
        Self::new(InstructionSet::best(), threads)
    }

    /// Threads that this machine runs at once.
    pub fn available_threads() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    /// The instruction set in use.
    pub fn instruction_set(&self) -> InstructionSet {
        self.instruction_set
    }

    /// Threads in use, the caller's included.
    pub fn threads(&self) -> usize {
        self.threads.count()
    }

    /// Floats in a vector of the instruction set in use.
    pub fn lanes(&self) -> usize {
        match self.instruction_set {
            InstructionSet::Scalar => 1,
            InstructionSet::Neon => 4,
            InstructionSet::Avx2 => 8,
            InstructionSet::Avx512 => 16,
        }
    }

    /// Vector registers.
    pub(crate) fn registers(&self) -> usize {
        match self.instruction_set {
            InstructionSet::Scalar | InstructionSet::Avx2 => 16,
            InstructionSet::Neon | InstructionSet::Avx512 => 32,
        }
    }

    /// Runs `kernel` compiled for the instruction set in use.
    #[inline]
    pub fn dispatch<K: Kernel>(&self, kernel: K) -> K::Output {
        simd::dispatch(self.instruction_set, kernel)
    }

    /// Runs a plain loop compiled for the instruction set in use. The compiler vectorises loops that compute all elements alike.
    #[inline]
    pub(crate) fn vectorised<R>(&self, body: impl FnOnce() -> R) -> R {
        self.dispatch(PlainLoop(body))
    }

    /// Runs `body(0) … body(tasks - 1)` on all threads, in any order, and waits for the last. There may be any number of tasks.
    /// A task must not depend on the number of threads: results are then the same bits for any number.
    ///
    /// A call within a task, of this processor or another, runs `body` on that task's thread alone, in order: only the outermost
    /// level uses several threads. Calls from several threads take turns.
    ///
    /// # Panics
    /// If a task panics: after the others have ended, or at once where one thread runs all tasks. The threads remain usable.
    pub fn parallel(&self, tasks: usize, body: impl Fn(usize) + Sync) {
        self.threads.run(tasks, &body);
    }

    /// Runs `body(slot, task)` for every task. Tasks that run at the same time have different slots below `slots`, so that each
    /// slot may have memory of its own. What a task computes must not depend on its slot.
    pub(crate) fn parallel_in_slots(
        &self,
        slots: usize,
        tasks: usize,
        body: impl Fn(usize, usize) + Sync,
    ) {
        let next = AtomicUsize::new(0);
        self.parallel(slots.min(tasks), |slot| {
            loop {
                let task = next.fetch_add(1, Ordering::Relaxed);
                if task >= tasks {
                    break;
                }
                body(slot, task);
            }
        });
    }

    /// Runs `body(i, chunk)` for each chunk of `length` elements of `data` on all threads. The last chunk may be shorter.
    ///
    /// # Panics
    /// If `length` is 0, or as [`Cpu::parallel`].
    pub fn parallel_chunks<T: Send>(
        &self,
        data: &mut [T],
        length: usize,
        body: impl Fn(usize, &mut [T]) + Sync,
    ) {
        assert!(length > 0, "a chunk has at least one element");
        let total = data.len();
        let shared = DisjointMut::new(data);
        self.parallel(total.div_ceil(length), |i| {
            // Below `total`, so that the product cannot overflow; the end is a sum that cannot either.
            let start = i * length;
            let range = start..start + length.min(total - start);
            // SAFETY: the ranges of different `i` do not overlap, and `parallel` runs each `i` once.
            body(i, unsafe { shared.slice(range) });
        });
    }
}

struct PlainLoop<F>(F);

impl<R, F: FnOnce() -> R> Kernel for PlainLoop<F> {
    type Output = R;

    #[inline(always)]
    fn run<S: simd::Simd>(self, _: S) -> R {
        (self.0)()
    }
}

impl fmt::Debug for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {} threads", self.instruction_set, self.threads())
    }
}
