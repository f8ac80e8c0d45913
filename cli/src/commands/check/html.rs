//! The report with the pictures: one file that needs no network, light or dark as the reader's system is.
use std::io::{self, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hubel::Replacement;
use hubel::check::{Finding, Inspection, Kind};

use super::{by_kind, verdict};
use crate::console::thousands;

/// How many findings of a kind are shown, and how many pictures of a finding.
const FINDINGS: usize = 60;
const PICTURES: usize = 8;

/// Pixels of the longer side of a picture in the report.
const SIDE: u32 = 192;

/// Writes the report.
pub(super) fn write(path: &Path, data: &Path, inspection: &Inspection) -> io::Result<()> {
    let mut file = Replacement::create(path)?;
    file.write_all(page(data, inspection).as_bytes())?;
    file.finish()
}

fn page(data: &Path, inspection: &Inspection) -> String {
    let mut contents = String::new();
    let mut sections = String::new();
    for (kind, findings) in by_kind(inspection) {
        let class = if inspection.is_grave_kind(kind) {
            " class=\"grave\""
        } else {
            ""
        };
        contents += &format!(
            "<li{class}><a href=\"#{kind}\"><b>{}</b> {kind}</a></li>\n",
            thousands(findings.len())
        );
        sections += &section(data, inspection, kind, findings);
    }
    let notes = inspection
        .notes
        .iter()
        .map(|note| format!("<p class=\"note\">{}</p>\n", escaped(note)));
    let state = match (inspection.is_grave(), inspection.findings.is_empty()) {
        (true, _) => "grave",
        (false, true) => "clean",
        (false, false) => "fair",
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>hubel check {title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<header>\n\
         <p class=\"command\">hubel check</p>\n<h1>{title}</h1>\n<p>{description}</p>\n{notes}\
         <p class=\"verdict {state}\">{verdict}</p>\n<nav><ul>\n{contents}</ul></nav>\n</header>\n<main>\n{sections}</main>\n</body>\n</html>\n",
        title = escaped(&hubel::shown(data)),
        style = include_str!("report.css"),
        description = escaped(&inspection.description),
        notes = notes.collect::<String>(),
        verdict = escaped(&verdict(inspection).replace("what is marked with !", "what is marked")),
    )
}

fn section(data: &Path, inspection: &Inspection, kind: Kind, findings: &[Finding]) -> String {
    let badge = if inspection.is_grave_kind(kind) {
        " <span class=\"badge\">makes a score untrustworthy</span>"
    } else {
        ""
    };
    let mut section = format!(
        "<section id=\"{kind}\">\n<h2>{kind} <span class=\"count\">{}</span>{badge}</h2>\n<p class=\"advice\">{}</p>\n<div class=\"findings\">\n",
        thousands(findings.len()),
        sentence(kind.advice())
    );
    for finding in findings.iter().take(FINDINGS) {
        section += "<article>\n<div class=\"pictures\">\n";
        for path in finding.paths.iter().take(PICTURES) {
            section += &figure(data, inspection, path);
        }
        section += "</div>\n";
        if finding.paths.len() > PICTURES {
            section += &format!(
                "<p class=\"more rest\">and {} more</p>\n",
                thousands(finding.paths.len() - PICTURES)
            );
        }
        section += &format!(
            "<p class=\"detail\">{}</p>\n</article>\n",
            sentence(&finding.detail)
        );
    }
    section += "</div>\n";
    if findings.len() > FINDINGS {
        section += &format!(
            "<p class=\"more\">and {} more; <code>hubel check --json</code> lists all</p>\n",
            thousands(findings.len() - FINDINGS)
        );
    }
    section + "</section>\n"
}

/// A picture above its path; the path alone where there is no picture.
fn figure(data: &Path, inspection: &Inspection, path: &str) -> String {
    let relative = Path::new(path)
        .strip_prefix(data)
        .unwrap_or(Path::new(path));
    let image = match inspection.thumbnail(path, SIDE) {
        Some(picture) => format!(
            "<img alt=\"\" src=\"data:{};base64,{}\">",
            picture.media_type,
            STANDARD.encode(&picture.bytes)
        ),
        None => String::new(),
    };
    format!(
        "<figure>{image}<figcaption>{}</figcaption></figure>\n",
        escaped(&hubel::shown(relative))
    )
}

/// A sentence of its own, with `code` as such.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    let text: String = first.chain(letters).collect();
    let parts = text.split('`').enumerate();
    let marked = parts.map(|(number, part)| match number % 2 {
        0 => escaped(part),
        _ => format!("<code>{}</code>", escaped(part)),
    });
    marked.collect::<String>() + "."
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_become_part_of_the_page() {
        assert_eq!(
            escaped("<b>\"cats & dogs\"</b>"),
            "&lt;b&gt;&quot;cats &amp; dogs&quot;&lt;/b&gt;"
        );
    }
}
