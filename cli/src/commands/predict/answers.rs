//! The output of `hubel predict`: lines or JSON on stdout, or a file (CSV or JSON lines).
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hubel::data::{BadFile, Kind, Tokens, Unknown};
use hubel::{Prediction, Replacement, one_line, shown};
use serde_json::{Value, json};

use super::super::remarks;
use super::Work;
use crate::console::{self, thousands};

/// What is classified.
pub(super) enum Given {
    /// A picture file.
    File(PathBuf),
    /// A sound file.
    Sound(PathBuf),
    /// A stretch of a sound file, from and to these seconds.
    Stretch(PathBuf, [f64; 2]),
    /// A text, how much of it the model does not know, and what its tokens are.
    Text {
        /// Its file, if that is one text.
        path: Option<PathBuf>,
        text: String,
        unknown: Unknown,
        kind: Tokens,
    },
}

/// A picture or a text, and what the model says of it.
pub(super) struct Classified {
    pub(super) given: Given,
    /// The most probable classes with their probabilities.
    pub(super) top: Vec<(String, f32)>,
    pub(super) prediction: Prediction,
}

/// That, or why the picture cannot be used.
type Answer = Result<Classified, BadFile>;

/// The destination of the answers. They are written as they come.
pub(super) enum Answers {
    /// Lines on stdout.
    Lines,
    /// One object on stdout.
    Object {
        /// Whether a prediction was already written.
        begun: bool,
    },
    /// A file, and a summary on stdout.
    File {
        file: Replacement,
        out: PathBuf,
        format: Format,
        /// Whether the summary is JSON.
        json: bool,
    },
}

/// The format of a file.
pub(super) enum Format {
    /// CSV with these columns.
    Csv(Columns),
    /// One JSON object per line, for data of this kind.
    JsonLines(Kind),
}

/// The columns of a table.
#[derive(Clone, Copy)]
pub(super) struct Columns {
    /// Number of classes per line.
    pub(super) top: usize,
    pub(super) kind: Kind,
    /// Whether each line is a stretch of a recording.
    pub(super) with_times: bool,
}

impl Answers {
    /// Opens the file `out`, whose extension decides the format, or stdout.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn begin(out: Option<&Path>, json: bool, columns: Columns) -> io::Result<Self> {
        let Some(out) = out else {
            return Ok(match json {
                true => Self::Object { begun: false },
                false => Self::Lines,
            });
        };
        let mut file = Replacement::create(out)?;
        let is_table = out
            .extension()
            .is_some_and(|ending| ending.eq_ignore_ascii_case(OsStr::new("csv")));
        let format = match is_table {
            true => Format::Csv(columns),
            false => Format::JsonLines(columns.kind),
        };
        if let Format::Csv(columns) = format {
            file.write_all(header(columns).as_bytes())?;
        }
        Ok(Self::File {
            file,
            out: out.to_owned(),
            format,
            json,
        })
    }

    /// Writes the answers for some pictures. Returns false if the pipe is closed.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(super) fn add(&mut self, answers: &[Answer]) -> io::Result<bool> {
        let predictions = || answers.iter().flatten();
        match self {
            Self::Lines => console::print_part(&predictions().map(to_text).collect::<String>()),
            Self::Object { begun } => {
                let mut text = String::new();
                for prediction in predictions() {
                    text += if *begun { "," } else { r#"{"predictions":["# };
                    text += &to_json(prediction).to_string();
                    *begun = true;
                }
                console::print_part(&text)
            }
            Self::File { file, format, .. } => {
                for answer in answers {
                    let line = match format {
                        Format::Csv(columns) => to_csv(answer, *columns),
                        Format::JsonLines(_) => match answer {
                            Ok(prediction) => to_json(prediction).to_string(),
                            Err(bad) => json!(bad).to_string(),
                        },
                    };
                    writeln!(file, "{line}")?;
                }
                Ok(true)
            }
        }
    }

    /// Writes the end of the output.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn finish(self, work: &Work) -> io::Result<()> {
        let bad_files = json!(work.bad_files);
        match self {
            Self::Lines => Ok(()),
            Self::Object { begun } => {
                let start = if begun { "" } else { r#"{"predictions":["# };
                console::print(&format!(r#"{start}],"bad_files":{bad_files}}}"#))
            }
            Self::File {
                file,
                out,
                json,
                format,
            } => {
                file.finish()?;
                if json {
                    let out = out.display().to_string();
                    let object =
                        json!({ "count": work.done, "out": out, "bad_files": work.bad_files });
                    return console::print(&object.to_string());
                }
                let bad = match work.bad_files.len() {
                    0 => String::new(),
                    bad => format!(", {} of them unusable", thousands(bad)),
                };
                let noun = match format {
                    Format::Csv(columns) => columns.kind.to_string(),
                    Format::JsonLines(kind) => kind.to_string(),
                };
                console::print(&format!(
                    "{noun:10} {}{bad}\nanswers    {}",
                    thousands(work.done),
                    shown(&out)
                ))
            }
        }
    }
}

fn to_json(classified: &Classified) -> Value {
    let prediction = &classified.prediction;
    let top = classified.top.iter();
    let top: Vec<Value> = top
        .map(|(class, probability)| json!([class, console::decimal(*probability)]))
        .collect();
    match &classified.given {
        Given::File(path) => json!({
            "path": path.display().to_string(),
            "class": prediction.class,
            "probability": console::decimal(prediction.probability),
            "sure": prediction.is_sure,
            "top": top,
            "inverted": prediction.inverted,
            "other_ground": prediction.other_ground,
            "greyed": prediction.greyed,
        }),
        Given::Sound(path) => json!({
            "path": path.display().to_string(),
            "class": prediction.class,
            "probability": console::decimal(prediction.probability),
            "sure": prediction.is_sure,
            "top": top,
            "cut": prediction.cut,
        }),
        Given::Stretch(path, [start, end]) => json!({
            "path": path.display().to_string(),
            "start": seconds(*start),
            "end": seconds(*end),
            "class": prediction.class,
            "probability": console::decimal(prediction.probability),
            "sure": prediction.is_sure,
            "top": top,
        }),
        Given::Text {
            path,
            text,
            unknown,
            ..
        } => json!({
            "path": path.as_ref().map(|path| path.display().to_string()),
            "text": text,
            "class": prediction.class,
            "probability": console::decimal(prediction.probability),
            "sure": prediction.is_sure,
            "top": top,
            "tokens": unknown.tokens,
            "unknown_tokens": unknown.unknown,
        }),
    }
}

/// `photo.jpg: 7  99.80 %  (then 1 0.10 %, 9 0.05 %)  inverted: light and dark exchanged, to match the training pictures`
fn to_text(classified: &Classified) -> String {
    let prediction = &classified.prediction;
    let percent = |(class, probability): &(String, f32)| {
        format!("{} {:.2} %", one_line(class), probability * 100.0)
    };
    let others: Vec<String> = classified.top.iter().skip(1).map(percent).collect();
    let not_sure = match prediction.is_sure {
        true => "",
        false => "not sure; most likely ",
    };
    let name = match &classified.given {
        Given::File(path) | Given::Sound(path) => shown(path),
        Given::Stretch(path, [start, end]) => {
            format!("{}  {start:7.2} – {end:7.2} s", shown(path))
        }
        Given::Text {
            path: Some(path), ..
        } => shown(path),
        Given::Text { text, .. } => shortened(text),
    };
    let mut line = format!(
        "{name}: {not_sure}{}  {:.2} %",
        one_line(&prediction.class),
        prediction.probability * 100.0
    );
    if !others.is_empty() {
        line += &format!("  (then {})", others.join(", "));
    }
    for remark in remarks(prediction) {
        line += &format!("  {remark}");
    }
    if let Given::Text { unknown, kind, .. } = &classified.given {
        line += &doubt(*unknown, *kind);
    }
    line + "\n"
}

/// A time, to the millisecond.
fn seconds(time: f64) -> f64 {
    (time * 1e3).round() / 1e3
}

/// A remark on a text of which the model knows little.
fn doubt(Unknown { tokens, unknown }: Unknown, kind: Tokens) -> String {
    match tokens {
        0 => "  the text is empty".to_owned(),
        _ if 2 * unknown > tokens => {
            format!("  {unknown} of its {tokens} {kind} are unknown to the model")
        }
        _ => String::new(),
    }
}

/// A text as part of a line.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    let line = one_line(text);
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.into_owned(),
    }
}

/// The header line of a table: the most probable class and its probability, the other classes, the remarks.
fn header(columns: Columns) -> String {
    let Columns {
        top,
        kind,
        with_times,
    } = columns;
    let others = (2..=top).map(|place| format!(",class_{place},probability_{place}"));
    let others = others.collect::<String>();
    match kind {
        Kind::Pictures | Kind::Clips => {
            format!("path,class,probability{others},sure,inverted,other_ground,greyed,problem\n")
        }
        Kind::Sounds if with_times => {
            format!("path,start,end,class,probability{others},sure,problem\n")
        }
        Kind::Sounds => format!("path,class,probability{others},sure,cut,problem\n"),
        Kind::Texts => {
            format!("text,class,probability{others},sure,tokens,unknown_tokens,path,problem\n")
        }
    }
}

/// A line of that table. For an unusable picture it has only the path and the problem.
fn to_csv(answer: &Answer, columns: Columns) -> String {
    let fields: Vec<String> = match answer {
        Ok(classified) => {
            let prediction = &classified.prediction;
            let classes = classified.top.iter();
            let classes = classes.flat_map(|(class, probability)| {
                [class.clone(), console::decimal(*probability).to_string()]
            });
            let sure = prediction.is_sure.to_string();
            let (names, remarks) = match &classified.given {
                Given::File(path) => {
                    let remarks = [
                        prediction.is_sure,
                        prediction.inverted,
                        prediction.other_ground,
                        prediction.greyed,
                    ];
                    let remarks = remarks.iter().map(bool::to_string);
                    let remarks: Vec<String> = remarks.chain([String::new()]).collect();
                    (vec![path.display().to_string()], remarks)
                }
                Given::Sound(path) => {
                    let remarks = vec![sure, prediction.cut.to_string(), String::new()];
                    (vec![path.display().to_string()], remarks)
                }
                Given::Stretch(path, times) => {
                    let times = times.map(|time| seconds(time).to_string());
                    let path = path.display().to_string();
                    (
                        [vec![path], times.to_vec()].concat(),
                        vec![sure, String::new()],
                    )
                }
                Given::Text {
                    path,
                    text,
                    unknown,
                    ..
                } => {
                    let counts = [unknown.tokens, unknown.unknown].map(|count| count.to_string());
                    let path = path.as_ref().map(|path| path.display().to_string());
                    let file = vec![path.unwrap_or_default(), String::new()];
                    (
                        vec![text.clone()],
                        [vec![sure], counts.to_vec(), file].concat(),
                    )
                }
            };
            names.into_iter().chain(classes).chain(remarks).collect()
        }
        Err(bad) => {
            let count = header(columns).split(',').count();
            let mut fields = vec![String::new(); count];
            let path = match columns.kind {
                Kind::Texts => count - 2,
                _ => 0,
            };
            fields[path] = bad.path.display().to_string();
            *fields.last_mut().expect("a table has fields") = bad.problem.clone();
            fields
        }
    };
    let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
    fields.join(",")
}

/// A field of a table (RFC 4180).
pub(in crate::commands) fn quoted(field: &str) -> String {
    let is_plain = !field.contains(['"', ',', '\n', '\r']) && field.trim() == field;
    match is_plain {
        true => field.into(),
        false => format!("\"{}\"", field.replace('"', "\"\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers() -> [Answer; 2] {
        let top = vec![("big \"cat\"".to_string(), 0.75), ("dog".to_string(), 0.25)];
        let mut prediction = Prediction::default();
        prediction.class.clone_from(&top[0].0);
        (prediction.probability, prediction.greyed) = (top[0].1, true);
        prediction.is_sure = true;
        let classified = Classified {
            given: Given::File("new/a,\nb.jpg".into()),
            top,
            prediction,
        };
        let bad = BadFile {
            path: "c.jpg".into(),
            problem: "it is damaged".into(),
            quarantined: None,
        };
        [Ok(classified), Err(bad)]
    }

    #[test]
    fn a_table_has_as_many_fields_in_each_line_and_says_of_every_picture_what_came_out() {
        let columns = Columns {
            top: 2,
            kind: Kind::Pictures,
            with_times: false,
        };
        assert_eq!(
            header(columns),
            "path,class,probability,class_2,probability_2,sure,inverted,other_ground,greyed,problem\n"
        );
        let [fine, bad] = answers().map(|answer| to_csv(&answer, columns));
        assert_eq!(
            fine,
            "\"new/a,\nb.jpg\",\"big \"\"cat\"\"\",0.75,dog,0.25,true,false,false,true,"
        );
        assert_eq!(bad, "c.jpg,,,,,,,,,it is damaged");
    }

    #[test]
    fn a_name_with_a_line_break_takes_one_line_of_text() {
        let [Ok(classified), _] = answers() else {
            panic!("the first is a prediction");
        };
        let text = to_text(&classified);
        assert_eq!(
            text,
            "new/a,\\nb.jpg: big \"cat\"  75.00 %  (then dog 25.00 %)  in grey: the model does not see colour\n"
        );
        let not_sure = Classified {
            prediction: Prediction::default(),
            ..classified
        };
        assert!(to_text(&not_sure).contains(": not sure; most likely "));
    }
}
