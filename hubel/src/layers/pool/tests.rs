use crate::{Cpu, Network, Parameters, Plan, PlanSettings, Shape, Workspace};

fn message(text: &str, input: Shape) -> String {
    let graph = Network::parse(text).and_then(|network| network.graph(input, 2));
    graph.expect_err("a network that does not fit").to_string()
}

#[test]
fn a_maximum_over_too_many_places_is_refused_by_name_with_ways_out_that_work() {
    let refused = [
        (
            "relu-globalmaxpool-linear(2)",
            "layer 1 `globalmaxpool`",
            "maxpool(2)-globalmaxpool",
        ),
        (
            "relu-maxpool(300)-flatten-linear(2)",
            "layer 1 `maxpool(300)`",
            "maxpool(2)-maxpool(150)",
        ),
        (
            "relu-adaptivemaxpool(1)-flatten-linear(2)",
            "layer 1 `adaptivemaxpool(1)`",
            "size=2",
        ),
    ];
    for (text, layer, way_out) in refused {
        let error = message(text, Shape::new(300, 300, 1));
        for part in [layer, "300×300 have 90000", &format!("ways out: {way_out}")] {
            assert!(error.contains(part), "{text}:\n{error}");
        }
    }
    for (text, input) in [
        (
            "maxpool(2)-globalmaxpool-linear(2)",
            Shape::new(300, 300, 1),
        ),
        (
            "maxpool(2)-maxpool(150)-flatten-linear(2)",
            Shape::new(300, 300, 1),
        ),
        (
            "adaptivemaxpool(2)-flatten-linear(2)",
            Shape::new(300, 300, 1),
        ),
        ("globalmaxpool-linear(2)", Shape::new(256, 256, 1)),
        // The number of values under the window, without padding.
        (
            "maxpool(400, padding=100)-flatten-linear(2)",
            Shape::new(200, 200, 1),
        ),
    ] {
        let graph = Network::parse(text).and_then(|network| network.graph(input, 2));
        let graph = graph.unwrap_or_else(|error| panic!("{text}: {error}"));
        let settings = PlanSettings::training(1);
        let (cpu, parameters) = (Cpu::best(1), Parameters::initial(&graph, 1).unwrap());
        let plan = Plan::compile(&graph, &parameters, &cpu, settings).unwrap();
        let mut workspace = Workspace::new(&plan);
        plan.pack(&cpu, &parameters, &mut workspace);
        plan.forward(&cpu, &parameters, &mut workspace, 1);
    }
    let uneven = message("globalmaxpool", Shape::new(301, 299, 1));
    assert!(
        uneven.contains("maxpool(2, round=ceil)-globalmaxpool"),
        "{uneven}"
    );
}
