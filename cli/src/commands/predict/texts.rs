//! Texts: those of `--text`, of tables and folders, and the lines of files or of stdin.
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use hubel::data::{BadFile, Kind, text_in_file, texts_in_table};
use hubel::{Error, Predictor, shown};

use super::answers::{Answers, Classified, Columns, Given};
use super::{Outcome, Work, interruption, top};
use crate::args::Predict;
use crate::commands::names::{Names, in_folder};
use crate::console::Console;
use crate::interruption::Interruption;

/// Lines that are classified at a time.
const CHUNK: usize = 64;
/// The longest line in bytes.
const LONGEST_LINE: u64 = 16 << 20;

/// Classifies the texts of the command line: those of `--text`, the lines of stdin, and what its files and folders hold.
pub(super) fn run(arguments: &Predict, predictor: Predictor, console: &Console) -> Outcome {
    let (out, json) = (arguments.out.as_deref(), arguments.json);
    let kind = predictor.model().preparation().medium.kind();
    let count = arguments.top.clamp(1, predictor.model().classes().len());
    let columns = Columns {
        top: count,
        kind,
        with_times: false,
    };
    let sources = arguments.images.iter().map(|argument| {
        let is_stdin = argument.as_os_str() == "-";
        let names = || Names::new(std::slice::from_ref(argument), kind, console);
        (!is_stdin).then(names).transpose()
    });
    // Before the first answer is written.
    let sources: Vec<Option<Names>> = sources.collect::<Result<_, _>>()?;
    let mut classifying = Classifying {
        answers: Answers::begin(out, json, columns)?,
        interruption: interruption(arguments)?,
        predictor,
        count,
        waiting: Vec::new(),
        work: Work::default(),
    };
    for text in &arguments.text {
        classifying.add(None, text.clone())?;
    }
    for source in sources {
        match source {
            None => classifying.add_lines("stdin", io::stdin().lock())?,
            Some(names) => {
                for name in names {
                    classifying.add_named(&name?, console)?;
                }
            }
        }
    }
    classifying.classify()?;
    classifying.answers.finish(&classifying.work)?;
    Ok((classifying.work).end(kind, &classifying.interruption, console))
}

struct Classifying {
    answers: Answers,
    interruption: Interruption,
    predictor: Predictor,
    /// Number of classes to show.
    count: usize,
    /// Texts that are not yet classified, with the file of each that is one text.
    waiting: Vec<(Option<PathBuf>, String)>,
    work: Work,
}

impl Classifying {
    /// Adds what a path holds: each text file of a folder, the texts of a table, or each line of another file.
    fn add_named(
        &mut self,
        path: &Path,
        console: &Console,
    ) -> Result<(), Box<dyn std::error::Error>> {
        if path.is_dir() {
            for file in in_folder(path, Kind::Texts, console)? {
                match text_in_file(&file) {
                    Ok(text) => self.add(Some(file), text)?,
                    Err(error) => self.note_bad(file, &error)?,
                }
            }
            return Ok(());
        }
        let ending = path.extension().unwrap_or_default();
        let is_table = ["csv", "tsv"]
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known));
        if is_table && let Some((column, texts)) = texts_in_table(path)? {
            console.remark(&format!(
                "{}: the texts of its column `{column}` are classified",
                shown(path)
            ));
            for text in texts {
                self.add(None, text)?;
            }
            return Ok(());
        }
        let failed = Error::io("read", path);
        let file = File::open(path).map_err(failed)?;
        self.add_lines(&shown(path), BufReader::new(file))
    }

    /// Records a file that is no text. The texts before it come first.
    fn note_bad(&mut self, path: PathBuf, error: &Error) -> Result<(), Box<dyn std::error::Error>> {
        self.classify()?;
        let problem = match error {
            Error::DataFile { problem, .. } => problem.clone(),
            error => error.to_string(),
        };
        let bad = BadFile {
            path,
            problem,
            quarantined: None,
        };
        self.work.done += 1;
        self.work.stopped |= !self.answers.add(&[Err(bad.clone())])?;
        self.work.bad_files.push(bad);
        Ok(())
    }

    /// Adds the lines of a file that are not empty; `name` is for errors.
    fn add_lines(
        &mut self,
        name: &str,
        mut reader: impl BufRead,
    ) -> Result<(), Box<dyn std::error::Error>> {
        for number in 1.. {
            let mut line = Vec::new();
            (reader.by_ref().take(LONGEST_LINE + 1)).read_until(b'\n', &mut line)?;
            if line.is_empty() || self.work.stopped {
                break;
            }
            let problem = |problem: &str| Error::DataFile {
                path: name.into(),
                problem: format!("line {number} {problem}"),
            };
            if line.len() as u64 > LONGEST_LINE {
                return Err(problem("has no end within 16 MB").into());
            }
            let text =
                String::from_utf8(line).map_err(|_| problem("is not UTF-8; save it as UTF-8"))?;
            let text = text.trim_start_matches('\u{feff}').trim();
            if !text.is_empty() {
                self.add(None, text.to_owned())?;
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        path: Option<PathBuf>,
        text: String,
    ) -> Result<(), Box<dyn std::error::Error>> {
        if self.work.stopped {
            return Ok(());
        }
        self.waiting.push((path, text));
        match self.waiting.len() < CHUNK {
            true => Ok(()),
            false => self.classify(),
        }
    }

    /// Classifies the waiting texts.
    fn classify(&mut self) -> Result<(), Box<dyn std::error::Error>> {
        let waiting = std::mem::take(&mut self.waiting);
        if self.work.stopped {
            return Ok(());
        }
        let (paths, texts): (Vec<Option<PathBuf>>, Vec<String>) = waiting.into_iter().unzip();
        let predictions = self.predictor.predict_texts(&texts)?;
        let model = self.predictor.model();
        let vocabulary = model.vocabulary()?;
        self.work.done += texts.len();
        let classified =
            (paths.into_iter().zip(texts).zip(predictions)).map(|((path, text), prediction)| {
                let unknown = vocabulary.unknown_in(&text);
                Ok(Classified {
                    given: Given::Text {
                        path,
                        text,
                        unknown,
                        kind: vocabulary.kind(),
                    },
                    top: top(model, &prediction, self.count),
                    prediction,
                })
            });
        let classified: Vec<_> = classified.collect();
        self.work.stopped |= !self.answers.add(&classified)?;
        self.work.stopped |= self.interruption.signal().is_some();
        Ok(())
    }
}
