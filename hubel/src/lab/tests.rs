use std::collections::HashSet;

use super::*;

/// As little as an experiment can do.
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

/// What must hold of every experiment, whatever its numbers are.
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
    assert!(problem(find("everything")).contains("flatten, padding"));
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
    assert!(refused("sizes", tiny()).contains("leave out --seeds"));
    let windows = Windows {
        stride: vec![2],
        ..Windows::default()
    };
    let settings = Settings {
        windows,
        ..Settings::default()
    };
    assert!(refused("flatten", settings.clone()).contains("hubel lab sizes"));
    // What is meant for several experiments is given to those that can use it.
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
    // The sizes are computed; one seed decides nothing of what is measured.
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
