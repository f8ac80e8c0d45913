//! Muon.
use super::{Gradient, NewtonSchulz, SMALLEST_STATE, flushed, in_pieces};
use crate::Cpu;

/// Muon for one matrix of weights (Jordan et al. 2024, <https://kellerjordan.github.io/posts/muon/>), as `torch.optim.Muon`: momentum whose
/// step is made nearly orthogonal. Weight decay is decoupled, as in AdamW.
///
/// The step is longer by `√(outputs / inputs)` if the matrix has more outputs than inputs. The weights of a convolution are a matrix of all
/// that a filter reads × filters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Muon {
    /// Factor of the step.
    pub learning_rate: f32,
    /// Share of the mean gradient that stays at each step.
    pub momentum: f32,
    /// Whether the step looks ahead along the mean gradient.
    pub nesterov: bool,
    /// This share of a weight, times the learning rate, is subtracted from it.
    pub weight_decay: f32,
}

impl Muon {
    /// Floats of scratch that [`Muon::step`] needs at least.
    pub fn scratch_len(iteration: &NewtonSchulz) -> usize {
        iteration.rows() * iteration.columns() + iteration.scratch_len()
    }

    /// Makes one step of the weights `values`, `[inputs, outputs]`. `mean`, the mean gradient, is 0 before the first.
    ///
    /// # Panics
    /// If a length is wrong, or if `iteration` was prepared for another instruction set.
    pub fn step(
        &self,
        cpu: &Cpu,
        iteration: &NewtonSchulz,
        values: &mut [f32],
        gradient: Gradient<'_>,
        mean: &mut [f32],
        scratch: &mut [f32],
    ) {
        let scratch_len = Self::scratch_len(iteration);
        assert!(scratch.len() >= scratch_len, "too little scratch");
        let (direction, scratch) = scratch.split_at_mut(values.len());
        self.direction(cpu, gradient, mean, direction);
        iteration.run(cpu, direction, scratch);
        let (inputs, outputs) = (iteration.rows() as f32, iteration.columns() as f32);
        let rate = self.learning_rate * (outputs / inputs).max(1.0).sqrt();
        let decay = self.learning_rate * self.weight_decay;
        in_pieces(cpu, values, direction, [], |values, direction, []| {
            for (value, direction) in values.iter_mut().zip(direction) {
                *value -= decay * *value;
                *value -= rate * direction;
            }
        });
    }

    /// Adds the gradient to the mean and writes the direction before it is made orthogonal.
    fn direction(
        &self,
        cpu: &Cpu,
        gradient: Gradient<'_>,
        mean: &mut [f32],
        direction: &mut [f32],
    ) {
        let Self {
            momentum, nesterov, ..
        } = *self;
        let factor = gradient.factor;
        in_pieces(
            cpu,
            direction,
            gradient.values,
            [mean],
            |direction, gradient, [mean]| {
                for ((direction, gradient), mean) in direction.iter_mut().zip(gradient).zip(mean) {
                    let gradient = factor * gradient;
                    *mean = flushed(
                        *mean + (1.0 - momentum) * (gradient - *mean),
                        SMALLEST_STATE,
                    );
                    *direction = match nesterov {
                        true => gradient + momentum * (*mean - gradient),
                        false => *mean,
                    };
                }
            },
        );
    }
}
