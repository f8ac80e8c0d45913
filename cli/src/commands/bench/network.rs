//! `hubel bench train`, `hubel bench infer`: one network.
use std::process::ExitCode;

use hubel::PlanSettings;
use hubel::bench::{self, StepRow};
use serde_json::json;

use crate::args::BenchNetwork;
use crate::commands::{Outcome, named};
use crate::console::{self, Console, thousands};

/// Runs the command.
pub(crate) fn run(mode: &str, arguments: &BenchNetwork, console: &Console) -> Outcome {
    let (name, batch) = (arguments.network(), arguments.batch());
    let named = named::network(name, console)?;
    let input = arguments.input.map_or(named.input, Into::into);
    let classes = arguments.classes.unwrap_or(named.usual_classes());
    let cpu = arguments.processor.cpu();
    let settings = match mode {
        "train" => PlanSettings::training(batch),
        _ => PlanSettings::inference(batch),
    };
    let settings = PlanSettings {
        precise: arguments.precise,
        ..settings
    };
    console.remark(&format!(
        "{mode} {}: input {input}, batch {}, {cpu:?}, {} s",
        name, batch, arguments.seconds
    ));
    let mut bench = bench::Bench::new(&cpu, &named.network, input, classes, settings)?;
    if arguments.steps {
        let rows = bench.steps(arguments.seconds);
        if arguments.json {
            let rows = json!({ "net": name, "mode": mode, "steps": rows });
            console::print(&rows.to_string())?;
        } else {
            console::print(&step_table(&rows, mode == "train"))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let timing = bench.run(arguments.seconds);
    if arguments.json {
        console::print(
            &json!({
                "net": name,
                "mode": mode,
                "batch": batch,
                "threads": cpu.threads(),
                "cpu": cpu.instruction_set().to_string(),
                "median_ms": timing.median_ms,
                "images_per_second": timing.images_per_second,
                "peak_memory_bytes": timing.peak_memory_bytes,
                "runs": timing.runs,
            })
            .to_string(),
        )?;
    } else {
        console::print(&format!(
            "median       {:.3} ms of {} runs\nimages/s     {:.0}\npeak memory  {} MiB",
            timing.median_ms,
            thousands(timing.runs),
            timing.images_per_second,
            timing.peak_memory_bytes >> 20
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// One line per step, and the sums. The description of a step comes last, since it may be long.
fn step_table(rows: &[StepRow], training: bool) -> String {
    type Column = (&'static str, fn(&StepRow) -> Option<f64>);
    let columns: [Column; 3] = [
        ("forward ms", |row| row.forward_ms),
        ("weights ms", |row| row.weight_gradient_ms),
        ("inputs ms", |row| row.input_gradient_ms),
    ];
    let columns = &columns[..if training { 3 } else { 1 }];
    let names: Vec<String> = rows.iter().map(StepRow::short_name).collect();
    let lengths = names.iter().map(|name| name.chars().count());
    let width = lengths.max().unwrap_or(0).max("layers".len());
    let mut text = format!("{:width$}", "layers");
    for (header, _) in columns {
        text += &format!("  {header:>10}");
    }
    text += "  step";
    let mut sums = vec![0.0; columns.len()];
    for (row, name) in rows.iter().zip(&names) {
        text += &format!("\n{name:width$}");
        for ((_, value), sum) in columns.iter().zip(&mut sums) {
            let value = value(row);
            text += &match value {
                None => format!("  {:>10}", ""),
                Some(value) => format!("  {value:>10.3}"),
            };
            *sum += value.unwrap_or(0.0);
        }
        text += &format!("  {}", row.kind);
    }
    text += &format!("\n{:width$}", "sum");
    sums.iter()
        .for_each(|sum| text += &format!("  {sum:>10.3}"));
    text + &format!(
        "  = {:.3} ms (fastest run of each step)",
        sums.iter().sum::<f64>()
    )
}
