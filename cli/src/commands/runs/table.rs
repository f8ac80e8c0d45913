//! The list as a table that fits the terminal.
use std::path::Path;

use hubel::{one_line, shown};

use super::{Found, Run};
use crate::commands::wrapped;
use crate::console::{clock, thousands};
use crate::date;

/// The longest cells; a longer one is cut.
const LONGEST: usize = 24;

/// Space between two columns.
const GAP: usize = 2;

/// What a run does not have.
const NOTHING: &str = "–";

/// A column of the table.
struct Column {
    head: String,
    cells: Vec<String>,
    is_number: bool,
    /// If the table is too wide, the column with the highest number is left out. Those with 0 always stay.
    rank: usize,
}

/// The table, and the folders that cannot be read.
pub(super) fn text(found: &Found, folder: &Path, width: usize) -> String {
    let mut lines = Vec::new();
    if found.runs.is_empty() {
        lines.push(format!(
            "no runs in {}; `hubel train` starts one",
            shown(folder)
        ));
    } else {
        let (common, columns) = columns(found);
        lines.extend(wrapped(&heading(found.runs.len(), &common), "", width));
        let (columns, left_out) = fitting(columns, width);
        lines.push(String::new());
        lines.extend(rows(&columns));
        if !left_out.is_empty() {
            lines.push(String::new());
            let note = format!(
                "not shown in {width} columns: {} (--json has everything)",
                left_out.join(", ")
            );
            lines.extend(wrapped(&note, "", width));
        }
    }
    if !found.unreadable.is_empty() {
        lines.push(String::new());
        lines.push("cannot be read:".into());
        for (name, problem) in &found.unreadable {
            lines.extend(wrapped(&format!("{name}: {problem}"), "  ", width));
        }
    }
    lines.join("\n")
}

/// `3 runs on mnist with mnist-cnn`, as far as all have the same.
fn heading(runs: usize, common: &[String]) -> String {
    let runs = match runs {
        1 => "1 run".to_owned(),
        runs => format!("{} runs", thousands(runs)),
    };
    format!("{runs}{}", common.concat())
}

/// What all runs have in common, and a column for each thing that differs.
fn columns(found: &Found) -> (Vec<String>, Vec<Column>) {
    let runs = &found.runs;
    let column = |head: &str, is_number, rank, cell: &dyn Fn(&Run) -> Option<String>| Column {
        head: head.into(),
        cells: (runs.iter())
            .map(|run| {
                cell(run).map_or_else(|| NOTHING.into(), |text| one_line(&text).into_owned())
            })
            .collect(),
        is_number,
        rank,
    };
    let percent = |share: f32| format!("{:.2} %", 100.0 * share);
    let mut columns = vec![column("run", false, 0, &|run| Some(run.name.clone()))];
    let mut common = Vec::new();
    for (head, preposition, cell, rank) in [
        (
            "data",
            "on",
            &Run::data as &dyn Fn(&Run) -> Option<String>,
            3,
        ),
        ("network", "with", &Run::network, 4),
    ] {
        let column = column(head, false, rank, cell);
        let first = column.cells.first().cloned().unwrap_or_default();
        if column.cells.iter().any(|cell| *cell != first) {
            columns.push(column);
        } else if first != NOTHING {
            common.push(format!(" {preposition} {}", shortened(&first, 40)));
        }
    }
    let settings = found.differing();
    // The last settings are left out first, but after the time, network, data and date.
    let before = |place: usize| 10 + place;
    columns.extend([
        column("state", false, 2, &|run| Some(run.state())),
        column("validation", true, 0, &|run| {
            run.validation_accuracy().map(percent)
        }),
        column("test", true, 1, &|run| {
            run.number("test_accuracy").map(percent)
        }),
    ]);
    for (place, name) in settings.iter().enumerate() {
        let mut column = column(name, false, before(place), &|run| run.toml.setting(name));
        let mut values = column.cells.iter().filter(|cell| *cell != NOTHING);
        column.is_number = values.all(|cell| cell.parse::<f64>().is_ok());
        columns.push(column);
    }
    let last = before(settings.len());
    for column in &mut columns {
        // Data and network are part of most names.
        if matches!(column.head.as_str(), "data" | "network") {
            column.rank += last;
        }
    }
    columns.extend([
        column("time", true, last + 2, &|run| run.seconds().map(clock)),
        column("began (UTC)", false, last + 5, &|run| {
            run.began().map(date::utc)
        }),
    ]);
    for column in &mut columns {
        for cell in &mut column.cells {
            *cell = shortened(cell, LONGEST);
        }
    }
    (common, columns)
}

/// Leaves out columns until the rest fits; returns the names of those left out.
fn fitting(mut columns: Vec<Column>, width: usize) -> (Vec<Column>, Vec<String>) {
    let mut left_out = Vec::new();
    loop {
        let widths: usize = columns.iter().map(|column| column.width() + GAP).sum();
        let last = (0..columns.len()).max_by_key(|&place| columns[place].rank);
        match last.filter(|&place| columns[place].rank > 0) {
            Some(place) if widths > width + GAP => left_out.push(columns.remove(place).head),
            _ => return (columns, left_out),
        }
    }
}

fn rows(columns: &[Column]) -> Vec<String> {
    let row = |texts: Vec<&str>| {
        let cells = std::iter::zip(columns, texts).map(|(column, text)| {
            let width = column.width();
            match column.is_number {
                true => format!("{text:>width$}"),
                false => format!("{text:<width$}"),
            }
        });
        let row = cells.collect::<Vec<_>>().join(&" ".repeat(GAP));
        row.trim_end().to_owned()
    };
    let mut rows = vec![row(columns.iter().map(|column| &*column.head).collect())];
    let count = columns.first().map_or(0, |column| column.cells.len());
    rows.extend((0..count).map(|place| {
        let cells = columns.iter().map(|column| &*column.cells[place]);
        row(cells.collect())
    }));
    rows
}

impl Column {
    fn width(&self) -> usize {
        let texts = self.cells.iter().chain([&self.head]);
        texts.map(|text| text.chars().count()).max().unwrap_or(0)
    }
}

/// The text, cut to this many characters.
fn shortened(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.into();
    }
    let start: String = text.chars().take(longest - 1).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<Column> {
        let column = |head: &str, cell: &str, is_number, rank| Column {
            head: head.into(),
            cells: vec![cell.into(), NOTHING.into()],
            is_number,
            rank,
        };
        vec![
            column("run", "photos-efficientnet-lite0", false, 0),
            column("state", "finished", false, 2),
            column("validation", "93.75 %", true, 0),
            column("test", "91.25 %", true, 1),
            column("learning-rate", "0.002", true, 10),
            column("augment", "flip, crop(4), rotate(15…", false, 11),
            column("began (UTC)", "2026-11-30 01:28", false, 23),
        ]
    }

    #[test]
    fn what_matters_least_is_left_out_first_and_named() {
        for width in 0..140 {
            let (kept, left_out) = fitting(columns(), width);
            let widest = rows(&kept).iter().map(|row| row.chars().count()).max();
            let is_least = kept.len() == 2;
            assert!(is_least || widest <= Some(width), "{width}: {widest:?}");
            assert_eq!(kept.len() + left_out.len(), columns().len());
        }
        let (kept, left_out) = fitting(columns(), 80);
        assert_eq!(left_out, ["began (UTC)", "augment"]);
        assert_eq!(
            rows(&kept).join("\n"),
            "\
run                        state     validation     test  learning-rate
photos-efficientnet-lite0  finished     93.75 %  91.25 %          0.002
–                          –                  –        –              –"
        );
        assert_eq!(fitting(columns(), 200).1, Vec::<String>::new());
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(shortened("conv(32)-relu", 13), "conv(32)-relu");
        assert_eq!(shortened("conv(32)-relu-pool", 13), "conv(32)-rel…");
    }
}
