//! A few hundred training steps on real digits.
use std::ops::ControlFlow;

use hubel::{Cpu, Network, Result, TrainSettings, Trainer, data};

#[test]
fn lenet5_reads_95_digits_of_100_after_300_steps() -> Result<()> {
    let mnist = data::mnist()?;
    let images = mnist.train.subset(&(0..300 * 64).collect::<Vec<usize>>());
    let settings = TrainSettings {
        epochs: 1,
        batch_size: 64,
        ..TrainSettings::default()
    };
    let cpu = Cpu::best(Cpu::available_threads());
    let network = Network::named("lenet5").expect("it is in the zoo");
    let mut trainer = Trainer::new(cpu.clone(), network, &images, None, settings)?;
    let model = trainer.run(&mut |_| ControlFlow::Continue(()))?;
    let test = mnist.test.expect("MNIST has test images");
    let accuracy = model.evaluate(&cpu, &test)?.accuracy;
    assert!(accuracy >= 0.95, "{accuracy}");
    Ok(())
}
