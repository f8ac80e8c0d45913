//! The filters as tables, plots and pictures.
use super::likeness::HandMade;
use super::{AFTER, BEFORE, FILTERS, FIRST, Measured, Reference, SHARE, SIDE, TIMES};
use crate::explain::{Explainer, Kernel, draw};
use crate::lab::workbench::Workbench;
use crate::lab::{Axis, Cell, Chart, Column, Marks, Picture, Point, Sample, Series, Table};
use crate::{Model, Result};

/// The filters of the first seed before and after training, and those made by hand.
pub(super) fn pictures(
    bench: &Workbench<'_>,
    models: &[Model; 2],
    hand_made: &[HandMade],
) -> Result<Vec<Picture>> {
    let mut pictures = Vec::new();
    for (model, time) in models.iter().zip(TIMES) {
        let explainer = Explainer::new(bench.cpu, model, 1)?;
        pictures.push(Picture {
            name: time.replace(' ', "-"),
            caption: format!("the filters of seed 1 {time}, by number"),
            drawing: draw::filters(&explainer, FIRST)?.drawing,
            text: None,
        });
    }
    for hand_made in hand_made {
        let weights = hand_made.filter.plane();
        pictures.push(Picture {
            name: hand_made.name.into(),
            caption: format!("{}, resized to {SIDE}×{SIDE}", hand_made.name),
            drawing: draw::kernel(&Kernel {
                name: hand_made.name.into(),
                height: SIDE,
                width: SIDE,
                channels: 1,
                weights,
            }),
            text: None,
        });
    }
    Ok(pictures)
}

pub(super) fn tables(
    measured: &Measured,
    reference: &Reference,
    hand_made: &[HandMade],
) -> Vec<Table> {
    let mut by_time = Table::new(
        "The filters of the first layer",
        vec![
            Column::of("filters"),
            Column::in_unit("accuracy", "%", 1),
            Column::in_unit("cosine to the most similar", "", 3),
            Column::in_unit("above 95 % of random ones", "%", 1),
        ],
    );
    for (time, name) in TIMES.iter().enumerate() {
        by_time.push(vec![
            Cell::text(*name),
            Cell::spread(&measured.accuracy[time]),
            Cell::spread(&measured.likeness[time]),
            Cell::spread(&measured.alike[time]),
        ]);
    }
    by_time.push(vec![
        Cell::text("random"),
        Cell::Nothing,
        Cell::Number(reference.mean),
        Cell::Number(100.0 * (1.0 - SHARE)),
    ]);
    let mut by_name = Table::new(
        format!(
            "Number of the {FILTERS} filters that are most similar to each filter made by hand"
        )
        .as_str(),
        vec![
            Column::of("made by hand"),
            Column::in_unit(TIMES[BEFORE], "", 1),
            Column::in_unit(TIMES[AFTER], "", 1),
        ],
    );
    for (place, hand_made) in hand_made.iter().enumerate() {
        by_name.push(vec![
            Cell::text(hand_made.name),
            Cell::spread(&measured.counts[BEFORE][place]),
            Cell::spread(&measured.counts[AFTER][place]),
        ]);
    }
    let mut maps = Table::new(
        "Correlation of the maps of trained filters with those of filters made by hand, over all places",
        vec![
            Column::in_unit("with the most similar", "", 3),
            Column::in_unit("with the others", "", 3),
        ],
    );
    maps.push(vec![
        Cell::spread(&measured.own),
        Cell::spread(&measured.others),
    ]);
    [by_time, by_name, maps]
        .into_iter()
        .chain(of_each(measured, hand_made))
        .collect()
}

/// The filters of the first seed one by one.
fn of_each(measured: &Measured, hand_made: &[HandMade]) -> Option<Table> {
    let [before, after] = measured.first.as_ref()?;
    let mut table = Table::new(
        "The filters of seed 1, each with the most similar filter made by hand; a cosine below 0 means that filter reversed",
        vec![
            Column::of("filter"),
            Column::of(TIMES[BEFORE]),
            Column::in_unit("cosine", "", 2),
            Column::of(TIMES[AFTER]),
            Column::in_unit("cosine", "", 2),
        ],
    );
    for (number, (before, after)) in before.iter().zip(after).enumerate() {
        let mut row = vec![Cell::count(number)];
        for found in [before, after] {
            row.push(Cell::text(hand_made[found.hand_made].name));
            row.push(Cell::Number(found.cosine));
        }
        table.push(row);
    }
    Some(table)
}

pub(super) fn charts(
    measured: &Measured,
    reference: &Reference,
    hand_made: &[HandMade],
) -> Vec<Chart> {
    let series = |samples: &[Vec<Sample>; 2]| -> Vec<Series> {
        let series = TIMES.iter().zip(samples);
        series
            .map(|(name, samples)| Series::of(name, samples))
            .collect()
    };
    let names = hand_made.iter().map(|hand_made| hand_made.name.to_owned());
    let groups = |groups, series| Marks::Groups { groups, series };
    let likeness = measured
        .likeness
        .each_ref()
        .map(|sample| vec![sample.clone()]);
    let mut likeness = series(&likeness);
    likeness.push(Series {
        name: "random filters".into(),
        points: vec![Point::exact(0.0, reference.mean)],
    });
    vec![
        Chart {
            title: "Similarity of filters to the most similar one made by hand".into(),
            y: Axis::linear("cosine"),
            marks: groups(vec!["filters".into()], likeness),
        },
        Chart {
            title: "Filters by the most similar one made by hand".into(),
            y: Axis::linear("filters"),
            marks: groups(names.collect(), series(&measured.counts)),
        },
    ]
}
