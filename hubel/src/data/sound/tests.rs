//! Data sets of recordings, in folders that the tests write.
use std::path::Path;

use crate::data::{
    Augmentation, BadFiles, Feed, FeedSettings, Kind, Medium, Options, Presets, Splits, evaluation,
    open_with,
};
use crate::{Cpu, Error, Preparation, Result};

/// A WAV file with a tone of half the full scale.
pub(crate) fn tone(hertz: f32, rate: u32, seconds: f32) -> Vec<u8> {
    let count = (seconds * rate as f32) as u32;
    let samples = (0..count).map(|i| {
        let time = i as f32 / rate as f32;
        0.5 * (std::f32::consts::TAU * hertz * time).sin()
    });
    wav(rate, samples)
}

/// A WAV file with 16 bits per sample.
pub(crate) fn wav(rate: u32, samples: impl Iterator<Item = f32>) -> Vec<u8> {
    let samples = samples.map(|sample| (32_767.0 * sample).clamp(-32_768.0, 32_767.0) as i16);
    let data: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + data.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend(rate.to_le_bytes());
    bytes.extend((2 * rate).to_le_bytes());
    bytes.extend(b"\x02\0\x10\0data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("a folder");
    std::fs::write(path, bytes).expect("a file");
}

/// Two classes of tones, each of a different length.
fn tones(root: &Path, count: usize) {
    for (class, hertz) in [("high", 1500.0), ("low", 300.0)] {
        for i in 0..count {
            let bytes = tone(hertz + i as f32, 8000, 0.3 + 0.01 * i as f32);
            write(&root.join(class).join(format!("{i}.wav")), &bytes);
        }
    }
}

fn undivided() -> Options {
    Options {
        validation: 0.0,
        test: 0.0,
        ..Options::default()
    }
}

fn opened(root: &Path, options: &Options) -> Result<Splits> {
    open_with(root, options, &|_, _| ())
}

#[test]
fn class_folders_of_recordings_are_decoded_and_fitted() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    tones(folder.path(), 20);
    write(&folder.path().join("low/note.opus"), b"OggS");
    let splits = opened(folder.path(), &undivided())?;
    assert_eq!(splits.train.kind(), Kind::Sounds);
    assert_eq!(splits.train.classes(), ["high", "low"]);
    assert_eq!(
        splits.description,
        "class folders, 2 classes, 40 recordings"
    );
    // 95 % of 0.3 to 0.49 s fit into 0.48 s.
    let preparation = Preparation::measure(&splits.train)?;
    let Medium::Sound(settings) = preparation.medium else {
        panic!("a model of recordings");
    };
    assert_eq!((settings.rate(), settings.length), (8000, 3840));
    assert_eq!(splits.train.shape(), settings.shape());
    assert_eq!(settings.shape().sizes()[1..], [40, 49, 1]);
    let notes = splits.notes.join("\n");
    for wanted in [
        "1 recording was ignored, low/note.opus",
        "recordings of 0.3 to 0.49 s become 0.48 s at 8 kHz, 40 mel bands, window 25 ms, hop 10 ms: shorter ones are padded, 2 longer ones cut",
    ] {
        assert!(notes.contains(wanted), "{notes}");
    }
    let mut inputs = vec![0.0; 40 * preparation.shape.len()];
    let all: Vec<usize> = (0..40).collect();
    let cpu = Cpu::best(2);
    splits.train.fill(&cpu, &all, &preparation, &mut inputs)?;
    let mean = inputs.iter().sum::<f32>() / inputs.len() as f32;
    let square = inputs.iter().map(|value| value * value).sum::<f32>() / inputs.len() as f32;
    assert!(
        mean.abs() < 1e-3 && (square - 1.0).abs() < 1e-2,
        "{mean}, {square}"
    );
    // Low frequencies are at the bottom: band 1 of 40 is the last row.
    let loudest_row = |picture: &[u8]| {
        let row = |row: &[u8]| row.iter().map(|level| u32::from(*level)).sum::<u32>();
        let rows: Vec<u32> = picture.chunks_exact(49).map(row).collect();
        (0..40).max_by_key(|place| rows[*place]).expect("rows")
    };
    let picture = |index| {
        splits
            .train
            .bytes(index)
            .map(|bytes| bytes.expect("a picture"))
    };
    assert!(loudest_row(&picture(0)?) < loudest_row(&picture(25)?));
    Ok(())
}

#[test]
fn a_file_gives_the_same_input_alone_and_whatever_the_cache_holds() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    tones(folder.path(), 8);
    write(
        &folder.path().join("low/other.wav"),
        &tone(310.0, 22_050, 0.4),
    );
    let inputs = |cache| -> Result<(Preparation, Vec<f32>)> {
        let splits = opened(
            folder.path(),
            &Options {
                cache,
                ..undivided()
            },
        )?;
        let preparation = Preparation::measure(&splits.train)?;
        let mut inputs = vec![0.0; splits.train.len() * preparation.shape.len()];
        let all: Vec<usize> = (0..splits.train.len()).collect();
        splits
            .train
            .fill(&Cpu::best(2), &all, &preparation, &mut inputs)?;
        Ok((preparation, inputs))
    };
    let (preparation, all) = inputs(None)?;
    assert_eq!(inputs(Some(0))?, (preparation.clone(), all.clone()));
    assert_eq!(inputs(Some(100_000))?, (preparation.clone(), all.clone()));
    let alone = preparation.picture(&folder.path().join("high/0.wav"))?;
    assert_eq!(alone.tensor[..], all[..preparation.shape.len()]);
    assert!(!alone.cut);
    Ok(())
}

#[test]
fn bad_recordings_follow_the_policy() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    tones(&data, 5);
    write(
        &data.join("high/torn.wav"),
        &tone(1500.0, 8000, 0.3)[..2000],
    );
    let refused = opened(&data, &undivided()).unwrap_err();
    assert!(
        matches!(refused, Error::BadFiles { bad: 1, .. }),
        "{refused}"
    );
    assert!(
        refused.to_string().contains("it breaks off after"),
        "{refused}"
    );
    for (policy, is_moved) in [(BadFiles::Skip, false), (BadFiles::Quarantine, true)] {
        let options = Options {
            bad_files: policy,
            ..undivided()
        };
        let splits = opened(&data, &options)?;
        assert_eq!((splits.train.len(), splits.bad_files.len()), (10, 1));
        assert_eq!(splits.bad_files[0].quarantined.is_some(), is_moved);
    }
    Ok(())
}

#[test]
fn tables_and_divided_folders_name_recordings() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let divided = folder.path().join("divided");
    tones(&divided.join("train"), 6);
    tones(&divided.join("test"), 2);
    let splits = opened(&divided, &undivided())?;
    assert_eq!(splits.test.as_ref().expect("a test part").len(), 4);
    // The test recordings are copies of training recordings.
    assert!(
        splits
            .notes
            .iter()
            .any(|note| note.contains("4 of the 4 test recordings are also in the training part"))
    );
    let table = folder.path().join("table");
    tones(&table, 4);
    let lines = (0..4).flat_map(|i| [format!("high/{i},h"), format!("low/{i}.wav,l")]);
    let lines: Vec<String> = std::iter::once("path,label".to_owned())
        .chain(lines)
        .collect();
    write(&table.join("labels.csv"), lines.join("\n").as_bytes());
    let splits = opened(&table, &undivided())?;
    assert_eq!(
        splits.description,
        "table of recordings, 2 classes, 8 recordings"
    );
    assert_eq!(splits.train.counts(), [4, 4]);
    Ok(())
}

#[test]
fn evaluation_uses_the_settings_of_the_model_and_refuses_other_kinds() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    tones(&folder.path().join("a"), 5);
    let train = opened(&folder.path().join("a"), &undivided())?.train;
    let preparation = Preparation::measure(&train)?;
    for (class, hertz) in [("high", 1500.0), ("low", 300.0)] {
        let path = folder.path().join("b").join(class).join("x.wav");
        write(&path, &tone(hertz, 44_100, 3.0));
    }
    let judged = |preparation: &Preparation| {
        let data = folder.path().join("b");
        evaluation(
            data,
            preparation,
            train.classes(),
            None,
            &Options::default(),
            &|_, _| (),
        )
    };
    let dataset = judged(&preparation)?.dataset;
    assert_eq!(dataset.shape(), preparation.shape);
    preparation.check_data(&dataset)?;
    let of_pictures = Preparation::unmeasured(preparation.shape, Default::default());
    let refused = judged(&of_pictures).unwrap_err().to_string();
    assert!(
        refused.contains("it holds recordings, and the model was trained on pictures"),
        "{refused}"
    );
    let path = folder.path().join("b/high/x.wav");
    let refused = of_pictures.picture(&path).unwrap_err().to_string();
    assert!(
        refused.contains("it is a recording, and the model was trained on pictures"),
        "{refused}"
    );
    let long = preparation.picture(&path)?;
    assert!(long.cut);
    let stretches: Vec<_> = preparation.stretches(&path, 0.25)?.collect();
    let length =
        f64::from(preparation.medium.sound().expect("of recordings").length as u32) / 8000.0;
    assert_eq!(stretches.len(), 1 + ((3.0 - length) / 0.25).ceil() as usize);
    assert_eq!(stretches[1].start, 0.25);
    assert_eq!(stretches[1].prepared.start, 0.25);
    assert_eq!(stretches.last().expect("some").end, 3.0);
    Ok(())
}

#[test]
fn augmentation_repeats_and_is_refused_for_other_kinds() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    tones(folder.path(), 5);
    let train = opened(folder.path(), &undivided())?.train;
    let preparation = Preparation::measure(&train)?;
    let feed = |text: &str| {
        let settings = FeedSettings {
            augmentation: Augmentation::parse(text, Presets::Sounds)?,
            balance: Default::default(),
            batch_size: 4,
            seed: 3,
        };
        Feed::new(train.clone(), preparation.clone(), settings)
    };
    let drawn = |text: &str, epoch| -> Result<Vec<f32>> {
        let mut out = vec![0.0; 4 * preparation.shape.len()];
        feed(text)?.fill(epoch, &mut [0, 3, 5, 7], &mut out)?;
        Ok(out)
    };
    let plain = drawn("none", 1)?;
    let operations = "timeshift(0.2), gain(6), noise(10, 20), timemask(8), bandmask(5)";
    for text in operations
        .split(", t")
        .next()
        .into_iter()
        .chain([operations, "standard", "strong"])
    {
        assert_eq!(drawn(text, 1)?, drawn(text, 1)?, "{text}");
        assert_ne!(drawn(text, 1)?, drawn(text, 2)?, "{text}");
        assert_eq!(drawn(text, 0)?, plain, "{text}");
    }
    let parsed: Augmentation = operations.parse()?;
    assert_eq!(parsed.to_string(), operations);
    let refused = feed("flip").unwrap_err().to_string();
    assert!(
        refused.contains("`flip` changes pictures") && refused.contains("timeshift"),
        "{refused}"
    );
    assert!(Augmentation::parse("timemask(0)", Presets::Sounds).is_err());
    Ok(())
}

#[test]
fn impossible_settings_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    tones(folder.path(), 3);
    let refused = |change: &dyn Fn(&mut Options)| {
        let mut options = undivided();
        change(&mut options);
        opened(folder.path(), &options).unwrap_err().to_string()
    };
    for (text, wanted) in [
        (
            refused(&|options| options.shape = Some(crate::Shape::new(8, 8, 1))),
            "have no height and width",
        ),
        (
            refused(&|options| options.sound.bands = Some(0)),
            "bands is 0",
        ),
        (
            refused(&|options| options.sound.hop = Some(0.01)),
            "hop is 0",
        ),
        (
            refused(&|options| options.sound.seconds = Some(1e-6)),
            "a length of 0 samples",
        ),
    ] {
        assert!(text.contains(wanted), "{text}");
    }
}

#[test]
fn damaged_settings_of_a_model_are_refused() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    tones(folder.path(), 3);
    let preparation = Preparation::measure(&opened(folder.path(), &undivided())?.train)?;
    let path = folder.path().join("low/0.wav");
    let damaged = |change: &dyn Fn(&mut super::SoundSettings)| {
        let mut damaged = preparation.clone();
        let Medium::Sound(settings) = &mut damaged.medium else {
            panic!("of recordings");
        };
        change(settings);
        damaged.picture(&path).is_err()
    };
    assert!(damaged(&|settings| settings.length = 0));
    assert!(damaged(&|settings| settings.spectrogram.hop = 0));
    assert!(damaged(&|settings| settings.spectrogram.window = usize::MAX));
    assert!(damaged(&|settings| settings.length += 8000));
    assert!(damaged(&|settings| settings.spectrogram.highest = f32::NAN));
    Ok(())
}
