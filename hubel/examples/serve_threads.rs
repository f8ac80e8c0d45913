//! A model that serves from two threads: the weights are there once, each thread has a predictor of its own. Needs no feature of the crate.
//!
//!     cargo run --release --package hubel --example serve_threads --no-default-features -- [model.safetensors]
use std::error::Error;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use hubel::{Cpu, Model, Network, Predictor, Preparation, Shape, data::Resize};

/// The pixels of a camera's picture, and who waits for the answer.
struct Request {
    pixels: Vec<u8>,
    answer: mpsc::Sender<(String, f32)>,
}

const CAMERA: Shape = Shape::new(48, 64, 3);

fn main() -> Result<(), Box<dyn Error>> {
    let model = match std::env::args().nth(1) {
        // Not an argument of the test harness.
        Some(path) if path.ends_with(".safetensors") => Model::load(path)?,
        _ => untrained()?,
    };
    let model = Arc::new(model);
    let (send, receive) = mpsc::channel::<Request>();
    let receive = Mutex::new(receive);
    thread::scope(|scope| -> Result<(), Box<dyn Error>> {
        for _ in 0..2 {
            // One thread a picture answers most requests in a second; Cpu::best(n) answers one of them soonest.
            let mut predictor = Predictor::new(model.clone(), Cpu::best(1))?.with_batch(1)?;
            let receive = &receive;
            scope.spawn(move || {
                loop {
                    let request = receive.lock().expect("nobody panics").recv();
                    // Nobody asks any more.
                    let Ok(Request { pixels, answer }) = request else {
                        return;
                    };
                    match predictor.predict_pixels(&pixels, CAMERA) {
                        // Whoever asked may have gone.
                        Ok(prediction) => {
                            drop(answer.send((prediction.class, prediction.probability)))
                        }
                        Err(error) => eprintln!("{error}"),
                    }
                }
            });
        }
        let mut answers = Vec::new();
        for seed in 0..20usize {
            let (answer, waiting) = mpsc::channel();
            let pixels = (0..CAMERA.len())
                .map(|i| (i * (seed + 3) % 251) as u8)
                .collect();
            send.send(Request { pixels, answer })?;
            answers.push(waiting);
        }
        drop(send);
        for (number, waiting) in answers.into_iter().enumerate() {
            let (class, probability) = waiting.recv()?;
            println!("picture {number}: {class}  {:.1} %", 100.0 * probability);
        }
        Ok(())
    })
}

fn untrained() -> hubel::Result<Model> {
    let preparation = Preparation {
        mean: vec![0.5; 3],
        std: vec![0.25; 3],
        ..Preparation::unmeasured(Shape::new(32, 32, 3), Resize::Letterbox)
    };
    let network =
        Network::parse("[conv(16, padding=same)-relu-pool]x2-globalavgpool-linear(classes)")?;
    Model::untrained(network, vec!["day".into(), "night".into()], preparation, 1)
}

#[test]
fn it_runs() -> Result<(), Box<dyn Error>> {
    main()
}
