//! `hubel bench` without a subcommand: the speed of this machine and of the named networks.
use std::process::ExitCode;

use hubel::bench::{self, Bench, Machine, Timing};
use hubel::{Cpu, Error, Network, PlanSettings};
use serde_json::{Value, json};

use crate::args::BenchOverview;
use crate::commands::{Outcome, named::usual_input};
use crate::console::{self, Console};

/// The speed of one network.
struct Expectation {
    net: &'static str,
    batch: usize,
    /// `None` if memory does not suffice.
    train: Option<Timing>,
    infer: Option<Timing>,
}

/// Runs the command.
pub(crate) fn run(arguments: &BenchOverview, console: &Console) -> Outcome {
    let cpu = arguments.processor.cpu();
    let mut progress = console.task();
    progress.show("arithmetic and memory");
    let machine = bench::machine(&cpu);
    let mut networks = Vec::new();
    for net in Network::names() {
        let batch = bench::usual_batch(net);
        let mut time = |what: &str, settings: PlanSettings| {
            progress.show(&format!("{what} {net}, batch {batch}"));
            timing(&cpu, net, settings, arguments.seconds)
        };
        networks.push(Expectation {
            net,
            batch,
            train: time("training of", PlanSettings::training(batch))?,
            infer: time("inference of", PlanSettings::inference(batch))?,
        });
    }
    progress.finish();
    if arguments.json {
        let networks: Vec<Value> = networks.iter().map(to_json).collect();
        console::print(&json!({ "machine": machine, "networks": networks }).to_string())?;
    } else {
        console::print(&text(&machine, &networks))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `None` if memory does not suffice.
fn timing(
    cpu: &Cpu,
    net: &str,
    settings: PlanSettings,
    seconds: f64,
) -> Result<Option<Timing>, Error> {
    let network = Network::named(net)?;
    match Bench::new(cpu, &network, usual_input(net), 10, settings) {
        Ok(mut bench) => Ok(Some(bench.run(seconds))),
        Err(Error::Memory { .. } | Error::Weights { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn to_json(row: &Expectation) -> Value {
    let rate = |timing: &Option<Timing>| timing.as_ref().map(|timing| timing.images_per_second);
    let input = usual_input(row.net);
    json!({
        "net": row.net,
        "input": input.shape.to_vec(),
        "batch": row.batch,
        "train_images_per_second": rate(&row.train),
        "infer_images_per_second": rate(&row.infer),
    })
}

fn text(machine: &Machine, networks: &[Expectation]) -> String {
    let mut text = format!(
        "instructions   {}, {} floats at once\n\
         threads        {}\n\
         multiply-adds  {:.0} GFLOP/s on one thread, {:.0} on all\n\
         memory         reads {:.1} GB/s, writes {:.1} GB/s ({} MiB, all threads)\n\n",
        machine.instruction_set,
        machine.lanes,
        machine.threads,
        machine.peak_gflops_one_thread,
        machine.peak_gflops,
        machine.read_gigabytes_per_second,
        machine.write_gigabytes_per_second,
        machine.buffer_bytes >> 20,
    );
    text += &format!(
        "{:14}{:>10}  {:>5}  {:>16}  {:>16}\n",
        "network", "input", "batch", "train images/s", "infer images/s"
    );
    for row in networks {
        let rate = |timing: &Option<Timing>| match timing {
            None => "too little memory".into(),
            Some(timing) => rate(timing.images_per_second),
        };
        text += &format!(
            "{:14}{:>10}  {:>5}  {:>16}  {:>16}\n",
            row.net,
            usual_input(row.net).to_string(),
            row.batch,
            rate(&row.train),
            rate(&row.infer)
        );
    }
    text
}

/// Three significant digits: so short a measurement is not more precise.
fn rate(images_per_second: f64) -> String {
    let digits = match images_per_second {
        rate if rate >= 100.0 => 0,
        rate if rate >= 10.0 => 1,
        _ => 2,
    };
    format!("{images_per_second:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_three_digits() {
        assert_eq!(rate(51234.4), "51234");
        assert_eq!(rate(51.26), "51.3");
        assert_eq!(rate(3.456), "3.46");
    }
}
