//! TensorBoard reads what a training recorded: the same steps, times and values.
//!
//! The package `tensorboard` reads the files if `HUBEL_TENSORBOARD_PYTHON` names a Python that has it (`.ci/run` makes one; see `tensorboard/requirements.txt`).
//! Without it, the reader below reads them. It is checked with a file that the package has read, `golden.tfevents`; `golden.json` is what the package found.
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

use hubel::{Cpu, Dataset, Event, Network, Record, Result, Shape, TrainSettings, Trainer};

/// For each tag: step, wall time in microseconds, and value.
type Scalars = BTreeMap<String, Vec<(u64, u64, f32)>>;

fn golden(ending: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/tensorboard/golden.{ending}"))
}

/// Reads a file with the package `tensorboard`, if there is one, and with the reader of this test.
fn scalars(file: &Path) -> Scalars {
    let read = of_file(&fs::read(file).expect("an event file"));
    let Some(python) = std::env::var_os("HUBEL_TENSORBOARD_PYTHON") else {
        eprintln!(
            "TensorBoard was not run, because HUBEL_TENSORBOARD_PYTHON is not set; {} was read without it",
            file.display()
        );
        return read;
    };
    let output = Command::new(python)
        .arg(golden("json").with_file_name("read.py"))
        .arg(file)
        .output()
        .expect("HUBEL_TENSORBOARD_PYTHON names a Python");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let by_tensorboard = of_json(&output.stdout);
    assert_eq!(read, by_tensorboard, "this test's reader is wrong");
    by_tensorboard
}

/// The scalars that `read.py` printed.
fn of_json(text: &[u8]) -> Scalars {
    let printed: BTreeMap<String, Vec<(u64, f64, f32)>> =
        serde_json::from_slice(text).expect("what read.py prints");
    let scalars = printed.into_iter().map(|(tag, values)| {
        let values = values.into_iter();
        let values = values.map(|(step, time, value)| (step, microseconds(time), value));
        (tag, values.collect())
    });
    scalars.collect()
}

fn microseconds(seconds: f64) -> u64 {
    (seconds * 1e6).round() as u64
}

#[test]
fn the_committed_file_has_the_values_that_tensorboard_found() {
    let expected = fs::read(golden("json")).expect("what TensorBoard found");
    assert_eq!(scalars(&golden("tfevents")), of_json(&expected));
}

#[test]
fn a_training_has_the_values_of_its_events() -> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let labels: Vec<usize> = (0..50).map(|i| i % 2).collect();
    let images: Vec<f32> = (0..50 * 64)
        .map(|i| labels[i / 64] as f32 + (i as f32 * 0.37).sin())
        .collect();
    let data = Dataset::from_arrays(&images, Shape::new(8, 8, 1), &labels)?;
    let settings = TrainSettings {
        batch_size: 20,
        ..TrainSettings::default()
    };
    let network = Network::parse("conv(4, padding=1)-relu-pool-flatten-fc(classes)")?;
    let mut trainer = Trainer::new(Cpu::best(1), network, &data, Some(&data), settings)?;
    let mut record = Record::create(folder.path())?;
    let mut expected: BTreeMap<&str, Vec<(u64, f32)>> = BTreeMap::new();
    let mut step = 0;
    trainer.run(&mut |event| {
        record.add(event);
        let values = match event {
            Event::Step {
                step_of_run,
                batch_loss,
                learning_rate,
                images_per_second,
                ..
            } => {
                step = *step_of_run as u64;
                vec![
                    ("train/batch_loss", *batch_loss),
                    ("train/learning_rate", *learning_rate),
                    ("train/images_per_second", *images_per_second as f32),
                ]
            }
            Event::Epoch {
                loss,
                accuracy,
                validation_loss: Some(validation_loss),
                validation_accuracy: Some(validation_accuracy),
                validation_balanced_accuracy: Some(balanced),
                ..
            } => vec![
                ("train/loss", *loss),
                ("train/accuracy", *accuracy),
                ("validation/loss", *validation_loss),
                ("validation/accuracy", *validation_accuracy),
                ("validation/balanced_accuracy", *balanced),
            ],
            _ => Vec::new(),
        };
        for (tag, value) in values {
            expected.entry(tag).or_default().push((step, value));
        }
        ControlFlow::Continue(())
    })?;
    let lengths = record.flush()?;
    let name = lengths.keys().find(|name| name.contains("tfevents"));
    let found = scalars(&folder.path().join(name.expect("TensorBoard's file")));

    assert_eq!(expected["train/batch_loss"].len(), 9);
    assert_eq!(found.len(), expected.len());
    for (tag, values) in expected {
        let without_time = found[tag].iter().map(|(step, _, value)| (*step, *value));
        assert_eq!(without_time.collect::<Vec<_>>(), values, "{tag}");
    }
    let mut times = found["train/batch_loss"].iter().map(|(_, time, _)| *time);
    assert!(
        times.all(|time| time > 1_700_000_000_000_000),
        "seconds since 1970"
    );
    Ok(())
}

/// The scalars of an event file.
fn of_file(mut file: &[u8]) -> Scalars {
    let mut scalars = Scalars::new();
    let mut versions = Vec::new();
    while !file.is_empty() {
        let (length, rest) = checked(file, 8);
        let length = u64::from_le_bytes(length.try_into().expect("8 bytes"));
        let (event, rest) = checked(rest, length as usize);
        file = rest;
        let (mut time, mut step, mut summary) = (0, 0, Vec::new());
        for (number, field) in fields(event) {
            match (number, field) {
                (1, Field::Fixed64(bits)) => time = microseconds(f64::from_bits(bits)),
                (2, Field::Varint(number)) => step = number,
                (3, Field::Bytes(version)) => versions.push(version),
                (5, Field::Bytes(bytes)) => summary = fields(bytes),
                _ => panic!("field {number} of an event"),
            }
        }
        for (number, value) in summary {
            let Field::Bytes(value) = value else {
                panic!("field {number} of a summary");
            };
            let [(1, Field::Bytes(tag)), (2, Field::Fixed32(bits))] = fields(value)[..] else {
                panic!("a value without a tag or a number");
            };
            let tag = String::from_utf8(tag.to_vec()).expect("a tag");
            let value = (step, time, f32::from_bits(bits));
            scalars.entry(tag).or_default().push(value);
        }
    }
    assert_eq!(versions, [b"brain.Event:2"]);
    scalars
}

/// This many bytes, whose checksum is right, and those after the checksum.
fn checked(bytes: &[u8], length: usize) -> (&[u8], &[u8]) {
    let (bytes, rest) = bytes.split_at(length);
    let (checksum, rest) = rest.split_at(4);
    // CRC-32C, bit by bit.
    let mut remainder = u32::MAX;
    for byte in bytes {
        remainder ^= u32::from(*byte);
        for _ in 0..8 {
            let divides = remainder & 1 == 1;
            remainder = (remainder >> 1) ^ if divides { 0x82f6_3b78 } else { 0 };
        }
    }
    let masked = (!remainder).rotate_right(15).wrapping_add(0xa282_ead8);
    assert_eq!(masked.to_le_bytes(), checksum);
    (bytes, rest)
}

/// The value of a field in the encoding of Protocol Buffers.
enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// The fields of a message, with their numbers.
fn fields(mut message: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        let field = match key & 7 {
            0 => Field::Varint(varint(&mut message)),
            1 => Field::Fixed64(u64::from_le_bytes(fixed(&mut message))),
            2 => {
                let length = varint(&mut message);
                let (bytes, rest) = message.split_at(length as usize);
                message = rest;
                Field::Bytes(bytes)
            }
            5 => Field::Fixed32(u32::from_le_bytes(fixed(&mut message))),
            kind => panic!("a field of kind {kind}"),
        };
        fields.push((key >> 3, field));
    }
    fields
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for place in 0.. {
        let (byte, rest) = bytes.split_first().expect("a whole number");
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}

fn fixed<const COUNT: usize>(bytes: &mut &[u8]) -> [u8; COUNT] {
    let (first, rest) = bytes.split_first_chunk().expect("a whole number");
    *bytes = rest;
    *first
}
