//! Embedding: a vector for each token. Token 0 is padding, whose vector is 0.
use crate::Cpu;

/// Writes the vector of each token to `output`, `[tokens, size]`; zeros for token 0. `table` is `[vocabulary, size]`.
///
/// # Panics
/// If a slice has another length, or a token is no whole number below the vocabulary.
pub fn forward(cpu: &Cpu, table: &[f32], size: usize, tokens: &[f32], output: &mut [f32]) {
    check(table, size, tokens, output);
    cpu.parallel_chunks(output, PIECE * size, |i, output| {
        let tokens = &tokens[i * PIECE..];
        for (token, vector) in tokens.iter().zip(output.chunks_exact_mut(size)) {
            match row(*token, table.len() / size) {
                0 => vector.fill(0.0),
                row => vector.copy_from_slice(&table[row * size..][..size]),
            }
        }
    });
}

/// Writes the gradient of the table: for each token the sum of the gradients of its vectors, in the order of the tokens; 0 for token 0 and for
/// tokens that do not occur.
///
/// # Panics
/// As for [`forward`].
pub fn backward(
    cpu: &Cpu,
    size: usize,
    tokens: &[f32],
    output_gradient: &[f32],
    table_gradient: &mut [f32],
) {
    check(table_gradient, size, tokens, output_gradient);
    let vocabulary = table_gradient.len() / size;
    // Each task sums the gradients of some rows of the table, so the order of a sum does not depend on the threads.
    let rows = vocabulary.div_ceil(TASKS);
    cpu.parallel_chunks(table_gradient, rows * size, |i, gradient| {
        gradient.fill(0.0);
        let first = i * rows;
        let own = first.max(1)..first + gradient.len() / size;
        cpu.vectorised(|| {
            for (token, of_vector) in tokens.iter().zip(output_gradient.chunks_exact(size)) {
                let row = row(*token, vocabulary);
                if own.contains(&row) {
                    let gradient = &mut gradient[(row - first) * size..][..size];
                    for (gradient, value) in gradient.iter_mut().zip(of_vector) {
                        *gradient += value;
                    }
                }
            }
        });
    });
}

/// Tokens that a task of the forward pass computes.
const PIECE: usize = 256;
/// Tasks of the backward pass. Each reads all tokens.
const TASKS: usize = 64;

#[inline(always)]
fn row(token: f32, vocabulary: usize) -> usize {
    let row = token as usize;
    assert!(
        row as f32 == token && row < vocabulary,
        "{token} is no token below {vocabulary}"
    );
    row
}

fn check(table: &[f32], size: usize, tokens: &[f32], vectors: &[f32]) {
    assert!(size > 0 && !table.is_empty(), "an empty table");
    assert!(table.len().is_multiple_of(size), "length of the table");
    assert_eq!(vectors.len(), tokens.len() * size, "length of the vectors");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstructionSet;

    #[test]
    fn the_gradient_of_a_token_is_the_sum_in_order_for_any_number_of_threads() {
        let (size, vocabulary) = (5, 300);
        let tokens: Vec<f32> = (0..700)
            .map(|i| (i * i % 301 % vocabulary) as f32)
            .collect();
        let gradient: Vec<f32> = (0..tokens.len() * size)
            .map(|i| (i as f32 * 0.37).sin())
            .collect();
        let mut expected = vec![0.0_f32; vocabulary * size];
        for (token, of_vector) in tokens.iter().zip(gradient.chunks(size)) {
            if *token > 0.0 {
                let row = &mut expected[*token as usize * size..][..size];
                row.iter_mut()
                    .zip(of_vector)
                    .for_each(|(sum, value)| *sum += value);
            }
        }
        for set in InstructionSet::available() {
            for threads in [1, 3] {
                let mut found = vec![f32::NAN; vocabulary * size];
                backward(
                    &Cpu::new(set, threads),
                    size,
                    &tokens,
                    &gradient,
                    &mut found,
                );
                assert_eq!(found, expected, "{set:?}, {threads} threads");
            }
        }
    }

    #[test]
    fn a_token_has_its_row_and_padding_is_zero() {
        let table: Vec<f32> = (0..12).map(|i| i as f32 + 1.0).collect();
        let mut output = vec![f32::NAN; 9];
        forward(&Cpu::best(2), &table, 3, &[2.0, 0.0, 3.0], &mut output);
        assert_eq!(output, [7.0, 8.0, 9.0, 0.0, 0.0, 0.0, 10.0, 11.0, 12.0]);
    }

    #[test]
    #[should_panic(expected = "no token below 4")]
    fn a_token_beyond_the_table_panics() {
        forward(&Cpu::best(1), &[0.0; 12], 3, &[4.0], &mut [0.0; 3]);
    }
}
