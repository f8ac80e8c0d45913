//! Does the bound of `hubel evaluate --wrong-at-most` hold? Divides MNIST's training images anew many times. Each time it trains a network, chooses its weights and its
//! temperature on validation images and the threshold on further images, and counts the wrong answers among all remaining images. The bound of 2 % may break in at
//! most 5 % of these trials. A trial whose answers are too bad for a threshold has none.
//!
//!     cargo run --release -p hubel --example wrong_at_most -- 200
use std::ops::ControlFlow;

use hubel::{
    Answers, Cpu, Dataset, Keep, Model, Network, Purpose, Random, Result, TrainSettings, Trainer,
    data,
};

/// The share of wrong answers that must not be exceeded.
const WRONG_AT_MOST: f64 = 0.02;

/// Number of images to train on, to choose weights and temperature, and to choose the threshold.
const PARTS: [usize; 3] = [1500, 1000, 2000];

fn main() -> Result<()> {
    let trials = std::env::args().nth(1);
    let trials = trials.and_then(|text| text.parse().ok()).unwrap_or(200);
    let [broken, refused] = broken(trials, usize::MAX)?;
    println!(
        "the bound broke in {broken} of {trials} trials; in {refused} of them no threshold could be given"
    );
    Ok(())
}

/// How many of the trials broke the bound, judged on at most `most` images each, and for how many there was no threshold.
fn broken(trials: u64, most: usize) -> Result<[u64; 2]> {
    let images = data::mnist()?.train;
    let cpu = Cpu::best(Cpu::available_threads());
    let (mut broken, mut refused) = (0, 0);
    for trial in 0..trials {
        let mut order: Vec<usize> = (0..images.len()).collect();
        Random::new(trial)
            .stream(Purpose::Experiment, 0, 0)
            .shuffle(&mut order);
        let mut rest = &order[..];
        let [train, validation, choice] = PARTS.map(|count| {
            let (part, others) = rest.split_at(count);
            rest = others;
            images.subset(part)
        });
        let rest = images.subset(&rest[..rest.len().min(most)]);
        let model = trained(&cpu, &train, &validation, trial)?;
        let Ok(threshold) = answers(&model, &cpu, &choice)?.threshold(WRONG_AT_MOST) else {
            println!("trial {trial}: no threshold");
            refused += 1;
            continue;
        };
        let rest = answers(&model, &cpu, &rest)?;
        let answered: Vec<usize> = (0..rest.len())
            .filter(|place| rest.is_answered(*place, &threshold))
            .collect();
        let wrong = answered
            .iter()
            .filter(|place| !rest.is_right(**place))
            .count();
        let share = wrong as f64 / answered.len() as f64;
        broken += u64::from(share > WRONG_AT_MOST);
        println!(
            "trial {trial}: temperature {:.2}, threshold {:.4}, answered {:.1} %, of these wrong {:.2} %{}",
            model.temperature().unwrap_or(1.0),
            threshold.probability,
            100.0 * answered.len() as f64 / rest.len() as f64,
            100.0 * share,
            if share > WRONG_AT_MOST {
                " (broken)"
            } else {
                ""
            }
        );
    }
    Ok([broken, refused])
}

/// The best weights by validation, with the temperature that suits the validation images.
fn trained(cpu: &Cpu, train: &Dataset, validation: &Dataset, seed: u64) -> Result<Model> {
    let network = Network::parse(
        "conv(8, kernel=5)-relu-maxpool(2)-conv(16)-relu-maxpool(2)-flatten-fc(classes)",
    )?;
    let settings = TrainSettings {
        epochs: 8,
        seed,
        keep: Keep::Best,
        ..TrainSettings::default()
    };
    let mut trainer = Trainer::new(cpu.clone(), network, train, Some(validation), settings)?;
    trainer
        .run(&mut |_| ControlFlow::Continue(()))?
        .calibrated(cpu, validation)
}

fn answers(model: &Model, cpu: &Cpu, images: &Dataset) -> Result<Answers> {
    let (_, answers) = model.answers(cpu, images, &mut |_| {})?;
    Ok(answers)
}

#[test]
fn the_bound_holds_in_two_trials() -> Result<()> {
    assert_eq!(broken(2, 5000)?, [0, 0]);
    Ok(())
}
