//! Findings as text for a terminal of any width.
use hubel::lab::{Claim, Column, Experiment, Findings, Picture, Table, Verdict};

use super::plot;

/// Longest line of text: longer lines are hard to read.
const LONGEST: usize = 100;
/// Space between two columns of a table.
const GAP: usize = 2;

/// The list of experiments, and how to run one.
pub(super) fn of_list(experiments: &[Experiment], columns: usize) -> String {
    let words = experiments
        .iter()
        .map(|experiment| [experiment.name.to_owned(), experiment.items.join(" ")]);
    let words: Vec<[String; 2]> = words.collect();
    let [names, items] = [0, 1].map(|place| {
        let lengths = words.iter().map(|words| words[place].chars().count());
        lengths.max().unwrap_or(0) + GAP
    });
    let mut text = String::new();
    for (experiment, [name, item]) in experiments.iter().zip(&words) {
        let words = format!("{name:<names$}{item:<items$}");
        text += &hanging(&words, experiment.question, columns);
    }
    text + "\nhubel lab NAME runs one, hubel lab all runs them all"
}

/// The findings as text.
pub(super) fn of_findings(findings: &Findings, columns: usize) -> String {
    let heading = format!(
        "{} ({}): {}",
        findings.title,
        findings.items.join(", "),
        findings.question
    );
    let mut text = hanging("", &heading, columns) + "\n";
    let names = findings.setup.iter().map(|fact| fact.name.chars().count());
    let longest = names.max().unwrap_or(0);
    for fact in &findings.setup {
        text += &hanging(&format!("{:<longest$}  ", fact.name), &fact.value, columns);
    }
    for table in &findings.tables {
        text += &format!("\n{}", of_table(table, columns));
    }
    for picture in &findings.pictures {
        text += &of_picture(picture, columns);
    }
    for chart in &findings.charts {
        text += &format!("\n{}", plot::of_chart(chart, columns.min(LONGEST)));
    }
    text += "\n";
    for sentence in &findings.measured {
        text += &hanging("", sentence, columns);
    }
    text += "\n";
    for claim in &findings.claims {
        text += &of_claim(claim, columns);
    }
    text
}

fn of_claim(claim: &Claim, columns: usize) -> String {
    let verdict = format!("{:<15}", claim.verdict.to_string());
    let text = format!("{} {}.", claim.text, capital(&claim.because));
    hanging(&verdict, &text, columns)
}

/// The CSS class of a verdict.
pub(super) fn state(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "clean",
        Verdict::DoesNotHold => "grave",
        Verdict::Undecided => "fair",
    }
}

fn of_picture(picture: &Picture, columns: usize) -> String {
    let Some(text) = &picture.text else {
        return String::new();
    };
    if text.lines().any(|line| line.chars().count() > columns) {
        return String::new();
    }
    format!("\n{}{text}\n", hanging("", &picture.caption, columns))
}

/// A table with its columns side by side if they fit, else with one line per cell.
fn of_table(table: &Table, columns: usize) -> String {
    let heads: Vec<String> = table.columns.iter().map(Column::heading).collect();
    let rows = table.rows.iter().map(|row| {
        let cells = row.iter().zip(&table.columns);
        cells.map(|(cell, column)| cell.shown(column)).collect()
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let mut widths: Vec<usize> = heads.iter().map(|head| head.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let width = widths.iter().map(|width| width + GAP).sum::<usize>();
    let mut text = hanging("", &table.title, columns);
    if width > columns + GAP {
        for row in &rows {
            for (place, (head, cell)) in heads.iter().zip(row).enumerate() {
                let indent = if place == 0 { "" } else { "  " };
                let head = format!("{indent}{head}: ");
                text += &match table.is_of_words(place) {
                    true => hanging(&head, cell, columns),
                    false => format!("{head}{cell}\n"),
                };
            }
        }
        return text;
    }
    for row in [&heads].into_iter().chain(&rows) {
        let mut line = String::new();
        for (place, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let room = " ".repeat(width - cell.chars().count());
            // Words are left-aligned, numbers right-aligned.
            line += &match table.is_of_words(place) {
                true => format!("{cell}{room}"),
                false => format!("{room}{cell}"),
            };
            line += &" ".repeat(GAP);
        }
        text += &format!("{}\n", line.trim_end());
    }
    text
}

/// With a capital first letter.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

/// A word followed by text. The text is broken into lines, indented to its start, or less if that leaves too few columns.
pub(super) fn hanging(word: &str, text: &str, columns: usize) -> String {
    let columns = columns.min(LONGEST);
    let indent = match word.chars().count() {
        indent if indent * 2 < columns => indent,
        _ => 2,
    };
    let mut lines = String::new();
    let mut line = word.to_owned();
    let mut is_fresh = true;
    for part in text.split_whitespace() {
        let length = line.chars().count() + usize::from(!is_fresh) + part.chars().count();
        if length > columns && !line.trim().is_empty() {
            lines += &format!("{}\n", line.trim_end());
            line = " ".repeat(indent);
            is_fresh = true;
        }
        if !is_fresh {
            line.push(' ');
        }
        line += part;
        is_fresh = false;
    }
    lines + &line + "\n"
}

#[cfg(test)]
mod tests {
    use hubel::lab::{Cell, Sample};

    use super::*;

    fn table() -> Table {
        let mut table = Table::new(
            "Accuracy",
            vec![Column::of("network"), Column::in_unit("test", "%", 1)],
        );
        let sample: Sample = [90.0, 92.0].into_iter().collect();
        table.push(vec![Cell::text("CNN"), Cell::Spread(sample)]);
        table.push(vec![Cell::text("dense"), Cell::Nothing]);
        table
    }

    #[test]
    fn a_table_stands_side_by_side_where_it_fits_and_else_a_line_a_cell() {
        assert_eq!(
            of_table(&table(), 80),
            "Accuracy\nnetwork    test (%)\nCNN      91.0 ± 1.4\ndense             –\n"
        );
        assert_eq!(
            of_table(&table(), 16),
            "Accuracy\nnetwork: CNN\n  test (%): 91.0 ± 1.4\nnetwork: dense\n  test (%): –\n"
        );
        let mut said = Table::new("Said", vec![Column::of("tried"), Column::of("said")]);
        said.push(vec![Cell::text("3×3×1"), Cell::text("it is one for grey")]);
        assert_eq!(
            of_table(&said, 17),
            "Said\ntried: 3×3×1\n  said: it is one\n        for grey\n"
        );
    }

    #[test]
    fn long_text_is_broken_behind_its_word() {
        assert_eq!(
            hanging("holds  ", "one two three", 14),
            "holds  one two\n  three\n"
        );
        assert_eq!(
            hanging("holds  ", "one two three", 18),
            "holds  one two\n       three\n"
        );
        assert_eq!(hanging("", "one two", 3), "one\ntwo\n");
    }
}
