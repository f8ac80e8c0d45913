//! Guided backpropagation, which the cascade must reject: it draws the picture's edges, whatever the network has learned.
use hubel::explain::{Explainer, Heatmap, Question, arithmetic};
use hubel::network::Operation;
use hubel::{Model, Result};

/// Springenberg et al., "Striving for Simplicity: The All Convolutional Net" (2014): each ReLU passes only the positive part of the
/// gradient. It uses the arithmetic of every value, which is slow; for pictures with one channel.
pub(crate) fn maps(model: &Model, questions: &[Question]) -> Result<Vec<Heatmap>> {
    let mut explainer = Explainer::new(&crate::cpu(), model, 1)?;
    let maps = questions
        .iter()
        .map(|question| map(&mut explainer, question));
    maps.collect()
}

fn map(explainer: &mut Explainer, question: &Question) -> Result<Heatmap> {
    explainer.look(&question.image);
    let nodes = explainer.nodes().to_vec();
    let zeros = nodes.iter().map(|node| vec![0.0; node.shape.len()]);
    let mut gradients: Vec<Vec<f64>> = zeros.collect();
    gradients[nodes.len() - 1][question.score.class] = 1.0;
    for (i, node) in nodes.iter().enumerate().skip(1).rev() {
        for index in 0..node.shape.len() {
            let gradient = match node.operation {
                Operation::Activation(_) => gradients[i][index].max(0.0),
                _ => gradients[i][index],
            };
            if gradient == 0.0 {
                continue;
            }
            for term in arithmetic::of(explainer, i, node.shape.place(index))?.terms {
                if let Some(at) = term.at {
                    let index = nodes[term.node].shape.index(at);
                    gradients[term.node][index] += gradient * term.derivative;
                }
            }
        }
    }
    let shape = nodes[0].shape;
    Ok(Heatmap {
        layer: String::new(),
        time: 1,
        height: shape.height,
        width: shape.width,
        values: gradients[0].iter().map(|value| *value as f32).collect(),
    })
}
