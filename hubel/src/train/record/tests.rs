use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::data::BadFile;
use crate::train::{LayerGradient, Position};
use crate::{Cpu, Dataset, Model, Network, Shape, TrainSettings, Trainer};

const PHASES: usize = 2;
const EPOCHS: usize = 2;
const STEPS: usize = 3;

/// The gradients of a step. In the first phase, the first layer is frozen.
static GRADIENTS: LazyLock<[LayerGradient; 2]> = LazyLock::new(|| {
    [("0", "conv", 0.5), ("3", "linear", f32::NAN)].map(|(layer, kind, norm)| LayerGradient {
        layer: layer.into(),
        kind,
        norm,
    })
});

fn model() -> Model {
    let dataset = Dataset::from_arrays(&[0.0, 1.0], Shape::new(1, 1, 1), &[0, 1]).unwrap();
    let network = Network::parse("flatten-linear(classes)").unwrap();
    let settings = TrainSettings::default();
    let trainer = Trainer::new(Cpu::best(1), network, &dataset, None, settings);
    trainer.unwrap().last_good()
}

/// The events of a run in two phases.
fn events(model: &Model) -> Vec<Event<'_>> {
    let mut events = Vec::new();
    for phase in 1..=PHASES {
        events.push(Event::Phase {
            phase,
            phases: PHASES,
            frozen: (phase == 1).then(|| "stage4".to_owned()),
        });
        for epoch in 1..=EPOCHS {
            for step in 1..=STEPS {
                let step_of_run = (epoch - 1) * STEPS + step;
                let falling = 1.0 / (phase * step_of_run) as f32;
                events.push(Event::Step {
                    epoch,
                    epochs: EPOCHS,
                    step,
                    steps: STEPS,
                    loss: 2.0 * falling,
                    accuracy: 1.0 - falling / 2.0,
                    step_of_run,
                    batch_loss: falling,
                    learning_rate: 1e-7 * falling,
                    gradient_norm: (phase == 2).then_some(3.5 * falling),
                    layer_gradients: match (phase, step) {
                        (2, _) => &GRADIENTS[..],
                        (_, 1) => &GRADIENTS[1..],
                        _ => &[],
                    },
                    images_per_second: 1234.5,
                    seconds_left: 0.25,
                });
            }
            let validation = (phase == 2).then_some(1.0 / epoch as f32);
            events.push(Event::Epoch {
                epoch,
                loss: 0.3,
                accuracy: 0.9,
                learning_rate: 1e-7,
                clipped: 0,
                validation_loss: validation,
                validation_accuracy: validation,
                validation_balanced_accuracy: validation,
                is_best: true,
                seconds: 1.5,
                waiting: 0.125,
                model,
            });
        }
    }
    let position = Position {
        phase: 2,
        phases: PHASES,
        ..Position::start(EPOCHS, STEPS)
    };
    events.extend([
        Event::BadFile(BadFile {
            path: "a \"b\",\"wall_time\":\n.png".into(),
            problem: "it is empty".into(),
            quarantined: None,
        }),
        Event::EndedEarly {
            position,
            epochs: 1,
        },
        Event::Kept {
            position,
            accuracy: 0.5,
        },
    ]);
    events
}

const BEGIN: f64 = 1_700_000_000.5;

/// Records the events from `first` on. Each happens a fixed time after the one before.
fn record_from(first: usize, record: &mut Record, events: &[Event]) {
    for (index, event) in events.iter().enumerate().skip(first) {
        record.add_at(event, BEGIN + index as f64 / 8.0);
    }
}

/// The names and contents of the files in a folder.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read(entry.path()).unwrap())
    });
    files.collect()
}

fn undisturbed(events: &[Event]) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let mut record = Record::create_at(folder.path(), BEGIN).unwrap();
    record_from(0, &mut record, events);
    let lengths = record.flush().unwrap();
    let contents = contents(folder.path());
    let found = contents
        .iter()
        .map(|(name, bytes)| (name.clone(), bytes.len() as u64));
    assert_eq!(lengths, found.collect());
    contents
}

fn text(contents: &BTreeMap<String, Vec<u8>>, name: &str) -> String {
    String::from_utf8(contents[name].clone()).unwrap()
}

#[test]
fn events_and_metrics_are_lines_whose_times_stand_last() {
    let model = model();
    let contents = undisturbed(&events(&model));
    let lines = text(&contents, Record::EVENTS);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), PHASES * (1 + EPOCHS * (STEPS + 1)) + 3);
    assert_eq!(
        lines[1],
        r#"{"event":"step","phase":1,"phases":2,"steps_before":0,"epoch":1,"epochs":2,"step":1,"steps":3,"step_of_run":1,"loss":2.0,"accuracy":0.5,"batch_loss":1.0,"learning_rate":1e-7,"layer_kinds":{"3":"linear"},"layer_gradient_norms":{"3":null},"wall_time":1700000000.625,"images_per_second":1234.5,"seconds_left":0.25}"#
    );
    for line in &lines {
        let whole: serde_json::Value = serde_json::from_str(line).unwrap();
        let before = without_times(line).unwrap();
        let before: serde_json::Value = serde_json::from_str(&format!("{before}}}")).unwrap();
        let times = [
            "wall_time",
            "seconds",
            "waiting_seconds",
            "images_per_second",
            "seconds_left",
        ];
        for (name, value) in whole.as_object().unwrap() {
            let expected = (!times.contains(&name.as_str())).then_some(value);
            assert_eq!(before.get(name), expected, "{name} in {line}");
        }
    }
    let metrics = text(&contents, Record::METRICS);
    let lines: Vec<&str> = metrics.lines().collect();
    assert_eq!(
        lines[1],
        "1,1,3,0.0000001,0.3,0.9,,,,1700000001,1.5,0.125,1234.5"
    );
    assert_eq!(
        without_times(lines[4]),
        Some("2,2,12,0.0000001,0.3,0.9,0.5,0.5,0.5")
    );
}

#[test]
fn gradients_are_read_by_layer_in_the_order_of_the_network() {
    let model = model();
    let folder = tempfile::tempdir().unwrap();
    let mut record = Record::create(folder.path()).unwrap();
    record_from(0, &mut record, &events(&model));
    record.flush().unwrap();
    let path = folder.path().join(Record::EVENTS);
    let gradients = read_events(&path, 500).unwrap().gradients;
    let layers = gradients.layers.iter();
    let layers: Vec<(&str, &str)> = layers.map(|layer| (&*layer.name, &*layer.kind)).collect();
    assert_eq!(layers, [("0", "conv"), ("3", "linear")]);
    // One step of each epoch in the first phase, all steps in the second.
    assert_eq!(gradients.points.len(), EPOCHS + EPOCHS * STEPS);
    assert_eq!(gradients.points[0].norms, [None, None]);
    let last = gradients.points.last().unwrap();
    assert_eq!(
        (&last.norms[..], last.epochs),
        (&[Some(0.5), None][..], 4.0)
    );
    // Fewer points have the same mean.
    let few = read_events(&path, 3).unwrap().gradients;
    assert!(few.points.len() <= 4);
    let count: usize = few.points.iter().map(|point| point.count).sum();
    assert_eq!(count, gradients.points.len());
    assert_eq!(few.points.last().unwrap().norms, [Some(0.5), None]);
}

#[test]
fn of_many_layers_those_with_the_largest_and_smallest_last_norms_are_chosen() {
    let layers = (0..7).map(|layer| (format!("{layer}"), f64::from(layer * 3 % 7)));
    let line = layers
        .map(|(name, norm)| format!("\"{name}\":{norm}"))
        .collect::<Vec<_>>()
        .join(",");
    let line = format!(
        "{{\"event\":\"step\",\"epoch\":1,\"step\":1,\"steps\":1,\"layer_gradient_norms\":{{{line}}}}}\n"
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), line).unwrap();
    let gradients = read_events(file.path(), 9).unwrap().gradients;
    // The norms are 0 3 6 2 5 1 4.
    assert_eq!(gradients.outermost(3), [0, 2, 4]);
    assert_eq!(gradients.outermost(7), [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn what_depends_on_the_clock_alone_has_no_part_without_times() {
    let folder = tempfile::tempdir().unwrap();
    let mut record = Record::create(folder.path()).unwrap();
    record.add(&Event::Saved { seconds: 0.5 });
    record.add(&Event::NotSaved {
        problem: "full".into(),
    });
    for done in 1..=1000 {
        record.add(&Event::Features {
            done,
            all: 1000,
            seconds_left: 1.0,
        });
    }
    record.flush().unwrap();
    let lines = text(&contents(folder.path()), Record::EVENTS);
    let lines: Vec<&str> = lines.lines().collect();
    // The first and the last; in between one a second.
    assert!((4..100).contains(&lines.len()), "{lines:?}");
    assert!(lines.last().unwrap().contains(r#""done":1000,"#));
    assert!(lines.iter().all(|line| without_times(line).is_none()));
}

#[test]
fn values_that_json_cannot_write_become_null_and_stay_readable() {
    let model = model();
    let mut all = events(&model);
    for event in &mut all {
        if let Event::Step { gradient_norm, .. } = event {
            *gradient_norm = Some(f32::NAN);
        }
        if let Event::Epoch { loss, .. } = event {
            *loss = f32::INFINITY;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let mut record = Record::create(folder.path()).unwrap();
    record_from(0, &mut record, &all);
    record.flush().unwrap();
    let lines = text(&contents(folder.path()), Record::EVENTS);
    for line in lines.lines() {
        serde_json::from_str::<serde_json::Value>(line).expect(line);
    }
    assert!(lines.contains(r#""gradient_norm":null"#));
    let rows = read_metrics(&folder.path().join(Record::METRICS)).unwrap();
    assert!(rows.iter().all(|row| row.loss == f32::INFINITY));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// A process is killed `lost` events after its last checkpoint, while it writes; another one resumes.
    #[test]
    fn a_resumed_run_gives_the_files_of_an_undisturbed_one(
        kills in prop::collection::vec((0_usize..24, 0_usize..8, 0_usize..300), 1..4)
    ) {
        let model = model();
        let all = events(&model);
        let folder = tempfile::tempdir().unwrap();
        let mut record = Record::create_at(folder.path(), BEGIN).unwrap();
        let mut lengths = record.flush().unwrap();
        let mut done = 0;
        for (more, lost, garbage) in kills {
            let saved = (done + more).min(all.len());
            record_from(done, &mut record, &all[..saved]);
            lengths = record.flush().unwrap();
            record_from(saved, &mut record, &all[..(saved + lost).min(all.len())]);
            drop(record);
            for name in lengths.keys() {
                let path = folder.path().join(name);
                let mut bytes = fs::read(&path).unwrap();
                bytes.resize(bytes.len() + garbage, b'7');
                fs::write(&path, bytes).unwrap();
            }
            record = Record::resume(folder.path(), &lengths).unwrap();
            // A resumed run reports its phase again.
            if let Some(phase) = all[..saved].iter().rfind(|event| matches!(event, Event::Phase { .. })) {
                record.add(phase);
            }
            done = saved;
        }
        record_from(done, &mut record, &all);
        record.flush().unwrap();
        // A speed is known only from the first step on, and depends on the clock.
        let by_lines = |contents: &BTreeMap<String, Vec<u8>>, name: &str| -> Vec<String> {
            let text = text(contents, name);
            text.lines().filter_map(without_times).map(str::to_owned).collect()
        };
        let (expected, found) = (undisturbed(&all), contents(folder.path()));
        for (name, bytes) in &expected {
            match name == Record::METRICS {
                true => prop_assert_eq!(by_lines(&expected, name), by_lines(&found, name)),
                false => prop_assert_eq!(bytes, &found[name], "{}", name),
            }
        }
        prop_assert_eq!(expected.len(), found.len());
        prop_assert!(lengths.len() == 3);
    }
}

#[test]
fn a_long_run_finds_its_last_step_from_the_end_of_the_file() {
    let model = model();
    let all = events(&model);
    let folder = tempfile::tempdir().unwrap();
    let mut record = Record::create(folder.path()).unwrap();
    record_from(0, &mut record, &all);
    let place = record.place;
    for _ in 0..5_000 {
        record.add(&all[all.len() - 3]);
    }
    let lengths = record.flush().unwrap();
    assert!(lengths[Record::EVENTS] > 300_000);
    drop(record);
    let resumed = Record::resume(folder.path(), &lengths).unwrap();
    assert_eq!(resumed.place, place);
    assert_eq!(resumed.place.all_steps(), PHASES * EPOCHS * STEPS);
}

#[test]
fn files_that_do_not_fit_the_checkpoint_are_refused_and_stay_as_they_are() {
    let model = model();
    let folder = tempfile::tempdir().unwrap();
    let mut record = Record::create(folder.path()).unwrap();
    record_from(0, &mut record, &events(&model));
    let lengths = record.flush().unwrap();
    drop(record);
    let refused = |lengths: &BTreeMap<String, u64>| {
        let before = contents(folder.path());
        let refused = Record::resume(folder.path(), lengths).unwrap_err();
        assert_eq!(contents(folder.path()), before);
        assert!(matches!(refused, Error::Settings { .. }));
        refused.to_string()
    };
    for name in lengths.keys() {
        let shorter: BTreeMap<String, u64> = lengths
            .iter()
            .map(|(other, length)| (other.clone(), if other == name { length + 7 } else { 0 }))
            .collect();
        let message = refused(&shorter);
        let [found, needed] = [lengths[name], lengths[name] + 7].map(|length| length.to_string());
        assert!(message.contains(name.as_str()), "{message}");
        assert!(
            message.contains(&found) && message.contains(&needed),
            "{message}"
        );
        assert!(message.contains("`Trainer::from_model`"), "{message}");
        let mut without = lengths.clone();
        without.remove(name);
        let message = refused(&without);
        let stem = &name[..11.min(name.len())];
        assert!(message.contains(stem), "{message}");
    }
    let name = Record::METRICS;
    fs::remove_file(folder.path().join(name)).unwrap();
    assert!(refused(&lengths).contains("metrics.csv does not exist"));
}

#[test]
fn a_new_record_replaces_that_of_an_earlier_run_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let others = ["events.out.tfevents.1.host", "notes.txt"];
    for name in others {
        fs::write(folder.path().join(name), "mine").unwrap();
    }
    for begin in [BEGIN, BEGIN + 60.0] {
        let mut record = Record::create_at(folder.path(), begin).unwrap();
        record.add(&Event::Saved { seconds: 1.0 });
    }
    let contents = contents(folder.path());
    assert_eq!(contents.len(), 3 + others.len());
    assert_eq!(text(&contents, Record::EVENTS).lines().count(), 1);
    assert!(contents.contains_key("events.out.tfevents.1700000060.hubel"));
}

#[cfg(target_os = "linux")]
#[test]
fn training_goes_on_without_space_and_flush_returns_the_error() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.path().join(Record::EVENTS)).unwrap();
    let mut record = Record::create(folder.path()).unwrap();
    record_from(0, &mut record, &events(&model()));
    for _ in 0..2 {
        let error = record.flush().unwrap_err();
        assert!(matches!(&error, Error::Io { path, .. } if path.ends_with(Record::EVENTS)));
    }
    // The other files are written.
    let rows = read_metrics(&folder.path().join(Record::METRICS)).unwrap();
    assert_eq!(rows.len(), PHASES * EPOCHS);
}

#[test]
fn metrics_are_read_up_to_the_last_complete_line() {
    let model = model();
    let contents = undisturbed(&events(&model));
    let whole = &contents[Record::METRICS];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(Record::METRICS);
    fs::write(&path, whole).unwrap();
    let rows = read_metrics(&path).unwrap();
    assert_eq!(rows.len(), PHASES * EPOCHS);
    let mut written = Vec::new();
    metrics::write_header(&mut written);
    rows.iter().for_each(|row| row.write(&mut written));
    assert_eq!(&written, whole);
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let lines = whole[..length]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        let found = read_metrics(&path).unwrap();
        assert_eq!(found, rows[..lines.saturating_sub(1)]);
    }
    // Other columns, and an editor's line ends.
    let text = String::from_utf8(whole.clone()).unwrap();
    let other: String = text.lines().map(|line| format!("0,{line}\r\n")).collect();
    fs::write(&path, other.replacen("0,phase", "mine,phase", 1)).unwrap();
    assert_eq!(read_metrics(&path).unwrap(), rows);
    fs::write(&path, text.replacen("0.125", "soon", 1)).unwrap();
    let message = read_metrics(&path).unwrap_err().to_string();
    assert!(
        message.contains("line 2 of ") && message.contains("not `soon`"),
        "{message}"
    );
    assert!(read_metrics(&folder.path().join("none.csv")).is_err());
}

/// TensorBoard has read the committed file (`tests/tensorboard.rs`).
#[test]
fn the_file_for_tensorboard_has_the_bytes_that_tensorboard_has_read() {
    let model = model();
    let contents = undisturbed(&events(&model));
    let bytes = &contents["events.out.tfevents.1700000000.hubel"];
    let golden = include_bytes!("../../../tests/tensorboard/golden.tfevents");
    if bytes != golden {
        let path = std::env::temp_dir().join("golden.tfevents");
        fs::write(&path, bytes).unwrap();
        panic!(
            "{} has the new bytes; if the change is meant, copy it to hubel/tests/tensorboard and run read.py there",
            path.display()
        );
    }
}
