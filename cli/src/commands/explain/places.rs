//! Where a filter fires: one that the network has learned, or one made by hand.
use std::process::ExitCode;

use hubel::Shape;
use hubel::data::picture;
use hubel::explain::response::{self, Fire, Response};
use hubel::explain::{Kernel, arithmetic, draw};
use serde_json::{Value, json};

use super::{Files, Looked, Outcome, folder};
use crate::args::Explain;
use crate::console::{self, Console};

/// Places that are named and framed.
const COUNT: usize = 5;

/// A filter made by hand over the picture.
pub(super) fn of_kernel(arguments: &Explain, text: &str, console: &Console) -> Outcome {
    let kernel = Kernel::parse(text)?;
    if arguments.paths.len() == 2 {
        console.remark("--kernel needs no model: it is laid over the picture itself");
    }
    let path = arguments.paths.last().expect("one path at least");
    let found = response::of_kernel(
        &arguments.processor.cpu(),
        &kernel,
        picture::read(path)?,
        COUNT,
    )?;
    let mut files = Files::new(folder(arguments, path)?);
    let title = format!("{} over {}", kernel.name, path.display());
    let sum = super::arithmetic::text(&found.arithmetic, None);
    show(
        arguments,
        &title,
        &found.response,
        (&found.pixels, found.shape),
        &sum,
        &mut files,
    )
}

/// Filter `channel` of a layer over the picture.
pub(super) fn of_filter(arguments: &Explain, looked: &Looked, channel: usize) -> Outcome {
    let name = arguments.layer.as_deref().unwrap_or_default();
    let explainer = &looked.explainer;
    let node = explainer.node(name)?;
    let found = response::of_filter(explainer, node, channel, COUNT)?;
    let [y, x] = found.map.brightest();
    let sum = arithmetic::of(explainer, node, [y, x, channel])?;
    let mut files = Files::new(folder(arguments, &looked.picture)?);
    let title = format!(
        "filter {channel} of layer {name} over {}",
        looked.picture.display()
    );
    let shape = explainer.nodes()[0].shape;
    let sum = super::arithmetic::text(&sum, Some(explainer.nodes()));
    show(
        arguments,
        &title,
        &found,
        (&looked.prepared.pixels, shape),
        &sum,
        &mut files,
    )
}

fn show(
    arguments: &Explain,
    title: &str,
    found: &Response,
    (pixels, shape): (&[u8], Shape),
    sum: &str,
    files: &mut Files,
) -> Outcome {
    files.save("response", &draw::heatmap(&found.map))?;
    files.save("places", &draw::framed(&found.strongest, pixels, shape))?;
    if arguments.json {
        let places: Vec<Value> = found.strongest.iter().map(to_json).collect();
        console::print(
            &json!({
                "filter": title,
                "height": found.map.height,
                "width": found.map.width,
                "strongest": places,
                "files": files.written.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
            })
            .to_string(),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = format!(
        "{title}: a map of {}×{}\n",
        found.map.height, found.map.width
    );
    for fire in &found.strongest {
        text += &place(fire);
    }
    text += &format!("\nthe strongest, in numbers:\n{sum}\n");
    let names: Vec<String> = files
        .written
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    text += &format!("pictures  {}", names.join(", "));
    console::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// `  row 12, column 40: 3.25   (sees rows 11 to 13, columns 39 to 41)`
fn place(fire: &Fire) -> String {
    let [rows, columns] = &fire.sees;
    format!(
        "  row {}, column {}: {:.4}   (sees rows {} to {}, columns {} to {})\n",
        fire.at[0],
        fire.at[1],
        fire.value,
        rows.start,
        rows.end.saturating_sub(1),
        columns.start,
        columns.end.saturating_sub(1)
    )
}

fn to_json(fire: &Fire) -> Value {
    let range = |axis: usize| json!([fire.sees[axis].start, fire.sees[axis].end]);
    json!({
        "at": fire.at,
        "value": console::decimal(fire.value),
        "rows": range(0),
        "columns": range(1),
    })
}
