//! Architecture text: what it accepts, what it rejects, and the messages.
use super::*;

#[test]
fn the_text_is_forgiving_about_case_separators_and_usual_names() {
    let network =
        Network::parse("conv(8, padding=1)-relu-maxpool(2)-flatten-linear(classes)").unwrap();
    for text in [
        "Conv(8,padding=1) ReLU Pool FLATTEN FC(Classes)",
        "conv(8, 3, 1, 1), relu, max_pool2d(2), flatten, fc(classes)",
        " [conv( 8 , kernel=(3,3), padding=(1,1,1,1) )] - relu -pool\n- flatten - linear(outputs=classes) ",
    ] {
        assert_eq!(Network::parse(text).unwrap(), network, "{text}");
    }
}

#[test]
fn a_number_without_a_name_does_not_slide_into_the_next_setting() {
    for text in [
        "Conv2d(3, out_channels=32, kernel_size=3, padding=1)",
        "maxpool(2, kernel=3)",
        "conv(16, filters=8)",
        "Linear(784, out_features=10)",
    ] {
        let error = Network::parse(text).expect_err(text).to_string();
        assert!(error.contains("given twice"), "{error}");
    }
}

#[test]
fn torch_s_names_of_settings_mean_what_they_mean_there() {
    for (torch, hubel) in [
        (
            "MaxPool2d(3, stride=2, ceil_mode=True)",
            "maxpool(3, stride=2, round=ceil)",
        ),
        (
            "MaxPool2d(kernel_size=2, ceil_mode=False)",
            "maxpool(2, round=floor)",
        ),
        (
            "AvgPool2d(3, 2, 1, count_include_pad=False)",
            "avgpool(3, stride=2, padding=1, count_padding=false)",
        ),
        ("Dropout(p=0.25)", "dropout(0.25)"),
        (
            "Upsample(scale_factor=2, mode=bilinear)",
            "upsample((2,2), mode=bilinear)",
        ),
        ("LeakyReLU(negative_slope=0.2)", "leakyrelu(0.2)"),
        (
            "AdaptiveAvgPool2d(output_size=(3, 2))",
            "adaptiveavgpool((3,2))",
        ),
        (
            "Linear(out_features=10, bias=False)",
            "linear(10, bias=false)",
        ),
        (
            "Conv2d(out_channels=8, kernel_size=5, padding_mode=reflect)",
            "conv(8, kernel=5, mode=reflect)",
        ),
        (
            "BatchNorm2d(eps=0.001, momentum=0.3)",
            "batchnorm(0.001, 0.3)",
        ),
    ] {
        let read = Network::parse(torch).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read, Network::parse(hubel).unwrap(), "{torch}");
    }
}

#[test]
fn repeats_are_written_out() {
    let once = "conv(32, padding=same)-relu-conv(32, padding=same)-relu-pool";
    let repeated = Network::parse(&format!("[{once}]x3-flatten-fc(classes)")).unwrap();
    let written = Network::parse(&format!("{once}-{once}-{once}-flatten-linear(classes)")).unwrap();
    assert_eq!(repeated, written);
    let graph = graph(
        "a: [conv(4, padding=1)-relu]x2 residual[conv(4, padding=1)]x2",
        [8, 8, 3],
    )
    .unwrap();
    let names: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "", "a.0", "a.1", "a.2", "a.3", "1.body.0", "1", "2.body.0", "2"
        ]
    );
}

#[test]
fn mistakes_are_shown_with_a_caret() {
    for (text, expected) in [
        (
            "relu-Conv2d(1, 8, 3)",
            "begins with the input's channels, which hubel finds automatically: leave the first number out and name the others, \
             as in `conv(8, kernel=3)`\n  relu-Conv2d(1, 8, 3)\n              ^",
        ),
        ("conv2d(3, 64, kernel_size=7, stride=2)", "as in `conv(64)`"),
        (
            "BatchNorm2d(64)",
            "finds the number of channels automatically",
        ),
        (
            "batchnorm(64)",
            "finds the number of channels automatically",
        ),
        ("PReLU(64)", "finds the number of channels automatically"),
        ("PReLU(1)", "has a slope for each channel"),
        ("PReLU(num_parameters=8)", "leave `num_parameters` out"),
        ("upsample", "it needs a factor"),
        ("pad", "it needs a padding"),
        ("pad(same)", "it needs a padding"),
        ("AvgPool2d(3, 2, 1, true)", "`round=ceil`"),
        ("maxpool2d(3, 2, 1, 1)", "`round=ceil`"),
        ("Linear(128, 10)", "leave it out: `linear(10)`"),
        (
            "linear(in_features=128, out_features=10)",
            "leave `in_features` out",
        ),
        ("conv(8, in_channels=3)", "leave `in_channels` out"),
        ("BatchNorm2d(num_features=8)", "leave `num_features` out"),
        ("ReLU(inplace=True)", "leave `inplace` out"),
        ("Dropout2d(0.5)", "drops whole channels"),
        (
            "maxpool(2, ceil_mode=yes)",
            "`ceil_mode` must be true or false",
        ),
        (
            "conv(8)-rellu",
            "there is no layer `rellu`; did you mean `relu`?\n  conv(8)-rellu\n          ^^^^^",
        ),
        (
            "conv(8, kernl=3)",
            "unknown setting `kernl`; did you mean `kernel`?\n  conv(8, kernl=3)\n          ^^^^^^^",
        ),
        (
            "conv()",
            "needs the number of its filters\n  conv()\n  ^^^^",
        ),
        (
            "conv(-3)",
            "`filters` must be a number\n  conv(-3)\n       ^^",
        ),
        (
            "leakyrelu(1e39)",
            "`slope` must be a number between -3.4e38 and 3.4e38\n  leakyrelu(1e39)\n            ^^^^",
        ),
        (
            "batchnorm(momentum=-1e39)",
            "`momentum` must be a number between -3.4e38 and 3.4e38\n  batchnorm(momentum=-1e39)\n            ^^^^^^^^^^^^^^",
        ),
        (
            "relu-[conv(3)",
            "this `[` is never closed\n  relu-[conv(3)\n       ^",
        ),
        ("relu-conv(3", "this `(` is never closed"),
        ("relu]", "this `]` has no `[`\n  relu]\n      ^"),
        ("relu|relu", "`|` separates branches"),
        ("[relu]x0", "at least 1\n  [relu]x0\n        ^^"),
        ("[[relu]x9999]x9999", "more than 10000 layers"),
        ("concat[relu||||]x2500", "more than 10000 layers"),
        ("residual[]", "`residual[ body ]`"),
        ("concat[relu]", "two branches"),
        ("dropout(0.5, 0.5)", "too many"),
        ("relu(1)", "it takes no settings"),
        ("conv(3, kernel=3, kernel=4)", "given twice"),
        ("", "no layer in it"),
        ("löwe", "there is no layer `löwe`"),
        (
            "relu-→relu",
            "the name of a layer is missing here\n  relu-→relu\n       ^",
        ),
    ] {
        let error = Network::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}:\n{error}");
    }
    assert!(Network::parse(&"[".repeat(100_000)).is_err());
}

#[test]
fn unknown_names_get_the_nearest() {
    let error = |name| Network::resolve(name).unwrap_err().to_string();
    assert_eq!(
        error("resnet81"),
        "there is no network `resnet81`; did you mean `resnet18`?"
    );
    assert!(error("mobilenetv2").contains("`mobilenet-v2`"));
    assert!(error("alexandria").contains("known names: lenet5"));
    assert!(error("conv(3)-rellu").contains("`relu`"));
    // One word may be a layer as well as a network.
    let layer = error("rellu");
    assert!(layer.contains("did you mean `relu`? The networks by name are lenet5, mnist-cnn"));
    assert!(layer.ends_with("\n  rellu\n  ^^^^^"), "{layer}");
    assert!(error("conv").contains("`conv` needs the number of its filters"));
    assert_eq!(
        Network::resolve("LeNet5").unwrap(),
        Network::named("lenet5").unwrap()
    );
    assert!(Network::resolve("flatten").is_ok());
}

#[test]
fn labels_are_short_since_repeats_carry_them() {
    let label = "l".repeat(255);
    assert!(Network::parse(&format!("[{label}: relu]x2")).is_ok());
    let error = Network::parse(&format!("[{label}l: relu]x9999")).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("a label is at most 255 bytes long") && text.len() < 1000,
        "{text}"
    );
}

#[test]
fn each_layer_has_its_place_in_the_text() {
    let text = "stem: conv(8, padding=1) - [relu conv(8, padding=1) ]x2 - residual[conv(8, padding=1) | relu]x2-globalavgpool";
    let places = Network::places(text).unwrap();
    let layers = Network::parse(text).unwrap().layers();
    assert_eq!(places.len(), layers.len());
    for (place, layer) in places.iter().zip(layers) {
        let at_place = Network::parse(&text[place.clone()]).unwrap();
        assert_eq!(at_place.layers(), [layer], "{}", &text[place.clone()]);
    }
}

#[test]
fn an_error_has_its_place_in_the_text() {
    let misspelt = "relu-cnov(8)-relu";
    let Err(Error::Architecture { place, .. }) = Network::parse(misspelt) else {
        panic!("it is accepted");
    };
    assert_eq!(&misspelt[place], "cnov");
    let too_small = "[relu]x2-conv(8, kernel=9)-flatten";
    let network = Network::parse(too_small).unwrap();
    let Err(Error::Layer(error)) = network.graph(Shape::new(4, 4, 1), 2) else {
        panic!("it is accepted");
    };
    let place = Network::places(too_small).unwrap()[error.index.unwrap()].clone();
    assert_eq!(&too_small[place], "conv(8, kernel=9)");
}
