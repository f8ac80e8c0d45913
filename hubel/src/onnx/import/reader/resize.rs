//! Upsampling by Resize and Upsample.
use super::super::call::{Call, axes};
use super::super::view::View;
use super::{Outcome, Reader};
use crate::layers::{Interpolation, Upsample};

impl Reader<'_> {
    pub(super) fn resize(&mut self, call: &Call) -> Outcome {
        let (node, shape) = self.map(call)?;
        let factors = factors(
            call,
            [self.batch, shape.channels, shape.height, shape.width],
        )?;
        let [1, 1, down, across] = factors else {
            return Err("it resizes images or channels, and hubel rows and columns only".into());
        };
        if [down, across] == [1; 2] {
            return Ok(call.view(0)?.clone());
        }
        let interpolation = match call.text("mode").unwrap_or("nearest") {
            "nearest" => Interpolation::Nearest,
            "linear" | "bilinear" => Interpolation::Bilinear,
            other => return Err(format!("hubel does not resize by `{other}`")),
        };
        if call.int("antialias").unwrap_or(0) != 0 {
            return Err("hubel resizes without antialiasing".into());
        }
        let coordinates = Coordinates::of(call);
        for (size, factor) in [(shape.height, down), (shape.width, across)] {
            if !coordinates.are_those_of(interpolation, size, factor) {
                return Err(coordinates.refusal(interpolation));
            }
        }
        let factor = [down, across];
        let layer = Upsample {
            factor,
            interpolation,
        };
        let node = self.push_layer(call, layer.into(), node, Vec::new())?;
        Ok(View::of(node, self.draft.shape(node), self.batch))
    }
}

/// The factor of each axis of an input of these sizes.
fn factors(call: &Call, sizes: [usize; 4]) -> Result<[usize; 4], String> {
    let along = match call.ints("axes") {
        Some(given) => axes(given, 4)?,
        None => vec![0, 1, 2, 3],
    };
    let scales = match (call.kind(), call.node.input.len()) {
        ("Upsample", 1) => call.floats("scales").map(<[f32]>::to_vec),
        (_, 2) => Some(call.needed(1)?.to_floats()),
        _ => call.constant(2)?.map(|scales| scales.to_floats()),
    };
    let scales: Vec<f64> = match scales.filter(|scales| !scales.is_empty()) {
        Some(scales) => scales.into_iter().map(f64::from).collect(),
        None => {
            if !matches!(
                call.text("keep_aspect_ratio_policy"),
                None | Some("stretch")
            ) {
                return Err("hubel resizes rows and columns to sizes that are given".into());
            }
            let wanted = call.needed(3)?.as_integers();
            let wanted = wanted.ok_or("its sizes must be integers")?;
            let of_axes = along.iter().map(|axis| sizes[*axis]);
            (wanted.iter().zip(of_axes))
                .map(|(wanted, size)| *wanted as f64 / size as f64)
                .collect()
        }
    };
    if scales.len() != along.len() {
        return Err("its scales or sizes and its axes differ in number".into());
    }
    let mut factors = [1; 4];
    for (axis, scale) in along.into_iter().zip(scales) {
        if scale.fract() != 0.0 || !(1.0..=LARGEST).contains(&scale) {
            return Err(format!(
                "it resizes by {}, and hubel enlarges by whole factors only",
                scale as f32
            ));
        }
        factors[axis] = scale as usize;
    }
    Ok(factors)
}

/// The largest factor that is read; larger ones are damage.
const LARGEST: f64 = 1024.0;

/// Which place of the input a place of the output corresponds to, and which place is the nearest.
struct Coordinates<'c> {
    mode: &'c str,
    nearest: &'c str,
}

impl<'c> Coordinates<'c> {
    fn of(call: &'c Call) -> Self {
        let is_old = call.kind() == "Upsample" || call.node.input.len() == 2;
        // Before version 11 of the operators there was one mode.
        let (mode, nearest) = match is_old {
            true => ("asymmetric", "floor"),
            false => ("half_pixel", "round_prefer_floor"),
        };
        Self {
            mode: call.text("coordinate_transformation_mode").unwrap_or(mode),
            nearest: call.text("nearest_mode").unwrap_or(nearest),
        }
    }

    /// The place of an input of `size` for place `i` of an output that is `factor` times as long; `None` for an unknown mode.
    fn place(&self, size: usize, factor: usize, i: usize) -> Option<f64> {
        let (output, scale, i) = ((size * factor) as f64, factor as f64, i as f64);
        Some(match self.mode {
            // The size is a whole multiple, so the last one is the same.
            "half_pixel" | "half_pixel_symmetric" => (i + 0.5) / scale - 0.5,
            "pytorch_half_pixel" if output > 1.0 => (i + 0.5) / scale - 0.5,
            "pytorch_half_pixel" => 0.0,
            "tf_half_pixel_for_nn" => (i + 0.5) / scale,
            "asymmetric" => i / scale,
            "align_corners" if output > 1.0 => i * (size as f64 - 1.0) / (output - 1.0),
            "align_corners" => 0.0,
            _ => return None,
        })
    }

    /// The place that counts as the nearest.
    fn rounded(&self, place: f64) -> Option<f64> {
        Some(match self.nearest {
            "floor" => place.floor(),
            "ceil" => place.ceil(),
            "round_prefer_floor" => (place - 0.5).ceil(),
            "round_prefer_ceil" => (place + 0.5).floor(),
            _ => return None,
        })
    }

    /// Whether they say what hubel computes along an axis.
    fn are_those_of(&self, interpolation: Interpolation, size: usize, factor: usize) -> bool {
        let last = (size - 1) as f64;
        (0..size * factor).all(|i| {
            let Some(place) = self.place(size, factor, i) else {
                return false;
            };
            let (found, own) = match interpolation {
                Interpolation::Nearest => (self.rounded(place), (i / factor) as f64),
                Interpolation::Bilinear => (Some(place), (i as f64 + 0.5) / factor as f64 - 0.5),
            };
            found.is_some_and(|found| found.clamp(0.0, last) == own.clamp(0.0, last))
        })
    }

    fn refusal(&self, interpolation: Interpolation) -> String {
        match interpolation {
            Interpolation::Nearest => format!(
                "its coordinates are those of `{}` and `{}`, with which hubel's upsampling has other values; `asymmetric` and `floor` have the same",
                self.mode, self.nearest
            ),
            Interpolation::Bilinear => format!(
                "its coordinates are those of `{}`, with which hubel's upsampling has other values; `half_pixel` has the same",
                self.mode
            ),
        }
    }
}
