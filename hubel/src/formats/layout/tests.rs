use super::*;
use crate::{Network, Parameters};
use proptest::prelude::*;

fn layouts() -> impl Strategy<Value = Layout> {
    let shape = [1..5usize, 1..5, 1..5].prop_map(|[h, w, c]| Shape::new(h, w, c));
    let maps = prop::collection::vec(shape, 1..4);
    prop_oneof![
        ([1..5usize, 1..5], 1..5usize, 1..5usize).prop_map(|(kernel, inputs, filters)| {
            Layout::Convolution {
                kernel,
                inputs,
                filters,
            }
        }),
        (maps.clone(), 1..5usize).prop_map(|(maps, outputs)| Layout::Linear { maps, outputs }),
        maps.prop_map(|maps| Layout::Channels { maps }),
    ]
}

proptest! {
    #[test]
    fn there_and_back_every_number_has_its_place(layout in layouts()) {
        let length: usize = layout.file_shape().iter().product();
        let memory: Vec<f32> = (0..length).map(|i| i as f32).collect();
        let file = layout.to_file(&memory);
        let mut sorted = file.clone();
        sorted.sort_by(f32::total_cmp);
        prop_assert_eq!(&sorted, &memory);
        let mut back = vec![f32::NAN; length];
        layout.to_memory(&file, &mut back);
        prop_assert_eq!(back, memory);
    }
}

/// Values that encode their position in memory: the digits are the axes.
fn digits(sizes: &[usize]) -> Vec<f32> {
    let total: usize = sizes.iter().product();
    let digits = |mut i: usize| {
        let mut number = 0;
        for (axis, size) in sizes.iter().enumerate().rev() {
            number += (i % size) * 10usize.pow((sizes.len() - 1 - axis) as u32);
            i /= size;
        }
        number as f32
    };
    (0..total).map(digits).collect()
}

#[test]
fn convolutions_are_oihw_in_files() {
    let layout = Layout::Convolution {
        kernel: [1, 2],
        inputs: 2,
        filters: 2,
    };
    assert_eq!(layout.file_shape(), [2, 2, 1, 2]);
    let file = layout.to_file(&digits(&[1, 2, 2, 2]));
    // Digits: kernel y, kernel x, input, filter.
    assert_eq!(file, [0., 100., 10., 110., 1., 101., 11., 111.]);
}

#[test]
fn inputs_of_linear_layers_are_channels_first_in_files() {
    let layout = Layout::Linear {
        maps: vec![Shape::new(1, 2, 2), Shape::new(1, 1, 1)],
        outputs: 2,
    };
    assert_eq!(layout.file_shape(), [2, 5]);
    let file = layout.to_file(&digits(&[5, 2]));
    // Digits: input (y, x, c of the first map, then the second), output.
    assert_eq!(file, [0., 20., 10., 30., 40., 1., 21., 11., 31., 41.]);
}

#[test]
fn a_layer_sees_through_to_what_was_flattened() {
    let text = "concat[pool-flatten-relu | globalavgpool]-batchnorm-linear(classes)";
    let graph = Network::parse(text)
        .and_then(|network| network.graph(Shape::new(8, 8, 3), 10))
        .unwrap();
    let maps = vec![Shape::new(4, 4, 3), Shape::new(1, 1, 3)];
    for entry in Parameters::initial(&graph, 0).unwrap().entries() {
        let expected = match entry.name.as_str() {
            "2.weight" => Layout::Linear {
                maps: maps.clone(),
                outputs: 10,
            },
            "2.bias" => Layout::Channels {
                maps: vec![Shape::new(1, 1, 10)],
            },
            _ => Layout::Channels { maps: maps.clone() },
        };
        assert_eq!(Layout::of(&graph, entry), expected, "{}", entry.name);
    }
}
