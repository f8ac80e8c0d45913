//! Texts: those of `--text`, or the lines of files or of stdin.
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;

use hubel::{Error, Predictor, shown};

use super::answers::{Answers, Classified, Columns, Given};
use super::{Outcome, Work, top};
use crate::args::Predict;
use crate::console::Console;

/// Lines that are classified at a time.
const CHUNK: usize = 64;
/// The longest line in bytes.
const LONGEST_LINE: u64 = 16 << 20;

/// Classifies the texts of the command line, or each line of its files that is not empty.
pub(super) fn run(arguments: &Predict, predictor: Predictor, _console: &Console) -> Outcome {
    let (out, json) = (arguments.out.as_deref(), arguments.json);
    let kind = predictor.model().preparation().medium.kind();
    let count = arguments.top.clamp(1, predictor.model().classes().len());
    let columns = Columns {
        top: count,
        kind,
        with_times: false,
    };
    let mut classifying = Classifying {
        answers: Answers::begin(out, json, columns)?,
        predictor,
        count,
        waiting: Vec::new(),
        work: Work::default(),
    };
    for text in &arguments.text {
        classifying.add(text.clone())?;
    }
    for path in &arguments.images {
        classifying.add_lines(path)?;
    }
    classifying.classify()?;
    classifying.answers.finish(&classifying.work)?;
    Ok(ExitCode::SUCCESS)
}

struct Classifying {
    answers: Answers,
    predictor: Predictor,
    /// Number of classes to show.
    count: usize,
    /// Texts that are not yet classified.
    waiting: Vec<String>,
    work: Work,
}

impl Classifying {
    /// Adds the lines of a file, or of stdin for `-`.
    fn add_lines(&mut self, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
        let is_stdin = path.as_os_str() == "-";
        let name = if is_stdin {
            "stdin".to_owned()
        } else {
            shown(path)
        };
        let reader: Box<dyn BufRead> = match is_stdin {
            true => Box::new(io::stdin().lock()),
            false => Box::new(BufReader::new(open(path)?)),
        };
        let mut reader = reader;
        for number in 1.. {
            let mut line = Vec::new();
            (reader.by_ref().take(LONGEST_LINE + 1)).read_until(b'\n', &mut line)?;
            if line.is_empty() || self.work.stopped {
                break;
            }
            let problem = |problem: &str| Error::DataFile {
                path: name.clone().into(),
                problem: format!("line {number} {problem}"),
            };
            if line.len() as u64 > LONGEST_LINE {
                return Err(problem("has no end within 16 MB").into());
            }
            let text =
                String::from_utf8(line).map_err(|_| problem("is not UTF-8; save it as UTF-8"))?;
            let text = text.trim_start_matches('\u{feff}').trim();
            if !text.is_empty() {
                self.add(text.to_owned())?;
            }
        }
        Ok(())
    }

    fn add(&mut self, text: String) -> Result<(), Box<dyn std::error::Error>> {
        self.waiting.push(text);
        match self.waiting.len() < CHUNK {
            true => Ok(()),
            false => self.classify(),
        }
    }

    /// Classifies the waiting texts.
    fn classify(&mut self) -> Result<(), Box<dyn std::error::Error>> {
        let texts = std::mem::take(&mut self.waiting);
        let predictions = self.predictor.predict_texts(&texts)?;
        let model = self.predictor.model();
        let vocabulary = model.vocabulary()?;
        self.work.done += texts.len();
        let classified = texts
            .into_iter()
            .zip(predictions)
            .map(|(text, prediction)| {
                let unknown = vocabulary.unknown_in(&text);
                Ok(Classified {
                    given: Given::Text(text, unknown, vocabulary.kind()),
                    top: top(model, &prediction, self.count),
                    prediction,
                })
            });
        let classified: Vec<_> = classified.collect();
        self.work.stopped |= !self.answers.add(&classified)?;
        Ok(())
    }
}

fn open(path: &Path) -> Result<File, Error> {
    let failed = |source| Error::Io {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    match file.metadata().map_err(failed)?.is_dir() {
        false => Ok(file),
        true => Err(Error::DataFile {
            path: path.to_owned(),
            problem: "it is a folder; a model of texts reads files with a text in each line".into(),
        }),
    }
}
