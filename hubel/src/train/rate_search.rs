//! The search for a learning rate.
use std::ops::ControlFlow;

use super::{Event, Keep, TrainSettings, Trainer};
use crate::data::Mixing;
use crate::{Error, Result, Schedule};

/// The search for a learning rate by sweeps (the range test of Smith 2017): the rate grows by the same factor from step to step, until the loss explodes. Between the rates that are too low
/// and those that are too high lies a valley of the smoothed loss; its middle is the suggestion. Three sweeps with other initial weights and another order of the images show how sure that is.
#[derive(Clone, Debug, PartialEq)]
pub struct RateSearch {
    sweeps: Vec<RateSweep>,
}

/// One sweep of a [`RateSearch`].
#[derive(Clone, Debug, PartialEq)]
pub struct RateSweep {
    /// Learning rates in ascending order, each with the smoothed loss of the training images at it.
    pub points: Vec<RatePoint>,
    /// The suggested learning rate; `None` if the loss never fell clearly.
    pub suggestion: Option<f32>,
}

/// A point of a [`RateSweep`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatePoint {
    /// The learning rate.
    pub rate: f32,
    /// The loss in nats.
    pub loss: f32,
}

/// Number of sweeps.
const SWEEPS: u64 = 3;

/// Steps of a sweep.
const STEPS: usize = 200;

/// The first and the last rate of a sweep, relative to the usual one.
const RANGE: [f32; 2] = [1e-3, 1e3];

/// Share of the running mean of the loss that stays at each step. The mean says when a sweep ends.
const STAYS: f64 = 0.9;

/// A sweep ends when the running mean of the loss is this multiple of its smallest value.
const EXPLODED: f64 = 3.0;

/// Standard deviation, in steps, of the Gaussian that smooths the loss. It looks as far forward as back. A running mean lags behind, and puts the valley at too high a rate.
const SMOOTHING: f64 = 8.0;

/// The mean of this many first losses is the loss at the start. Higher losses are cut to it, because the height of an explosion says nothing.
const START: usize = 10;

/// The valley is where at most this share of the fall is missing. Its middle is steadier than its lowest point: within a factor of two over three sweeps, instead of six
/// (docs/benchmarks/2026-11-30-find-lr.txt).
const VALLEY: f32 = 0.05;

/// The loss must fall to this share of that at the start.
const CLEAR: f64 = 0.98;

/// Suggestions that differ by more than this factor are no clear answer.
const AGREEMENT: f32 = 3.0;

impl RateSearch {
    /// Sweeps. `make` makes a trainer with these settings, for each sweep a new one; it uses no validation images. `listen` is told how many of all steps are done.
    ///
    /// # Errors
    /// Those of `make` and of training. Returns `None` if `listen` breaks off.
    pub fn run(
        settings: &TrainSettings,
        make: &mut dyn FnMut(TrainSettings) -> Result<Trainer>,
        listen: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<Option<Self>> {
        let usual = TrainSettings::default().learning_rate;
        let usual = settings.optimizer.usual_learning_rate(usual);
        let mut sweeps = Vec::new();
        for number in 0..SWEEPS {
            let settings = TrainSettings {
                learning_rate: RANGE[1] * usual,
                schedule: Schedule::of(|step, _| share(step as usize)),
                warm_up: None,
                // More than enough: each epoch has at least one step.
                epochs: STEPS,
                minutes: None,
                pace: None,
                keep: Keep::Last,
                average: None,
                patience: None,
                mixing: Mixing::None,
                seed: settings.seed.wrapping_add(number),
                ..settings.clone()
            };
            let done = number as usize * STEPS;
            let mut trainer = make(settings)?;
            let Some(sweep) = sweep(&mut trainer, &mut |steps| {
                listen(done + steps, SWEEPS as usize * STEPS)
            })?
            else {
                return Ok(None);
            };
            sweeps.push(sweep);
        }
        Ok(Some(Self { sweeps }))
    }

    /// The sweeps.
    pub fn sweeps(&self) -> &[RateSweep] {
        &self.sweeps
    }

    /// The smallest and the largest suggestion of all sweeps; `None` if a sweep has none.
    pub fn range(&self) -> Option<[f32; 2]> {
        let suggestions = self.suggestions()?;
        Some([*suggestions.first()?, *suggestions.last()?])
    }

    /// The median of the suggestions; `None` if there is no clear answer, because they differ by more than a factor of three.
    pub fn suggestion(&self) -> Option<f32> {
        let suggestions = self.suggestions()?;
        let (low, high) = (suggestions.first()?, suggestions.last()?);
        (*high <= AGREEMENT * low).then(|| suggestions[suggestions.len() / 2])
    }

    /// The suggestions of all sweeps in ascending order; `None` if a sweep has none.
    fn suggestions(&self) -> Option<Vec<f32>> {
        let suggestions = self.sweeps.iter().map(|sweep| sweep.suggestion);
        let mut suggestions: Vec<f32> = suggestions.collect::<Option<_>>()?;
        suggestions.sort_by(f32::total_cmp);
        Some(suggestions)
    }
}

/// The rate of a step, as a share of the last rate.
fn share(step: usize) -> f32 {
    let progress = step.min(STEPS - 1) as f64 / (STEPS - 1) as f64;
    let [first, last] = RANGE.map(f64::from);
    (first / last).powf(1.0 - progress) as f32
}

/// One sweep. `None` if `listen` breaks off.
fn sweep(
    trainer: &mut Trainer,
    listen: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Option<RateSweep>> {
    let (mut rates, mut losses) = (Vec::new(), Vec::new());
    let (mut mean, mut smallest) = (0.0, f64::INFINITY);
    for step in 0..STEPS {
        let mut told = None;
        let stepped = trainer.step(&mut |event| {
            if let Event::Step {
                batch_loss,
                learning_rate,
                ..
            } = event
            {
                told = Some((f64::from(*batch_loss), *learning_rate));
            }
            ControlFlow::Continue(())
        });
        match stepped {
            Ok(_) => {}
            // The end of the sweep, one step earlier than by the loss.
            Err(Error::Diverged { .. }) => break,
            Err(error) => return Err(error),
        }
        if listen(step + 1).is_break() {
            return Ok(None);
        }
        let Some((loss, rate)) = told else { continue };
        rates.push(rate);
        losses.push(loss);
        mean = STAYS * mean + (1.0 - STAYS) * loss;
        // The first steps count too little otherwise, as in Adam.
        let running = mean / (1.0 - STAYS.powi(losses.len() as i32));
        smallest = f64::min(smallest, running);
        if running > EXPLODED * smallest {
            break;
        }
    }
    let points: Vec<RatePoint> = (rates.into_iter().zip(smoothed(&losses)))
        .map(|(rate, loss)| RatePoint { rate, loss })
        .collect();
    let suggestion = suggestion(&points);
    Ok(Some(RateSweep { points, suggestion }))
}

fn smoothed(losses: &[f64]) -> Vec<f32> {
    let start = &losses[..START.min(losses.len())];
    let most = start.iter().sum::<f64>() / start.len() as f64;
    (0..losses.len())
        .map(|step| {
            let (mut sum, mut weights) = (0.0, 0.0);
            for (other, &loss) in losses.iter().enumerate() {
                let distance = step.abs_diff(other) as f64 / SMOOTHING;
                let weight = (-0.5 * distance * distance).exp();
                sum += weight * loss.min(most);
                weights += weight;
            }
            (sum / weights) as f32
        })
        .collect()
}

/// The geometric mean of the rates in the valley.
fn suggestion(points: &[RatePoint]) -> Option<f32> {
    let first = points.first()?.loss;
    let lowest = (points.iter().map(|point| point.loss)).min_by(f32::total_cmp)?;
    if f64::from(lowest) >= CLEAR * f64::from(first) {
        return None;
    }
    let valley = points
        .iter()
        .filter(|point| point.loss <= lowest + VALLEY * (first - lowest));
    let logarithms: Vec<f32> = valley.map(|point| point.rate.ln()).collect();
    Some((logarithms.iter().sum::<f32>() / logarithms.len() as f32).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cpu, Dataset, Network, Optimizer, Shape};

    fn search(optimizer: Optimizer, labels: &[usize]) -> Result<RateSearch> {
        let images: Vec<f32> = (0..labels.len() * 16)
            .map(|i| (i / 16 % 2) as f32 + (i as f32 * 0.7).sin())
            .collect();
        let dataset = Dataset::from_arrays(&images, Shape::new(4, 4, 1), labels)?;
        let settings = TrainSettings {
            optimizer,
            batch_size: 16,
            ..TrainSettings::default()
        };
        let mut make = |settings| {
            let network = Network::parse("flatten-fc(16)-relu-fc(classes)")?;
            Trainer::new(Cpu::best(1), network, &dataset, None, settings)
        };
        let mut told = 0;
        let search = RateSearch::run(&settings, &mut make, &mut |done, all| {
            assert!(done <= all);
            told = done;
            ControlFlow::Continue(())
        })?;
        assert!(told > 400);
        Ok(search.expect("nobody breaks it off"))
    }

    #[test]
    fn the_rates_grow_from_a_thousandth_of_the_usual_one_and_the_suggestion_trains() -> Result<()> {
        let labels: Vec<usize> = (0..64).map(|i| i % 2).collect();
        for (optimizer, usual) in [(Optimizer::adam_w(), 0.002), (Optimizer::sgd(), 0.05)] {
            let search = search(optimizer, &labels)?;
            assert_eq!(search.sweeps().len(), 3);
            for sweep in search.sweeps() {
                let rates: Vec<f32> = sweep.points.iter().map(|point| point.rate).collect();
                assert!(
                    (rates[0] / (1e-3 * usual) - 1.0).abs() < 1e-3,
                    "{}",
                    rates[0]
                );
                let factor = rates[1] / rates[0];
                assert!(
                    rates
                        .windows(2)
                        .all(|pair| (pair[1] / pair[0] / factor - 1.0).abs() < 1e-3)
                );
            }
            let [low, high] = search.range().expect("there are suggestions");
            assert!(low >= 0.01 * usual && high <= 100.0 * usual, "{low} {high}");
        }
        Ok(())
    }

    #[test]
    fn sweeps_that_differ_are_no_clear_answer() {
        let of = |suggestions: [Option<f32>; 3]| RateSearch {
            sweeps: suggestions
                .map(|suggestion| RateSweep {
                    points: Vec::new(),
                    suggestion,
                })
                .to_vec(),
        };
        let agreed = of([Some(0.002), Some(0.001), Some(0.003)]);
        assert_eq!(agreed.suggestion(), Some(0.002));
        assert_eq!(agreed.range(), Some([0.001, 0.003]));
        let differing = of([Some(0.002), Some(0.001), Some(0.0031)]);
        assert_eq!(differing.suggestion(), None);
        assert_eq!(of([Some(0.002), None, Some(0.002)]).suggestion(), None);
    }

    #[test]
    fn a_loss_that_does_not_fall_gives_no_suggestion() {
        let flat = |loss: f32| -> Vec<RatePoint> {
            let rates = (0..9).map(|i| 10_f32.powi(i - 6));
            rates.map(|rate| RatePoint { rate, loss }).collect()
        };
        assert_eq!(suggestion(&flat(0.7)), None);
        assert_eq!(suggestion(&[]), None);
    }

    #[test]
    fn the_suggestion_is_the_middle_of_the_valley() {
        let loss = [2.0, 1.5, 0.02, 0.0, 0.01, 1.0];
        let points: Vec<RatePoint> = (loss.into_iter().enumerate())
            .map(|(i, loss)| RatePoint {
                rate: 10_f32.powi(i as i32 - 6),
                loss,
            })
            .collect();
        let middle = suggestion(&points).expect("the loss falls");
        assert!((middle / 1e-3 - 1.0).abs() < 1e-5, "{middle}");
    }

    #[test]
    fn the_smoothed_loss_does_not_lag_behind_and_an_explosion_counts_as_the_start() {
        // A valley whose middle is step 50, and an explosion at the end.
        let mut losses: Vec<f64> = (0..101).map(|step| f64::abs(step as f64 - 50.0)).collect();
        losses[100] = 1e9;
        let smoothed = smoothed(&losses);
        let lowest = (0..101).min_by(|&a, &b| smoothed[a].total_cmp(&smoothed[b]));
        assert_eq!(lowest, Some(50));
        assert!(smoothed.iter().all(|&loss| loss <= 50.0));
    }
}
