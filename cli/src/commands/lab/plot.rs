//! Charts as text.
use hubel::lab::{Axis, Chart, Marks, Point, Series};

use super::text::hanging;

/// Rows of a line chart.
const HEIGHT: usize = 12;
/// The marks of the series.
const MARKS: [char; 7] = ['●', '○', '×', '+', '◆', '◇', '*'];
/// Least width of a chart in columns.
const NARROWEST: usize = 8;

/// The chart in at most this many columns; only its title if that is too narrow.
pub(super) fn of_chart(chart: &Chart, columns: usize) -> String {
    match &chart.marks {
        Marks::Lines { x, series } => lines(chart, x, series, columns),
        Marks::Groups { groups, series } => spreads(chart, groups, series, columns),
    }
}

/// Where a value lies on an axis, from 0 to 1.
struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Scale {
    /// From the smallest to the largest value.
    fn of(axis: &Axis, values: impl Iterator<Item = f64>) -> Self {
        let shown = values.filter(|value| value.is_finite() && (!axis.logarithmic || *value > 0.0));
        let (low, high) = shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        Self {
            low,
            high,
            logarithmic: axis.logarithmic,
        }
    }

    /// The nearest of `steps` positions for the value; `None` if it cannot be shown.
    fn step(&self, value: f64, steps: usize) -> Option<usize> {
        let place = |value: f64| match self.logarithmic {
            true => value.ln(),
            false => value,
        };
        let span = place(self.high) - place(self.low);
        let share = match span > 0.0 {
            true => (place(value) - place(self.low)) / span,
            false => 0.5,
        };
        let last = steps.saturating_sub(1) as f64;
        (share.is_finite()).then(|| (share.clamp(0.0, 1.0) * last).round() as usize)
    }
}

/// Formats a value as briefly as its size allows.
fn short(value: f64) -> String {
    let size = value.abs();
    match size {
        0.0 => "0".into(),
        _ if !(1e-3..1e6).contains(&size) => format!("{value:.1e}"),
        _ if value.fract() == 0.0 => format!("{value}"),
        _ if size >= 100.0 => format!("{value:.0}"),
        _ if size >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// A line chart over numbers; values grow upwards.
fn lines(chart: &Chart, x: &Axis, series: &[Series], columns: usize) -> String {
    let points = || series.iter().flat_map(|series| &series.points);
    let across = Scale::of(x, points().map(|point| point.x));
    let up = Scale::of(&chart.y, points().map(|point| point.y));
    let [low, high] = [short(up.low), short(up.high)];
    let margin = low.chars().count().max(high.chars().count());
    let width = columns.saturating_sub(margin + 2);
    if width < NARROWEST || points().next().is_none() {
        return hanging("", &chart.title, columns);
    }
    let mut grid = vec![vec![' '; width]; HEIGHT];
    let cell = |point: &Point| Some((across.step(point.x, width)?, up.step(point.y, HEIGHT)?));
    for series in series {
        let cells: Vec<_> = series.points.iter().filter_map(cell).collect();
        for ends in cells.windows(2) {
            between(&mut grid, ends[0], ends[1]);
        }
    }
    for (number, series) in series.iter().enumerate() {
        for (column, row) in series.points.iter().filter_map(cell) {
            grid[HEIGHT - 1 - row][column] = MARKS[number % MARKS.len()];
        }
    }
    let mut text = hanging("", &chart.title, columns) + &hanging("", &chart.y.label, columns);
    for (row, cells) in grid.iter().enumerate() {
        let label = match row {
            0 => &high,
            row if row == HEIGHT - 1 => &low,
            _ => "",
        };
        let cells: String = cells.iter().collect();
        text += &format!("{label:>margin$} │{}\n", cells.trim_end());
    }
    let [left, right] = [short(across.low), short(across.high)];
    let room = width.saturating_sub(left.chars().count());
    text += &format!("{:margin$} └{}\n", "", "─".repeat(width));
    text += &format!("{:margin$}  {left}{right:>room$}\n", "");
    text += &format!("{:margin$}  {}\n", "", x.label);
    for (number, series) in series.iter().enumerate() {
        text += &format!(
            "{:margin$}  {} {}\n",
            "",
            MARKS[number % MARKS.len()],
            series.name
        );
    }
    text
}

/// Draws dots from one cell to another; a cell is a column and a row from below.
fn between(grid: &mut [Vec<char>], from: (usize, usize), to: (usize, usize)) {
    let height = grid.len();
    let steps = from.0.abs_diff(to.0).max(from.1.abs_diff(to.1)).max(1);
    for step in 0..=steps {
        let at = |from: usize, to: usize| {
            let share = step as f64 / steps as f64;
            (from as f64 + share * (to as f64 - from as f64)).round() as usize
        };
        grid[height - 1 - at(from.1, to.1)][at(from.0, to.0)] = '·';
    }
}

/// A chart over names: one line each, from one standard deviation below the mean to one above.
fn spreads(chart: &Chart, groups: &[String], series: &[Series], columns: usize) -> String {
    let points = || series.iter().flat_map(|series| &series.points);
    let ends = points().flat_map(|point| [point.y - point.error, point.y + point.error]);
    let scale = Scale::of(&chart.y, ends);
    let longest = groups.iter().map(|name| name.chars().count()).max();
    // The name, a mark, the value.
    let label = longest.unwrap_or(0).min(columns / 3);
    let width = columns.saturating_sub(label + 12);
    if width < NARROWEST || points().next().is_none() {
        return hanging("", &chart.title, columns);
    }
    let heading = format!("{}: {}", chart.title, chart.y.label);
    let mut text = hanging("", &heading, columns);
    for (group, name) in groups.iter().enumerate() {
        for (number, series) in series.iter().enumerate() {
            let Some(point) = series.points.get(group) else {
                continue;
            };
            let name = if number == 0 { name } else { "" };
            let name: String = name.chars().take(label).collect();
            let mark = MARKS[number % MARKS.len()];
            let line = spread(point, &scale, width, mark);
            text += &format!("{name:<label$} │{line}│ {}\n", short(point.y));
        }
    }
    let [low, high] = [short(scale.low), short(scale.high)];
    let room = width.saturating_sub(low.chars().count());
    text += &format!("{:label$}  {low}{high:>room$}\n", "");
    for (number, series) in series.iter().enumerate() {
        text += &format!(
            "{:label$}  {} {}\n",
            "",
            MARKS[number % MARKS.len()],
            series.name
        );
    }
    text
}

fn spread(point: &Point, scale: &Scale, width: usize, mark: char) -> String {
    let mut line = vec![' '; width];
    let [low, high] = [point.y - point.error, point.y + point.error];
    if let (Some(low), Some(high)) = (scale.step(low, width), scale.step(high, width)) {
        line[low..=high].fill('─');
    }
    if let Some(place) = scale.step(point.y, width) {
        line[place] = mark;
    }
    line.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[(f64, f64)]) -> Vec<Series> {
        let points = values.iter().map(|&(x, y)| Point { x, y, error: 1.0 });
        vec![Series {
            name: "CNN".into(),
            points: points.collect(),
        }]
    }

    fn chart(marks: Marks, logarithmic: bool) -> Chart {
        Chart {
            title: "Time of a step by size".into(),
            y: Axis {
                label: "time (ms)".into(),
                logarithmic,
            },
            marks,
        }
    }

    #[test]
    fn a_power_is_a_straight_line_on_logarithmic_axes() {
        let marks = Marks::Lines {
            x: Axis::logarithmic("side"),
            series: series(&[(1.0, 1.0), (10.0, 100.0), (100.0, 10_000.0)]),
        };
        let text = of_chart(&chart(marks, true), 40);
        let marked: Vec<(usize, usize)> = (text.lines().skip(2).take(HEIGHT).enumerate())
            .filter_map(|(row, line)| Some((row, line.chars().position(|x| x == '●')?)))
            .collect();
        assert_eq!(marked.len(), 3, "{text}");
        let [top, middle, bottom] = [marked[0], marked[1], marked[2]];
        assert!(top.1 > middle.1 && middle.1 > bottom.1, "{text}");
        assert!((top.1 + bottom.1).abs_diff(2 * middle.1) <= 1, "{text}");
        assert!((top.0 + bottom.0).abs_diff(2 * middle.0) <= 1, "{text}");
    }

    #[test]
    fn no_width_is_exceeded_and_no_value_breaks_it() {
        for values in [
            vec![(0.0, 1.0), (1.0, 1.0)],
            vec![(0.0, f64::NAN), (1.0, f64::INFINITY)],
            vec![],
            vec![(0.0, -3.0), (1.0, 0.0)],
        ] {
            for logarithmic in [false, true] {
                for columns in [0, 5, 20, 37, 100] {
                    let groups = vec!["dense network".into(), "x".into()];
                    let series = series(&values);
                    let marks = [
                        Marks::Groups {
                            groups,
                            series: series.clone(),
                        },
                        Marks::Lines {
                            x: Axis::linear("side"),
                            series,
                        },
                    ];
                    for marks in marks {
                        let text = of_chart(&chart(marks, logarithmic), columns);
                        let widest = text.lines().map(|line| line.chars().count()).max();
                        assert!(widest <= Some(columns.max(15)), "{columns}: {text}");
                    }
                }
            }
        }
    }
}
