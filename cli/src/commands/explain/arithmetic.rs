//! The arithmetic of one value of a map, as a table.
mod matrices;

use std::process::ExitCode;

use hubel::explain::arithmetic::{self, Arithmetic, Rule, Term};
use hubel::explain::{Explainer, Score};
use hubel::network::{Node, Operation};
use hubel::{Error, Model, Place, Predictor, Shape};
use serde_json::{Value, json};

pub(super) use self::matrices::Filter;
use super::{Outcome, question, score};
use crate::args::{At, Explain};
use crate::console;

/// The name of the softmax after the last layer.
const SOFTMAX: &str = "softmax";
/// The places of a value that belongs to no layer have no time.
const ONE_PICTURE: Shape = Shape::new(1, 1, 1);
/// Most terms that are shown; if there are more, the strongest.
const SHOWN: usize = 20;

/// Shows how a value of a network that reads `text` is computed.
pub(super) fn of_text(arguments: &Explain, model: &Model, text: &str, at: At) -> Outcome {
    let cpu = arguments.processor.cpu();
    let prediction = Predictor::new(model.clone(), cpu.clone())?.predict_text(text)?;
    let score = score(arguments, model, &prediction)?;
    let mut explainer = Explainer::new(&cpu, model, 1)?;
    explainer.look(&model.tokens(text)?);
    show(arguments, model, explainer, score, at)
}

/// Shows how the value at `--at` in the map of `--layer` is computed.
pub(super) fn show(
    arguments: &Explain,
    model: &Model,
    mut explainer: Explainer,
    score: Score,
    at: At,
) -> Outcome {
    let name = arguments.layer.as_deref().unwrap_or_default();
    let question = question(model, &score);
    explainer.trace_back(&score);
    let is_layer = explainer.nodes().iter().any(|node| node.name == name);
    let found = match name == SOFTMAX && !is_layer {
        true => {
            let classes = model.classes().len();
            let class = at.place.channel;
            if at.place != Place::new(0, 0, class) || class >= classes {
                return Err(Error::Settings {
                    problem: format!(
                        "the softmax has 1×1×{classes} values; give --at 0,0,C with C from 0 to {}",
                        classes - 1
                    ),
                }
                .into());
            }
            arithmetic::softmax(&explainer, class)
        }
        false => {
            let node = explainer.node(name)?;
            let shape = explainer.nodes()[node].shape;
            if shape.time > 1 && !at.has_time {
                return Err(Error::Settings {
                    problem: format!(
                        "layer `{name}` has a map of {shape}, time first: give --at T,Y,X,C with T from 0 to {}",
                        shape.time - 1
                    ),
                }
                .into());
            }
            arithmetic::of(&explainer, node, at.place)?
        }
    };
    let nodes = explainer.nodes();
    if arguments.json {
        console::print(&to_json(&found, nodes, arguments.backward).to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut answer = text(&found, nodes, kernel(&found, nodes));
    if arguments.backward {
        answer += &format!("\n\n{}", backward(&found, nodes, &question));
    }
    console::print(&answer)?;
    Ok(ExitCode::SUCCESS)
}

/// The filter, if a convolution computed the value.
fn kernel(found: &Arithmetic, nodes: &[Node]) -> Option<Filter> {
    let own = nodes.iter().find(|node| node.name == found.layer)?;
    match &own.operation {
        Operation::Conv(settings) => Some(Filter::of_frames(settings.kernel)),
        Operation::TimeConv(settings) => Some(Filter::along_time(settings.window.kernel)),
        _ => None,
    }
}

/// The arithmetic of a value, preceded by that of its inputs as long as each has a single input. For example, that of a
/// convolution, then of its batch norm, then of its activation.
pub(super) fn chain(
    explainer: &Explainer,
    mut node: usize,
    mut at: Place,
) -> Result<Vec<Arithmetic>, Error> {
    let mut steps = Vec::new();
    loop {
        let step = arithmetic::of(explainer, node, at)?;
        let next = match (&step.rule, &step.terms[..]) {
            (Rule::Normalise { .. } | Rule::Function(_) | Rule::Same, [term]) => {
                term.at.map(|at| (term.node, at))
            }
            _ => None,
        };
        steps.push(step);
        match next {
            Some((before, place)) if before > 0 => (node, at) = (before, place),
            _ => break,
        }
    }
    steps.reverse();
    Ok(steps)
}

/// The steps of a chain, one below the other.
pub(super) fn chain_text(steps: &[Arithmetic], nodes: &[Node]) -> String {
    let texts = steps
        .iter()
        .map(|step| text(step, nodes, kernel(step, nodes)));
    texts.collect::<Vec<_>>().join("\n")
}

/// The terms and their result. For a `filter` they are matrices, if these fit. Without `nodes` the only input is the
/// picture.
pub(super) fn text(found: &Arithmetic, nodes: &[Node], filter: Option<Filter>) -> String {
    let columns = console::columns();
    let own = nodes.iter().find(|node| node.name == found.layer);
    let mut lines = vec![match nodes {
        [] => format!("row {}, column {}", found.at.row, found.at.column),
        _ => {
            let shape = own.map_or(ONE_PICTURE, |own| own.shape);
            let place = found.at.in_words(shape);
            format!("layer {} ({}), {place}", found.layer, found.kind)
        }
    }];
    let matrices = filter.and_then(|filter| matrices::lines(found, filter, nodes, columns));
    match matrices {
        Some(matrices) => lines.extend(matrices),
        None => lines.extend(list(found, nodes, columns)),
    }
    match found.rule {
        Rule::Sum { bias } if filter.is_some() || ["linear", "scale"].contains(&found.kind) => {
            lines.push(summand("bias", bias.into(), columns));
        }
        Rule::Sum { .. } | Rule::Largest { .. } => {}
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
        Rule::NormaliseByTerms {
            own,
            mean,
            variance,
            epsilon,
            scale,
            shift,
        } => lines.push(format!(
            "  {} · ({} − {}) / √({} + {}) + {}, with the mean and the variance of all {} values",
            number(scale),
            number(found.terms[own].value),
            number(mean),
            number(variance),
            number(epsilon),
            number(shift),
            found.terms.len()
        )),
        Rule::Function(_) => lines.push(format!("  {} of it", found.kind)),
        Rule::Entry { .. } => lines.push(format!(
            "  number {} in the vector of this token",
            found.at.channel
        )),
        Rule::LocalResponse { own, settings } => lines.push(format!(
            "  {} / ({} + {} / {} · the sum of their squares)^{}",
            number(found.terms[own].value),
            number(settings.bias),
            number(settings.alpha),
            settings.size,
            number(settings.beta)
        )),
        Rule::Product => lines.push("  the product of both".into()),
        Rule::Same => lines.push("  unchanged".into()),
        Rule::Softmax { class, temperature } => {
            let value = number(found.terms[class].value);
            lines.push(match temperature == 1.0 {
                true => format!("  e^{value} / the sum of e^value over all"),
                false => {
                    let temperature = number(temperature);
                    format!(
                        "  e^({value} / {temperature}) / the sum of e^(value / {temperature}) over all; {temperature} is the temperature"
                    )
                }
            });
        }
    }
    lines.push(format!(
        "  = {}   (the network computed {})",
        number(found.result),
        number(found.value)
    ));
    lines.join("\n")
}

/// A line for another summand, aligned below the products if the terminal is wide enough.
fn summand(what: &str, value: f64, columns: usize) -> String {
    let room = columns.saturating_sub(31).clamp(12, 39);
    format!("  {what:<28} {:>room$}", number(value))
}

/// One line per term; if there are many, only the strongest.
fn list(found: &Arithmetic, nodes: &[Node], columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let order = strongest(found);
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
    let hidden = found.terms.len() - order.len();
    if hidden > 0 {
        let rest = (found.terms.iter().enumerate()).filter(|(i, _)| !order.contains(i));
        let products = rest.map(|(_, term)| f64::from(term.value) * f64::from(term.weight));
        lines.push(match found.rule {
            Rule::Sum { .. } => summand(&format!("{hidden} smaller ones"), products.sum(), columns),
            _ => format!("  and {hidden} smaller ones"),
        });
    }
    lines
}

/// Where the gradient goes.
fn backward(found: &Arithmetic, nodes: &[Node], question: &str) -> String {
    let gradient = number(found.gradient);
    let mut lines = vec![match found.kind {
        SOFTMAX => "backward: the derivative of this probability by each logit".to_owned(),
        _ if found.gradient == 0.0 => {
            return format!(
                "backward: the gradient of the score of {question} by this value is 0, so no gradient flows back"
            );
        }
        _ => format!(
            "backward: the gradient of the score of {question} by this value is {gradient}; it flows to"
        ),
    }];
    let inside = found.terms.iter().filter(|term| term.at.is_some());
    let mut order: Vec<&Term> = inside.collect();
    let padding = found.terms.len() - order.len();
    let size = |term: &Term| found.share(term).abs();
    order.sort_by(|a, b| size(b).total_cmp(&size(a)));
    for term in order.iter().take(SHOWN) {
        lines.push(format!(
            "  {:<28} {gradient:>11} · {:>11} = {:>11}",
            source(term, nodes),
            number(term.derivative),
            number(found.share(term))
        ));
    }
    if order.len() > SHOWN {
        lines.push(format!("  and {} smaller ones", order.len() - SHOWN));
    }
    match padding {
        0 => {}
        1 => lines.push("  1 value is padding, and gets no gradient".into()),
        _ => lines.push(format!(
            "  {padding} values of the window are padding, and get no gradient"
        )),
    }
    lines.join("\n")
}

/// The terms to show, in their order: all, or those with the largest products.
fn strongest(found: &Arithmetic) -> Vec<usize> {
    let mut order: Vec<usize> = (0..found.terms.len()).collect();
    let size = |i: &usize| (found.terms[*i].value * found.terms[*i].weight).abs();
    order.sort_by(|a, b| size(b).total_cmp(&size(a)));
    order.truncate(SHOWN);
    order.sort_unstable();
    order
}

/// `2 [4,7,0]`, `input [4,7,0]`, `padding`
fn source(term: &Term, nodes: &[Node]) -> String {
    let Some(at) = numbers(term, nodes) else {
        return "padding".into();
    };
    let at: Vec<String> = at.iter().map(usize::to_string).collect();
    format!("{} [{}]", layer_of(term, nodes), at.join(","))
}

/// The place of a term as `--at` takes it.
fn numbers(term: &Term, nodes: &[Node]) -> Option<Vec<usize>> {
    let shape = nodes.get(term.node).map_or(ONE_PICTURE, |node| node.shape);
    term.at.map(|at| at.numbers_in(shape))
}

/// The layer that a term belongs to.
fn layer_of<'a>(term: &Term, nodes: &'a [Node]) -> &'a str {
    match nodes.get(term.node) {
        Some(node) if term.node > 0 => &node.name,
        _ => "input",
    }
}

/// Formats a value with as many digits as f32 resolves in a sum.
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

pub(super) fn to_json(found: &Arithmetic, nodes: &[Node], backward: bool) -> Value {
    let terms: Vec<Value> = (found.terms.iter())
        .map(|term| {
            let mut value = json!({
                "layer": layer_of(term, nodes),
                "at": numbers(term, nodes),
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
        Rule::NormaliseByTerms {
            own,
            mean,
            variance,
            epsilon,
            scale,
            shift,
        } => json!({
            "kind": "normalise-by-terms", "own": own, "mean": console::decimal(mean), "variance": console::decimal(variance),
            "epsilon": console::decimal(epsilon), "scale": console::decimal(scale), "shift": console::decimal(shift),
        }),
        Rule::Function(_) => json!({ "kind": found.kind }),
        Rule::Entry { number } => {
            json!({ "kind": "entry", "number": console::decimal(number) })
        }
        Rule::LocalResponse { own, settings } => json!({
            "kind": "local-response",
            "own": own,
            "size": settings.size,
            "alpha": console::decimal(settings.alpha),
            "beta": console::decimal(settings.beta),
            "bias": console::decimal(settings.bias),
        }),
        Rule::Product => json!({ "kind": "product" }),
        Rule::Same => json!({ "kind": "same" }),
        Rule::Softmax { class, temperature } => {
            json!({ "kind": "softmax", "class": class, "temperature": temperature })
        }
    };
    let own = nodes.iter().find(|node| node.name == found.layer);
    let mut value = json!({
        "layer": found.layer,
        "kind": found.kind,
        "at": found.at.numbers_in(own.map_or(ONE_PICTURE, |node| node.shape)),
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
