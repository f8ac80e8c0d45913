//! The arithmetic of one number of a map, as a table.
use std::process::ExitCode;

use hubel::explain::arithmetic::{self, Arithmetic, Rule, Term};
use hubel::network::Node;
use hubel::{Error, Model};
use serde_json::{Value, json};

use super::{Looked, Outcome};
use crate::args::Explain;
use crate::console;

/// The pseudo-layer behind the last one.
const SOFTMAX: &str = "softmax";
/// Terms that are shown one by one; of more the strongest.
const SHOWN: usize = 40;

/// Shows the arithmetic of the number at `at` of the map of `--layer`.
pub(super) fn show(
    arguments: &Explain,
    model: &Model,
    mut looked: Looked,
    at: [usize; 3],
) -> Outcome {
    let name = arguments.layer.as_deref().unwrap_or_default();
    let question = looked.question(model);
    looked.explainer.trace_back(&looked.score);
    let is_layer = looked
        .explainer
        .nodes()
        .iter()
        .any(|node| node.name == name);
    let found = match name == SOFTMAX && !is_layer {
        true => {
            let classes = model.classes().len();
            if at[..2] != [0, 0] || at[2] >= classes {
                return Err(Error::Settings {
                    problem: format!("the softmax has 1×1×{classes} numbers; give --at 0,0,C with C from 0 to {}", classes - 1),
                }
                .into());
            }
            arithmetic::softmax(&looked.explainer, at[2])
        }
        false => arithmetic::of(&looked.explainer, looked.explainer.node(name)?, at)?,
    };
    let nodes = looked.explainer.nodes();
    if arguments.json {
        console::print(&to_json(&found, nodes, arguments.backward).to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut answer = text(&found, Some(nodes));
    if arguments.backward {
        answer += &format!("\n\n{}", backward(&found, nodes, &question));
    }
    console::print(&answer)?;
    Ok(ExitCode::SUCCESS)
}

/// The terms and what they come to. Without `nodes` there is but the picture.
pub(super) fn text(found: &Arithmetic, nodes: Option<&[Node]>) -> String {
    let [y, x, channel] = found.at;
    let mut lines = vec![match nodes {
        Some(_) => format!(
            "layer {} ({}), row {y}, column {x}, channel {channel}",
            found.layer, found.kind
        ),
        None => format!("row {y}, column {x}"),
    }];
    let order = strongest(found);
    let hidden = found.terms.len() - order.len();
    for &i in &order {
        let term = &found.terms[i];
        let source = source(term, nodes);
        lines.push(match found.rule {
            Rule::Sum { .. } => {
                let product = f64::from(term.value) * f64::from(term.weight);
                format!(
                    "  {source:<28} {:>11} × {:>11} = {:>11}",
                    number(term.value),
                    number(term.weight),
                    number(product)
                )
            }
            Rule::Largest { winner } if i == winner => {
                format!("  {source:<28} {:>11}  the largest", number(term.value))
            }
            _ => format!("  {source:<28} {:>11}", number(term.value)),
        });
    }
    if hidden > 0 {
        let rest = found
            .terms
            .iter()
            .enumerate()
            .filter(|(i, _)| !order.contains(i));
        let sum: f64 = rest
            .map(|(_, term)| f64::from(term.value) * f64::from(term.weight))
            .sum();
        lines.push(match found.rule {
            Rule::Sum { .. } => format!(
                "  {:<28} {:>39}",
                format!("{hidden} smaller ones"),
                number(sum)
            ),
            _ => format!("  and {hidden} smaller ones"),
        });
    }
    match found.rule {
        Rule::Sum { bias } => lines.push(format!("  {:<28} {:>39}", "bias", number(bias))),
        Rule::Normalise {
            mean,
            variance,
            epsilon,
            scale,
            shift,
        } => lines.push(format!(
            "  {} · (value − {}) / √({} + {}) + {}",
            number(scale),
            number(mean),
            number(variance),
            number(epsilon),
            number(shift)
        )),
        Rule::Function(_) => lines.push(format!("  {} of it", found.kind)),
        Rule::Same => lines.push("  as it is".into()),
        Rule::Softmax { class } => lines.push(format!(
            "  e^{} / the sum of e^value over all",
            number(found.terms[class].value)
        )),
        Rule::Largest { .. } => {}
    }
    lines.push(format!(
        "  = {}   (the network computed {})",
        number(found.result),
        number(found.value)
    ));
    lines.join("\n")
}

/// Where the gradient goes.
fn backward(found: &Arithmetic, nodes: &[Node], question: &str) -> String {
    let mut lines = vec![match found.kind {
        SOFTMAX => "backward: the derivative of this probability by each logit".to_owned(),
        _ => format!(
            "backward: the gradient of the score of {question} by this number is {}; of it goes to",
            number(found.gradient)
        ),
    }];
    let mut order: Vec<usize> = (0..found.terms.len()).collect();
    order.sort_by(|a, b| {
        let size = |i: &usize| found.share(&found.terms[*i]).abs();
        size(b).total_cmp(&size(a))
    });
    for &i in order.iter().take(SHOWN) {
        let term = &found.terms[i];
        lines.push(format!(
            "  {:<28} {:>11} · {:>11} = {:>11}",
            source(term, Some(nodes)),
            number(found.gradient),
            number(term.derivative),
            number(found.share(term))
        ));
    }
    if order.len() > SHOWN {
        lines.push(format!("  and {} smaller ones", order.len() - SHOWN));
    }
    lines.join("\n")
}

/// The terms to show, in their order: all, or those of the largest products.
fn strongest(found: &Arithmetic) -> Vec<usize> {
    let mut order: Vec<usize> = (0..found.terms.len()).collect();
    let size = |i: &usize| (found.terms[*i].value * found.terms[*i].weight).abs();
    order.sort_by(|a, b| size(b).total_cmp(&size(a)));
    order.truncate(SHOWN);
    order.sort_unstable();
    order
}

/// `layer 2 [4,7,0]`, `image [4,7,0]`, `padding`
fn source(term: &Term, nodes: Option<&[Node]>) -> String {
    let Some([y, x, channel]) = term.at else {
        return "padding".into();
    };
    let name = nodes.map_or("", |nodes| &nodes[term.node].name);
    match name {
        "" => format!("image [{y},{x},{channel}]"),
        name => format!("{name} [{y},{x},{channel}]"),
    }
}

/// A number with as many digits as f32 tells apart in a sum.
fn number(value: impl Into<f64>) -> String {
    let value: f64 = value.into();
    let size = value.abs();
    if value == 0.0 {
        return "0".into();
    }
    if (1e-4..1e6).contains(&size) {
        let digits = (5 - size.log10().floor() as i32).clamp(0, 8) as usize;
        return format!("{value:.digits$}");
    }
    format!("{value:.4e}")
}

fn to_json(found: &Arithmetic, nodes: &[Node], backward: bool) -> Value {
    let terms: Vec<Value> = (found.terms.iter())
        .map(|term| {
            let mut value = json!({
                "layer": nodes[term.node].name,
                "at": term.at,
                "value": console::decimal(term.value),
                "weight": console::decimal(term.weight),
            });
            if backward {
                value["derivative"] = json!(term.derivative);
                value["share"] = json!(found.share(term));
            }
            value
        })
        .collect();
    let rule = match found.rule {
        Rule::Sum { bias } => json!({ "kind": "sum", "bias": console::decimal(bias) }),
        Rule::Largest { winner } => json!({ "kind": "largest", "winner": winner }),
        Rule::Normalise {
            mean,
            variance,
            epsilon,
            scale,
            shift,
        } => json!({
            "kind": "normalise", "mean": console::decimal(mean), "variance": console::decimal(variance),
            "epsilon": console::decimal(epsilon), "scale": console::decimal(scale), "shift": console::decimal(shift),
        }),
        Rule::Function(_) => json!({ "kind": found.kind }),
        Rule::Same => json!({ "kind": "same" }),
        Rule::Softmax { class } => json!({ "kind": "softmax", "class": class }),
    };
    let mut value = json!({
        "layer": found.layer,
        "kind": found.kind,
        "at": found.at,
        "value": console::decimal(found.value),
        "result": found.result,
        "rule": rule,
        "terms": terms,
    });
    if backward {
        value["gradient"] = json!(console::decimal(found.gradient));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_have_six_digits() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1.00000"),
            (-12.345678, "-12.3457"),
            (0.00123456, "0.00123456"),
            (123456.0, "123456"),
            (2.5e-7, "2.5000e-7"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
