//! Charts as SVG. No other file uses the crate that draws them.
//!
//! Colours are CSS variables, so a chart follows the page's light or dark theme. A standalone SVG file contains the style sheet.
use hubel::lab::{Axis, Chart, Marks, Point, Series};
use kuva::backend::svg::SvgBackend;
use kuva::plot::legend::LegendPosition;
use kuva::plot::{LinePlot, ScatterPlot};
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::plots::Plot;
use kuva::render::render::{Primitive, Scene, render_multiple};
use kuva::render::theme::Theme;

/// The colours of charts, light and dark. The first seven series can be told apart, also with red-green colour blindness.
pub(crate) const STYLE: &str = include_str!("../templates/chart.css");
const COLOURS: usize = 7;

/// Size of a chart in pixels, without its legend: small enough that its text is readable on a phone.
const SIZE: [f64; 2] = [400.0, 250.0];
/// Distance between the dots of one name, relative to the distance between two names.
const APART: f64 = 0.16;

/// Lines of more points than this have no dots.
const DOTTED: usize = 40;

/// A chart on a page.
pub(crate) struct Figure {
    pub(crate) caption: String,
    /// An `svg` element.
    pub(crate) svg: String,
}

/// The chart as an `svg` element, for a page with [`STYLE`].
pub(crate) fn svg(chart: &Chart) -> String {
    element(chart, None, "")
}

/// The same, with a thin grey line behind it. It has the axes of the chart, which must be one of lines.
pub(crate) fn svg_over(chart: &Chart, background: &Series) -> String {
    element(chart, Some(background), "")
}

/// The chart as a standalone SVG file.
pub(crate) fn file(chart: &Chart) -> String {
    let ground = "@media (prefers-color-scheme: dark) { svg { background: #17181a } }";
    element(chart, None, &format!("<style>{STYLE}{ground}</style>"))
}

fn element(chart: &Chart, background: Option<&Series>, style: &str) -> String {
    let powers = Powers::of(chart);
    let mut plots = plots(&powers.lifted(&chart.marks));
    if let Some(series) = background {
        let line = line(series, "var(--chart-faint)").with_stroke_width(1.0);
        plots.insert(0, Plot::Line(line));
    }
    let layout = powers.named(layout(chart, &plots));
    let scene = render_multiple(plots, layout);
    let svg = SvgBackend::new().render_scene(&scene);
    // Without a width and height it scales to the page.
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {:.0} {:.0}\" class=\"chart\" role=\"img\" \
         font-family=\"system-ui, DejaVu Sans, sans-serif\" fill=\"var(--chart-ink)\">{style}{body}",
        scene.width,
        lowest_text(&scene).map_or(scene.height, |text| scene.height.max(text + BELOW))
    )
}

/// Space below the last line of a legend.
const BELOW: f64 = 10.0;

/// The lowest line of text. `kuva` leaves space for a legend of short names, so that the last line of longer ones, one below the other, may be outside of the picture.
fn lowest_text(scene: &Scene) -> Option<f64> {
    let lines = scene.elements.iter().filter_map(|element| match element {
        Primitive::Text { y, .. } => Some(*y),
        _ => None,
    });
    lines.reduce(f64::max)
}

fn plots(marks: &Marks) -> Vec<Plot> {
    match marks {
        Marks::Lines { series, .. } => {
            let lines = series.iter().enumerate();
            lines
                .flat_map(|(number, series)| dotted_line(series, &colour(number)))
                .collect()
        }
        Marks::Groups { series, .. } => {
            let middle = (series.len() as f64 - 1.0) / 2.0;
            let dots = series.iter().enumerate().map(|(number, series)| {
                // Names stand at 1, 2, 3 …
                let aside = 1.0 + (number as f64 - middle) * APART;
                let dots = dots(&series.points, aside, &colour(number));
                Plot::Scatter(dots.with_legend(series.name.as_str()))
            });
            dots.collect()
        }
    }
}

fn colour(number: usize) -> String {
    format!("var(--series-{})", number % COLOURS + 1)
}

/// Draws a line through the points, and each point with its spread if they are few.
fn dotted_line(series: &Series, colour: &str) -> Vec<Plot> {
    let mut plots = vec![Plot::Line(line(series, colour))];
    if series.points.len() <= DOTTED {
        plots.push(Plot::Scatter(dots(&series.points, 0.0, colour)));
    }
    plots
}

fn line(series: &Series, colour: &str) -> LinePlot {
    let points = series.points.iter().map(|point| (point.x, point.y));
    let line = LinePlot::new().with_data(points).with_color(colour);
    match series.name.is_empty() {
        true => line,
        false => line.with_legend(series.name.as_str()),
    }
}

fn dots(points: &[Point], aside: f64, colour: &str) -> ScatterPlot {
    let places = points.iter().map(|point| (point.x + aside, point.y));
    let dots = ScatterPlot::new()
        .with_data(places)
        .with_color(colour)
        .with_size(3.5);
    match points.iter().any(|point| point.error > 0.0) {
        true => dots.with_y_err(points.iter().map(|point| point.error)),
        false => dots,
    }
}

fn layout(chart: &Chart, plots: &[Plot]) -> Layout {
    let theme = Theme {
        background: "none".into(),
        axis_color: "var(--chart-ink)".into(),
        tick_color: "var(--chart-ink)".into(),
        text_color: "var(--chart-ink)".into(),
        grid_color: "var(--chart-line)".into(),
        legend_bg: "none".into(),
        legend_border: "none".into(),
        ..Theme::light()
    };
    let layout = Layout::auto_from_plots(plots)
        .with_theme(theme)
        .with_width(SIZE[0])
        .with_height(SIZE[1])
        .with_y_label(&*chart.y.label)
        .with_legend_position(LegendPosition::OutsideBottomColumns)
        .with_legend_box(false);
    let layout = match chart.y.logarithmic {
        true => layout
            .with_log_y()
            .with_y_tick_format(TickFormat::Custom(std::sync::Arc::new(plain))),
        false => layout,
    };
    match &chart.marks {
        Marks::Lines { x, series } => over_numbers(layout, x, series),
        Marks::Groups { groups, .. } => over_names(layout, groups.clone()),
    }
}

/// A value of a logarithmic axis: `0.05`, `20`, `1e-6`.
fn plain(y: f64) -> String {
    // Three digits; the rest is rounding.
    let rounded: f64 = format!("{y:.2e}").parse().unwrap_or(y);
    match (1e-3..1e5).contains(&rounded) {
        true => rounded.to_string(),
        false => format!("{rounded:e}"),
    }
}

/// Up to this many whole numbers, each has a tick.
const TICKS: f64 = 12.0;

/// A logarithmic axis extends beyond its first and last point by this factor.
const LOGARITHMIC_MARGIN: f64 = 1.2;

fn over_numbers(layout: Layout, x: &Axis, series: &[Series]) -> Layout {
    let layout = layout.with_x_label(&*x.label);
    let places = || {
        series
            .iter()
            .flat_map(|series| &series.points)
            .map(|point| point.x)
    };
    let are_few = places().all(|x| x.fract() == 0.0 && (0.0..=TICKS).contains(&x));
    match (x.logarithmic, are_few) {
        (true, _) => {
            let (low, high) = places().fold((f64::INFINITY, 0.0), |(low, high), x: f64| {
                (x.min(low), x.max(high))
            });
            // Otherwise `kuva` extends it to the next power of 10, whose label is cut off.
            layout
                .with_log_x()
                .with_x_axis_min(low / LOGARITHMIC_MARGIN)
                .with_x_axis_max(high * LOGARITHMIC_MARGIN)
        }
        (false, true) => layout.with_x_tick_step(1.0),
        (false, false) => layout,
    }
}

/// A logarithmic axis over more powers of 10 than labels fit.
struct Powers {
    /// Factor applied to the values, because `kuva` draws all values below 1e-10 as 1e-10.
    factor: f64,
    /// Distance between labelled powers; 0 if `kuva` labels all of them.
    step: i32,
}

impl Powers {
    /// Most powers of 10 that can all be labelled.
    const MOST: i32 = 8;

    fn of(chart: &Chart) -> Self {
        let (Marks::Lines { series, .. } | Marks::Groups { series, .. }) = &chart.marks;
        let values = series.iter().flat_map(|series| &series.points);
        let logarithms = values.map(|point| point.y.log10());
        let shown = logarithms.filter(|power| chart.y.logarithmic && power.is_finite());
        let (low, high) = shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), power| {
            (power.min(low), power.max(high))
        });
        let powers = (high - low).ceil();
        if !powers.is_finite() || powers <= f64::from(Self::MOST) && low > -9.0 {
            return Self {
                factor: 1.0,
                step: 0,
            };
        }
        Self {
            factor: 10f64.powf(-low.floor()),
            step: (powers as i32).div_euclid(Self::MOST) + 1,
        }
    }

    fn lifted(&self, marks: &Marks) -> Marks {
        let mut marks = marks.clone();
        let (Marks::Lines { series, .. } | Marks::Groups { series, .. }) = &mut marks;
        for point in series.iter_mut().flat_map(|series| &mut series.points) {
            point.y *= self.factor;
            point.error *= self.factor;
        }
        marks
    }

    /// Labels the axis with the original values.
    fn named(&self, layout: Layout) -> Layout {
        let Self { factor, step } = *self;
        if step == 0 {
            return layout;
        }
        let name = move |y: f64| {
            let power = (y / factor).log10().round() as i32;
            match (power.rem_euclid(step), power) {
                (0, 0) => "1".into(),
                (0, power) => format!("1e{power}"),
                _ => String::new(),
            }
        };
        layout.with_y_tick_format(TickFormat::Custom(std::sync::Arc::new(name)))
    }
}

fn over_names(layout: Layout, groups: Vec<String>) -> Layout {
    let last = groups.len() as f64;
    let name = move |x: f64| {
        let place = (x.round() as usize).checked_sub(1);
        let name = place.and_then(|place| groups.get(place));
        name.cloned().unwrap_or_default()
    };
    layout
        .with_x_axis_min(0.5)
        .with_x_axis_max(last + 0.5)
        .with_x_tick_step(1.0)
        .with_x_tick_format(TickFormat::Custom(std::sync::Arc::new(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws a line through these values. Returns the heights of its dots, and the SVG text.
    fn drawn(values: &[f64]) -> (Vec<f64>, String) {
        let points = values.iter().zip(1..);
        let chart = Chart {
            title: "Gradient".into(),
            y: Axis::logarithmic("norm"),
            marks: Marks::Lines {
                x: Axis::linear("layer"),
                series: vec![Series {
                    name: "sigmoid".into(),
                    points: points
                        .map(|(y, x)| Point::exact(f64::from(x), *y))
                        .collect(),
                }],
            },
        };
        let svg = svg(&chart);
        let heights = svg.split(" cy=\"").skip(1).map(|rest| {
            let number = rest.split('"').next().expect("a value ends");
            number.parse().expect("a number")
        });
        (heights.collect(), svg)
    }

    #[test]
    fn the_last_line_of_a_legend_of_long_names_is_inside_the_picture() {
        let names = ["each step", "training, with label smoothing", "validation"];
        let series = names.map(|name| Series {
            name: name.into(),
            points: vec![Point::exact(1.0, 1.0), Point::exact(2.0, 3.0)],
        });
        let chart = Chart {
            title: "Loss".into(),
            y: Axis::linear("loss"),
            marks: Marks::Lines {
                x: Axis::linear("epoch"),
                series: series.into(),
            },
        };
        let svg = svg(&chart);
        let height = svg.split_once("viewBox=\"0 0 400 ").expect("a box").1;
        let height: f64 = height[..3].parse().expect("a height");
        let (before, _) = svg.split_once(">validation<").expect("a legend");
        let (_, y) = before.rsplit_once(" y=\"").expect("a place");
        let y: f64 = y[..y.find('"').expect("an end")].parse().expect("a number");
        assert!(y + 5.0 < height, "{y} in {height}");
    }

    #[test]
    fn values_of_any_size_lie_where_their_logarithms_do() {
        for values in [[1e-20, 1e-14, 1e-8, 1e-2], [1e-3, 1e-2, 1e-1, 1.0]] {
            let (heights, svg) = drawn(&values);
            assert_eq!(heights.len(), 4, "{svg}");
            let steps: Vec<f64> = heights.windows(2).map(|two| two[0] - two[1]).collect();
            assert!(steps[0] > 1.0, "{heights:?}");
            assert!(
                steps.iter().all(|step| (step - steps[0]).abs() < 0.1),
                "{heights:?}"
            );
        }
        let (_, svg) = drawn(&[0.04, 0.1, 3.0]);
        assert!(svg.contains(">0.05<") && svg.contains(">0.1<"), "{svg}");
        let (_, svg) = drawn(&[1e-20, 1e-2]);
        assert!(svg.contains(">1e-18<") && !svg.contains(">1e-17<"), "{svg}");
    }
}
