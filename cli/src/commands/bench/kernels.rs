//! `hubel bench kernels`: single convolutions.
use std::process::ExitCode;

use hubel::bench::{self, KernelRow, KernelTable};
use serde_json::{Value, json};

use crate::args::BenchKernels;
use crate::commands::Outcome;
use crate::console::{self, Console};

/// Runs the command.
pub(crate) fn run(arguments: &BenchKernels, console: &Console) -> Outcome {
    let cpu = arguments.processor.cpu();
    console.remark(&format!("{cpu:?}, about {} s each", arguments.seconds));
    let mut progress = console.task();
    let table = bench::kernels(&cpu, &arguments.filter, arguments.seconds, &mut |shape| {
        progress.show(&shape.to_string());
    });
    progress.finish();
    let table = table?;
    if arguments.json {
        console::print(
            &json!({
                "cpu": cpu.instruction_set().to_string(),
                "threads": cpu.threads(),
                "peak_gflops": table.peak_gflops,
                "kernels": table.rows.iter().map(to_json).collect::<Vec<_>>(),
            })
            .to_string(),
        )?;
    } else {
        console::print(&text(&table))?;
    }
    if arguments.assert {
        check(&table)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn to_json(row: &KernelRow) -> Value {
    json!({
        "shape": row.shape.to_string(),
        "geometry": row.shape,
        "pass": row.pass,
        "fusion": row.fusion,
        "algorithm": row.algorithm,
        "milliseconds": row.milliseconds,
        "gflops": row.gflops,
        "peak_share": row.peak_share,
        "chosen": row.chosen,
    })
}

/// One line per row; `*` marks the algorithm that a plan would choose.
fn text(table: &KernelTable) -> String {
    let lengths = table.rows.iter().map(|row| row.shape.to_string());
    let width = lengths.map(|text| text.chars().count()).max().unwrap_or(0);
    let mut text = format!(
        "{:width$}  {:16}  {:10}  {:10}  {:>9}  {:>8}  {:>7}\n",
        "convolution", "pass", "fused", "algorithm", "ms", "GFLOP/s", "of peak"
    );
    for row in &table.rows {
        text += &format!(
            "{:width$}  {:16}  {:10}  {:10}  {:>9.3}  {:>8.1}  {:>5.0} %{}\n",
            row.shape,
            row.pass,
            row.fusion,
            row.algorithm,
            row.milliseconds,
            row.gflops,
            row.peak_share * 100.0,
            if row.chosen { " *" } else { "" }
        );
    }
    text + &format!(
        "* what a plan chooses; the peak is {:.0} GFLOP/s; times are those of the fastest run\n",
        table.peak_gflops
    )
}

/// An error that lists the slow choices of plans.
fn check(table: &KernelTable) -> Result<(), String> {
    let slow = table.slow_choices();
    if slow.is_empty() {
        return Ok(());
    }
    let chosen = table.rows.iter().filter(|row| row.chosen).count();
    let mut text = format!(
        "{} of {chosen} choices are more than 10 % slower than the best",
        slow.len()
    );
    for (row, best) in slow {
        text += &format!(
            "\n  {}, {} {}: {} takes {:.3} ms, {} {:.3} ms ({:.2} ×)",
            row.shape,
            row.pass,
            row.fusion,
            row.algorithm,
            row.milliseconds,
            best.algorithm,
            best.milliseconds,
            row.milliseconds / best.milliseconds
        );
    }
    Err(text)
}
