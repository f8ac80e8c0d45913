//! How one value is computed, and where its gradient comes from.
use axum::Json;
use axum::extract::State;
use hubel::explain::arithmetic::{self, Arithmetic, Rule, Term, Window};
use hubel::explain::draw::Plane;
use hubel::explain::{origins, response};
use hubel::network::Operation;
use hubel::{Explainer, Place};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Refusal, blocking};
use super::maps::known;
use super::{Of, PictureQuestion, look, plane};
use crate::server::Shared;

/// Most channels of a window, and most terms of a long sum.
const CHANNELS: usize = 16;
const TERMS: usize = 24;

/// A value.
#[derive(Deserialize)]
pub(in crate::api) struct Wanted {
    #[serde(flatten)]
    asked: PictureQuestion,
    of: Of,
    layer: usize,
    /// Row, column and channel, as they are shown.
    at: [usize; 3],
}

/// `POST /api/see/value`: its arithmetic; backwards, the sum of its gradient.
pub(in crate::api) async fn value(
    State(shared): State<Shared>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Value>, Refusal> {
    let answer = blocking(move || {
        look(&shared, &wanted.asked, |loaded, eyes, score| {
            wanted.of.ready(eyes, score);
            let plane = plane(loaded, eyes, &wanted.asked);
            let explainer = &eyes.explainer;
            let node = known(explainer, wanted.layer)?;
            let [row, column, channel] = wanted.at;
            let at = plane.place(explainer, node, [row, column], channel);
            match wanted.of {
                Of::Values => forwards(explainer, plane, node, at),
                Of::Gradients => backwards(explainer, plane, node, at),
            }
        })
    });
    answer.await?.map(Json)
}

fn forwards(explainer: &Explainer, plane: Plane, node: usize, at: Place) -> hubel::Result<Value> {
    let found = arithmetic::of(explainer, node, at)?;
    // A value of a flattened map sees what the value that it is sees, and a vector has no places.
    let has_places = explainer.nodes()[node].operation != Operation::Flatten;
    let sees = has_places.then(|| response::of_place(explainer, node, at));
    let mut value = shown(&found, explainer, plane, node);
    value["sees"] = json!(sees.map(|sees| sees.map(|side| [side.start, side.end])));
    Ok(value)
}

/// A class.
#[derive(Deserialize)]
pub(in crate::api) struct Class {
    #[serde(flatten)]
    asked: PictureQuestion,
    index: usize,
}

/// `POST /api/see/softmax`: the arithmetic of the probability of a class.
pub(in crate::api) async fn softmax(
    State(shared): State<Shared>,
    Json(class): Json<Class>,
) -> Result<Json<Value>, Refusal> {
    let answer = blocking(move || {
        look(&shared, &class.asked, |loaded, eyes, _| {
            let last = loaded.model.classes().len() - 1;
            let found = arithmetic::softmax(&eyes.explainer, class.index.min(last));
            let plane = plane(loaded, eyes, &class.asked);
            let explainer = &eyes.explainer;
            Ok(shown(&found, explainer, plane, explainer.nodes().len() - 1))
        })
    });
    answer.await?.map(Json)
}

/// A place in the map of a node. What is 0 in each of its places is left out.
fn place(explainer: &Explainer, node: usize, at: Place) -> Value {
    let shape = explainer.nodes()[node].shape;
    let has_time = shape.time > 1;
    let has_pixels = !has_time || shape.height * shape.width > 1;
    json!({
        "time": has_time.then_some(at.time),
        "row": has_pixels.then_some(at.row),
        "column": has_pixels.then_some(at.column),
        "channel": at.channel,
    })
}

/// The arithmetic of a value of `node`. Of many terms the strongest are shown, and the sum of the others.
fn shown(found: &Arithmetic, explainer: &Explainer, plane: Plane, node: usize) -> Value {
    let one = |term: &Term| {
        json!({
            "layer": term.node,
            "at": term.at.map(|at| place(explainer, term.node, at)),
            "drawn": term.at.and_then(|at| plane.drawn(explainer, term.node, at)),
            "value": term.value,
            "weight": term.weight,
        })
    };
    let mut channels = match found.kind {
        "conv" | "timeconv" => found.channel_sums(),
        _ => Vec::new(),
    };
    let count = channels.len();
    channels.sort_by(|one, other| other.sum.abs().total_cmp(&one.sum.abs()));
    let hidden = channels.split_off(CHANNELS.min(count));
    channels.sort_by_key(|channel| channel.channel);
    let channels: Vec<Value> = channels
        .iter()
        .map(|channel| {
            json!({
                "channel": channel.channel,
                "sum": channel.sum,
                "terms": channel.terms.iter().map(one).collect::<Vec<_>>(),
            })
        })
        .collect();
    let rest: f64 = hidden.iter().map(|channel| channel.sum).sum();
    let (terms, other_terms) = match (found.kind, &found.window) {
        ("conv" | "timeconv", _) => (Vec::new(), None),
        // All values of a small window in their places.
        (_, Some(window)) if window.time * window.height * window.width <= 8 * TERMS => {
            ((0..found.terms.len()).collect(), None)
        }
        _ => strongest(found),
    };
    let terms: Vec<Value> = terms
        .into_iter()
        .map(|index| {
            let mut term = one(&found.terms[index]);
            term["index"] = json!(index);
            term
        })
        .collect();
    json!({
        "layer": found.layer,
        "kind": found.kind,
        "at": place(explainer, node, found.at),
        "value": found.value,
        "result": found.result,
        "rule": rule(found),
        "window": found.window.as_ref().map(sides),
        "channels": channels,
        "other_channels": (!hidden.is_empty()).then(|| json!({ "count": hidden.len(), "sum": rest })),
        "terms": terms,
        "other_terms": other_terms,
        "count": found.terms.len(),
        "input": found.terms.first().map(|term| explainer.nodes()[term.node].operation.kind()),
    })
}

/// The rows and columns of a window as a table. The times of one along time are columns.
fn sides(window: &Window) -> [usize; 2] {
    match window.time {
        1 => [window.height, window.width],
        times => [window.height * window.width, times],
    }
}

/// The terms with the largest products, in their order, and the number and sum of the others.
fn strongest(found: &Arithmetic) -> (Vec<usize>, Option<Value>) {
    let product = |term: &Term| f64::from(term.value) * f64::from(term.weight);
    let mut order: Vec<usize> = (0..found.terms.len()).collect();
    let size = |index: &usize| product(&found.terms[*index]).abs();
    order.sort_by(|one, other| size(other).total_cmp(&size(one)));
    // The class of a softmax is always shown.
    if let Rule::Softmax { class, .. } = found.rule {
        order.sort_by_key(|index| *index != class);
    }
    let hidden = order.split_off(TERMS.min(order.len()));
    order.sort_unstable();
    let sum: f64 = hidden
        .iter()
        .map(|index| product(&found.terms[*index]))
        .sum();
    let others = (!hidden.is_empty()).then(|| json!({ "count": hidden.len(), "sum": sum }));
    (order, others)
}

fn rule(found: &Arithmetic) -> Value {
    match found.rule {
        Rule::Sum { bias } => json!({ "kind": "sum", "bias": bias }),
        Rule::Largest { winner } => json!({ "kind": "largest", "winner": winner }),
        Rule::Normalise {
            mean,
            variance,
            epsilon,
            scale,
            shift,
        } => {
            json!({ "kind": "normalise", "mean": mean, "variance": variance, "epsilon": epsilon, "scale": scale, "shift": shift })
        }
        Rule::NormaliseByTerms {
            own,
            mean,
            variance,
            epsilon,
            scale,
            shift,
        } => json!({
            "kind": "normalise-by-terms", "value": found.terms[own].value, "mean": mean, "variance": variance, "epsilon": epsilon,
            "scale": scale, "shift": shift,
        }),
        Rule::Function(_) => json!({ "kind": "function" }),
        Rule::Entry { number } => json!({ "kind": "entry", "number": number }),
        Rule::LocalResponse { own, settings } => json!({
            "kind": "local-response",
            "value": found.terms[own].value,
            "size": settings.size,
            "alpha": settings.alpha,
            "beta": settings.beta,
            "bias": settings.bias,
        }),
        Rule::Product => json!({ "kind": "product" }),
        Rule::Same => json!({ "kind": "same" }),
        Rule::Softmax { class, temperature } => {
            json!({ "kind": "softmax", "class": class, "temperature": temperature })
        }
    }
}

fn backwards(explainer: &Explainer, plane: Plane, node: usize, at: Place) -> hubel::Result<Value> {
    let mut found = origins::of(explainer, node, at)?;
    let own = &explainer.nodes()[node];
    let gradient = explainer.gradient(node)[own.shape.index(at)];
    let count = found.len();
    let is_last = node + 1 == explainer.nodes().len();
    found.sort_by(|one, other| other.share().abs().total_cmp(&one.share().abs()));
    let hidden = found.split_off(TERMS.min(count));
    let result: f64 = found
        .iter()
        .chain(&hidden)
        .map(origins::Origin::share)
        .sum();
    let rest: f64 = hidden.iter().map(origins::Origin::share).sum();
    found.sort_by_key(|origin| (origin.node, origin.at));
    let list = found.iter().map(|origin| {
        json!({
            "layer": origin.node,
            "name": explainer.nodes()[origin.node].name,
            "kind": explainer.nodes()[origin.node].operation.kind(),
            "at": place(explainer, origin.node, origin.at),
            "drawn": plane.drawn(explainer, origin.node, origin.at),
            "gradient": origin.gradient,
            "derivative": origin.derivative,
            "share": origin.share(),
        })
    });
    Ok(json!({
        "layer": own.name,
        "kind": own.operation.kind(),
        "at": place(explainer, node, at),
        "value": gradient,
        "result": if is_last { f64::from(gradient) } else { result },
        "is_last": is_last,
        "origins": list.collect::<Vec<_>>(),
        "others": (!hidden.is_empty()).then(|| json!({ "count": hidden.len(), "sum": rest })),
        "count": count,
    }))
}
