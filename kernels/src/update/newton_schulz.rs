//! The Newton–Schulz iteration, which makes a matrix nearly orthogonal. Its products are the passes of linear layers.
use super::{PIECE, SMALLEST_GRADIENT, flushed, sum_of_squares};
use crate::conv::{
    Algorithm, Destination, Epilogue, Forward, ForwardOperands, Fused, Geometry, GradientEpilogue,
    InputGradient, InputGradientOperands, OutputGradient, Pass, Settings, WeightGradient,
    WeightGradientOperands,
};
use crate::{Cpu, Input};

/// Iterations.
const ITERATIONS: usize = 5;
/// The factors a, b, c of an iteration, `X (a + b XᵀX + c (XᵀX)²)`. After five of them, singular values from about 0.01 to 1 have become 0.7
/// to 1.2 (Jordan et al. 2024, <https://kellerjordan.github.io/posts/muon/>).
const FACTORS: [f32; 3] = [3.4445, -4.775, 2.0315];
/// The norm that a matrix is divided by is at least this, so that 0 stays 0.
const SMALLEST_NORM: f64 = 1e-7;
/// Parts of the scratch begin on cache lines.
const LINE: usize = 16;

/// The Newton–Schulz iteration for matrices of one size, prepared. It replaces the singular values of a matrix by values near 1.
///
/// It works on the smaller of the Gram matrices `XᵀX` and `XXᵀ`. With d the smaller side and n the number of elements, the five iterations
/// take about 5 (2 n d + d³) multiply-adds.
#[derive(Debug)]
pub struct NewtonSchulz {
    rows: usize,
    columns: usize,
    gram: Gram,
    /// The square of the Gram matrix.
    square: Forward,
    /// The matrix times the polynomial of its Gram matrix.
    product: Forward,
}

/// The pass of a linear layer that computes the Gram matrix.
#[derive(Debug)]
enum Gram {
    /// `XᵀX`, the weight gradient of a layer whose input and output gradient are both X.
    OfColumns(WeightGradient),
    /// `XXᵀ`, the input gradient of a layer whose output gradient and weights are both X.
    OfRows(InputGradient),
}

/// The memory of an iteration.
struct Memory<'a> {
    next: &'a mut [f32],
    gram: &'a mut [f32],
    polynomial: &'a mut [f32],
    packed: &'a mut [f32],
    scratch: &'a mut [f32],
}

impl NewtonSchulz {
    /// Prepares the iteration for matrices `[rows, columns]`. None if they are empty or larger than any machine computes.
    pub fn new(cpu: &Cpu, rows: usize, columns: usize) -> Option<Self> {
        let side = rows.min(columns);
        let forward = |geometry| {
            let algorithm = algorithm(cpu, &geometry, Pass::Forward);
            Forward::new(cpu, geometry, algorithm, Fused::default())
        };
        let (gram, product) = match rows < columns {
            true => {
                let geometry = linear(rows, rows, columns)?;
                let algorithm = algorithm(cpu, &geometry, Pass::InputGradient);
                let pass = InputGradient::new(cpu, geometry, algorithm, Fused::default())?;
                (Gram::OfRows(pass), forward(geometry)?)
            }
            false => {
                let geometry = linear(rows, columns, columns)?;
                let algorithm = algorithm(cpu, &geometry, Pass::WeightGradient);
                let pass = WeightGradient::new(cpu, geometry, algorithm, Fused::default())?;
                (Gram::OfColumns(pass), forward(geometry)?)
            }
        };
        let square = forward(linear(side, side, side)?)?;
        Some(Self {
            rows,
            columns,
            gram,
            square,
            product,
        })
    }

    /// Rows of the matrix.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns of the matrix.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Floats of scratch that [`NewtonSchulz::run`] needs at least.
    pub fn scratch_len(&self) -> usize {
        self.lengths().iter().sum()
    }

    /// Floats of the parts of [`Memory`].
    fn lengths(&self) -> [usize; 5] {
        let side = self.rows.min(self.columns);
        let (gram_packed, gram_scratch) = match &self.gram {
            Gram::OfColumns(pass) => (0, pass.scratch_len()),
            Gram::OfRows(pass) => (pass.packed_len(), pass.scratch_len()),
        };
        let packed = [self.square.packed_len(), self.product.packed_len()];
        let scratch = [self.square.scratch_len(), self.product.scratch_len()];
        let [gram, polynomial] = [side * side; 2];
        [
            self.rows * self.columns,
            gram,
            polynomial,
            packed.into_iter().fold(gram_packed, usize::max),
            scratch.into_iter().fold(gram_scratch, usize::max),
        ]
        .map(|length| length.next_multiple_of(LINE))
    }

    /// Makes `matrix`, in row-major order, nearly orthogonal. NaN and infinite elements make all of it NaN.
    ///
    /// # Panics
    /// If a length is wrong, or if it was prepared for another instruction set.
    pub fn run(&self, cpu: &Cpu, matrix: &mut [f32], scratch: &mut [f32]) {
        assert_eq!(matrix.len(), self.rows * self.columns, "matrix");
        assert!(scratch.len() >= self.scratch_len(), "too little scratch");
        let [next, gram, polynomial, packed, _] = self.lengths();
        let (next, scratch) = scratch.split_at_mut(next);
        let (gram, scratch) = scratch.split_at_mut(gram);
        let (polynomial, scratch) = scratch.split_at_mut(polynomial);
        let (packed, scratch) = scratch.split_at_mut(packed);
        let side = self.rows.min(self.columns);
        let mut memory = Memory {
            next: &mut next[..matrix.len()],
            gram: &mut gram[..side * side],
            polynomial: &mut polynomial[..side * side],
            packed,
            scratch,
        };
        divide_by_norm(cpu, matrix);
        for _ in 0..ITERATIONS {
            self.iterate(cpu, matrix, &mut memory);
            matrix.copy_from_slice(memory.next);
        }
    }

    /// Writes the next matrix to `memory.next`.
    fn iterate(&self, cpu: &Cpu, matrix: &[f32], memory: &mut Memory<'_>) {
        let side = self.rows.min(self.columns);
        let Memory {
            next,
            gram,
            polynomial,
            packed,
            scratch,
        } = memory;
        match &self.gram {
            Gram::OfColumns(pass) => pass.run(
                cpu,
                WeightGradientOperands {
                    input: Input::from(matrix),
                    output_gradient: OutputGradient::Map(matrix),
                    weight_gradient: gram,
                    bias_gradient: None,
                    scratch,
                },
            ),
            Gram::OfRows(pass) => {
                let packed = &mut packed[..pass.packed_len()];
                pass.pack(cpu, matrix, packed);
                pass.run(
                    cpu,
                    InputGradientOperands {
                        output_gradient: OutputGradient::Map(matrix),
                        packed: if packed.is_empty() { matrix } else { packed },
                        epilogue: GradientEpilogue::default(),
                        input_gradient: gram,
                        scratch,
                    },
                );
            }
        }
        multiply(cpu, &self.square, gram, gram, polynomial, packed, scratch);
        let [a, b, c] = FACTORS;
        cpu.parallel_chunks(polynomial, PIECE, |i, polynomial| {
            let gram = &gram[i * PIECE..i * PIECE + polynomial.len()];
            cpu.vectorised(|| {
                for (square, gram) in polynomial.iter_mut().zip(gram) {
                    *square = b * gram + c * *square;
                }
            });
        });
        for diagonal in polynomial.iter_mut().step_by(side + 1) {
            *diagonal += a;
        }
        let (left, right) = match &self.gram {
            Gram::OfColumns(_) => (matrix, &**polynomial),
            Gram::OfRows(_) => (&**polynomial, matrix),
        };
        multiply(cpu, &self.product, left, right, next, packed, scratch);
    }
}

/// The product of two matrices: a linear layer with the input `left` and the weights `right`.
fn multiply(
    cpu: &Cpu,
    pass: &Forward,
    left: &[f32],
    right: &[f32],
    output: &mut [f32],
    packed: &mut [f32],
    scratch: &mut [f32],
) {
    let packed = &mut packed[..pass.packed_len()];
    pass.pack(cpu, right, packed);
    pass.run(
        cpu,
        ForwardOperands {
            input: Input::from(left),
            packed: if packed.is_empty() { right } else { packed },
            epilogue: Epilogue::default(),
            output: Destination::Map(output),
            scratch,
        },
    );
}

/// Divides a matrix by its Frobenius norm, so that no singular value is larger than 1.
fn divide_by_norm(cpu: &Cpu, matrix: &mut [f32]) {
    let norm = sum_of_squares(cpu, matrix).sqrt();
    // `max` would hide NaN.
    let norm = if norm < SMALLEST_NORM {
        SMALLEST_NORM
    } else {
        norm
    };
    let factor = (1.0 / norm) as f32;
    cpu.parallel_chunks(matrix, PIECE, |_, matrix| {
        cpu.vectorised(|| {
            for value in matrix.iter_mut() {
                *value = flushed(factor * *value, SMALLEST_GRADIENT);
            }
        });
    });
}

/// The linear layer that multiplies `[rows, inputs]` by `[inputs, outputs]`.
fn linear(rows: usize, inputs: usize, outputs: usize) -> Option<Geometry> {
    Geometry::new(Settings {
        batch: rows,
        input: [1, 1, inputs],
        output: [1, 1, outputs],
        kernel: [1, 1],
        stride: [1, 1],
        dilation: [1, 1],
        padding: [0, 0],
        groups: 1,
    })
}

fn algorithm(cpu: &Cpu, geometry: &Geometry, pass: Pass) -> Algorithm {
    Algorithm::choose(cpu, geometry, pass, Fused::default(), true)
}
