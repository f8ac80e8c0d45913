use std::collections::HashSet;

use super::*;
use crate::{Dataset, Purpose, Random};

/// The smallest amount of work for an experiment.
fn tiny() -> Settings {
    Settings {
        seeds: Some(2),
        images: Some(96),
        epochs: Some(1),
        ..Settings::default()
    }
}

fn go_on(_: &Event) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn findings(name: &str, threads: usize, settings: &Settings) -> Findings {
    let experiment = find(name).expect("it exists");
    let findings = experiment.run(&Cpu::best(threads), settings, &mut go_on);
    findings.expect("it runs").expect("nobody breaks it off")
}

fn problem(result: Result<impl Sized>) -> String {
    match result {
        Err(Error::Settings { problem }) => problem,
        _ => panic!("it is accepted"),
    }
}

/// Properties of every experiment, whatever it measures.
fn is_whole(findings: &Findings) {
    assert!(!findings.claims.is_empty() && !findings.tables.is_empty());
    for table in &findings.tables {
        assert!(!table.rows.is_empty(), "{}", table.title);
    }
    for chart in &findings.charts {
        let series = match &chart.marks {
            Marks::Lines { series, .. } => series,
            Marks::Groups { groups, series } => {
                for series in series {
                    assert_eq!(series.points.len(), groups.len(), "{}", chart.title);
                }
                series
            }
        };
        assert!(!series.is_empty(), "{}", chart.title);
    }
    for sentence in &findings.measured {
        assert!(
            sentence.ends_with('.') && !sentence.contains("NaN"),
            "{sentence}"
        );
    }
    serde_json::to_string(findings).expect("findings are plain values");
}

#[test]
fn names_differ_and_a_misspelt_one_is_offered_the_nearest() {
    let names: HashSet<&str> = EXPERIMENTS.iter().map(|each| each.name).collect();
    assert_eq!(names.len(), EXPERIMENTS.len());
    assert!(problem(find("flaten")).contains("did you mean `flatten`?"));
    assert!(problem(find("everything")).contains("flatten, weights, filters"));
}

#[test]
fn settings_that_do_nothing_are_refused() {
    let refused = |name: &str, settings: Settings| {
        problem(
            find(name)
                .expect("it exists")
                .run(&Cpu::best(1), &settings, &mut go_on),
        )
    };
    assert!(refused("sizes", tiny()).contains("leave out the setting `seeds`"));
    let windows = Windows {
        stride: vec![2],
        ..Windows::default()
    };
    let settings = Settings {
        windows,
        ..Settings::default()
    };
    assert!(refused("flatten", settings.clone()).contains("the experiment `sizes`"));
    // Settings for several experiments go to those that can use them.
    let sizes = find("sizes").expect("it exists");
    assert!(sizes.usable(&settings).windows.are_given());
    assert!(sizes.usable(&tiny()).seeds.is_none());
    let flatten = find("flatten").expect("it exists");
    assert!(!flatten.usable(&settings).windows.are_given());
}

#[test]
fn flatten_has_four_cells_a_seed_and_the_same_numbers_for_any_threads() {
    let found = findings("flatten", 1, &tiny());
    is_whole(&found);
    assert_eq!((found.tables[0].rows.len(), found.claims.len()), (2, 3));
    for row in &found.tables[0].rows {
        for cell in &row[2..] {
            let Cell::Spread(sample) = cell else {
                panic!("{cell:?} is no spread");
            };
            assert_eq!(sample.values.len(), 2);
        }
    }
    let again = findings("flatten", 2, &tiny());
    assert_eq!((again.tables, again.claims), (found.tables, found.claims));
}

#[test]
fn padding_keeps_sizes_and_has_a_row_for_each_mode() {
    let settings = Settings {
        seeds: Some(1),
        images: Some(64),
        ..tiny()
    };
    let found = findings("padding", 2, &settings);
    is_whole(&found);
    let [sizes, accuracies] = &found.tables[..] else {
        panic!("two tables");
    };
    assert_eq!((sizes.rows.len(), accuracies.rows.len()), (5, 5));
    let heights = |row: usize| sizes.rows[row][1..6].to_vec();
    assert_eq!(heights(0), [28, 24, 12, 8, 4].map(Cell::count));
    assert_eq!(heights(1), [28, 28, 14, 14, 14].map(Cell::count));
    // Sizes are computed exactly; one seed decides no measured claim.
    let verdicts: Vec<Verdict> = found.claims.iter().map(|claim| claim.verdict).collect();
    let open = Verdict::Undecided;
    assert_eq!(verdicts, [Verdict::Holds, open, open]);
}

#[test]
fn who_listens_is_told_each_run_and_may_break_off() {
    let flatten = find("flatten").expect("it exists");
    let cpu = Cpu::best(2);
    let mut last = None;
    let broken_off = flatten.run(&cpu, &tiny(), &mut |event| {
        assert!(event.run <= event.runs && event.runs == 8, "{event:?}");
        last = Some(event.clone());
        match event.run {
            2 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    assert!(broken_off.expect("nothing fails").is_none());
    assert_eq!(last.expect("there were events").run, 2);
}

/// Pictures of this shape: of random pixels, of two classes.
fn noise(shape: Shape) -> Splits {
    let classes = vec!["a".to_owned(), "b".to_owned()];
    let part = |count: usize, seed: u64| {
        let mut stream = Random::new(seed).stream(Purpose::Experiment, 0, 0);
        let pixels = (0..count * shape.len()).map(|_| (stream.uniform() * 255.0) as u8);
        let labels = (0..count).map(|i| i % 2).collect();
        let part = Dataset::from_bytes("noise", classes.clone(), shape, pixels.collect(), labels);
        part.expect("it is whole")
    };
    Splits {
        train: part(16, 1),
        validation: None,
        test: Some(part(8, 2)),
        description: "noise".into(),
        notes: Vec::new(),
        bad_files: Vec::new(),
        empty_texts: Vec::new(),
        division: None,
    }
}

#[test]
fn every_experiment_takes_the_smallest_pictures_that_it_says_and_smaller_ones_would_not_do() {
    let cpu = Cpu::best(1);
    let of_pictures = |each: &&Experiment| matches!(each.data, Data::Pictures | Data::Colour);
    for experiment in EXPERIMENTS.iter().filter(of_pictures) {
        let side = experiment.smallest;
        let settings = |side: usize| Settings {
            data: Some(noise(Shape::new(side, side + 1, 3))),
            seeds: Some(1),
            images: Some(16),
            epochs: Some(1),
            ..Settings::default()
        };
        let found = experiment.run(&cpu, &settings(side), &mut go_on);
        is_whole(&found.expect(experiment.name).expect("nobody breaks it off"));
        if side == 1 {
            continue;
        }
        let small = settings(side - 1);
        let said = problem(experiment.check(&small));
        assert!(
            said.contains(&format!("need at least {side}×{side} pixels")),
            "{said}"
        );
        let mut listen = go_on;
        let bench = Workbench::new(experiment, &cpu, &small, &mut listen);
        let mut bench = bench.expect("it opens");
        assert!(
            (experiment.run)(&mut bench).is_err(),
            "{} refuses too much",
            experiment.name
        );
    }
}

#[test]
fn stride_makes_the_output_smaller_and_says_what_each_seed_measured() {
    let found = findings("stride", 2, &tiny());
    is_whole(&found);
    let sizes: Vec<&Cell> = found.tables[0].rows.iter().map(|row| &row[1]).collect();
    let expected = ["28×28×8", "14×14×8", "10×10×8"].map(Cell::text);
    assert!(sizes.into_iter().eq(&expected));
    assert_eq!(found.claims[0].verdict, Verdict::Holds);
    let numbers = found.claims[2].numbers.as_ref().expect("it was measured");
    assert_eq!(numbers.sample.values.len(), 2);
}

#[test]
fn pooling_has_a_row_for_each_kind_and_moves_the_pictures() {
    let settings = Settings {
        seeds: Some(1),
        ..tiny()
    };
    let found = findings("pooling", 2, &settings);
    is_whole(&found);
    let [costs, accuracies] = &found.tables[..] else {
        panic!("two tables");
    };
    let maps = costs.rows.iter().map(|row| row[1].clone());
    let expected = ["28×28×16", "7×7×16", "7×7×16", "7×7×16"].map(Cell::text);
    assert!(maps.eq(expected));
    for row in &accuracies.rows {
        let Cell::Spread(moved) = &row[4] else {
            panic!("MNIST is bytes");
        };
        assert!(moved.values[0] > 0.0, "a move changes nothing: {row:?}");
    }
    assert_eq!(found.claims[0].verdict, Verdict::Holds);
}

#[test]
fn filters_are_shown_before_and_after_and_their_maps_are_what_their_weights_say() {
    let settings = Settings {
        seeds: Some(1),
        ..tiny()
    };
    let found = findings("filters", 2, &settings);
    is_whole(&found);
    let counted = |column: usize| -> f64 {
        let cells = found.tables[1].rows.iter().map(|row| match &row[column] {
            Cell::Spread(sample) => sample.values[0],
            cell => panic!("{cell:?} is no spread"),
        });
        cells.sum()
    };
    // Each of the 16 filters is most similar to one of them.
    assert_eq!((counted(1), counted(2)), (16.0, 16.0));
    let Cell::Number(random) = found.tables[0].rows[2][2] else {
        panic!("what random filters reach");
    };
    assert!((0.2..0.5).contains(&random), "{random}");
    let names: Vec<&str> = found
        .pictures
        .iter()
        .map(|picture| &*picture.name)
        .collect();
    assert_eq!(names[..2], ["before-training", "after-training"]);
    assert_ne!(
        found.pictures[0].drawing.pixels(),
        found.pictures[1].drawing.pixels()
    );
    assert_eq!(found.claims[3].verdict, Verdict::Holds);
}

#[test]
fn channels_shows_each_class_in_grey_and_in_colour_and_what_is_said_of_a_wrong_depth() {
    let found = findings("channels", 2, &tiny());
    is_whole(&found);
    let [ways, classes, attempts] = &found.tables[..] else {
        panic!("three tables");
    };
    assert_eq!((ways.rows.len(), classes.rows.len()), (3, 10));
    // 16 filters of 3×3 with a bias, over one channel and over three.
    let parameters = |row: usize| ways.rows[row][2].clone();
    assert_eq!([0, 1, 2].map(parameters), [160, 448, 448].map(Cell::count));
    let said = |row: usize| format!("{:?}", attempts.rows[row][1]);
    assert!(said(1).contains("sobel-x") && said(1).contains("8×8×3"));
    assert_eq!(found.claims[2].verdict, Verdict::Holds);
    assert_eq!(found.claims[3].verdict, Verdict::Holds);
    assert!(
        found
            .setup
            .iter()
            .any(|fact| fact.value.contains("hubel draws itself"))
    );
}

#[test]
fn depth_finds_the_cars_by_name_and_says_where_there_are_none() {
    let settings = Settings {
        images: Some(40),
        ..tiny()
    };
    let found = findings("depth", 2, &settings);
    is_whole(&found);
    let sees = |row: usize| found.tables[0].rows[row][3].clone();
    assert_eq!([0, 1, 2].map(sees), [6, 16, 36].map(Cell::count));
    assert!(matches!(found.tables[0].rows[0][6], Cell::Spread(_)));
    let found = findings(
        "depth",
        2,
        &Settings {
            data: Some(noise(Shape::new(8, 8, 3))),
            ..settings
        },
    );
    is_whole(&found);
    assert_eq!(found.tables[0].rows[0][6], Cell::Nothing);
    assert_eq!(found.claims[0].verdict, Verdict::Undecided);
    assert!(found.measured[1].contains("No class of this data is called car"));
}

#[test]
fn activations_measures_every_layer_and_sigmoid_loses_its_gradient() {
    let found = findings(
        "activations",
        2,
        &Settings {
            images: Some(32),
            ..tiny()
        },
    );
    is_whole(&found);
    let Marks::Lines { series, .. } = &found.charts[0].marks else {
        panic!("gradients lie over layers");
    };
    let ends = |name: &str| {
        let points = &series
            .iter()
            .find(|series| series.name == name)
            .expect("it is shown")
            .points;
        assert_eq!(points.len(), 20, "{name}");
        points[0].y / points[19].y
    };
    // A derivative of at most a quarter in each of 19 layers, whatever the weights are.
    assert!(ends("sigmoid") < 1e-8 && ends("relu") > 1e-2);
    let claims: Vec<Verdict> = found.claims[..3]
        .iter()
        .map(|claim| claim.verdict)
        .collect();
    assert_eq!(claims[0], Verdict::Holds);
}

#[test]
fn grey_pictures_are_refused_where_colour_is_asked_for_and_left_out_where_all_run() {
    let grey = noise(Shape::new(8, 8, 1));
    let same = noise(Shape::new(8, 8, 3));
    let same = Splits {
        train: same.train.in_grey(3).expect("it is in memory"),
        ..same
    };
    for data in [grey, same] {
        let settings = Settings {
            data: Some(data),
            ..Settings::default()
        };
        for name in ["channels", "depth"] {
            let experiment = find(name).expect("it exists");
            let said = experiment
                .check(&settings)
                .expect_err("it has no colour")
                .to_string();
            assert!(
                said.contains("in colour") && said.contains("give others, or none"),
                "{said}"
            );
            assert!(experiment.usable(&settings).data.is_none());
        }
        let flatten = find("flatten").expect("it exists");
        assert!(flatten.usable(&settings).data.is_some());
        assert!(flatten.check(&settings).is_ok());
    }
}
