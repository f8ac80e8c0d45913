//! The speed of the machine: arithmetic and memory.
use std::hint::black_box;
use std::time::Instant;

use hubel_kernels::{Buffer, Cpu, Kernel, Simd};
use serde::Serialize;

/// The speed of the machine; each value is the best of several runs.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The vector instructions in use.
    pub instruction_set: String,
    /// Floats per vector.
    pub lanes: usize,
    /// Threads in use.
    pub threads: usize,
    /// Multiply-adds in the registers of one thread, in 10⁹ operations per second (a multiply-add counts as two).
    pub peak_gflops_one_thread: f64,
    /// The same on all threads at once.
    pub peak_gflops: f64,
    /// Memory read by all threads, in 10⁹ bytes per second.
    pub read_gigabytes_per_second: f64,
    /// Memory written by all threads, in 10⁹ bytes per second.
    pub write_gigabytes_per_second: f64,
    /// Bytes that were read and written.
    pub buffer_bytes: usize,
}

/// Bytes to read and write: several times the caches of common processors.
const BUFFER: usize = 256 << 20;

/// Floats per piece of work: 1 MiB.
const PIECE: usize = 1 << 18;

/// Measures for about a second.
pub fn machine(cpu: &Cpu) -> Machine {
    let mut buffer = Buffer::zeros(BUFFER / size_of::<f32>());
    // The first run also allocates the pages; the fastest run counts.
    let write = fastest(5, || {
        cpu.parallel_chunks(&mut buffer, PIECE, |_, piece| cpu.dispatch(Fill(piece)));
    });
    let pieces: Vec<&[f32]> = buffer.chunks(PIECE).collect();
    let read = fastest(5, || {
        cpu.parallel(pieces.len(), |i| {
            black_box(cpu.dispatch(Sum(pieces[i])));
        });
    });
    let gigabytes = BUFFER as f64 / 1e9;
    Machine {
        instruction_set: cpu.instruction_set().to_string(),
        lanes: cpu.lanes(),
        threads: cpu.threads(),
        peak_gflops_one_thread: peak_gflops(&Cpu::new(cpu.instruction_set(), 1)),
        peak_gflops: peak_gflops(cpu),
        read_gigabytes_per_second: gigabytes / read,
        write_gigabytes_per_second: gigabytes / write,
        buffer_bytes: BUFFER,
    }
}

/// Peak rate of multiply-adds in registers on all threads, in 10⁹ operations per second; best of several runs.
pub fn peak_gflops(cpu: &Cpu) -> f64 {
    const ROUNDS: usize = 50_000;
    let chains = 12;
    let operations = (2 * chains * ROUNDS * cpu.lanes() * cpu.threads()) as f64;
    let best = fastest(100, || {
        cpu.parallel(cpu.threads(), |_| {
            black_box(cpu.dispatch(Chains(ROUNDS)));
        });
    });
    operations / best / 1e9
}

struct Chains(usize);

impl Kernel for Chains {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let (a, b) = (simd.splat(black_box(0.999)), simd.splat(black_box(0.001)));
        let mut chains = [simd.splat(1.0); 12];
        for _ in 0..self.0 {
            for chain in &mut chains {
                *chain = simd.mul_add(*chain, a, b);
            }
        }
        chains.into_iter().map(|chain| simd.sum(chain)).sum()
    }
}

/// Writes all of a piece.
struct Fill<'a>(&'a mut [f32]);

impl Kernel for Fill<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let value = black_box(1.0);
        self.0.iter_mut().for_each(|place| *place = value);
    }
}

/// Reads all of a piece.
struct Sum<'a>(&'a [f32]);

impl Kernel for Sum<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> f32 {
        // 64 sums are enough independent vectors of any width.
        let mut sums = [0.0; 64];
        for values in self.0.chunks_exact(sums.len()) {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += value;
            }
        }
        sums.iter().sum()
    }
}

/// Seconds of the fastest of several runs.
fn fastest(runs: usize, mut run: impl FnMut()) -> f64 {
    let times = (0..runs).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    });
    times.fold(f64::INFINITY, f64::min)
}
