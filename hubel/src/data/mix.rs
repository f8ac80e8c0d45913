//! Mixing the pictures of a batch with each other, and their targets likewise.
//!
//! Picture i is mixed with picture i − 1 of the batch, and the first with the last, as in torchvision: the order of an epoch is random, so
//! the partner is random too, and it is never the picture itself. All pictures of a batch have the same share. Both papers do so in their
//! code, and torchvision and timm by default.
use crate::random::{Purpose, Random, Stream};
use crate::{Error, Result, Shape};

/// How training mixes the pictures of each batch with each other. Validation and evaluation see unmixed pictures.
///
/// The share λ of a picture in its mixture is drawn from Beta(α, α) for each batch: α = 1 draws all shares equally often, a smaller α draws
/// mostly shares near 0 and 1. The target of a mixture has the same shares: λ of the picture's own target and 1 − λ of its partner's.
/// All numbers depend on (seed, epoch, step) only.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Mixing {
    /// Pictures are not mixed.
    #[default]
    None,
    /// mixup (Zhang et al. 2018): λ · picture + (1 − λ) · partner. Usual values of α: 0.2 for ImageNet, 1 for CIFAR.
    Mixup {
        /// Parameter of the beta distribution.
        alpha: f32,
    },
    /// CutMix (Yun et al. 2019): a rectangle of the partner replaces that of the picture. It has 1 − λ of the area before it is cut at the
    /// border of the picture; the shares of the target are those of the area after that. The usual α is 1.
    CutMix {
        /// Parameter of the beta distribution.
        alpha: f32,
    },
    /// mixup or CutMix, each for half of the batches at random (as timm does with both).
    Either {
        /// α of mixup.
        mixup: f32,
        /// α of CutMix.
        cutmix: f32,
    },
}

/// The mixture of one batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mix {
    /// This share of the picture, and the rest of its partner.
    Blend(f32),
    /// Rows `top..bottom` and columns `left..right` are the partner's.
    Paste {
        top: usize,
        bottom: usize,
        left: usize,
        right: usize,
        /// The share of the picture that stays.
        share: f32,
    },
}

impl Mixing {
    /// Mixing with these α, each `None` if it is not used.
    pub fn of(mixup: Option<f32>, cutmix: Option<f32>) -> Self {
        match (mixup, cutmix) {
            (None, None) => Self::None,
            (Some(alpha), None) => Self::Mixup { alpha },
            (None, Some(alpha)) => Self::CutMix { alpha },
            (Some(mixup), Some(cutmix)) => Self::Either { mixup, cutmix },
        }
    }

    /// Whether no pictures are mixed.
    pub fn is_none(self) -> bool {
        self == Self::None
    }

    /// Whether it cuts pictures, which needs pictures and not features.
    pub(crate) fn cuts(self) -> bool {
        matches!(self, Self::CutMix { .. } | Self::Either { .. })
    }

    /// # Errors
    /// [`Error::Settings`] if an α is not positive and finite.
    pub(crate) fn check(self) -> Result<()> {
        let alphas = match self {
            Self::None => vec![],
            Self::Mixup { alpha } => vec![("mixup", alpha)],
            Self::CutMix { alpha } => vec![("CutMix", alpha)],
            Self::Either { mixup, cutmix } => vec![("mixup", mixup), ("CutMix", cutmix)],
        };
        let bad = (alphas.into_iter()).find(|(_, alpha)| !(*alpha > 0.0 && alpha.is_finite()));
        match bad {
            None => Ok(()),
            Some((name, alpha)) => Err(Error::Settings {
                problem: format!(
                    "an alpha of {alpha} for {name} is no parameter of a beta distribution; give a positive number, such as 0.2 or 1"
                ),
            }),
        }
    }

    /// The mixture of a step, for pictures of this shape. `None` if they are not mixed.
    pub(crate) fn mix(self, seed: u64, epoch: usize, step: usize, shape: Shape) -> Option<Mix> {
        let mut stream = Random::new(seed).stream(Purpose::Mix, epoch as u64, step as u64);
        let (alpha, cuts) = match self {
            Self::None => return None,
            Self::Mixup { alpha } => (alpha, false),
            Self::CutMix { alpha } => (alpha, true),
            Self::Either { mixup, cutmix } => match stream.below(2) {
                0 => (mixup, false),
                _ => (cutmix, true),
            },
        };
        let share = stream.beta(alpha.into(), alpha.into());
        Some(match cuts {
            true => Mix::paste(share, shape, &mut stream),
            false => Mix::Blend(share as f32),
        })
    }
}

/// The partner of the picture at `place` in a batch of `count`.
pub(crate) fn partner(place: usize, count: usize) -> usize {
    (place + count - 1) % count
}

impl Mix {
    /// A random rectangle with 1 − `share` of the area, cut at the border (as in torchvision: half sides are whole pixels).
    fn paste(share: f64, shape: Shape, stream: &mut Stream) -> Self {
        let half = 0.5 * (1.0 - share).sqrt();
        let mut along = |side: usize| {
            let (centre, half) = (stream.below(side), (half * side as f64) as usize);
            (centre.saturating_sub(half), (centre + half).min(side))
        };
        let ((top, bottom), (left, right)) = (along(shape.height), along(shape.width));
        let area = (bottom - top) * (right - left);
        let share = 1.0 - area as f64 / (shape.height * shape.width) as f64;
        Self::Paste {
            top,
            bottom,
            left,
            right,
            share: share as f32,
        }
    }

    /// The share of each picture's own target.
    pub(crate) fn share(self) -> f32 {
        match self {
            Self::Blend(share) | Self::Paste { share, .. } => share,
        }
    }

    /// Mixes the pictures `[n, h, w, c]` of a batch, or the clips `[n, t, h, w, c]`: all frames alike.
    pub(crate) fn pictures(self, images: &mut [f32], shape: Shape) {
        match self {
            Self::Blend(share) => blend(images, shape.len(), share),
            Self::Paste {
                top,
                bottom,
                left,
                right,
                ..
            } => with_partners(images, shape.len(), |image, partner| {
                for frame in 0..shape.time {
                    for row in top..bottom {
                        let start = (frame * shape.height + row) * shape.width;
                        let columns =
                            (start + left) * shape.channels..(start + right) * shape.channels;
                        image[columns.clone()].copy_from_slice(&partner[columns]);
                    }
                }
            }),
        }
    }

    /// Mixes the targets `[n, classes]` of a batch.
    pub(crate) fn targets(self, targets: &mut [f32], classes: usize) {
        blend(targets, classes, self.share());
    }
}

/// Replaces each row by `share` of it and the rest of its partner.
fn blend(rows: &mut [f32], length: usize, share: f32) {
    let rest = 1.0 - share;
    with_partners(rows, length, |row, partner| {
        for (value, other) in row.iter_mut().zip(partner) {
            *value = share * *value + rest * other;
        }
    });
}

/// Calls `change` for each row with its unchanged partner. One row is copied.
fn with_partners(rows: &mut [f32], length: usize, change: impl Fn(&mut [f32], &[f32])) {
    let count = rows.len() / length.max(1);
    if count < 2 {
        return;
    }
    let last = rows[(count - 1) * length..].to_vec();
    for place in (1..count).rev() {
        let (before, row) = rows[..(place + 1) * length].split_at_mut(place * length);
        change(row, &before[partner(place, count) * length..][..length]);
    }
    change(&mut rows[..length], &last);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Each value is the picture's, the partner's, or the blend of both, and the targets have the shares of the pixels.
        #[test]
        fn pictures_and_targets_have_the_same_shares(
            count in 1usize..7, time in 1usize..4, height in 1usize..9, width in 1usize..9, channels in 1usize..4,
            alpha in 0.05f32..3.0, seed: u64, epoch in 1usize..50, step in 0usize..50, kind in 0usize..3,
        ) {
            let shape = Shape::new(height, width, channels).over(time);
            let mixing = [Mixing::Mixup { alpha }, Mixing::CutMix { alpha }, Mixing::Either { mixup: alpha, cutmix: alpha }][kind];
            let mix = mixing.mix(seed, epoch, step, shape).expect("it mixes");
            prop_assert_eq!(Some(mix), mixing.mix(seed, epoch, step, shape));
            prop_assert!((0.0..=1.0).contains(&mix.share()));
            let source: Vec<f32> = (0..count * shape.len()).map(|i| (i / shape.len()) as f32).collect();
            let mut images = source.clone();
            mix.pictures(&mut images, shape);
            // Each picture is a class of its own.
            let mut targets: Vec<f32> = (0..count * count).map(|i| f32::from(u8::from(i / count == i % count))).collect();
            mix.targets(&mut targets, count);
            for place in 0..count {
                let other = partner(place, count);
                let image = &images[place * shape.len()..][..shape.len()];
                let target = &targets[place * count..][..count];
                prop_assert!((target.iter().sum::<f32>() - 1.0).abs() < 1e-6);
                if count == 1 {
                    prop_assert_eq!(&images, &source);
                    continue;
                }
                prop_assert!(other != place && (target[place] - mix.share()).abs() < 1e-6);
                match mix {
                    Mix::Blend(share) => {
                        let expected = share * place as f32 + (1.0 - share) * other as f32;
                        prop_assert!(image.iter().all(|value| (value - expected).abs() < 1e-5));
                    }
                    Mix::Paste { .. } => {
                        let own = image.iter().filter(|value| **value == place as f32).count();
                        let pasted = image.iter().filter(|value| **value == other as f32).count();
                        prop_assert_eq!(own + pasted, image.len());
                        prop_assert!((own as f32 / image.len() as f32 - target[place]).abs() < 1e-6);
                    }
                }
            }
        }
    }

    #[test]
    fn steps_epochs_and_seeds_have_their_own_mixtures_and_either_has_both() {
        let shape = Shape::new(32, 32, 3);
        let either = Mixing::of(Some(1.0), Some(1.0));
        let of = |seed, epoch, step| either.mix(seed, epoch, step, shape).expect("it mixes");
        let mixtures: Vec<Mix> = (0..200).map(|step| of(1, 1, step)).collect();
        let blends = (mixtures.iter())
            .filter(|mix| matches!(mix, Mix::Blend(_)))
            .count();
        assert!((60..140).contains(&blends), "{blends}");
        assert!(of(1, 1, 0) != of(1, 2, 0) && of(1, 1, 0) != of(2, 1, 0));
        // Uniform shares: the mean of the blends is near 1/2.
        let shares: Vec<f32> = (0..2000)
            .filter_map(|step| Mixing::Mixup { alpha: 1.0 }.mix(3, 1, step, shape))
            .map(Mix::share)
            .collect();
        let mean = shares.iter().sum::<f32>() / shares.len() as f32;
        assert!((mean - 0.5).abs() < 0.03, "{mean}");
        assert_eq!(Mixing::None.mix(1, 1, 1, shape), None);
    }

    #[test]
    fn an_alpha_that_is_none_is_refused() {
        for alpha in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            for mixing in [
                Mixing::Mixup { alpha },
                Mixing::CutMix { alpha },
                Mixing::of(Some(1.0), Some(alpha)),
            ] {
                let error = mixing.check().expect_err("it is refused").to_string();
                assert!(error.contains("; give a positive number"), "{error}");
            }
        }
        assert!(Mixing::of(Some(0.2), Some(1.0)).check().is_ok());
    }
}
