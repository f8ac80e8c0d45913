//! Signs that a training does not go well: the evidence of each as numbers and as a sentence, and one thing to try.
use std::fmt;

use serde::Serialize;

/// A sign that a network does not learn as it should. [`Sign::evidence`] says what was measured, [`Sign::advice`] what to try.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Sign {
    /// The input of the network is far from mean 0 and standard deviation 1.
    UnscaledInput {
        /// The channel that is farthest from it.
        channel: usize,
        /// Its mean over pixels and pictures.
        mean: f32,
        /// Its standard deviation.
        deviation: f32,
        /// Whether the pictures have one colour, so that no normalisation helps.
        is_one_colour: bool,
    },
    /// Units of a layer that are 0, or at the upper limit of `relu6`, for all pictures. Their weights get no gradient.
    DeadRelu {
        /// The activation.
        layer: String,
        /// Its kind: `relu`, `relu6` or `hardswish`.
        #[serde(rename = "activation")]
        kind: &'static str,
        /// Its dead units.
        dead: usize,
        /// All of its units, which are its channels.
        units: usize,
        /// Pictures that were looked at.
        images: usize,
        /// The learning rate at which they died; `None` before training.
        rate: Option<f32>,
    },
    /// The gradient is very large, or grows on its way back.
    ExplodingGradient {
        /// The layer.
        layer: String,
        /// The norm of the gradient of its weights. Infinite if the gradient is not finite.
        norm: f32,
        /// The last layer with weights.
        last: String,
        /// The norm of the gradient there.
        last_norm: f32,
        /// Whether the network has batch norms.
        has_batch_norm: bool,
    },
    /// The gradient fades on its way back.
    VanishingGradient {
        /// The layer that is changed least.
        layer: String,
        /// The layer that is changed most.
        strongest: String,
        /// How much a change of the weights of `layer` by their own norm changes the loss, relative to such a change of `strongest`.
        share: f32,
        /// `sigmoid` or `tanh`, if the network has these.
        activation: Option<&'static str>,
    },
    /// The loss rises, or does not fall, and a smaller learning rate helps.
    RateTooHigh {
        /// The learning rate.
        rate: f32,
        /// The loss before, in nats.
        loss_before: f32,
        /// The largest loss. Infinite if training diverged.
        largest_loss: f32,
        /// The loss at the end. Infinite if training diverged.
        loss_after: f32,
        /// A learning rate with which one batch was learned by heart; `None` if others were not tried.
        works: Option<f32>,
    },
    /// The loss hardly falls, and a larger learning rate helps.
    RateTooLow {
        /// The learning rate.
        rate: f32,
        /// Number of steps.
        steps: usize,
        /// The loss before, in nats.
        loss_before: f32,
        /// The loss after these steps.
        loss_after: f32,
        /// A learning rate with which one batch was learned by heart; `None` if others were not tried.
        works: Option<f32>,
    },
    /// One batch cannot be learned by heart, with any learning rate that was tried.
    NotByHeart {
        /// Pictures of the batch.
        images: usize,
        /// Steps on this batch.
        steps: usize,
        /// The loss before, in nats.
        loss_before: f32,
        /// The loss after these steps. Infinite if training diverged.
        loss_after: f32,
        /// The share of right answers after these steps.
        accuracy: f32,
        /// Pictures of the batch that are equal to another one with another label.
        contradictions: usize,
    },
    /// The network answers the same class for nearly all pictures.
    ConstantPredictions {
        /// The class.
        class: String,
        /// Pictures with this answer.
        count: usize,
        /// All pictures that were classified, equally many of each of at least two classes.
        images: usize,
        /// Whether the network has batch norms.
        has_batch_norm: bool,
        /// Whether the pictures are those of training, in the mode of training.
        is_seen: bool,
    },
    /// Other pictures are classified no better than by chance.
    ShuffledLabels {
        /// The mean of the accuracies of the classes.
        accuracy: f32,
        /// Pictures that were classified and not trained on.
        images: usize,
        /// Their classes.
        classes: usize,
        /// Steps of the training.
        steps: usize,
        /// The accuracy is lower than this with a confidence of 99 %.
        at_most: f64,
    },
}

impl Sign {
    /// Its name: `dead-relu`, `rate-too-high` …
    pub fn name(&self) -> &'static str {
        match self {
            Self::UnscaledInput { .. } => "unscaled-input",
            Self::DeadRelu { .. } => "dead-relu",
            Self::ExplodingGradient { .. } => "exploding-gradient",
            Self::VanishingGradient { .. } => "vanishing-gradient",
            Self::RateTooHigh { .. } => "rate-too-high",
            Self::RateTooLow { .. } => "rate-too-low",
            Self::NotByHeart { .. } => "not-by-heart",
            Self::ConstantPredictions { .. } => "constant-predictions",
            Self::ShuffledLabels { .. } => "shuffled-labels",
        }
    }

    /// The order in which signs are told: causes before what follows from them.
    pub(super) fn order(&self) -> usize {
        match self {
            Self::UnscaledInput { .. } => 0,
            Self::DeadRelu { .. } => 1,
            Self::ExplodingGradient { .. } => 2,
            Self::VanishingGradient { .. } => 3,
            Self::RateTooHigh { .. } => 4,
            Self::RateTooLow { .. } => 5,
            Self::NotByHeart { .. } => 6,
            Self::ConstantPredictions { .. } => 7,
            Self::ShuffledLabels { .. } => 8,
        }
    }

    /// What was measured, in one sentence without a full stop.
    pub fn evidence(&self) -> String {
        match self {
            Self::UnscaledInput {
                channel,
                mean,
                deviation,
                ..
            } => format!(
                "channel {channel} of the network's input has mean {} and standard deviation {}, where 0 and 1 are usual",
                short(*mean),
                short(*deviation)
            ),
            Self::DeadRelu {
                layer,
                kind,
                dead,
                units,
                images,
                ..
            } => {
                let stays = match *kind {
                    "relu6" => "stay at 0 or at 6",
                    _ => "are 0",
                };
                format!(
                    "{dead} of {units} units of layer {layer} ({kind}) {stays} for all {images} examples, so they get no gradient"
                )
            }
            Self::ExplodingGradient {
                layer,
                norm,
                last,
                last_norm,
                ..
            } => {
                let there = match layer == last {
                    true => String::new(),
                    false => format!("; in the last layer, {last}, it is {}", short(*last_norm)),
                };
                format!(
                    "the gradient of the weights of layer {layer} has a norm of {}{there}",
                    short(*norm)
                )
            }
            Self::VanishingGradient {
                layer,
                strongest,
                share,
                ..
            } => format!(
                "the gradient fades on its way back: weights of layer {layer} change the loss {} times as much as those of layer {strongest}",
                short(*share)
            ),
            Self::RateTooHigh {
                rate,
                loss_before,
                largest_loss,
                loss_after,
                works,
            } => {
                let rises = course(*loss_before, *largest_loss, *loss_after);
                let works = match works {
                    Some(works) => {
                        format!(", and with {} one batch is learned by heart", short(*works))
                    }
                    None => String::new(),
                };
                format!("with a learning rate of {} {rises}{works}", short(*rate))
            }
            Self::RateTooLow {
                rate,
                steps,
                loss_before,
                loss_after,
                works,
            } => {
                let works = match works {
                    Some(works) => {
                        format!(", and with {} one batch is learned by heart", short(*works))
                    }
                    None => String::new(),
                };
                format!(
                    "in {steps} steps with a learning rate of {} the loss goes from {} to {} only{works}",
                    short(*rate),
                    short(*loss_before),
                    short(*loss_after)
                )
            }
            Self::NotByHeart {
                images,
                steps,
                loss_before,
                loss_after,
                accuracy,
                contradictions,
            } => {
                let equal = match contradictions {
                    0 => String::new(),
                    count => format!("; {count} of them are equal to one with another label"),
                };
                match loss_before.is_finite() {
                    true => format!(
                        "after {steps} steps on the same {images} examples, the loss is {} (before: {}) and {:.0} % of the answers are right{equal}",
                        short(*loss_after),
                        short(*loss_before),
                        100.0 * accuracy
                    ),
                    false => "the loss is not finite from the start".into(),
                }
            }
            Self::ConstantPredictions {
                class,
                count,
                images,
                is_seen,
                ..
            } => {
                let which = match is_seen {
                    true => "training examples",
                    false => "examples that it was not trained on",
                };
                format!(
                    "the network answers `{}` for {count} of {images} {which}, of several classes",
                    crate::one_line(class)
                )
            }
            Self::ShuffledLabels {
                accuracy,
                images,
                classes,
                steps,
                at_most,
            } => format!(
                "after {steps} steps, the accuracy on {images} other examples is {:.1} %, and chance gives {:.1} % for {classes} classes; with 99 % confidence it is below {:.1} %",
                100.0 * accuracy,
                100.0 / *classes as f64,
                100.0 * at_most
            ),
        }
    }

    /// One thing to try, in one sentence without a full stop. Settings and functions are those of this library.
    pub fn advice(&self) -> String {
        match self {
            Self::UnscaledInput {
                is_one_colour: true,
                ..
            } => "look at some of the data: they hardly differ (`data::Sheet`)".into(),
            Self::UnscaledInput { .. } => {
                "train a new network, which measures mean and standard deviation (`Trainer::new`), or correct those of the model".into()
            }
            Self::DeadRelu {
                rate: Some(rate), ..
            } => format!("train with a tenth of the learning rate (`learning_rate = {}`)", short(rate / 10.0)),
            Self::DeadRelu { kind, .. } => {
                format!("use `leakyrelu` in place of `{kind}`, and new weights")
            }
            Self::ExplodingGradient {
                has_batch_norm: false,
                ..
            } => "put `batchnorm` after each convolution and linear layer but the last".into(),
            Self::ExplodingGradient { .. } => "limit the gradient (`clip = 1`)".into(),
            Self::VanishingGradient {
                activation: Some(activation),
                ..
            } => format!("use `relu` in place of `{activation}`"),
            Self::VanishingGradient { .. } => {
                "put `batchnorm` after each convolution and linear layer but the last".into()
            }
            Self::RateTooHigh {
                works: Some(works), ..
            }
            | Self::RateTooLow {
                works: Some(works), ..
            } => format!("train with `learning_rate = {}`", short(*works)),
            Self::RateTooHigh { .. } | Self::RateTooLow { .. } => {
                "let sweeps find a learning rate (`RateSearch::run`)".into()
            }
            Self::NotByHeart { loss_before, .. } if !loss_before.is_finite() => {
                "start from new weights (`Trainer::new`), with `batchnorm` after each convolution and linear layer but the last".into()
            }
            Self::NotByHeart {
                contradictions: 0, ..
            } => "give the network more filters, or fewer poolings".into(),
            Self::NotByHeart { .. } => {
                "find what has two labels (`check::check`)".into()
            }
            Self::ConstantPredictions {
                is_seen: false,
                has_batch_norm: true,
                ..
            } => "leave `momentum` and `epsilon` of each `batchnorm` at their defaults: its running statistics differ from those of training".into(),
            Self::ConstantPredictions { .. } => {
                "let one batch be learned by heart, which shows the cause (`doctor::examine`)".into()
            }
            Self::ShuffledLabels { .. } => {
                "look at some examples with their labels (`data::Sheet`)".into()
            }
        }
    }
}

/// The evidence and the advice: `dead-relu: …; try: …`.
impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}; to try: {}",
            self.name(),
            self.evidence(),
            self.advice()
        )
    }
}

/// How the loss goes from its start over its largest value to its end.
fn course(before: f32, largest: f32, after: f32) -> String {
    if !before.is_finite() {
        return "the loss is not finite from the start".into();
    }
    if !largest.is_finite() {
        return format!("the loss goes from {} to infinity", short(before));
    }
    let [before, largest, after] = [before, largest, after].map(short);
    if largest == before {
        return format!("the loss does not fall: it goes from {before} to {after}");
    }
    match largest == after {
        true => format!("the loss goes from {before} up to {largest}"),
        false => format!("the loss goes from {before} up to {largest}, and ends at {after}"),
    }
}

/// Three digits of a number, as a setting would be written: `0.002`, `12.3`, `1.5e-7`.
fn short(value: f32) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let size = value.abs();
    if !(1e-4..1e5).contains(&size) {
        return format!("{value:.1e}");
    }
    // The number of decimals that leaves three digits.
    let decimals = (2.0 - f64::from(size).log10().floor()).max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{Sign, course, short};

    #[test]
    fn the_course_of_a_loss_says_no_more_than_what_happened() {
        for (losses, said) in [
            ([4.0, 4.001, 4.0], "does not fall: it goes from 4 to 4"),
            ([4.0, 4.0, 3.9], "does not fall: it goes from 4 to 3.9"),
            ([4.0, 9.0, 9.0], "goes from 4 up to 9"),
            ([4.0, 9.0, 3.0], "goes from 4 up to 9, and ends at 3"),
            (
                [4.0, f32::INFINITY, f32::INFINITY],
                "goes from 4 to infinity",
            ),
            ([f32::NAN; 3], "is not finite from the start"),
        ] {
            let [before, largest, after] = losses;
            assert_eq!(course(before, largest, after), format!("the loss {said}"));
        }
    }

    #[test]
    fn a_loss_that_is_not_finite_from_the_start_is_no_matter_of_size() {
        let sign = Sign::NotByHeart {
            images: 8,
            steps: 0,
            loss_before: f32::NAN,
            loss_after: f32::INFINITY,
            accuracy: 0.0,
            contradictions: 0,
        };
        assert_eq!(sign.evidence(), "the loss is not finite from the start");
        assert!(sign.advice().contains("new weights"));
    }

    #[test]
    fn numbers_have_three_digits_and_can_be_read_back() {
        for (value, text) in [
            (0.0, "0"),
            (0.002, "0.002"),
            (0.0004, "0.0004"),
            (2.0, "2"),
            (1234.5, "1234"),
            (12.345, "12.3"),
            (-0.98765, "-0.988"),
            (100.0, "100"),
            (1.5e-7, "1.5e-7"),
            (3e9, "3.0e9"),
            (f32::INFINITY, "inf"),
        ] {
            assert_eq!(short(value), text);
            let read: f32 = text.parse().unwrap();
            assert!(read == value || (read / value - 1.0).abs() < 5e-3);
        }
    }
}
