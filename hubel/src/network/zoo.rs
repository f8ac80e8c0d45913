//! Networks by name, as architecture text.
use super::Input;
use crate::Shape;
use std::fmt::Write;

/// Names, and the usual input of each.
pub(super) const NAMES: [(&str, Input); 17] = [
    ("lenet5", shape(28, 1)),
    ("mnist-cnn", shape(28, 1)),
    ("tutorial", shape(32, 3)),
    ("tutorial-bn", shape(32, 3)),
    ("vgg16", shape(32, 3)),
    ("resnet18", shape(224, 3)),
    ("resnet50", shape(224, 3)),
    ("mobilenet-v2", shape(224, 3)),
    ("efficientnet-lite0", shape(224, 3)),
    ("efficientnet-lite1", shape(240, 3)),
    ("efficientnet-lite2", shape(260, 3)),
    ("efficientnet-lite3", shape(280, 3)),
    ("efficientnet-lite4", shape(300, 3)),
    ("mlp", shape(28, 1)),
    ("kim2014", Input::tokens(56, 10_000)),
    (
        "clip-cnn",
        Input {
            shape: Shape::new(32, 32, 1).over(12),
            vocabulary: None,
        },
    ),
    (
        "sound-cnn",
        Input {
            shape: Shape::new(40, 100, 1),
            vocabulary: None,
        },
    ),
];

const fn shape(side: usize, channels: usize) -> Input {
    Input {
        shape: Shape::new(side, side, channels),
        vocabulary: None,
    }
}

/// Pooling for pictures of any size: drops the last row and column of an odd map, as PyTorch does.
const POOL: &str = "maxpool(2, round=floor)";

/// The architecture text of a network.
pub(super) fn text(name: &str) -> Option<String> {
    Some(match name {
        // Factorised convolutions as in Tran et al. 2018: each frame, then along time.
        "clip-cnn" => {
            let block = |filters: usize| {
                format!(
                    "conv({filters}, padding=1, bias=false)-batchnorm-relu-timeconv({filters}, padding=same, bias=false)-batchnorm-relu"
                )
            };
            let blocks = [16, 32, 64].map(block).join(&format!("-{POOL}-"));
            format!("{blocks}-globalavgpool-avgovertime-linear(classes)")
        }
        // Kim 2014, with random embeddings: windows of 3, 4 and 5 words side by side.
        "kim2014" => {
            let branch = |kernel: usize| format!("timeconv(100, kernel={kernel})-relu-maxovertime");
            let branches = [3, 4, 5].map(branch).join(" | ");
            format!("embedding(128)-concat[{branches}]-dropout(0.5)-linear(classes)")
        }
        // LeCun et al. 1998 on 28×28 pictures, with today's ReLU and max pooling.
        "lenet5" => format!(
            "conv(6, kernel=5, padding=2)-relu-{POOL}-conv(16, kernel=5)-relu-{POOL}-flatten\
             -linear(120)-relu-linear(84)-relu-linear(classes)"
        ),
        "mnist-cnn" => format!(
            "conv(32, padding=1)-relu-conv(32, padding=1)-relu-{POOL}\
             -conv(64, padding=1)-relu-conv(64, padding=1)-relu-{POOL}\
             -flatten-linear(128)-relu-linear(classes)"
        ),
        "tutorial" => format!(
            "conv(32, padding=1)-relu-conv(32, padding=1)-relu-{POOL}\
             -conv(64, padding=1)-relu-conv(64, padding=1)-relu-{POOL}\
             -conv(128, padding=1)-relu-conv(128, padding=1)-relu-{POOL}\
             -flatten-linear(classes)"
        ),
        "tutorial-bn" => tutorial_bn(),
        "vgg16" => vgg16(),
        "resnet18" => resnet(&[2, 2, 2, 2], basic_block, 1),
        "resnet50" => resnet(&[3, 4, 6, 3], bottleneck, 4),
        "mobilenet-v2" => mobilenet_v2(),
        "efficientnet-lite0" => efficientnet_lite(1.0, 1.0, 0.2),
        "efficientnet-lite1" => efficientnet_lite(1.0, 1.1, 0.2),
        "efficientnet-lite2" => efficientnet_lite(1.1, 1.2, 0.3),
        "efficientnet-lite3" => efficientnet_lite(1.2, 1.4, 0.3),
        "efficientnet-lite4" => efficientnet_lite(1.4, 1.8, 0.3),
        "sound-cnn" => sound_cnn(),
        "mlp" => "flatten-linear(256)-relu-linear(128)-relu-linear(classes)".into(),
        _ => return None,
    })
}

/// The tutorial's network with twice the filters of `tutorial`, batch norm after each convolution and dropout after each pooling.
fn tutorial_bn() -> String {
    let mut text = String::new();
    for (filters, dropout) in [(64, 0.1), (128, 0.2), (256, 0.3)] {
        let conv = format!("conv({filters}, padding=1, bias=false)");
        write!(text, "[{conv}-batchnorm-relu]x2-{POOL}-dropout({dropout})-")
            .expect("a String takes all");
    }
    text + "flatten-linear(classes)"
}

/// For spectrograms of any size from 16×16: four blocks with batch norm, each of which halves bands and frames.
fn sound_cnn() -> String {
    let mut text = String::new();
    for filters in [16, 32, 64, 128] {
        let conv = format!("conv({filters}, padding=1, bias=false)");
        write!(text, "{conv}-batchnorm-relu-{POOL}-").expect("a String takes all");
    }
    text + "globalavgpool-flatten-dropout(0.3)-linear(classes)"
}

/// Simonyan and Zisserman 2015, with batch normalisation, for 32×32 pictures.
fn vgg16() -> String {
    let mut text = String::new();
    for (filters, repeats) in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)] {
        let conv = format!("conv({filters}, padding=1, bias=false)");
        write!(text, "[{conv}-batchnorm-relu]x{repeats}-{POOL}-").expect("a String takes all");
    }
    text + "flatten-linear(classes)"
}

/// He et al. 2016 as torchvision has it: the stride of a bottleneck lies on its 3×3 convolution.
fn resnet(blocks: &[usize], body: fn(usize, usize) -> String, expansion: usize) -> String {
    let mut text = "conv1: conv(64, kernel=7, stride=2, padding=3, bias=false, round=floor)\
                    -bn1: batchnorm-relu: relu-maxpool: maxpool(3, stride=2, padding=1, round=floor)"
        .to_string();
    let mut channels = 64;
    for (stage, count) in blocks.iter().enumerate() {
        let width = 64 << stage;
        let filters = width * expansion;
        let mut inner = Vec::new();
        for block in 0..*count {
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let shortcut = if stride != 1 || channels != filters {
                let conv = conv(filters, 1, stride);
                format!(" | downsample: [{conv}-batchnorm]")
            } else {
                String::new()
            };
            let body = body(width, stride);
            inner.push(format!(
                "{block}: residual[{body}{shortcut}]-{block}.relu: relu"
            ));
            channels = filters;
        }
        let inner = inner.join("-");
        write!(text, "-layer{}: [{inner}]", stage + 1).expect("a String takes all");
    }
    text + "-avgpool: globalavgpool-flatten: flatten-fc: linear(classes)"
}

fn basic_block(width: usize, stride: usize) -> String {
    let (first, second) = (conv(width, 3, stride), conv(width, 3, 1));
    format!("conv1: {first}-bn1: batchnorm-relu1: relu-conv2: {second}-bn2: batchnorm")
}

fn bottleneck(width: usize, stride: usize) -> String {
    let (narrow, middle) = (conv(width, 1, 1), conv(width, 3, stride));
    let wide = conv(4 * width, 1, 1);
    format!(
        "conv1: {narrow}-bn1: batchnorm-relu1: relu-conv2: {middle}-bn2: batchnorm-relu2: relu\
         -conv3: {wide}-bn3: batchnorm"
    )
}

/// A convolution without bias; only its stride changes height and width.
fn conv(filters: usize, kernel: usize, stride: usize) -> String {
    let mut text = format!("conv({filters}, kernel={kernel}");
    if stride > 1 {
        write!(text, ", stride={stride}").expect("a String takes all");
    }
    if kernel > 1 {
        write!(text, ", padding={}", kernel / 2).expect("a String takes all");
    }
    text += ", bias=false";
    if stride > 1 {
        text += ", round=floor";
    }
    text + ")"
}

/// Sandler et al. 2018, width 1.0.
fn mobilenet_v2() -> String {
    let unit = |label: &str, conv: String| format!("{label}: [{conv}-batchnorm-relu6]");
    let mut features = vec![unit("0", conv(32, 3, 2))];
    let mut channels = 32;
    // Expansion, channels, repeats, stride of the first: table 2 of the paper.
    for (expansion, filters, repeats, first_stride) in [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ] {
        for repeat in 0..repeats {
            let stride = if repeat == 0 { first_stride } else { 1 };
            let hidden = channels * expansion;
            let mut parts = Vec::new();
            if expansion != 1 {
                parts.push(unit("0", conv(hidden, 1, 1)));
            }
            let depthwise = conv(hidden, 3, stride)
                .replace(", bias=false", &format!(", groups={hidden}, bias=false"));
            parts.push(unit(&parts.len().to_string(), depthwise));
            parts.push(conv(filters, 1, 1));
            parts.push("batchnorm".into());
            let parts = parts.join("-");
            let place = features.len();
            features.push(if stride == 1 && channels == filters {
                format!("{place}: residual[conv: [{parts}]]")
            } else {
                format!("{place}: [conv: [{parts}]]")
            });
            channels = filters;
        }
    }
    features.push(unit("18", conv(1280, 1, 1)));
    format!(
        "features: [{}]-avgpool: globalavgpool-flatten: flatten\
         -classifier: [dropout(0.2)-linear(classes)]",
        features.join("-")
    )
}

/// Tan and Le 2019 ("EfficientNet"), in the variant for small devices that TensorFlow published in 2020: without squeeze-and-excitation, with ReLU6.
/// The stem, the head and the number of first and last blocks are the same for all widths and depths. `same` pads as TensorFlow does, with an odd
/// pixel at the end. The names of tensors are those of the published PyTorch weights.
fn efficientnet_lite(width: f64, depth: f64, dropout: f64) -> String {
    const NORM: &str = "batchnorm(epsilon=0.001)";
    let conv = |filters: usize, kernel: usize, stride: usize, groups: usize| {
        let stride = match stride {
            1 => String::new(),
            _ => format!(", stride={stride}"),
        };
        let groups = match groups {
            1 => String::new(),
            _ => format!(", groups={groups}"),
        };
        format!("conv({filters}, kernel={kernel}{stride}, padding=same{groups}, bias=false)")
    };
    let mut blocks = Vec::new();
    let mut channels = 32;
    // Repeats, kernel, stride of the first, expansion, filters: table 1 of the paper.
    let stages = [
        (1, 3, 1, 1, 16),
        (2, 3, 2, 6, 24),
        (2, 5, 2, 6, 40),
        (3, 3, 2, 6, 80),
        (3, 5, 1, 6, 112),
        (4, 5, 2, 6, 192),
        (1, 3, 1, 6, 320),
    ];
    for (stage, (repeats, kernel, first_stride, expansion, filters)) in
        stages.into_iter().enumerate()
    {
        let repeats = match stage {
            0 | 6 => repeats,
            _ => (repeats as f64 * depth).ceil() as usize,
        };
        let filters = multiple_of_eight(filters as f64 * width);
        for repeat in 0..repeats {
            let stride = if repeat == 0 { first_stride } else { 1 };
            let hidden = channels * expansion;
            let mut parts = Vec::new();
            if expansion > 1 {
                let expand = conv(hidden, 1, 1, 1);
                parts.push(format!("_expand_conv: {expand}-_bn0: {NORM}-_relu0: relu6"));
            }
            let depthwise = conv(hidden, kernel, stride, hidden);
            let project = conv(filters, 1, 1, 1);
            parts.push(format!(
                "_depthwise_conv: {depthwise}-_bn1: {NORM}-_relu1: relu6"
            ));
            parts.push(format!("_project_conv: {project}-_bn2: {NORM}"));
            let residual = match stride == 1 && channels == filters {
                true => "residual",
                false => "",
            };
            blocks.push(format!("{}: {residual}[{}]", blocks.len(), parts.join("-")));
            channels = filters;
        }
    }
    format!(
        "_conv_stem: {}-_bn0: {NORM}-_relu0: relu6-_blocks: [{}]-_conv_head: {}-_bn1: {NORM}-_relu1: relu6\
         -_avg_pooling: globalavgpool-_flatten: flatten-_dropout: dropout({dropout})-_fc: linear(classes)",
        conv(32, 3, 2, 1),
        blocks.join("-"),
        conv(1280, 1, 1, 1),
    )
}

/// The nearest multiple of eight that is at least nine tenths of `filters`.
fn multiple_of_eight(filters: f64) -> usize {
    let nearest = ((filters + 4.0) / 8.0) as usize * 8;
    match (nearest as f64) < 0.9 * filters {
        true => nearest + 8,
        false => nearest,
    }
}
