//! The page with the findings; its plots and pictures are also written as files.
use std::fs;
use std::path::{Path, PathBuf};

use askama::Template;
use hubel::Error;
use hubel::lab::{Claim, Fact, Findings, Table};

use super::ALL;
use super::text::{self, capital};
use crate::chart;
use crate::page::{self, embedded};

#[derive(Template)]
#[template(path = "lab.html")]
struct Page<'a> {
    command: &'static str,
    title: String,
    colours: &'static str,
    sections: Vec<Section<'a>>,
}

/// One experiment.
struct Section<'a> {
    findings: &'a Findings,
    items: String,
    question: String,
    setup: &'a [Fact],
    claims: Vec<Judged<'a>>,
    tables: Vec<Shown<'a>>,
    charts: Vec<Figure>,
    pictures: Vec<Figure>,
}

struct Judged<'a> {
    claim: &'a Claim,
    state: &'static str,
    because: String,
}

struct Shown<'a> {
    title: &'a str,
    heads: Vec<Entry>,
    rows: Vec<Vec<Entry>>,
}

/// A cell with its style: `word` is left-aligned, `sentence` is broken into lines, `number` is right-aligned.
struct Entry {
    text: String,
    style: &'static str,
}

/// Longer text is broken into lines.
const SENTENCE: usize = 48;

impl Entry {
    fn new(text: String, is_word: bool) -> Self {
        let style = match (is_word, text.chars().count() > SENTENCE) {
            (true, true) => "word sentence",
            (true, false) => "word",
            (false, _) => "number",
        };
        Self { text, style }
    }
}

/// A chart as SVG, or a picture as a data URL.
struct Figure {
    caption: String,
    content: String,
}

/// Creates the folder for the page if it does not exist.
pub(super) fn make_folder(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::io("create", folder))
}

/// Writes the page into the folder, and each plot and picture as a file beside it. Returns the paths, the page first.
pub(super) fn write(folder: &Path, name: &str, all: &[Findings]) -> Result<Vec<PathBuf>, Error> {
    let path = folder.join(format!("{name}.html"));
    let page = Page {
        command: "lab",
        title: match all {
            [findings] if name != ALL => findings.title.to_owned(),
            _ => "The tutorial's claims, run".into(),
        },
        colours: chart::STYLE,
        sections: all.iter().map(section).collect(),
    };
    page::write(&path, &page)?;
    let mut files = vec![path];
    for findings in all {
        for (number, chart) in (1..).zip(&findings.charts) {
            let path = folder.join(format!("{}-{number}.svg", findings.name));
            hubel::replace_file(&path, chart::file(chart).as_bytes())?;
            files.push(path);
        }
        for picture in &findings.pictures {
            let path = folder.join(format!("{}-{}.png", findings.name, picture.name));
            picture.drawing.save(&path)?;
            files.push(path);
        }
    }
    Ok(files)
}

fn section(findings: &Findings) -> Section<'_> {
    let claims = findings.claims.iter().map(|claim| Judged {
        claim,
        state: text::state(claim.verdict),
        because: capital(&claim.because),
    });
    let charts = findings.charts.iter().map(|chart| Figure {
        caption: chart.title.clone(),
        content: chart::svg(chart),
    });
    let pictures = findings.pictures.iter().map(|picture| Figure {
        caption: capital(&picture.caption),
        content: embedded("image/png", &picture.drawing.png()),
    });
    Section {
        findings,
        items: findings.items.join(", "),
        question: capital(findings.question),
        setup: &findings.setup,
        claims: claims.collect(),
        tables: findings.tables.iter().map(shown).collect(),
        charts: charts.collect(),
        pictures: pictures.collect(),
    }
}

fn shown(table: &Table) -> Shown<'_> {
    let columns = || table.columns.iter().enumerate();
    let rows = table.rows.iter().map(|row| {
        columns()
            .map(|(place, column)| {
                let text = row[place].shown(column);
                Entry::new(text, table.is_of_words(place))
            })
            .collect()
    });
    Shown {
        title: &table.title,
        heads: columns()
            .map(|(place, column)| Entry::new(column.heading(), table.is_of_words(place)))
            .collect(),
        rows: rows.collect(),
    }
}
