use proptest::prelude::*;

use super::*;
use crate::activation::Activation;
use crate::conv::{Destination, Fused, Settings};
use crate::{Buffer, InstructionSet};

/// A chain: any convolution, a depthwise one, a 1×1 convolution.
fn chains() -> impl Strategy<Value = [Geometry; 3]> {
    let sizes = (1..4_usize, 1..40_usize, 1..12_usize);
    let channels = (1..9_usize, 1..70_usize, 1..40_usize);
    let first = (1..4_usize, 1..3_usize);
    let depthwise = (1..5_usize, 1..4_usize, 1..3_usize, 0..3_usize);
    (sizes, channels, first, depthwise).prop_filter_map(
        "a kernel larger than the map",
        |((batch, height, width), (inputs, wide, outputs), (first, step), middle)| {
            let (kernel, stride, dilation, padding) = middle;
            let reach = (kernel - 1) * dilation + 1;
            let out = |size: usize| Some((size + 2 * padding).checked_sub(reach)? / stride + 1);
            let input = [height * step, width * step, inputs];
            let [wide, middle] = [[height, width, wide], [out(height)?, out(width)?, wide]];
            let geometry = |input, output, [kernel, stride, dilation, padding]: [usize; 4]| {
                Geometry::new(Settings {
                    batch,
                    input,
                    output,
                    kernel: [kernel; 2],
                    stride: [stride; 2],
                    dilation: [dilation; 2],
                    padding: [padding; 2],
                    groups: 1,
                })
                .expect("a usual convolution")
            };
            let narrow = [middle[0], middle[1], outputs];
            Some([
                geometry(input, wide, [first, step, 1, first / 2]),
                geometry(wide, middle, [kernel, stride, dilation, padding]).with(|s| {
                    s.groups = wide[2];
                }),
                geometry(middle, narrow, [1, 1, 1, 0]),
            ])
        },
    )
}

fn random_values(count: usize, seed: usize) -> Vec<f32> {
    let value = |i: usize| ((i + seed) * 7919 % 2003) as f32 / 1001.0 - 1.0;
    (0..count).map(value).collect()
}

fn map(geometry: &Geometry, shape: [usize; 3]) -> usize {
    geometry.batch * shape.iter().product::<usize>()
}

/// The chain pass by pass, and in bands. `cut` gives the rows of a band and the parts of an image.
fn solve(cpu: &Cpu, chain: &[Geometry; 3], cut: Option<[usize; 2]>) -> Option<[Vec<f32>; 2]> {
    let algorithm = [Algorithm::Direct, Algorithm::Depthwise, Algorithm::Direct];
    let pass = |i: usize| Forward::new(cpu, chain[i], algorithm[i], Fused::default());
    let passes = [pass(0)?, pass(1)?, pass(2)?];
    let mut bands = match cut {
        Some([_, parts]) => Bands::with_parts(cpu, passes.each_ref(), parts)?,
        None => Bands::new(cpu, passes.each_ref())?,
    };
    if let Some([rows, _]) = cut {
        bands.rows = rows.min(chain[1].output[0]);
    }
    let packed = [0, 1, 2].map(|i| {
        let mut packed = Buffer::zeros(passes[i].packed_len());
        passes[i].pack(cpu, &random_values(chain[i].weights_len(), i), &mut packed);
        packed
    });
    let biases = [0, 1, 2].map(|i| random_values(chain[i].output[2], 3 + i));
    let add = random_values(map(&chain[2], chain[2].output), 11);
    let epilogue = |i: usize| Epilogue {
        bias: Some(&biases[i]),
        add: (i == 2).then_some(&add[..]),
        activation: [Activation::Relu6, Activation::Relu, Activation::Identity][i],
        sums: None,
    };
    let input = random_values(map(&chain[0], chain[0].input), 17);
    let mut before = input.clone();
    for i in 0..3 {
        let mut after = vec![f32::NAN; map(&chain[i], chain[i].output)];
        let to = Destination::Map(&mut after);
        passes[i].compute(
            cpu,
            &before,
            &random_values(chain[i].weights_len(), i),
            epilogue(i),
            to,
        );
        before = after;
    }
    let mut output = vec![f32::NAN; before.len()];
    let mut scratch = Buffer::zeros(bands.scratch_len());
    let links = [0, 1, 2].map(|i| Link {
        forward: &passes[i],
        packed: &packed[i],
        epilogue: epilogue(i),
    });
    bands.run(cpu, links, &input, &mut output, &mut scratch);
    Some([before, output])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn bands_of_any_height_give_the_bits_of_the_passes_one_by_one(
        chain in chains(),
        rows in 1..9_usize,
        parts in 1..4_usize,
        threads in 1..4_usize,
    ) {
        for set in InstructionSet::available() {
            let cpu = Cpu::new(set, threads);
            // The depthwise algorithm does not compute kernels with many taps.
            if let Some([one_by_one, in_bands]) = solve(&cpu, &chain, Some([rows, parts])) {
                prop_assert_eq!(one_by_one, in_bands, "{}", set);
            }
        }
    }
}

#[test]
fn images_are_cut_where_threads_have_as_much_to_do_and_parts_have_rows_enough() {
    let of_two_threads = |batch, height| parts(2, batch, height);
    assert_eq!(of_two_threads(1, 56), Some(4));
    assert_eq!(of_two_threads(1, 28), Some(2));
    assert_eq!(of_two_threads(1, 14), Some(2));
    assert_eq!(of_two_threads(1, 7), None);
    assert_eq!(of_two_threads(3, 14), Some(2), "3 images are no halves");
    assert_eq!(of_two_threads(4, 7), Some(1));
    assert_eq!(parts(8, 1, 28), None);
}

#[test]
fn inverted_residuals_are_cut_into_bands_that_fit_the_cache() {
    let map = |side: usize, channels: usize| [side, side, channels];
    for (side, inputs, wide, stride, outputs) in [(56, 16, 96, 2, 24), (28, 24, 144, 1, 24)] {
        let geometry = |input, output, kernel: usize, stride, groups| {
            Geometry::new(Settings {
                batch: 2,
                input,
                output,
                kernel: [kernel; 2],
                stride: [stride; 2],
                dilation: [1; 2],
                padding: [kernel / 2; 2],
                groups,
            })
            .expect("a usual convolution")
        };
        let small = side / stride;
        let chain = [
            geometry(map(side, inputs), map(side, wide), 1, 1, 1),
            geometry(map(side, wide), map(small, wide), 3, stride, wide),
            geometry(map(small, wide), map(small, outputs), 1, 1, 1),
        ];
        for set in InstructionSet::available() {
            let [one_by_one, in_bands] =
                solve(&Cpu::new(set, 2), &chain, None).unwrap_or_else(|| panic!("{set}: no chain"));
            assert_eq!(one_by_one, in_bands, "{set}");
        }
    }
}

/// A pass that pools computes other rows than the chain needs: of an odd map, one row fewer.
#[test]
fn passes_that_pool_are_not_chained() {
    let cpu = Cpu::best(1);
    let geometry = |kernel: usize, groups: usize| {
        Geometry::new(Settings {
            batch: 1,
            input: [15, 15, 8],
            output: [15, 15, 8],
            kernel: [kernel; 2],
            stride: [1; 2],
            dilation: [1; 2],
            padding: [kernel / 2; 2],
            groups,
        })
        .expect("a usual convolution")
    };
    let pass = |geometry: Geometry, algorithm: Algorithm, pooled: bool| {
        let fused = Fused {
            pooled,
            ..Fused::default()
        };
        Forward::new(&cpu, geometry, algorithm, fused).expect("a pass")
    };
    let make_wide = |pooled| pass(geometry(3, 1), Algorithm::Direct, pooled);
    let make_narrow = |pooled| pass(geometry(1, 1), Algorithm::Direct, pooled);
    let middle = pass(geometry(3, 8), Algorithm::Depthwise, false);
    let can_chain = |wide: bool, narrow: bool| {
        let passes = [&make_wide(wide), &middle, &make_narrow(narrow)];
        Bands::with_parts(&cpu, passes, 1).is_some()
    };
    assert!(can_chain(false, false));
    assert!(!can_chain(true, false));
    assert!(!can_chain(false, true));
}
