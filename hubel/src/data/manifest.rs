//! The list of a run's samples, by which a resumed run recognises its data.
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::data::{Dataset, Splits};
use crate::formats::atomic;
use crate::{Error, Result, shown};

/// The list of all samples of a run: split, class, content and path of each, in order. Training on other samples, or in another order, gives other bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    samples: Vec<Sample>,
}

/// One sample.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sample {
    /// `train`, `validation` or `test`.
    split: String,
    label: usize,
    /// The hash of its file or pixels.
    content: u64,
    /// Its path; empty if it is not from a file.
    path: String,
}

/// Samples that a message names; the others are counted.
const NAMED: usize = 5;

impl Manifest {
    /// The list of these samples.
    pub fn of(splits: &Splits) -> Self {
        let parts = [
            ("train", Some(&splits.train)),
            ("validation", splits.validation.as_ref()),
            ("test", splits.test.as_ref()),
        ];
        let samples = parts.into_iter().flat_map(|(split, dataset)| {
            let samples = |dataset: &Dataset| of_dataset(split, dataset);
            dataset.map(samples).unwrap_or_default()
        });
        Self {
            samples: samples.collect(),
        }
    }

    /// Writes it as a table: `split,class,content,path`, a line per sample.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn save(&self, file: &Path) -> Result<()> {
        let mut text = HEADER.to_owned() + "\n";
        for Sample {
            split,
            label,
            content,
            path,
        } in &self.samples
        {
            // A path may contain commas and line breaks; it is the last field, and JSON has no line breaks.
            let path = match path.is_empty() {
                true => String::new(),
                false => serde_json::to_string(path).expect("text becomes JSON"),
            };
            let _ = writeln!(text, "{split},{label},{content:016x},{path}");
        }
        atomic::replace_file(file, text.as_bytes())
    }

    /// Reads a table of [`Manifest::save`].
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Settings`] if it is damaged.
    pub fn load(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file).map_err(Error::io("read", file))?;
        let mut lines = text.lines();
        let damaged = |line: usize| Error::Settings {
            problem: format!("line {line} of {} is damaged", shown(file)),
        };
        if lines.next() != Some(HEADER) {
            return Err(damaged(1));
        }
        let samples = lines.enumerate().map(|(number, line)| {
            let fields: Vec<&str> = line.splitn(4, ',').collect();
            let [split, label, content, path] = fields[..] else {
                return Err(damaged(number + 2));
            };
            let read = || {
                Some(Sample {
                    split: split.into(),
                    label: label.parse().ok()?,
                    content: u64::from_str_radix(content, 16).ok()?,
                    path: match path.is_empty() {
                        true => String::new(),
                        false => serde_json::from_str(path).ok()?,
                    },
                })
            };
            read().ok_or_else(|| damaged(number + 2))
        });
        Ok(Self {
            samples: samples.collect::<Result<_>>()?,
        })
    }

    /// The hashes of the samples of a split: `train`, `validation` or `test`. A hash is that of the sample's file, or of its pixels if it has no file.
    pub fn contents(&self, split: &str) -> impl Iterator<Item = u64> {
        let samples = self.samples.iter();
        let samples = samples.filter(move |sample| sample.split == split);
        samples.map(|sample| sample.content)
    }

    /// Which samples of `dataset` are in a split of the run: `train`, `validation` or `test`.
    pub fn are_in(&self, split: &str, dataset: &Dataset) -> Vec<bool> {
        let own: HashSet<u64> = self.contents(split).collect();
        let contents = dataset.contents();
        contents.map(|content| own.contains(&content)).collect()
    }

    /// Which samples of `dataset` took part in the training of the run: those to train on, and those for validation, which chose the weights.
    pub fn took_part(&self, dataset: &Dataset) -> Vec<bool> {
        let parts = ["train", "validation"].into_iter();
        let used: HashSet<u64> = parts.flat_map(|split| self.contents(split)).collect();
        let contents = dataset.contents();
        contents.map(|content| used.contains(&content)).collect()
    }

    /// What has changed since `self`: samples that are missing, new, changed, or in another class or split. `None` if the data is the same; its files may have been moved
    /// together.
    pub fn changes(&self, now: &Self) -> Option<String> {
        let bare = |sample: &Sample| (sample.split.clone(), sample.label, sample.content);
        if self.samples.len() == now.samples.len()
            && std::iter::zip(&self.samples, &now.samples).all(|(old, new)| bare(old) == bare(new))
        {
            return None;
        }
        let [old, new] = [self, now].map(Self::by_name);
        let mut lists: [Vec<String>; 4] = Default::default();
        let [missing, added, changed, moved] = &mut lists;
        for sample in &self.samples {
            match new.get(&sample.name()) {
                None => missing.push(sample.shown()),
                Some(other) if other.content != sample.content => changed.push(sample.shown()),
                Some(other) if bare(other) != bare(sample) => moved.push(sample.shown()),
                Some(_) => {}
            }
        }
        let unknown = (now.samples.iter()).filter(|sample| !old.contains_key(&sample.name()));
        added.extend(unknown.map(Sample::shown));
        let what = ["missing", "new", "changed", "in another class or split"];
        let lines: Vec<String> = std::iter::zip(what, &lists)
            .filter(|(_, samples)| !samples.is_empty())
            .map(|(what, samples)| {
                let named = samples[..samples.len().min(NAMED)].join("\n    ");
                let rest = match samples.len().saturating_sub(NAMED) {
                    0 => String::new(),
                    rest => format!("\n    and {rest} more"),
                };
                format!("  {what}: {}\n    {named}{rest}", samples.len())
            })
            .collect();
        Some(match lines.is_empty() {
            true => "  the order of the samples is another one".to_owned(),
            false => lines.join("\n"),
        })
    }

    /// The samples by path, or by content if they have no path.
    fn by_name(&self) -> HashMap<String, &Sample> {
        self.samples
            .iter()
            .map(|sample| (sample.name(), sample))
            .collect()
    }
}

const HEADER: &str = "split,class,content,path";

fn of_dataset(split: &str, dataset: &Dataset) -> Vec<Sample> {
    let contents = dataset.contents();
    std::iter::zip(dataset.labels(), contents)
        .enumerate()
        .map(|(index, (label, content))| Sample {
            split: split.to_owned(),
            label: *label,
            content,
            path: dataset
                .path(index)
                .map(|path| path.to_string_lossy().into_owned())
                .unwrap_or_default(),
        })
        .collect()
}

impl Sample {
    fn name(&self) -> String {
        match self.path.is_empty() {
            true => format!("{:016x}", self.content),
            false => self.path.clone(),
        }
    }

    fn shown(&self) -> String {
        match self.path.is_empty() {
            true => format!("a {} sample of class {}", self.split, self.label),
            false => shown(Path::new(&self.path)).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    fn splits(values: &[u8]) -> Splits {
        let labels = (0..values.len()).map(|i| i % 2).collect();
        let classes = vec!["a".to_owned(), "b".to_owned()];
        let shape = Shape::new(1, 1, 1);
        let train = Dataset::from_bytes("x", classes, shape, values.to_vec(), labels);
        let train = train.expect("valid");
        let held_out = train.subset(&[0]);
        Splits::found("x".into(), train, Some(held_out), None)
    }

    #[test]
    fn a_list_is_read_as_it_was_written_and_damage_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("data.csv");
        let mut manifest = Manifest::of(&splits(&[1, 2, 3]));
        manifest.samples[1].path = "odd, \"names\"\nof files".into();
        manifest.save(&file).expect("written");
        assert_eq!(Manifest::load(&file).expect("whole"), manifest);
        fs::write(&file, HEADER.to_owned() + "\ntrain,0,zz,\n").expect("written");
        let refused = Manifest::load(&file).expect_err("damaged").to_string();
        assert!(refused.contains("line 2"), "{refused}");
    }

    #[test]
    fn training_and_validation_samples_took_part_and_test_samples_did_not() {
        let Splits {
            train, validation, ..
        } = splits(&[1, 2, 3]);
        let test = Some(train.subset(&[2]));
        let divided = Splits::found("x".into(), train.subset(&[1]), validation, test);
        assert_eq!(
            Manifest::of(&divided).took_part(&train),
            [true, true, false]
        );
        assert_eq!(
            Manifest::of(&divided).are_in("test", &train),
            [false, false, true]
        );
    }

    #[test]
    fn changes_are_named_and_a_moved_folder_is_none() {
        let named = |values: &[u8], folder: &str| {
            let mut manifest = Manifest::of(&splits(values));
            for (i, sample) in manifest.samples.iter_mut().enumerate() {
                sample.path = format!("{folder}/{i}.png");
            }
            manifest
        };
        let before = named(&[1, 2, 3, 4], "photos");
        assert_eq!(before.changes(&before), None);
        assert_eq!(before.changes(&named(&[1, 2, 3, 4], "elsewhere")), None);
        let changed = before.changes(&named(&[1, 9, 3, 4], "photos"));
        assert_eq!(changed.as_deref(), Some("  changed: 1\n    photos/1.png"));

        let mut fewer = before.clone();
        fewer.samples.remove(2);
        let missing = before.changes(&fewer).expect("other data");
        assert_eq!(missing, "  missing: 1\n    photos/2.png");
        assert_eq!(
            fewer.changes(&before).expect("other data"),
            "  new: 1\n    photos/2.png"
        );
        let mut relabelled = before.clone();
        relabelled.samples[0].label = 1;
        let moved = before.changes(&relabelled).expect("other data");
        assert!(moved.contains("in another class or split: 1"), "{moved}");
        let mut reordered = before.clone();
        reordered.samples.swap(0, 2);
        assert!(before.changes(&reordered).expect("other").contains("order"));

        // Samples that have no files.
        let [old, new] =
            [&[1_u8, 2, 3, 4, 5, 6, 7][..], &[1, 2]].map(|all| Manifest::of(&splits(all)));
        let missing = old.changes(&new).expect("other data");
        assert!(
            missing.contains("missing: 5\n    a train sample of class 0"),
            "{missing}"
        );
    }
}
