//! Classifying pictures that come as bytes, one at a time, as a server gets them; with the time that each takes.
//!
//!     cargo run --release --package hubel --example classify_bytes
use std::error::Error;
use std::io::Cursor;
use std::time::Instant;

use hubel::image::{ImageFormat, Rgb, RgbImage};
use hubel::{Cpu, Model, Network, Predictor, Preparation, Shape, data::Resize};

fn main() -> Result<(), Box<dyn Error>> {
    // A program carries its model: Model::from_bytes(include_bytes!("animals.safetensors")).
    let model = Model::from_bytes(&model_file()?)?;
    let mut predictor =
        Predictor::new(model, Cpu::best(Cpu::available_threads()))?.with_batch(1)?;

    let mut milliseconds = Vec::new();
    for upload in (0..20).map(photo) {
        let upload = upload?;
        let start = Instant::now();
        let prediction = predictor.predict(&upload)?;
        milliseconds.push(1e3 * start.elapsed().as_secs_f64());
        assert!(predictor.model().classes().contains(&prediction.class));
    }
    milliseconds.sort_by(f64::total_cmp);
    println!(
        "decoded, prepared and classified: {:.2} ms in the median, {:.2} ms at most",
        milliseconds[10], milliseconds[19]
    );

    // What cannot be read is an error that says why, and no reason to stop.
    let problem = predictor
        .predict(&photo(0)?[..100])
        .expect_err("it is cut off");
    println!("{problem}");
    Ok(())
}

/// Stands for a file that `hubel train` or `Model::save` wrote.
fn model_file() -> hubel::Result<Vec<u8>> {
    let preparation = Preparation {
        mean: vec![0.5; 3],
        std: vec![0.25; 3],
        ..Preparation::unmeasured(Shape::new(64, 64, 3), Resize::Crop)
    };
    let network =
        Network::parse("[conv(16, padding=same)-relu-pool]x3-globalavgpool-linear(classes)")?;
    let classes = ["cat", "dog", "owl"].map(String::from).to_vec();
    Model::untrained(network, classes, preparation, 1)?.to_bytes()
}

/// Stands for an upload.
fn photo(seed: u8) -> Result<Vec<u8>, Box<dyn Error>> {
    let level = |x: u32, y: u32| ((x * x + y * u32::from(seed)) / 97) as u8;
    let picture = RgbImage::from_fn(320, 240, |x, y| Rgb([level(x, y), level(y, x), seed]));
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Jpeg)?;
    Ok(file.into_inner())
}

#[test]
fn it_runs() -> Result<(), Box<dyn Error>> {
    main()
}
