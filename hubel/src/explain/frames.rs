//! Which frames of a clip support a class: each frame is replaced once by the one before it; what the score then loses is the frame's support. A blank frame would be a flash, a new motion;
//! a frame that is shown twice is one that hardly differs.
use hubel_kernels::Cpu;

use super::Score;
use crate::inference::Inference;
use crate::{Error, Model, Result};

/// The supports of the frames of a clip for a score.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Frames {
    /// What the score loses without each frame. Negative: the frame speaks against the class.
    pub supports: Vec<f32>,
    /// The score of the whole clip.
    pub score: f32,
}

impl Frames {
    /// The supports of the frames of `clip`, prepared as `[t, h, w, c]`.
    ///
    /// # Errors
    /// [`Error::Settings`] if the model reads single pictures; [`Error::Memory`].
    pub fn of(cpu: &Cpu, model: &Model, clip: &[f32], score: &Score) -> Result<Self> {
        let shape = model.input();
        if shape.time < 2 {
            return Err(Error::Settings {
                problem: "the model reads single pictures, which have no frames".to_owned(),
            });
        }
        let length = shape.frame().len();
        let mut scores = vec![0.0; shape.time + 1];
        Inference::new(model, cpu)?.run(
            scores.len(),
            &mut |indices, clips| {
                for (copy, &index) in clips.chunks_exact_mut(shape.len()).zip(indices) {
                    copy.copy_from_slice(clip);
                    // Clip 0 is the whole one.
                    if let Some(frame) = index.checked_sub(1) {
                        let other = frame.checked_sub(1).unwrap_or(1);
                        copy.copy_within(other * length..(other + 1) * length, frame * length);
                    }
                }
                Ok(Vec::new())
            },
            &mut |index, logits| {
                scores[index] = score.value(logits);
                Ok(())
            },
        )?;
        Ok(Self {
            supports: scores[1..]
                .iter()
                .map(|without| scores[0] - without)
                .collect(),
            score: scores[0],
        })
    }
}
