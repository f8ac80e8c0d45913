//! `hubel bench`: times on this machine.
use std::process::ExitCode;

use hubel::bench::{self, KernelRow, StepRow};
use hubel::{Network, PlanSettings};
use serde_json::{Value, json};

use super::{Outcome, usual_input};
use crate::args::{Bench, BenchKernels, BenchNetwork};
use crate::console::{self, Console, thousands};

/// Runs the command.
pub(crate) fn run(arguments: &Bench, console: &Console) -> Outcome {
    match arguments {
        Bench::Train(arguments) => network("train", arguments, console),
        Bench::Infer(arguments) => network("infer", arguments, console),
        Bench::Kernels(arguments) => kernels(arguments, console),
    }
}

fn network(mode: &str, arguments: &BenchNetwork, console: &Console) -> Outcome {
    let network = Network::resolve(&arguments.net)?;
    let input = arguments
        .input
        .unwrap_or_else(|| usual_input(&arguments.net));
    let cpu = arguments.processor.cpu();
    let settings = match mode {
        "train" => PlanSettings::training(arguments.batch),
        _ => PlanSettings::inference(arguments.batch),
    };
    let settings = PlanSettings {
        precise: arguments.precise,
        ..settings
    };
    console.remark(&format!(
        "{mode} {}: input {input}, batch {}, {cpu:?}, {} s",
        arguments.net, arguments.batch, arguments.seconds
    ));
    let mut bench = bench::Bench::new(&cpu, &network, input, arguments.classes, settings)?;
    if arguments.steps {
        let rows = bench.steps(arguments.seconds);
        if arguments.json {
            let rows = json!({ "net": arguments.net, "mode": mode, "steps": rows });
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
                "net": arguments.net,
                "mode": mode,
                "batch": arguments.batch,
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

/// One line per step, and the sums.
fn step_table(rows: &[StepRow], training: bool) -> String {
    let columns = |row: &StepRow| match training {
        true => vec![
            row.forward_ms,
            row.weight_gradient_ms,
            row.input_gradient_ms,
        ],
        false => vec![row.forward_ms],
    };
    let width = |text: fn(&StepRow) -> &String| {
        let longest = rows.iter().map(|row| text(row).chars().count()).max();
        longest.unwrap_or(0)
    };
    let (name, kind) = (width(|row| &row.name).max(4), width(|row| &row.kind));
    let mut text = format!("{:name$}  {:kind$}  {:>10}", "layers", "step", "forward ms");
    if training {
        text += &format!("  {:>10}  {:>10}", "weights ms", "inputs ms");
    }
    let mut sums = vec![0.0; columns(&rows[0]).len()];
    for row in rows {
        text += &format!("\n{:name$}  {:kind$}", row.name, row.kind);
        for (value, sum) in columns(row).into_iter().zip(&mut sums) {
            text += &match value {
                None => format!("  {:>10}", ""),
                Some(value) => format!("  {value:>10.3}"),
            };
            *sum += value.unwrap_or(0.0);
        }
    }
    text += &format!("\n{:name$}  {:kind$}", "", "sum");
    sums.iter()
        .for_each(|sum| text += &format!("  {sum:>10.3}"));
    text + &format!(
        "   = {:.3} ms (fastest run of each step)",
        sums.iter().sum::<f64>()
    )
}

fn kernels(arguments: &BenchKernels, console: &Console) -> Outcome {
    let cpu = arguments.processor.cpu();
    console.remark(&format!("{cpu:?}, {} s each", arguments.seconds));
    let rows = bench::kernels(&cpu, arguments.seconds)?;
    if arguments.json {
        console::print(
            &json!({
                "cpu": cpu.instruction_set().to_string(),
                "threads": cpu.threads(),
                "kernels": rows.iter().map(to_json).collect::<Vec<_>>(),
            })
            .to_string(),
        )?;
    } else {
        console::print(&table(&rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn to_json(row: &KernelRow) -> Value {
    json!({
        "shape": row.shape.to_string(),
        "pass": row.pass.to_string(),
        "algorithm": row.algorithm.to_string(),
        "milliseconds": row.milliseconds,
        "gflops": row.gflops,
        "peak_share": row.peak_share,
        "chosen": row.chosen,
    })
}

/// One line per row; `*` marks the algorithm that a plan would choose.
fn table(rows: &[KernelRow]) -> String {
    let width = rows
        .iter()
        .map(|row| row.shape.to_string().chars().count())
        .max()
        .unwrap_or(0);
    let mut text = format!(
        "{:width$}  {:16}  {:10}  {:>9}  {:>8}  {:>7}\n",
        "convolution", "pass", "algorithm", "ms", "GFLOP/s", "of peak"
    );
    for row in rows {
        text += &format!(
            "{:width$}  {:16}  {:10}  {:>9.3}  {:>8.1}  {:>5.0} %{}\n",
            row.shape.to_string(),
            row.pass.to_string(),
            row.algorithm.to_string(),
            row.milliseconds,
            row.gflops,
            row.peak_share * 100.0,
            if row.chosen { " *" } else { "" }
        );
    }
    text + "* what a plan chooses\n"
}
