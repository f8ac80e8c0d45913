//! Seeds for fuzzers: small valid files of each format.
use std::io::{Cursor, Write};

use flate2::{Compression, write::GzEncoder};
use image::{DynamicImage, ImageFormat};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::torch_file::{self, Storage, Tensor};
use crate::{Network, Preparation, Shape};

/// Models of two layers and of one, for grey pictures and for colour.
pub fn model() -> Vec<Vec<u8>> {
    let networks = [
        "globalavgpool-fc(classes)",
        "first: conv(2, kernel=1)-batchnorm-relu-globalavgpool-fc(classes)",
    ];
    let shapes = [Shape::new(4, 5, 1), Shape::new(2, 2, 3)];
    let files = networks.into_iter().zip(shapes);
    files.map(|(text, shape)| model_file(text, shape)).collect()
}

/// A model file whose weights are all 1.
fn model_file(text: &str, shape: Shape) -> Vec<u8> {
    let network = Network::parse(text).expect("a network");
    let classes = ["cat".to_owned(), "dog".to_owned()];
    let graph = network.graph(shape, classes.len()).expect("it fits");
    let preparation = Preparation::unmeasured(shape, Default::default());
    let json = |value: serde_json::Result<String>| value.expect("plain data becomes JSON");
    let metadata = serde_json::json!({
        "hubel.version": "1",
        "hubel.network": text,
        "hubel.classes": json(serde_json::to_string(&classes)),
        "hubel.input": format!("{}x{}x{}", shape.height, shape.width, shape.channels),
        "hubel.preparation": json(serde_json::to_string(&preparation)),
    });
    let mut header = serde_json::json!({ "__metadata__": metadata });
    let mut end = 0;
    for entry in crate::parameters::Table::of(&graph).entries {
        let start = end;
        end += 4 * entry.range.len();
        let sizes = crate::formats::layout::Layout::of(&graph, &entry).file_shape();
        header[entry.name] =
            serde_json::json!({ "dtype": "F32", "shape": sizes, "data_offsets": [start, end] });
    }
    let header = header.to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(1.0_f32.to_le_bytes().repeat(end / 4));
    bytes
}

/// ONNX files of other programs.
pub fn onnx() -> Vec<Vec<u8>> {
    let files: [&[u8]; 5] = [
        include_bytes!("../../tests/onnx/dense-17.onnx"),
        include_bytes!("../../tests/onnx/excited-17.onnx"),
        include_bytes!("../../tests/onnx/residual-9.onnx"),
        include_bytes!("../../tests/onnx/tensorflow.onnx"),
        include_bytes!("../../tests/onnx/unsorted.onnx"),
    ];
    files.map(<[u8]>::to_vec).into()
}

/// The state of a training after one step.
pub fn state() -> Vec<Vec<u8>> {
    let pixels: Vec<f32> = (0..32).map(|i| i as f32).collect();
    let images = crate::Dataset::from_arrays(&pixels, Shape::new(2, 2, 2), &[0, 1, 0, 1]);
    let images = images.expect("valid");
    let settings = crate::TrainSettings {
        average: Some(0.9),
        ..crate::TrainSettings::default()
    };
    let network = Network::parse("globalavgpool-fc(classes)").expect("a network");
    let cpu = crate::Cpu::best(1);
    let trainer = crate::Trainer::new(cpu, network, &images, Some(&images), settings);
    let mut trainer = trainer.expect("it fits");
    let step = trainer.step(&mut |_| std::ops::ControlFlow::Continue(()));
    assert!(step.is_ok());
    let tensors = trainer.state().and_then(|state| state.into_tensors());
    let mut bytes = Vec::new();
    let tensors = tensors.expect("its network fits");
    crate::formats::safetensors::write_to(&mut bytes, &tensors).expect("a vector takes all bytes");
    vec![bytes]
}

/// Weights in the new and old format of `torch.save`: several tensors on one storage, a transposed one, one of 16-bit floats.
pub fn weights() -> Vec<Vec<u8>> {
    let storages = [
        Storage::floats(&[0.5, 1.0, 1.5, 2.0, 2.5, 3.0]),
        Storage {
            class: "HalfStorage",
            count: 3,
            bytes: vec![0, 0x3c, 0, 0x40, 0, 0x42],
        },
    ];
    let tensors = [
        Tensor::plain("conv.weight", 0, &[2, 3]),
        Tensor {
            strides: vec![1, 3],
            ..Tensor::plain("transposed", 0, &[3, 2])
        },
        Tensor {
            offset: 2,
            ..Tensor::plain("part", 0, &[4])
        },
        Tensor::plain("conv.bias", 1, &[3]),
    ];
    vec![
        torch_file::archive(&tensors, &storages),
        torch_file::legacy(&tensors, &storages),
    ]
}

/// Networks with every layer and every kind of branch.
pub fn architecture() -> Vec<Vec<u8>> {
    let texts = [
        "conv(8, kernel=(3,2), stride=2, padding=same, dilation=1, groups=1, bias=false, mode=reflect, round=floor)-relu",
        "[conv(4, padding=(1,0,1,0), mode=constant(0.5))-batchnorm(epsilon=1e-3)-leakyrelu(0.1)]x3-maxpool(2, round=ceil)",
        "stem: conv(4)-residual[conv(4, padding=1) | conv(4, kernel=1)]x2-concat[silu | gelu-avgpool(3, stride=1, padding=1)]",
        "adaptiveavgpool((3,2))-dropout(0.5)-flatten-fc(7)-tanh-linear(classes)",
        "body: [hardswish, relu6 sigmoid identity]-globalmaxpool-fc(classes)",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

/// Pictures, in grey and in colour, and labels.
pub fn idx() -> Vec<Vec<u8>> {
    let file = |sizes: &[u32], last: u8| {
        let mut bytes = vec![0, 0, 8, sizes.len() as u8];
        bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
        bytes.extend((0..sizes.iter().product::<u32>()).map(|i| (i % 7) as u8 + last));
        bytes
    };
    let plain = [file(&[9], 0), file(&[8, 3, 4], 0), file(&[3, 2, 2, 3], 9)];
    let packed = {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder
            .write_all(&plain[1])
            .expect("memory takes all bytes");
        encoder.finish().expect("memory takes all bytes")
    };
    plain.into_iter().chain([packed]).collect()
}

/// One record each of CIFAR-10 and CIFAR-100, after the bytes that [`cifar`](super::cifar) reads first.
pub fn cifar() -> Vec<Vec<u8>> {
    let record = |start: &[u8]| [start, &[77; 3072]].concat();
    vec![record(&[0, 10, 3]), record(&[1, 100, 7, 99])]
}

/// The layouts of MedMNIST and Keras, stored and compressed.
pub fn npz() -> Vec<Vec<u8>> {
    let array = |kind: &str, sizes: &str, bytes: &[u8]| {
        let header =
            format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({sizes}), }}\n");
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), bytes].concat()
    };
    let archive = |arrays: &[(&str, Vec<u8>)], method| {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in arrays {
            let options = SimpleFileOptions::default().compression_method(method);
            let started = archive.start_file(format!("{name}.npy"), options);
            started.expect("memory takes all bytes");
            archive.write_all(bytes).expect("memory takes all bytes");
        }
        let finished = archive.finish().expect("memory takes all bytes");
        finished.into_inner()
    };
    let pictures: Vec<u8> = (0..24).collect();
    let medmnist = [
        ("train_images", array("|u1", "4, 2, 3", &pictures)),
        ("train_labels", array("|u1", "4, 1", &[0, 1, 2, 1])),
        ("test_images", array("|u1", "2, 2, 3", &[7; 12])),
        ("test_labels", array("|u1", "2, 1", &[2, 0])),
    ];
    let keras = [
        ("x_train", array("|u1", "2, 2, 2, 3", &pictures)),
        (
            "y_train",
            array("<i8", "2,", &[&[1][..], &[0; 15]].concat()),
        ),
    ];
    vec![
        archive(&medmnist, CompressionMethod::Deflated),
        archive(&keras, CompressionMethod::Stored),
    ]
}

/// Tables of the pictures in the folder of [`pictures`]: with a header, a split and quotes, and without.
pub fn table() -> Vec<Vec<u8>> {
    let tables = [
        "path,label,split\r\na.png,cat,train\r\n\"b.png\",dog,val\r\n\"c d.png\",\"cat\",test\r\n",
        "\u{feff}file;class\na.png;1\nb.png;2\nsub\\e.png;10\nnone.png;1\n",
        "a.png\tcat\nb.png\tdog\n",
    ];
    tables.map(|text| text.as_bytes().to_vec()).into()
}

/// Corrected labels, with the separators and quotes of several programs.
pub fn corrections() -> Vec<Vec<u8>> {
    let files = [
        "path,class\ncats/1.png,dog\n\"cats/a, \"\"b\"\".png\", cat \ncats/2.png,\n",
        "\u{feff}\"path\";\"class\"\r\ncats/1.png;dog\r\n;\r\n",
        "path\tclass\n\"two\nlines\"\tdog",
    ];
    files.map(|text| text.as_bytes().to_vec()).into()
}

/// The files that the tables name.
pub fn pictures() -> [&'static str; 4] {
    ["a.png", "b.png", "c d.png", "sub/e.png"]
}

/// A picture of each supported format.
pub fn picture() -> Vec<Vec<u8>> {
    let colour = DynamicImage::ImageRgb8(image::RgbImage::from_fn(6, 5, |x, y| {
        image::Rgb([40 * x as u8, 50 * y as u8, 128])
    }));
    let grey = colour.to_luma8().into();
    let transparent = colour.to_rgba8().into();
    let deep = colour.to_rgb16().into();
    let encoded = |picture: &DynamicImage, format| {
        let mut bytes = Cursor::new(Vec::new());
        let written = picture.write_to(&mut bytes, format);
        written.expect("memory takes all bytes");
        bytes.into_inner()
    };
    let in_colour = [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::WebP,
        ImageFormat::Gif,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
        ImageFormat::Pnm,
    ];
    let others: [(&DynamicImage, ImageFormat); 7] = [
        (&grey, ImageFormat::Png),
        (&grey, ImageFormat::Jpeg),
        (&grey, ImageFormat::Tiff),
        (&grey, ImageFormat::Pnm),
        (&transparent, ImageFormat::Png),
        (&deep, ImageFormat::Png),
        (&deep, ImageFormat::Tiff),
    ];
    let in_colour = in_colour.map(|format| encoded(&colour, format));
    let others = others.map(|(picture, format)| encoded(picture, format));
    in_colour.into_iter().chain(others).collect()
}
