//! The trainer's settings choose the initialisation.
use hubel::network::Initialisation;
use hubel::{Cpu, Dataset, Network, Result, Shape, TrainSettings, Trainer};

/// The initial weights of a linear layer with 100 inputs.
fn first_weights(initialisation: Initialisation) -> Result<Vec<f32>> {
    let images: Vec<f32> = (0..400).map(|i| (i % 7) as f32).collect();
    let images = Dataset::from_arrays(&images, Shape::new(10, 10, 1), &[0, 1, 0, 1])?;
    let settings = TrainSettings {
        initialisation,
        ..TrainSettings::default()
    };
    let network = Network::parse("flatten-fc(50)-relu-fc(classes)")?;
    let trainer = Trainer::new(Cpu::best(1), network, &images, None, settings)?;
    let model = trainer.last_good();
    Ok(model.parameters().values()[..5000].to_vec())
}

#[test]
fn weights_begin_as_the_settings_say() -> Result<()> {
    let pytorch = first_weights(Initialisation::PyTorch)?;
    // Uniform within ±1/√100.
    let largest = pytorch
        .iter()
        .fold(0.0_f32, |most, weight| most.max(weight.abs()));
    assert!((0.099..=0.1).contains(&largest), "{largest}");
    let he = first_weights(Initialisation::HeOrXavier)?;
    // Normal with the variance 2/100.
    let variance = he.iter().map(|weight| weight * weight).sum::<f32>() / he.len() as f32;
    assert!((0.018..0.022).contains(&variance), "{variance}");
    Ok(())
}
