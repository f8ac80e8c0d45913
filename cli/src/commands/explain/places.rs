//! Where a filter responds: a learned filter, or one made by hand.
use std::process::ExitCode;

use hubel::data::picture;
use hubel::explain::response::{self, Fire, Response};
use hubel::explain::{Kernel, draw};
use hubel::network::Operation;
use hubel::{Place, shown};
use serde_json::{Value, json};

use super::arithmetic::{Filter, chain, chain_text, text as text_of, to_json};
use super::{Files, Looked, Outcome, folder, quoted};
use crate::args::Explain;
use crate::console::{self, Console};

/// How many places are listed and framed.
const COUNT: usize = 5;

/// Applies a filter made by hand to the picture.
pub(super) fn of_kernel(arguments: &Explain, text: &str, console: &Console) -> Outcome {
    let kernel = Kernel::parse(text)?;
    if arguments.paths.len() == 2 {
        console.remark("--kernel needs no model: it is applied to the picture itself");
    }
    let path = arguments.paths.last().expect("one path at least");
    let picture = picture::read(path)?;
    let found = response::of_kernel(&arguments.processor.cpu(), &kernel, picture, COUNT)?;
    let mut files = Files::new(folder(arguments, path)?);
    files.save("filter", &draw::kernel(&kernel))?;
    files.save("response", &draw::heatmap(&found.response.map))?;
    let framed = draw::framed(&found.response.strongest, &found.pixels, found.shape);
    files.save("places", &framed)?;
    let size = [kernel.height, kernel.width];
    let answer = Answer {
        title: format!("{} over {}", kernel.name, shown(path)),
        found: &found.response,
        sum: text_of(&found.arithmetic, &[], Some(Filter::of_frames(size))),
        arithmetic: vec![to_json(&found.arithmetic, &[], false)],
        files: &files,
    };
    answer.print(arguments.json)
}

/// Shows where filter `channel` of a layer responds.
pub(super) fn of_filter(arguments: &Explain, looked: &Looked, channel: usize) -> Outcome {
    let name = arguments.layer.as_deref().unwrap_or_default();
    let explainer = &looked.explainer;
    let nodes = explainer.nodes();
    let node = explainer.node(name)?;
    let found = response::of_filter(explainer, node, channel, COUNT)?;
    let [_, y, x] = found.map.brightest();
    let steps = chain(explainer, node, Place::new(y, x, channel))?;
    let mut files = Files::new(folder(arguments, &looked.picture)?);
    // The filter belongs to the convolution; `--layer` may name its activation.
    let first = explainer.node(&steps[0].layer)?;
    if let Operation::Conv(_) = nodes[first].operation {
        files.save(
            "filter",
            &draw::filter(explainer, first, steps[0].at.channel)?,
        )?;
    }
    files.save("response", &draw::heatmap(&found.map))?;
    let framed = draw::framed(&found.strongest, &looked.prepared.pixels, nodes[0].shape);
    files.save("places", &framed)?;
    let answer = Answer {
        title: format!(
            "filter {channel} of layer {name} over {}",
            shown(&looked.picture)
        ),
        found: &found,
        sum: chain_text(&steps, nodes),
        arithmetic: steps
            .iter()
            .map(|step| to_json(step, nodes, false))
            .collect(),
        files: &files,
    };
    answer.print(arguments.json)
}

/// The places where a filter responds.
struct Answer<'a> {
    title: String,
    found: &'a Response,
    /// The arithmetic of the strongest response.
    sum: String,
    arithmetic: Vec<Value>,
    files: &'a Files,
}

impl Answer<'_> {
    fn print(&self, as_json: bool) -> Outcome {
        let answer = match as_json {
            true => self.object().to_string(),
            false => self.text(),
        };
        console::print(&answer)?;
        Ok(ExitCode::SUCCESS)
    }

    fn object(&self) -> Value {
        json!({
            "filter": self.title,
            "height": self.found.map.height,
            "width": self.found.map.width,
            "strongest": self.found.strongest.iter().map(place_to_json).collect::<Vec<_>>(),
            "arithmetic": self.arithmetic,
            "files": self.files.to_json(),
        })
    }

    fn text(&self) -> String {
        let map = &self.found.map;
        let mut lines = vec![format!(
            "{}: a map of {}×{}",
            self.title, map.height, map.width
        )];
        match self.found.strongest.is_empty() {
            true => lines.push("  no response: no value is above 0".into()),
            false => lines.extend(self.found.strongest.iter().map(place)),
        }
        lines.push(format!(
            "\nhow the strongest response is computed:\n{}\n",
            self.sum
        ));
        let names = self.files.written.iter().map(quoted);
        lines.push(format!("pictures  {}", names.collect::<Vec<_>>().join(" ")));
        lines.join("\n")
    }
}

/// `  row 12, column 40: 3.25   (sees rows 11 to 13, columns 39 to 41)`
fn place(fire: &Fire) -> String {
    let [rows, columns] = &fire.sees;
    format!(
        "  row {}, column {}: {:.4}   (sees rows {} to {}, columns {} to {})",
        fire.at[0],
        fire.at[1],
        fire.value,
        rows.start,
        rows.end.saturating_sub(1),
        columns.start,
        columns.end.saturating_sub(1)
    )
}

fn place_to_json(fire: &Fire) -> Value {
    let range = |axis: usize| json!([fire.sees[axis].start, fire.sees[axis].end]);
    json!({
        "at": fire.at,
        "value": console::decimal(fire.value),
        "rows": range(0),
        "columns": range(1),
    })
}
