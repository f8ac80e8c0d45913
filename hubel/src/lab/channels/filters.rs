//! Filters and inputs of several depths: which combinations hubel accepts, and its error messages for the others.
use hubel_kernels::Cpu;

use crate::data::Preparation;
use crate::explain::Kernel;
use crate::explain::response::explainer_of_kernel;
use crate::lab::{Cell, Claim, Column, Table};
use crate::{Model, Network, Result, Shape};

/// The side of the inputs.
const SIDE: usize = 8;

/// A filter that was applied to an input.
struct Attempt {
    what: String,
    /// Channels of the filter and of the input.
    channels: [usize; 2],
    /// The error message; `None` if the combination was accepted.
    message: Option<String>,
}

impl Attempt {
    fn new<T>(what: String, channels: [usize; 2], outcome: Result<T>) -> Self {
        Self {
            what,
            channels,
            message: outcome.err().map(|error| error.to_string()),
        }
    }

    fn fits(&self) -> bool {
        self.channels[0] == self.channels[1]
    }
}

/// The attempts with their results, and the claims that they decide.
pub(super) fn tried(cpu: &Cpu) -> Result<(Table, [Claim; 2])> {
    let attempts = attempts(cpu)?;
    let mut table = Table::new(
        "Filters over inputs of the same depth and of another, and what hubel says",
        vec![Column::of("tried"), Column::of("hubel says")],
    );
    for attempt in &attempts {
        table.push(vec![
            Cell::text(&*attempt.what),
            Cell::text(
                attempt
                    .message
                    .as_deref()
                    .unwrap_or("nothing: it is accepted"),
            ),
        ]);
    }
    let is_otherwise = |attempt: &&Attempt| attempt.fits() == attempt.message.is_some();
    let claim = Claim::computed(
        "The filter must have as many channels as the image.",
        "filters were accepted if the depths agree, and rejected with a message if they differ",
        attempts.len(),
        attempts.iter().filter(is_otherwise).count(),
    );
    Ok((table, [claim, depths()?]))
}

fn attempts(cpu: &Cpu) -> Result<Vec<Attempt>> {
    // One for grey, and one that responds to red.
    const KERNELS: [&str; 2] = ["sobel-x", "[[[2]],[[-1]],[[-1]]]"];
    let mut attempts = Vec::new();
    for text in KERNELS {
        let kernel = Kernel::parse(text)?;
        let depth = kernel.channels;
        let filter = format!("{}×{}×{depth}", kernel.height, kernel.width);
        for input in [1, 3] {
            let shape = Shape::new(SIDE, SIDE, input);
            attempts.push(Attempt::new(
                format!("a filter of {filter} over {shape}"),
                [depth, input],
                explainer_of_kernel(cpu, &kernel, shape),
            ));
        }
    }
    for input in [3, 4] {
        let model = Model::untrained(
            Network::parse("conv(8)-relu-flatten-linear(classes)")?,
            vec!["a".into(), "b".into()],
            preparation(),
            1,
        )?;
        let shape = Shape::new(SIDE, SIDE, input);
        let images = vec![0.5; 2 * shape.len()];
        let pictures =
            crate::Dataset::from_arrays(&images, shape, &[0, 1])?.renamed(&["a", "b"])?;
        attempts.push(Attempt::new(
            format!("a network for {} over {shape}", preparation().shape),
            [3, input],
            model.evaluate(cpu, &pictures),
        ));
    }
    Ok(attempts)
}

fn preparation() -> Preparation {
    Preparation {
        shape: Shape::new(SIDE, SIDE, 3),
        resize: Default::default(),
        mean: vec![0.5; 3],
        std: vec![0.25; 3],
        transparent: None,
        ground: None,
        range: None,
        medium: Default::default(),
    }
}

/// The claim that hubel gives filters the depth of their input.
fn depths() -> Result<Claim> {
    const CHANNELS: [usize; 5] = [1, 2, 3, 4, 16];
    let network = Network::parse("conv(8, kernel=3)-flatten-linear(classes)")?;
    let mut exceptions = 0;
    for channels in CHANNELS {
        let summary = network.summary(Shape::new(SIDE, SIDE, channels), 2)?;
        exceptions += usize::from(summary.layers[0].parameters != 8 * (3 * 3 * channels + 1));
    }
    Ok(Claim::computed(
        "Each filter of a convolution reads all channels of its input.",
        "inputs of 1 to 16 channels gave 8 filters of 3×3 the 8·(3·3·channels + 1) parameters",
        CHANNELS.len(),
        exceptions,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Verdict;

    #[test]
    fn what_does_not_fit_is_refused_with_both_depths() -> Result<()> {
        let cpu = Cpu::best(1);
        let refused = attempts(&cpu)?;
        let refused: Vec<&Attempt> = refused.iter().filter(|each| !each.fits()).collect();
        assert_eq!(refused.len(), 3);
        for attempt in refused {
            let message = attempt.message.as_deref().expect("it is refused");
            for depth in attempt.channels {
                let said = [format!("{depth} channel"), format!("×{depth}")];
                assert!(said.iter().any(|said| message.contains(said)), "{message}");
            }
        }
        let (_, claims) = tried(&cpu)?;
        assert!(claims.iter().all(|claim| claim.verdict == Verdict::Holds));
        Ok(())
    }
}
