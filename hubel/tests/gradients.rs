//! Plans: gradients agree with finite differences of the loss, fused or not, and bits do not depend on threads.
use std::collections::BTreeSet;
use std::ops::ControlFlow;

use hubel::layers::{Activation, Layer, PaddingMode};
use hubel::network::{Graph, Input, Operation, Role};
use hubel::{
    Cpu, Dataset, InstructionSet, Network, Parameters, Plan, PlanSettings, Shape, TrainSettings,
    Trainer, Workspace,
};

// The networks whose gradients are checked. If a layer has no weights, and for the gradient by its input, a layer with weights
// comes before it.
const AVERAGE: &str = "conv(4, padding=same)-sigmoid-avgpool(2, round=floor)-flatten-fc(classes)";
const AVERAGE_PADDED: &str = "conv(3)-tanh-avgpool(3, stride=2, padding=1, count_padding=false, round=ceil)-flatten-fc(classes)";
const STRIDES: &str = "conv(5, kernel=(3,2), stride=(2,1), padding=(1,0,0,1), round=floor)-tanh\
    -conv(4, kernel=(2,3), stride=(1,2), round=floor)-identity-flatten-fc(classes)";
const GROUPS: &str =
    "conv(6, groups=2, dilation=2)-gelu-conv(6, groups=6, padding=1)-hardswish-flatten-fc(classes)";
const NORMALISED: &str =
    "conv(4)-batchnorm-tanh-conv(4)-batchnorm-sigmoid-flatten-fc(7)-tanh-fc(classes)";
const RESIDUAL: &str =
    "conv(4, padding=1)-tanh-residual[conv(4, padding=1)-tanh]-tanh-flatten-fc(classes)";
const SHORTCUT: &str = "conv(4)-relu-residual[conv(4, padding=1)-batchnorm | conv(4, kernel=1)-batchnorm]-relu\
    -globalavgpool-fc(classes)";
const BLOCKS: &str = "conv(4)-batchnorm-relu-residual[conv(4, padding=1)-batchnorm-relu6-conv(4, padding=1)-batchnorm]-relu\
    -residual[conv(4, kernel=1)-batchnorm]-residual[batchnorm | tanh-batchnorm]-tanh-globalavgpool-fc(classes)";
/// Batch norms applied on load: by depthwise, direct, Winograd and pooling steps. Only compared with the unfused plan, because so many batch
/// norms in a row have kinks within any step of a difference quotient.
const NORMALISED_READ: &str = "conv(8, padding=1)-batchnorm-relu6-conv(8, groups=8, padding=1)-batchnorm-conv(24, kernel=1)\
    -batchnorm-relu-conv(24, padding=1)-batchnorm-relu-maxpool(3, stride=2, padding=1, round=floor)\
    -conv(4, padding=1)-batchnorm-relu-conv(6, padding=1)-tanh-maxpool(2, round=floor)-conv(3, kernel=1)-batchnorm-globalmaxpool\
    -fc(classes)";
/// Convolutions that compute the gradient of the batch norm after them on load: the first layer, and 1×1 ones, which
/// normalise their input, add to another branch's gradient, or do neither. Only compared, as above.
const IN_ONE_PASS: &str = "conv(24, padding=1)-batchnorm-relu-conv(20, kernel=1, bias=false)-batchnorm-relu6-conv(32, kernel=1)-batchnorm-tanh\
    -residual[conv(40, kernel=1)-batchnorm-relu-conv(32, kernel=1)-batchnorm]-conv(24, kernel=1)-batchnorm-globalavgpool-fc(classes)";
/// A batch norm that reads its input under another name, while another layer also reads it. Only compared, as above.
const IN_OTHER_WORDS: &str = "globalavgpool-fc(32)-residual[flatten-batchnorm-relu]-fc(classes)";
/// Batch norms after convolutions with fused pooling, direct and Winograd. Only compared, as above.
const POOLED_NORMALISED: &str = "conv(32, padding=1)-maxpool(2, round=floor)-batchnorm-relu-conv(32, padding=1)\
    -maxpool(2, round=floor)-batchnorm-relu-flatten-fc(classes)";
const BRANCHES: &str = "concat[conv(3)-tanh | conv(2)-sigmoid]-maxpool(2, round=floor)-flatten-dropout(0.3)-fc(classes)";
const LIMITS: &str =
    "conv(6)-elu(0.8)-conv(6, padding=1)-mish-conv(5)-clip(-0.6, 0.7)-flatten-fc(classes)";
const SMOOTH: &str = "conv(6)-softplus-conv(5, padding=1)-gelutanh-flatten-fc(classes)";
/// Products with factors of channels, as in squeeze-and-excitation, and with maps.
const PRODUCTS: &str = "conv(4)-batchnorm-tanh-multiply[ | globalavgpool-conv(3, kernel=1)-tanh-conv(4, kernel=1)-hardsigmoid]\
    -multiply[conv(4, padding=1)-batchnorm | conv(4, kernel=1)-sigmoid]-flatten-multiply[fc(6) | fc(6)-sigmoid]-fc(classes)";
const RESPONSES: &str = "conv(7)-lrn(3, alpha=0.5)-conv(4)-lrn(5, alpha=0.8, beta=0.6, bias=2)-tanh-flatten-fc(9)-lrn(9, alpha=1)-fc(classes)";
/// Layer norms of maps, of an input that others read, and of rows.
const PIXELS_NORMALISED: &str = "conv(6)-layernorm-residual[conv(6, groups=6, padding=1)-layernorm(epsilon=0.1)-tanh-conv(6, kernel=1)]\
    -residual[layernorm | sigmoid]-globalavgpool-layernorm-fc(5)-layernorm-tanh-fc(classes)";
/// Group norms of maps in one group, in several and in one for each channel, of an input that others read, and of rows.
const GROUPS_NORMALISED: &str = "conv(6)-groupnorm(3)-residual[conv(6, groups=6, padding=1)-groupnorm(6, epsilon=0.1)-tanh-conv(6, kernel=1)]\
    -residual[groupnorm(1) | sigmoid]-globalavgpool-groupnorm(2, epsilon=0.1)-fc(8)-groupnorm(2, epsilon=0.1)-tanh-fc(classes)";
/// Factors with and without summands, of maps, of an input that others read, and of rows.
const SCALED: &str = "conv(6)-scale-tanh-residual[conv(6, padding=1)-tanh-conv(6, kernel=1)-scale(bias=false)]\
    -residual[scale | sigmoid]-globalavgpool-scale(bias=false)-fc(5)-tanh-scale-fc(classes)";
/// Parts of the channels, alone and overlapping, and channel shuffles, as in ShuffleNet.
const MOVED: &str = "conv(6)-batchnorm-tanh-concat[channels(0, 3) | channels(2, 4)-conv(3, kernel=1)-tanh]-shuffle(2)-conv(6, padding=1)\
    -shuffle(3)-tanh-channels(1, 4)-flatten-fc(8)-channels(2, 6)-shuffle(3)-fc(classes)";
/// PReLU of maps, of an input that others read, and of rows.
const SLOPES: &str =
    "conv(5)-prelu-conv(4, padding=1)-residual[prelu | tanh]-flatten-prelu-fc(7)-prelu-fc(classes)";
/// Padding in front of layers that do not pad so.
const BORDERS: &str = "conv(4)-pad((1,0,2,1), mode=reflect)-maxpool(2, round=floor)-tanh-residual[pad((0,1,1,2), mode=constant(0.5))-conv(4, kernel=(2,4))]\
    -pad(1)-avgpool(3, stride=2, round=floor)-pad((1,2), mode=circular)-flatten-fc(classes)";
const ENLARGED: &str = "conv(4)-upsample((2,3))-conv(3, stride=2, round=floor)-tanh-residual[upsample(1) | conv(3, kernel=1)]\
    -upsample((3,2), mode=bilinear)-conv(3, stride=3, round=floor)-flatten-fc(classes)";
/// Branches that read the image, which needs no gradient.
const BESIDE_THE_IMAGE: &str = "concat[ | conv(3, padding=1)]-tanh-concat[conv(2, padding=1) | | conv(2, padding=1)-leakyrelu(-0.3)]\
    -flatten-fc(classes)";
const KINKS: &str = "conv(4, padding=1)-relu-conv(4, padding=1)-relu6\
    -maxpool(3, stride=2, padding=1, round=floor)-flatten-fc(classes)";
/// Pooling fused into convolutions, direct and Winograd, on maps of odd size.
const POOLED: &str = "conv(5, kernel=2, padding=1)-tanh-maxpool(2, round=floor)\
    -conv(18, kernel=2, padding=1)-leakyrelu(0.2)-maxpool(2, round=floor)-flatten-fc(classes)";
const POOLED_WINOGRAD: &str = "conv(32, padding=1)-tanh-conv(32, padding=1)-sigmoid-maxpool(2, round=floor)\
    -flatten-fc(classes)";
const REFLECT: &str =
    "conv(4)-tanh-conv(4, padding=1, mode=reflect)-silu-globalavgpool-flatten-fc(classes)";
const REPLICATE: &str = "conv(4)-sigmoid-conv(4, padding=2, mode=replicate)-leakyrelu(0.1)\
    -adaptivemaxpool((2,3))-flatten-fc(classes)";
const CIRCULAR: &str =
    "conv(4)-tanh-conv(4, padding=1, mode=circular)-tanh-globalmaxpool-flatten-fc(classes)";
const CONSTANT: &str = "conv(4)-tanh-conv(4, padding=1, mode=constant(0.5))-identity\
    -adaptiveavgpool((3,2))-flatten-fc(classes)";

/// Networks of clips.
const ALONG_TIME: &str = "conv(3, padding=1)-tanh-timeconv(4, kernel=2, stride=2, padding=(1,0), round=floor)-sigmoid\
    -timemaxpool(2, stride=1)-timeavgpool(2, stride=1, padding=1, count_padding=false)-globalavgpool-avgovertime-fc(classes)";
const FACTORISED: &str = "conv(4, padding=1)-batchnorm-tanh-timeconv(5, padding=same)-batchnorm-tanh-maxpool(2, round=floor)\
    -residual[conv(5, padding=1, mode=reflect)-tanh-timeconv(5, kernel=1)]-globalmaxpool-maxovertime-fc(classes)";
const TIME_FLATTENED: &str = "timeconv(4, groups=2, dilation=2)-tanh-concat[timeavgpool(2, stride=1) | timeconv(2, kernel=2)-gelu]\
    -adaptiveavgpool(2)-flatten-fc(classes)";
/// A group norm over all frames.
const CLIP_NORMALISED: &str = "conv(4)-groupnorm(2)-tanh-timeconv(4, kernel=2)-scale-tanh-globalavgpool-avgovertime-fc(classes)";
/// Networks of texts.
const KIM: &str = "embedding(5)-concat[timeconv(4, kernel=2)-tanh-maxovertime | timeconv(3, kernel=3, padding=same)-sigmoid-avgovertime]\
    -dropout(0.2)-fc(classes)";
const TEXT: &str = "embedding(6)-timeconv(6, kernel=2, groups=3, dilation=2, bias=false)-tanh\
    -residual[timeconv(6, padding=same)-tanh]-timemaxpool(2, round=ceil)-maxovertime-fc(classes)";

/// A table of all variants of an enum and the networks that check them. The function that finds a variant's row has no wildcard. So a
/// new variant does not compile here until it has a row, and a row needs a network.
macro_rules! checked {
    ($table:ident, $row_of:ident, $enum:ident, $($variant:ident: [$($network:ident),+],)+) => {
        const $table: &[(&str, &[&str])] = &[$((stringify!($variant), &[$($network),+])),+];

        fn $row_of(value: &$enum) -> &'static str {
            match value {
                $($enum::$variant { .. } => stringify!($variant),)+
            }
        }
    };
}

checked!(
    LAYERS, row_of_layer, Layer,
    Conv: [STRIDES, GROUPS, REFLECT, REPLICATE, CIRCULAR, CONSTANT],
    Pool: [AVERAGE, AVERAGE_PADDED, BRANCHES, KINKS, POOLED, POOLED_WINOGRAD],
    GlobalAvgPool: [REFLECT, SHORTCUT],
    GlobalMaxPool: [CIRCULAR],
    AdaptiveAvgPool: [CONSTANT],
    AdaptiveMaxPool: [REPLICATE],
    BatchNorm: [NORMALISED, SHORTCUT, BLOCKS],
    Lrn: [RESPONSES],
    LayerNorm: [PIXELS_NORMALISED],
    GroupNorm: [GROUPS_NORMALISED, CLIP_NORMALISED],
    Scale: [SCALED],
    Channels: [MOVED],
    Shuffle: [MOVED],
    Upsample: [ENLARGED],
    Prelu: [SLOPES],
    Pad: [BORDERS],
    Dropout: [BRANCHES],
    Flatten: [AVERAGE],
    Linear: [NORMALISED],
    Activation: [NORMALISED, KINKS],
    TimeConv: [ALONG_TIME, FACTORISED, TIME_FLATTENED, KIM, TEXT],
    TimePool: [ALONG_TIME, TEXT],
    MaxOverTime: [FACTORISED, KIM],
    AvgOverTime: [ALONG_TIME, KIM],
    Embedding: [KIM, TEXT],
);

checked!(
    OPERATIONS, row_of_operation, Operation,
    Image: [AVERAGE],
    Conv: [STRIDES, GROUPS, REFLECT, REPLICATE, CIRCULAR, CONSTANT],
    MaxPool: [BRANCHES, KINKS, POOLED, POOLED_WINOGRAD],
    AvgPool: [AVERAGE, AVERAGE_PADDED],
    GlobalAvgPool: [REFLECT, SHORTCUT],
    GlobalMaxPool: [CIRCULAR],
    AdaptiveAvgPool: [CONSTANT],
    AdaptiveMaxPool: [REPLICATE],
    BatchNorm: [NORMALISED, SHORTCUT, BLOCKS],
    Lrn: [RESPONSES],
    LayerNorm: [PIXELS_NORMALISED],
    GroupNorm: [GROUPS_NORMALISED, CLIP_NORMALISED],
    Scale: [SCALED],
    Channels: [MOVED],
    Shuffle: [MOVED],
    Upsample: [ENLARGED],
    Prelu: [SLOPES],
    Pad: [BORDERS],
    Dropout: [BRANCHES],
    Flatten: [AVERAGE],
    Linear: [NORMALISED],
    Activation: [NORMALISED, KINKS],
    Tokens: [KIM],
    Embedding: [KIM, TEXT],
    TimeConv: [ALONG_TIME, FACTORISED, TIME_FLATTENED, KIM, TEXT],
    TimeMaxPool: [ALONG_TIME, TEXT],
    TimeAvgPool: [ALONG_TIME],
    MaxOverTime: [FACTORISED, KIM],
    AvgOverTime: [ALONG_TIME, KIM],
    Add: [RESIDUAL, SHORTCUT, BLOCKS],
    Concat: [BRANCHES, BESIDE_THE_IMAGE],
    Multiply: [PRODUCTS],
);

checked!(
    ACTIVATIONS, row_of_activation, Activation,
    Identity: [STRIDES, CONSTANT],
    Relu: [KINKS, SHORTCUT],
    Relu6: [KINKS],
    LeakyRelu: [REPLICATE],
    Sigmoid: [AVERAGE, NORMALISED],
    Tanh: [STRIDES, RESIDUAL],
    Silu: [REFLECT],
    HardSwish: [GROUPS],
    Gelu: [GROUPS],
    HardSigmoid: [PRODUCTS],
    Elu: [LIMITS],
    Mish: [LIMITS],
    Softplus: [SMOOTH],
    GeluTanh: [SMOOTH],
    Clip: [LIMITS],
);

checked!(
    PADDING_MODES, row_of_padding_mode, PaddingMode,
    Zeros: [GROUPS, RESIDUAL],
    Reflect: [REFLECT],
    Replicate: [REPLICATE],
    Circular: [CIRCULAR],
    Constant: [CONSTANT],
);

/// The networks of all tables.
fn networks() -> BTreeSet<&'static str> {
    let tables = [LAYERS, OPERATIONS, ACTIVATIONS, PADDING_MODES];
    let rows = tables.into_iter().flatten();
    rows.flat_map(|(_, networks)| networks.iter().copied())
        .collect()
}

/// What a network reads: a text of tokens below [`VOCABULARY`], a clip, or an image.
fn input(text: &str) -> Input {
    let frame = Shape::new(7, 6, 2);
    match [text.contains("embedding"), text.contains("time")] {
        [true, _] => Input::tokens(9, VOCABULARY),
        [_, true] => frame.over(6).into(),
        _ => frame.into(),
    }
}

/// Different tokens of the texts.
const VOCABULARY: usize = 13;

/// The values of a batch for `input`. Each text ends with other padding; one is nothing else.
fn fill(input: Input, values: &mut [f32]) {
    let length = input.shape.len();
    for (i, value) in values.iter_mut().enumerate() {
        let (sample, place) = (i / length, i % length);
        *value = match input.vocabulary {
            None => (i as f32 * 12.9898).sin(),
            Some(vocabulary) if place + 3 * sample < length => (i * 7 % vocabulary) as f32,
            Some(_) => 0.0,
        };
    }
}

fn graph(text: &str) -> Result<Graph, hubel::Error> {
    Network::parse(text)?.graph(input(text), 3)
}

/// For each node: whether the gradient by its input is part of the gradient of some weight.
fn reach_weights(graph: &Graph) -> Vec<bool> {
    let has_weights = |i: usize| {
        let tensors = &graph.nodes[i].tensors;
        tensors.iter().any(|tensor| tensor.role == Role::Weight)
    };
    let mut reaches: Vec<bool> = Vec::new();
    for node in &graph.nodes {
        let inputs = node.inputs.iter();
        reaches.push(inputs.into_iter().any(|&i| has_weights(i) || reaches[i]));
    }
    reaches
}

/// The row of an operation in one of the tables, if it has one.
type RowOf = fn(&Operation) -> Option<&'static str>;

#[test]
fn every_layer_operation_activation_and_padding_is_in_the_networks_that_check_it()
-> Result<(), hubel::Error> {
    for (row, networks) in LAYERS {
        for text in *networks {
            let layers = Network::parse(text)?.layers();
            let found = layers.iter().any(|layer| row_of_layer(layer) == *row);
            assert!(found, "{text} does not hold {row}");
        }
    }
    let tables: [(_, RowOf); 3] = [
        (OPERATIONS, |operation| Some(row_of_operation(operation))),
        (ACTIVATIONS, |operation| match operation {
            Operation::Activation(activation) => Some(row_of_activation(activation)),
            _ => None,
        }),
        (PADDING_MODES, |operation| match operation {
            Operation::Conv(conv) => {
                (conv.padding != [0; 4]).then(|| row_of_padding_mode(&conv.mode))
            }
            _ => None,
        }),
    ];
    for (table, row_of) in tables {
        for (row, networks) in table {
            for text in *networks {
                let graph = graph(text)?;
                let reaches = reach_weights(&graph);
                let found = (graph.nodes.iter().zip(reaches)).any(|(node, reaches)| {
                    let first = matches!(
                        node.operation,
                        Operation::Image | Operation::Tokens { .. } | Operation::Embedding { .. }
                    );
                    row_of(&node.operation) == Some(row) && (reaches || first)
                });
                assert!(found, "{text} does not hold {row} behind weights");
            }
        }
    }
    Ok(())
}

fn run(
    text: &str,
    settings: PlanSettings,
    change: impl Fn(&mut Parameters),
) -> Result<(f64, Vec<f32>), hubel::Error> {
    let graph = graph(text)?;
    let cpu = Cpu::best(2);
    let mut parameters = Parameters::initial(&graph, 3).unwrap();
    change(&mut parameters);
    let plan = Plan::compile(&graph, &parameters, &cpu, settings)?;
    let joint = plan.to_string().matches("one pass").count();
    let is_joint = settings.fuse && !settings.running_statistics && text == IN_ONE_PASS;
    let expected = if is_joint { 5 } else { 0 };
    assert_eq!(joint, expected, "{text}");
    let mut workspace = Workspace::new(&plan);
    fill(input(text), workspace.images_mut());
    plan.pack(&cpu, &parameters, &mut workspace);
    plan.forward(&cpu, &parameters, &mut workspace, 5);
    let labels: Vec<u32> = [0, 1, 2, 1]
        .into_iter()
        .cycle()
        .take(plan.batch())
        .collect();
    let loss = plan.loss(&mut workspace, &labels, 0.0, None).loss;
    plan.backward(&cpu, &parameters, &mut workspace, 5);
    Ok((loss, workspace.parameter_gradient().to_vec()))
}

/// The ways to train a network: fused, step by step, and, if it has batch norms, fused with fixed batch norm statistics.
fn ways(text: &str, batch: usize) -> Result<Vec<PlanSettings>, hubel::Error> {
    let fused = PlanSettings::training(batch);
    let plain = PlanSettings {
        fuse: false,
        ..fused
    };
    let normalises = |operation: &Operation| matches!(operation, Operation::BatchNorm { .. });
    let keeping = graph(text)?
        .nodes
        .iter()
        .any(|node| normalises(&node.operation))
        .then_some(PlanSettings {
            running_statistics: true,
            ..fused
        });
    Ok([fused, plain].into_iter().chain(keeping).collect())
}

/// Largest difference between a gradient and its difference quotients, as a share of 1 + their magnitude. They are quotients of f32 results,
/// exact to about 5e-4.
const TOLERANCE: f64 = 1e-3;

/// Number of values checked per tensor.
const ENTRIES: usize = 12;

#[test]
fn gradients_are_finite_differences_of_the_loss() -> Result<(), hubel::Error> {
    let step = 1e-3;
    for text in networks() {
        let parameters = Parameters::initial(&graph(text)?, 3).unwrap();
        for settings in ways(text, 4)? {
            let (here, gradient) = run(text, settings, |_| ())?;
            // With fixed statistics, the running statistics of a batch norm have no gradient.
            let is_trained = |role: Role| match settings.running_statistics {
                true => matches!(role, Role::Weight | Role::Bias),
                false => role.is_trained(),
            };
            for entry in (parameters.entries().iter()).filter(|entry| is_trained(entry.role)) {
                let numbers = entry.range.len();
                let checked = numbers.min(ENTRIES);
                for k in 0..checked {
                    // From the first to the last, evenly spaced.
                    let i = entry.range.start + k * (numbers - 1) / (checked - 1).max(1);
                    let moved = |by: f32| {
                        run(text, settings, |parameters| {
                            parameters.values_mut()[i] += by
                        })
                    };
                    let (high, low) = (moved(step)?.0, moved(-step)?.0);
                    let step = f64::from(step);
                    // Between the one-sided quotients, which differ if a kink (of a ReLU or a maximum) is within the step.
                    let sides = [(here - low) / step, (high - here) / step];
                    let gradient = f64::from(gradient[i]);
                    let nearest = gradient.clamp(sides[0].min(sides[1]), sides[0].max(sides[1]));
                    assert!(
                        (gradient - nearest).abs() < TOLERANCE * (1.0 + nearest.abs()),
                        "{text}, {}: gradient {gradient} against {sides:?}",
                        entry.name,
                    );
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_fused_plan_computes_what_its_layers_do_one_by_one() -> Result<(), hubel::Error> {
    let more = [
        (NORMALISED_READ, 4),
        (POOLED_NORMALISED, 4),
        (IN_ONE_PASS, 40),
        (IN_OTHER_WORDS, 600),
    ];
    let all = networks().into_iter().map(|text| (text, 4)).chain(more);
    for (text, batch) in all {
        // If the expected mean is far off, sums around it are inaccurate, and batch norms compute them again.
        for running_mean in [0.0, 100.0] {
            let expect = |parameters: &mut Parameters| {
                for entry in parameters.entries().to_vec() {
                    if entry.role == Role::RunningMean {
                        parameters.values_mut()[entry.range].fill(running_mean);
                    }
                }
            };
            for fused in ways(text, batch)?
                .into_iter()
                .filter(|settings| settings.fuse)
            {
                let plain = PlanSettings {
                    fuse: false,
                    ..fused
                };
                let [fused, plain] = [fused, plain].map(|settings| run(text, settings, expect));
                let ((loss, gradient), (expected_loss, expected)) = (fused?, plain?);
                assert!((loss - expected_loss).abs() < 1e-5, "{text}");
                let largest = expected.iter().fold(0.0_f32, |a, b| a.max(b.abs()));
                for (i, (gradient, expected)) in gradient.iter().zip(&expected).enumerate() {
                    assert!(
                        (gradient - expected).abs() < 2e-5 * largest.max(1.0),
                        "{text}, number {i}: {gradient} against {expected}"
                    );
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_run_has_the_same_bits_for_any_number_of_threads() -> Result<(), hubel::Error> {
    let shape = Shape::new(8, 8, 1);
    let labels: Vec<usize> = (0..90).map(|i| i % 3).collect();
    let images: Vec<f32> = (0..90 * 64)
        .map(|i| (i as f32 * 0.37).sin() + labels[i / 64] as f32)
        .collect();
    let dataset = Dataset::from_arrays(&images, shape, &labels)?;
    let mut first = None;
    for threads in [1, 2, 3, 4, 7] {
        let network = Network::parse(
            "conv(8, padding=1)-batchnorm-relu-conv(16, kernel=1)-batchnorm-relu6-conv(16, groups=16, padding=1)-batchnorm-relu\
             -conv(16, padding=1)-batchnorm-relu-maxpool(2)-flatten-dropout(0.2)-fc(classes)",
        )?;
        let cpu = Cpu::new(InstructionSet::best(), threads);
        let settings = TrainSettings {
            epochs: 3,
            batch_size: 16,
            ..TrainSettings::default()
        };
        let model = Trainer::new(cpu.clone(), network, &dataset, None, settings)?
            .run(&mut |_| ControlFlow::Continue(()))?;
        assert!(model.evaluate(&cpu, &dataset)?.accuracy > 0.6);
        assert_eq!(
            first.get_or_insert_with(|| model.clone()),
            &model,
            "{threads} threads"
        );
    }
    Ok(())
}

#[test]
fn a_model_file_gives_the_model_back_and_damage_gives_an_error()
-> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model.safetensors");
    let images: Vec<f32> = (0..20 * 75).map(|i| (i as f32 * 0.11).cos()).collect();
    let labels: Vec<usize> = (0..20).map(|i| i % 2).collect();
    let dataset = Dataset::from_arrays(&images, Shape::new(5, 5, 3), &labels)?;
    let network = Network::parse("conv(4)-relu-flatten-fc(classes)")?;
    let settings = TrainSettings {
        epochs: 1,
        batch_size: 8,
        ..TrainSettings::default()
    };
    let model = Trainer::new(Cpu::best(1), network, &dataset, None, settings)?
        .run(&mut |_| ControlFlow::Continue(()))?;
    model.save(&path)?;
    assert_eq!(hubel::Model::load(&path)?, model);
    let bytes = std::fs::read(&path)?;
    for length in [0, 1, 7, 8, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length])?;
        assert!(
            hubel::Model::load(&path).is_err(),
            "{length} of {} bytes",
            bytes.len()
        );
    }
    for place in (0..bytes.len()).step_by(13) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x55;
        std::fs::write(&path, &damaged)?;
        // A changed weight is still valid; nothing must panic.
        let _ = hubel::Model::load(&path);
    }
    Ok(())
}
