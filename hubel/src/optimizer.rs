//! Optimizers: their settings, names and usual rates. `optimizer/state.rs` has their memory and their steps.
mod matrices;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::named::{self, Named};
use crate::{Error, Result};

pub(crate) use state::{GradientNorm, OptimizerState, Update};

/// An optimizer; formulas as in `torch.optim`, or as published.
///
/// In text (serde, [`FromStr`]), it is its name: `sgd`, `adam`, `adamw`, `rmsprop`, `lion` or `muon`.
///
/// ```
/// use hubel::Optimizer;
///
/// let usual = Optimizer::adam();
/// let other = Optimizer::Adam { beta1: 0.7, beta2: 0.9, epsilon: 1e-8 };
/// assert_eq!("adam".parse::<Optimizer>()?, usual);
/// assert_ne!(usual, other);
/// # Ok::<(), hubel::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    remote = "Self",
    tag = "name",
    rename_all = "lowercase",
    deny_unknown_fields
)]
#[non_exhaustive]
pub enum Optimizer {
    /// Stochastic gradient descent. Weight decay is part of the gradient.
    Sgd {
        /// The factor of the previous velocity.
        momentum: f32,
        /// Nesterov momentum.
        nesterov: bool,
    },
    /// Adam (Kingma and Ba 2015). Weight decay is part of the gradient (L2 regularisation).
    Adam {
        /// The share of the mean gradient that stays at each step.
        beta1: f32,
        /// The share of the mean squared gradient that stays at each step.
        beta2: f32,
        /// Added to the root of the mean squared gradient.
        epsilon: f32,
    },
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    AdamW {
        /// The share of the mean gradient that stays at each step.
        beta1: f32,
        /// The share of the mean squared gradient that stays at each step.
        beta2: f32,
        /// Added to the root of the mean squared gradient.
        epsilon: f32,
    },
    /// RMSprop (Tieleman and Hinton 2012), not centred. Weight decay is part of the gradient.
    RmsProp {
        /// The share of the mean squared gradient that stays at each step.
        alpha: f32,
        /// Added to the root of the mean squared gradient.
        epsilon: f32,
        /// The factor of the previous velocity.
        momentum: f32,
    },
    /// Lion (Chen et al. 2023): all steps of a weight have the same size. Weight decay is decoupled.
    Lion {
        /// The share of the momentum in the direction of a step.
        beta1: f32,
        /// The share of the momentum that stays at each step.
        beta2: f32,
    },
    /// Muon (Jordan et al. 2024): momentum whose steps are orthogonal matrices. Weight decay is decoupled.
    ///
    /// It trains the weights of linear layers and convolutions, which are matrices of filters × the rest. As its authors recommend for
    /// convolutional networks, AdamW (β = 0.9 and 0.95, ε = 1e-10) trains everything else: the weights of the first and of the last layer,
    /// biases and batch norms. AdamW also trains depthwise convolutions, because their filters read different channels and do not form
    /// a matrix.
    Muon {
        /// The share of the mean gradient that stays at each step.
        momentum: f32,
        /// Nesterov momentum.
        nesterov: bool,
        /// The learning rate of AdamW, relative to that of Muon.
        adam_rate: f32,
    },
}

impl Optimizer {
    /// SGD with Nesterov momentum 0.9.
    pub fn sgd() -> Self {
        Self::Sgd {
            momentum: 0.9,
            nesterov: true,
        }
    }

    /// Adam with β = 0.9 and 0.999, ε = 1e-8, as in PyTorch.
    pub fn adam() -> Self {
        Self::Adam {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
        }
    }

    /// AdamW with β = 0.9 and 0.999, ε = 1e-8, as in PyTorch.
    pub fn adam_w() -> Self {
        Self::AdamW {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
        }
    }

    /// RMSprop with α = 0.99, ε = 1e-8 and no momentum, as in PyTorch.
    pub fn rms_prop() -> Self {
        Self::RmsProp {
            alpha: 0.99,
            epsilon: 1e-8,
            momentum: 0.0,
        }
    }

    /// Lion with β = 0.9 and 0.99, as published.
    pub fn lion() -> Self {
        Self::Lion {
            beta1: 0.9,
            beta2: 0.99,
        }
    }

    /// Muon with Nesterov momentum 0.95, as published. AdamW has a tenth of its rate.
    pub fn muon() -> Self {
        Self::Muon {
            momentum: 0.95,
            nesterov: true,
            adam_rate: 0.1,
        }
    }

    /// A usual learning rate for a network that AdamW trains with `adam_w`: 0.002, for example, becomes 0.05 for SGD, 0.0004 for Lion
    /// and 0.02 for Muon. Chen et al. 2023 recommend 3 to 10 times less for Lion.
    pub fn usual_learning_rate(&self, adam_w: f32) -> f32 {
        match self {
            Self::Sgd { .. } => 25.0 * adam_w,
            Self::Adam { .. } | Self::AdamW { .. } => adam_w,
            Self::RmsProp { .. } => 0.5 * adam_w,
            Self::Lion { .. } => 0.2 * adam_w,
            Self::Muon { .. } => 10.0 * adam_w,
        }
    }

    /// A usual weight decay for a network that AdamW trains with `adam_w`. Where decay is decoupled, learning rate × decay is the same as
    /// for AdamW. Where decay is part of the gradient, it is 0.0005 at most, because its effect is far stronger.
    pub fn usual_weight_decay(&self, adam_w: f32) -> f32 {
        match self {
            Self::Sgd { .. } | Self::Adam { .. } | Self::RmsProp { .. } => adam_w.min(0.0005),
            Self::AdamW { .. } => adam_w,
            Self::Lion { .. } => 5.0 * adam_w,
            Self::Muon { .. } => 0.1 * adam_w,
        }
    }

    /// What is wrong with a setting, and what to give.
    pub(crate) fn problem(&self) -> Option<String> {
        let share = |name: &str, value: f32, usual: f32| {
            let fits = (0.0..1.0).contains(&value);
            (!fits).then(|| {
                format!(
                    "{name} of {value} does not settle; give a number from 0 to less than 1, such as {usual}"
                )
            })
        };
        let positive = |name: &str, value: f32, usual: f32| {
            let fits = value > 0.0 && value.is_finite();
            (!fits).then(|| {
                format!("{name} is {value} and must be positive; give a number such as {usual}")
            })
        };
        match *self {
            Self::Sgd { momentum, .. } => share("a momentum", momentum, 0.9),
            Self::Adam {
                beta1,
                beta2,
                epsilon,
            }
            | Self::AdamW {
                beta1,
                beta2,
                epsilon,
            } => share("a β1", beta1, 0.9)
                .or_else(|| share("a β2", beta2, 0.999))
                .or_else(|| positive("ε", epsilon, 1e-8)),
            Self::RmsProp {
                alpha,
                epsilon,
                momentum,
            } => share("an α", alpha, 0.99)
                .or_else(|| positive("ε", epsilon, 1e-8))
                .or_else(|| share("a momentum", momentum, 0.9)),
            Self::Lion { beta1, beta2 } => {
                share("a β1", beta1, 0.9).or_else(|| share("a β2", beta2, 0.99))
            }
            Self::Muon {
                momentum,
                adam_rate,
                ..
            } => share("a momentum", momentum, 0.95).or_else(|| {
                positive(
                    "the learning rate of AdamW relative to that of Muon",
                    adam_rate,
                    0.1,
                )
            }),
        }
    }
}

impl Named for Optimizer {
    const KIND: &'static str = "optimizer";
    const NAMES: &'static [&'static str] = &["sgd", "adam", "adamw", "rmsprop", "lion", "muon"];

    fn usual(name: &str) -> Option<Self> {
        Some(match name {
            "sgd" => Self::sgd(),
            "adam" => Self::adam(),
            "adamw" => Self::adam_w(),
            "rmsprop" => Self::rms_prop(),
            "lion" => Self::lion(),
            "muon" => Self::muon(),
            _ => return None,
        })
    }

    fn name(&self) -> Option<&'static str> {
        Some(match self {
            Self::Sgd { .. } => "sgd",
            Self::Adam { .. } => "adam",
            Self::AdamW { .. } => "adamw",
            Self::RmsProp { .. } => "rmsprop",
            Self::Lion { .. } => "lion",
            Self::Muon { .. } => "muon",
        })
    }

    fn of_table(table: Value) -> serde_json::Result<Self> {
        Self::deserialize(table)
    }

    fn write_table<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl Serialize for Optimizer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        named::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Optimizer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        named::deserialize(deserializer)
    }
}

impl FromStr for Optimizer {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        named::of_name(name)
    }
}

impl fmt::Display for Optimizer {
    /// The name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name().expect("each optimizer has a name"))
    }
}
