//! Recordings: `silent`, `clipped`, `other-rate` and `too-short`; copies, by their waveforms; and a note on speakers.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::check::damage::Damage;
use crate::check::examine::{Facts, Sample, Samples, Seen};
use crate::check::{Finding, Kind};
use crate::data::Spectrogram;
use crate::data::catalogue::{Catalogue, File, Part, thousands};
use crate::data::fingerprint::{Fingerprint, Likenesses};
use crate::data::sound::copies::{self, COPY_CORRELATION, Waveform, correlation};
use crate::data::sound::decode::{Recording, decode};
use crate::data::sound::faults;
use crate::on_all_cores::on_all_cores;

/// More recordings than this are compared byte for byte alone, because all pairs are compared otherwise.
const MOST_COMPARED: usize = 20_000;

/// A recording that can be decoded.
pub(super) struct Heard {
    fingerprint: Fingerprint,
    facts: faults::Facts,
    rate: u32,
    /// `None` for silence.
    sound: Option<copies::Fingerprint>,
}

/// What the check of recordings found.
pub(super) struct Examined {
    pub(super) samples: Samples,
    pub(super) likenesses: Likenesses,
    pub(super) findings: Vec<Finding>,
    pub(super) notes: Vec<String>,
}

/// Examines all recordings of a catalogue.
pub(super) fn examine(catalogue: &Catalogue, listen: &(dyn Fn(usize, usize) + Sync)) -> Examined {
    let files = &catalogue.files;
    let heard = on_all_cores(files.iter(), hear, |done| listen(done, files.len()));
    let mut usable: Vec<(&File, &Heard)> = Vec::new();
    usable.extend(
        files
            .iter()
            .zip(&heard)
            .filter_map(|(file, heard)| Some((file, heard.as_ref().ok()?))),
    );
    let mut notes: Vec<String> = speakers(catalogue).into_iter().collect();
    if usable.len() > MOST_COMPARED {
        notes.push(format!(
            "more than {} recordings: copies were searched for byte for byte alone",
            thousands(MOST_COMPARED)
        ));
    }
    let likenesses = likenesses(&usable);
    let findings = findings(&usable);
    let all = files.iter().zip(heard).map(|(file, heard)| Sample {
        name: file.path.to_string_lossy().into_owned(),
        label: file.label,
        part: file.part,
        seen: match heard {
            Ok(heard) => Seen::Whole(Facts::unseen(heard.fingerprint)),
            Err(why) if why.starts_with("it breaks off") => Seen::Damaged(Damage::Truncated(why)),
            Err(why) => Seen::Damaged(Damage::Unreadable(why)),
        },
    });
    let all = all.collect();
    Examined {
        samples: Samples::of_recordings(catalogue, all),
        likenesses,
        findings,
        notes,
    }
}

/// Decodes a recording and keeps the facts about it, or the reason why it cannot be decoded.
fn hear(file: &File) -> Result<Heard, String> {
    let contents = file.contents().map_err(|error| error.without_path())?;
    let recording = decode(&contents, &file.path).map_err(|error| error.without_path())?;
    Ok(Heard {
        fingerprint: Fingerprint::of_content(&contents),
        facts: faults::Facts::of(&recording.samples, recording.rate),
        rate: recording.rate,
        sound: copies::Fingerprint::of(&recording.samples, recording.rate),
    })
}

/// Groups of recordings that are equal byte for byte, or copies of each other.
fn likenesses(usable: &[(&File, &Heard)]) -> Likenesses {
    let contents: Vec<u64> = usable
        .iter()
        .map(|(_, own)| own.fingerprint.content)
        .collect();
    let pairs = match usable.len() > MOST_COMPARED {
        true => Vec::new(),
        false => candidates(usable),
    };
    let are_copies = |&(one, other): &(usize, usize)| {
        let [a, b] = [one, other].map(|place| decoded(usable[place].0));
        let (Some(a), Some(b)) = (a, b) else {
            return false;
        };
        let [a, b] = [&a, &b].map(|recording| Waveform {
            samples: &recording.samples,
            rate: recording.rate,
        });
        correlation(a, b).is_ok_and(|correlation| correlation > COPY_CORRELATION)
    };
    let found = on_all_cores(pairs.iter(), are_copies, |_| ());
    let copies = pairs.into_iter().zip(found);
    Likenesses::of_pairs(
        &contents,
        copies.filter_map(|(pair, is_copy)| is_copy.then_some(pair)),
    )
}

fn decoded(file: &File) -> Option<Recording> {
    decode(&file.contents().ok()?, &file.path).ok()
}

/// Pairs of recordings with other bytes that may be copies.
fn candidates(usable: &[(&File, &Heard)]) -> Vec<(usize, usize)> {
    let mut sounds: Vec<(usize, &copies::Fingerprint)> = Vec::new();
    let mut met = BTreeSet::new();
    for (place, (_, own)) in usable.iter().enumerate() {
        // Of equal bytes, the first is compared.
        if let Some(sound) = own
            .sound
            .as_ref()
            .filter(|_| met.insert(own.fingerprint.content))
        {
            sounds.push((place, sound));
        }
    }
    sounds.sort_by(|(_, one), (_, other)| one.seconds.total_cmp(&other.seconds));
    let sounds = &sounds;
    let of_one = |first: usize| {
        let (place, sound) = sounds[first];
        let later = sounds[first + 1..].iter();
        // Distances are infinite from the first recording on that is too long.
        let later = later.take_while(|(_, other)| sound.distance(other).is_finite());
        let alike = later.filter(|(_, other)| sound.is_candidate(other));
        alike.map(|(other, _)| (place, *other)).collect::<Vec<_>>()
    };
    on_all_cores(0..sounds.len(), of_one, |_| ()).concat()
}

/// The findings about single recordings.
fn findings(usable: &[(&File, &Heard)]) -> Vec<Finding> {
    let rate = usual_rate(usable);
    let window = rate.map(Spectrogram::at);
    let mut findings = Vec::new();
    for (file, own) in usable {
        let mut found = |kind, detail| {
            findings.push(Finding {
                kind,
                paths: vec![file.path.to_string_lossy().into_owned()],
                detail,
                points: None,
            });
        };
        let facts = &own.facts;
        if facts.silent {
            found(
                Kind::Silent,
                match facts.zero {
                    true => "all samples are 0".to_owned(),
                    false => format!(
                        "its loudest sample is at {:.0} dB of full scale",
                        facts.peak
                    ),
                },
            );
        }
        if facts.is_clipped() {
            let percent = 100.0 * facts.clipped;
            found(
                Kind::Clipped,
                format!("{percent:.1} % of its samples are cut off at full scale"),
            );
        }
        if let Some(usual) = rate.filter(|usual| *usual != own.rate) {
            found(
                Kind::OtherRate,
                format!(
                    "its sampling rate is {} Hz, that of most is {usual} Hz",
                    own.rate
                ),
            );
        }
        let shortest = window.map_or(0.0, |window| window.window as f64 / f64::from(window.rate));
        if facts.seconds < shortest {
            found(
                Kind::TooShort,
                format!(
                    "it lasts {:.0} ms, less than a window of {:.0} ms",
                    1e3 * facts.seconds,
                    1e3 * shortest
                ),
            );
        }
    }
    findings
}

/// The rate of at least nine tenths of the recordings.
fn usual_rate(usable: &[(&File, &Heard)]) -> Option<u32> {
    let mut counts = BTreeMap::<u32, usize>::new();
    for (_, own) in usable {
        *counts.entry(own.rate).or_default() += 1;
    }
    let (rate, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    (10 * count >= 9 * usable.len()).then_some(rate)
}

/// More prefixes than these are no speakers, or sessions.
const MOST_SPEAKERS: usize = 200;

/// A note if file names begin with words that seem to be speakers: few of them, each in most classes. Names the splits that share some.
fn speakers(catalogue: &Catalogue) -> Option<String> {
    let mut classes = BTreeMap::<String, BTreeSet<usize>>::new();
    let mut parts = BTreeMap::<String, BTreeSet<Option<Part>>>::new();
    for file in &catalogue.files {
        let prefix = prefix(&file.path)?;
        classes
            .entry(prefix.clone())
            .or_default()
            .insert(file.label);
        parts.entry(prefix).or_default().insert(file.part);
    }
    let is_everywhere = |own: &BTreeSet<usize>| 2 * own.len() > catalogue.classes.len();
    let are_speakers = (2..=MOST_SPEAKERS).contains(&classes.len())
        && catalogue.files.len() >= 3 * classes.len()
        && classes.values().all(is_everywhere);
    if !are_speakers {
        return None;
    }
    let first = classes.keys().next()?;
    let shared = parts.values().filter(|own| own.len() > 1).count();
    let advice = match (shared, catalogue.count(None)) {
        (0, 0) => return None,
        (0, _) => "the recordings of one may be held out and trained on: for a score on new speakers, put all of a speaker into one of the folders train and test".to_owned(),
        (shared, _) => format!(
            "{} of them are in several splits, so the score says little about new speakers",
            thousands(shared)
        ),
    };
    Some(format!(
        "the file names begin with {} different words, such as `{first}`, each in most classes; if these are speakers or sessions: {advice}",
        thousands(classes.len())
    ))
}

/// The first word of a file's name, before a hyphen, an underscore, a point or a space; `None` if it has only one, or a number of its own.
fn prefix(path: &Path) -> Option<String> {
    let name = path.file_stem()?.to_string_lossy().into_owned();
    let (first, rest) = name.split_once(['-', '_', '.', ' '])?;
    (!first.is_empty() && !rest.is_empty()).then(|| first.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use crate::check::{Inspection, check};
    use crate::data::sound::tests::wav;

    /// Half a second of noise that fades; each `seed` has its own.
    fn noise(seed: u32, rate: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761);
        let count = rate / 2;
        (0..count)
            .map(|i| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = (state >> 8) as f32 / (1 << 23) as f32 - 1.0;
                0.3 * noise * (1.0 - i as f32 / count as f32)
            })
            .collect()
    }

    fn write(root: &Path, name: &str, rate: u32, samples: Vec<f32>) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, wav(rate, samples.into_iter())).expect("a file");
    }

    /// Two classes of 30 recordings for training and 5 for the test.
    fn healthy(root: &Path) {
        for (place, class) in ["ba", "bu"].into_iter().enumerate() {
            for i in 0..35_u32 {
                let part = if i < 30 { "train" } else { "test" };
                let name = format!("{part}/{class}/take{i}.wav");
                write(root, &name, 8000, noise(1 + 100 * place as u32 + i, 8000));
            }
        }
    }

    fn found(root: &Path) -> (Inspection, BTreeSet<(String, Vec<String>)>) {
        let inspection = check(root, &|_, _| ()).expect("data");
        let relative = |path: &String| {
            let path = Path::new(path).strip_prefix(root).expect("in the data");
            path.to_string_lossy().replace('\\', "/")
        };
        let findings = inspection.findings.iter().map(|finding| {
            let paths = finding.paths.iter().map(relative);
            (finding.kind.to_string(), paths.collect())
        });
        let findings = findings.collect();
        (inspection, findings)
    }

    #[test]
    fn planted_faults_are_found_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        healthy(root);
        let (inspection, findings) = found(root);
        assert!(
            findings.is_empty() && !inspection.is_grave(),
            "{findings:?}"
        );
        assert!(inspection.notes.is_empty(), "{:?}", inspection.notes);

        let louder = |samples: Vec<f32>, factor: f32| -> Vec<f32> {
            samples.into_iter().map(|sample| factor * sample).collect()
        };
        write(root, "train/ba/silent.wav", 8000, vec![0.0; 4000]);
        write(
            root,
            "train/ba/clipped.wav",
            8000,
            louder(noise(900, 8000), 12.0),
        );
        write(root, "train/ba/rate.wav", 16_000, noise(901, 16_000));
        write(
            root,
            "train/ba/short.wav",
            8000,
            noise(902, 8000)[..100].to_vec(),
        );
        write(root, "train/bu/copy.wav", 8000, noise(101, 8000));
        write(
            root,
            "train/bu/quiet.wav",
            8000,
            louder(noise(102, 8000), 0.4),
        );
        write(root, "train/bu/conflict.wav", 8000, noise(3, 8000));
        write(root, "test/ba/leak.wav", 8000, louder(noise(4, 8000), 0.5));
        std::fs::write(
            root.join("train/bu/torn.wav"),
            &wav(8000, noise(903, 8000).into_iter())[..999],
        )
        .expect("a file");
        std::fs::write(root.join("train/bu/text.wav"), "hello").expect("a file");
        let (inspection, findings) = found(root);
        let expected: [(&str, &[&str]); 10] = [
            ("silent", &["train/ba/silent.wav"]),
            ("clipped", &["train/ba/clipped.wav"]),
            ("other-rate", &["train/ba/rate.wav"]),
            ("too-short", &["train/ba/short.wav"]),
            (
                "exact-duplicate",
                &["train/bu/copy.wav", "train/bu/take0.wav"],
            ),
            (
                "near-duplicate",
                &["train/bu/quiet.wav", "train/bu/take1.wav"],
            ),
            (
                "label-conflict",
                &["train/ba/take2.wav", "train/bu/conflict.wav"],
            ),
            ("split-leak", &["train/ba/take3.wav", "test/ba/leak.wav"]),
            ("truncated", &["train/bu/torn.wav"]),
            ("unreadable", &["train/bu/text.wav"]),
        ];
        for (kind, paths) in expected {
            let paths: BTreeSet<&str> = paths.iter().copied().collect();
            let is_it = |(own, found): &&(String, Vec<String>)| {
                own == kind && found.iter().map(String::as_str).collect::<BTreeSet<_>>() == paths
            };
            assert!(
                findings.iter().any(|finding| is_it(&finding)),
                "{kind}: {findings:?}"
            );
        }
        assert_eq!(findings.len(), expected.len(), "{findings:?}");
        assert!(inspection.is_grave());
    }

    #[test]
    fn speakers_in_several_splits_are_a_note() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let note = || check(root, &|_, _| ()).expect("data").notes.join("\n");
        for (seed, name) in [
            "train/ba/anna-1",
            "train/bu/anna-1",
            "train/ba/otto-1",
            "train/bu/otto-1",
            "test/ba/eva-1",
            "test/bu/eva-1",
            "train/ba/otto-2",
            "train/bu/otto-2",
            "train/ba/otto-3",
        ]
        .into_iter()
        .enumerate()
        {
            write(
                root,
                &format!("{name}.wav"),
                8000,
                noise(seed as u32 + 1, 8000),
            );
        }
        assert_eq!(note(), "");
        write(root, "test/ba/otto-9.wav", 8000, noise(50, 8000));
        assert!(
            note().contains("3 different words, such as `anna`")
                && note().contains("1 of them are in several splits"),
            "{}",
            note()
        );
    }
}
