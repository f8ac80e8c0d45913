//! A window, the filter on it, and their products, as matrices.
use hubel::explain::arithmetic::{Arithmetic, Term};
use hubel::network::Node;

use super::{layer_of, summand};

/// Most input channels that are shown; if there are more, those with the largest sums.
const CHANNELS: usize = 3;
/// Width of the row numbers in columns.
const MARGIN: usize = 6;
/// Space between matrices in columns.
const GAP: usize = 3;

/// How a filter is laid out as a matrix.
#[derive(Clone, Copy)]
pub(in super::super) struct Filter {
    height: usize,
    width: usize,
    /// The number of a [place](hubel::Place::numbers) by which the matrix's rows and columns are named.
    named_by: [usize; 2],
}

impl Filter {
    /// A filter of `[height, width]`.
    pub(in super::super) fn of_frames([height, width]: [usize; 2]) -> Self {
        Self {
            height,
            width,
            named_by: [1, 2],
        }
    }

    /// A filter that reads `times`, in one row.
    pub(in super::super) fn along_time(times: usize) -> Self {
        Self {
            height: 1,
            width: times,
            named_by: [1, 0],
        }
    }
}

/// For each input channel the matrices of window, filter and products, then the sum of the other channels. `None` if
/// the filter has one tap, or a matrix is wider than `columns`.
pub(super) fn lines(
    found: &Arithmetic,
    filter: Filter,
    nodes: &[Node],
    columns: usize,
) -> Option<Vec<String>> {
    let taps = filter.height * filter.width;
    if taps == 1 {
        return None;
    }
    let depth = found.terms.len() / taps;
    let channels: Vec<Channel> = (0..depth)
        .map(|place| Channel::new(found, place, depth, filter))
        .collect();
    let mut shown: Vec<&Channel> = channels.iter().collect();
    shown.sort_by(|a, b| b.sum.abs().total_cmp(&a.sum.abs()));
    shown.truncate(CHANNELS);
    shown.sort_by_key(|channel| channel.place);
    let layout = Layout::fitting(&shown, filter.width, columns)?;
    let mut lines = Vec::new();
    for channel in &shown {
        let from = match layer_of(channel.terms[0], nodes) {
            "input" => "the input".to_owned(),
            layer => format!("layer {layer}"),
        };
        lines.push(format!("  channel {} of {from}", channel.number()));
        lines.extend(layout.lines(channel));
    }
    lines.extend((shown.iter()).map(|channel| {
        summand(
            &format!("sum of channel {}", channel.number()),
            channel.sum,
            columns,
        )
    }));
    if depth > shown.len() {
        let is_shown = |channel: &Channel| shown.iter().any(|other| other.place == channel.place);
        let rest = channels.iter().filter(|channel| !is_shown(channel));
        let what = format!("sum of {} more channels", depth - shown.len());
        lines.push(summand(
            &what,
            rest.map(|channel| channel.sum).sum(),
            columns,
        ));
    }
    Some(lines)
}

/// The window of one input channel.
struct Channel<'a> {
    terms: Vec<&'a Term>,
    filter: Filter,
    /// Index among the channels that the filter reads.
    place: usize,
    sum: f64,
}

impl<'a> Channel<'a> {
    fn new(found: &'a Arithmetic, place: usize, depth: usize, filter: Filter) -> Self {
        let terms: Vec<&Term> = found.terms.iter().skip(place).step_by(depth).collect();
        Self {
            sum: terms.iter().map(|term| product(term)).sum(),
            terms,
            filter,
            place,
        }
    }

    /// The channel's number in the input. If the whole window is padding, only the index is known.
    fn number(&self) -> usize {
        let inside = self.terms.iter().find_map(|term| term.at);
        inside.map_or(self.place, |at| at.channel)
    }

    /// The values of window, filter and products.
    fn matrices(&self, decimals: usize) -> [(&'static str, Vec<String>); 3] {
        let cells = |of: &dyn Fn(&Term) -> f64| -> Vec<String> {
            let numbers = self.terms.iter().map(|term| of(term));
            numbers.map(|number| brief(number, decimals)).collect()
        };
        [
            ("window", cells(&|term| term.value.into())),
            ("filter", cells(&|term| term.weight.into())),
            ("product", cells(&|term| product(term))),
        ]
    }

    /// The rows that the window reads.
    fn rows(&self) -> Vec<String> {
        self.terms
            .chunks(self.filter.width)
            .map(|row| place_of(row, self.filter.named_by[0]))
            .collect()
    }

    /// The columns that the window reads.
    fn columns(&self) -> Vec<String> {
        let Filter {
            width, named_by, ..
        } = self.filter;
        let column = |x: usize| self.terms.iter().skip(x).step_by(width).copied();
        let columns = (0..width).map(|x| column(x).collect::<Vec<_>>());
        columns
            .map(|column| place_of(&column, named_by[1]))
            .collect()
    }
}

/// The layout of matrices.
struct Layout {
    decimals: usize,
    /// Characters per value.
    cell: usize,
    is_side_by_side: bool,
}

impl Layout {
    /// The first layout that fits: side by side with four decimals, with three, or one below the other.
    fn fitting(channels: &[&Channel], width: usize, columns: usize) -> Option<Self> {
        [(4, true), (3, true), (4, false)]
            .into_iter()
            .find_map(|(decimals, is_side_by_side)| {
                let cells = channels.iter().flat_map(|channel| {
                    let matrices = channel.matrices(decimals).into_iter();
                    matrices
                        .flat_map(|(_, cells)| cells)
                        .chain(channel.columns())
                });
                let cell = cells.map(|text| text.chars().count()).max()?;
                let matrix = width * (cell + 1);
                let taken = match is_side_by_side {
                    true => MARGIN + 3 * matrix + 2 * GAP,
                    false => MARGIN + matrix,
                };
                (taken <= columns).then_some(Self {
                    decimals,
                    cell,
                    is_side_by_side,
                })
            })
    }

    fn row(&self, cells: &[String]) -> String {
        cells
            .iter()
            .map(|text| format!(" {text:>0$}", self.cell))
            .collect()
    }

    fn lines(&self, channel: &Channel) -> Vec<String> {
        let matrices = channel.matrices(self.decimals);
        let (rows, header) = (channel.rows(), self.row(&channel.columns()));
        let row_of = |cells: &[String], y: usize| {
            self.row(&cells[y * channel.filter.width..][..channel.filter.width])
        };
        if self.is_side_by_side {
            let matrix = channel.filter.width * (self.cell + 1);
            let gap = " ".repeat(GAP);
            let titles = matrices
                .iter()
                .map(|(title, _)| format!("{title:>matrix$}"));
            let titles: Vec<String> = titles.collect();
            let mut lines = vec![
                format!("{:MARGIN$}{}", "", titles.join(&gap)),
                format!("{:MARGIN$}{header}", ""),
            ];
            lines.extend(rows.iter().enumerate().map(|(y, label)| {
                let parts: Vec<String> =
                    matrices.iter().map(|(_, cells)| row_of(cells, y)).collect();
                format!("{label:>MARGIN$}{}", parts.join(&gap))
            }));
            return lines;
        }
        let one = |(title, cells): &(&str, Vec<String>)| {
            let mut lines = vec![
                format!("{:MARGIN$} {title}", ""),
                format!("{:MARGIN$}{header}", ""),
            ];
            let numbers = rows.iter().enumerate();
            lines.extend(numbers.map(|(y, label)| format!("{label:>MARGIN$}{}", row_of(cells, y))));
            lines
        };
        matrices.iter().flat_map(one).collect()
    }
}

fn product(term: &Term) -> f64 {
    f64::from(term.value) * f64::from(term.weight)
}

/// The number of their place that the terms share; `pad` if they are padding.
fn place_of(terms: &[&Term], number: usize) -> String {
    let inside = terms.iter().find_map(|term| term.at);
    inside.map_or("pad".into(), |at| at.numbers()[number].to_string())
}

/// A value with this many decimals, or its magnitude if these would all be 0.
fn brief(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    match short {
        "0" | "-0" if value != 0.0 => format!("{value:.0e}"),
        "-0" => "0".into(),
        _ if value.abs() >= 1e5 => format!("{value:.2e}"),
        _ => short.into(),
    }
}

#[cfg(test)]
mod tests {
    use hubel::Place;
    use hubel::explain::arithmetic::Rule;

    use super::*;

    /// The upper left corner of a map of a 3×3 filter with padding.
    fn corner(depth: usize) -> Arithmetic {
        let term = |i: usize| {
            let (tap, channel) = (i / depth, i % depth);
            let (y, x) = (tap / 3, tap % 3);
            let at = (y > 0 && x > 0).then(|| Place::new(y - 1, x - 1, channel));
            Term {
                node: 0,
                at,
                value: if at.is_some() { 0.5 + tap as f32 } else { 0.0 },
                weight: -1.0 - channel as f32,
                derivative: -1.0 - channel as f64,
            }
        };
        Arithmetic {
            layer: "0".into(),
            kind: "conv",
            at: Place::default(),
            value: 0.0,
            rule: Rule::Sum { bias: 0.0 },
            terms: (0..9 * depth).map(term).collect(),
            result: 0.0,
            gradient: 0.0,
            window: None,
        }
    }

    #[test]
    fn window_filter_and_products_stand_side_by_side() {
        let lines = lines(&corner(1), Filter::of_frames([3, 3]), &[], 80)
            .unwrap()
            .join("\n");
        let expected = "  channel 0 of the input
               window            filter           product
        pad    0    1
   pad    0    0    0      -1   -1   -1       0    0    0
     0    0  4.5  5.5      -1   -1   -1       0 -4.5 -5.5
     1    0  7.5  8.5      -1   -1   -1       0 -7.5 -8.5
  sum of channel 0                                            -26.0000";
        assert_eq!(lines, expected);
    }

    #[test]
    fn numbers_are_short_and_none_becomes_0() {
        let texts = [0.0, -0.0, 0.25, -1.23456, 2e-6, -3.0, 123_456.0].map(|value| brief(value, 4));
        assert_eq!(texts, ["0", "0", "0.25", "-1.2346", "2e-6", "-3", "1.23e5"]);
    }

    #[test]
    fn matrices_fit_the_terminal_or_are_left_to_the_list() {
        for (columns, tall) in [(100, false), (40, true)] {
            let lines = lines(&corner(2), Filter::of_frames([3, 3]), &[], columns).unwrap();
            let matrices = lines.iter().take_while(|line| !line.contains("sum of"));
            assert!(matrices.clone().all(|line| line.chars().count() <= columns));
            assert_eq!(matrices.count() > 12, tall);
        }
        assert_eq!(lines(&corner(1), Filter::of_frames([3, 3]), &[], 20), None);
    }

    #[test]
    fn channels_that_are_not_shown_are_summed_up() {
        let lines = lines(&corner(5), Filter::of_frames([3, 3]), &[], 100).unwrap();
        let text = lines.join("\n");
        assert!(
            !text.contains("channel 1 of the input") && text.contains("channel 4 of the input")
        );
        assert!(
            text.contains("sum of 2 more channels") && text.ends_with("-78.0000"),
            "{text}"
        );
    }
}
