//! Every length that a caller gives is checked: a safe call never writes beyond what it was given.
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::pool::{Pooled, Winner};

/// Memory of a length that may be one off.
fn memory(length: usize, is_wrong: bool) -> Buffer {
    let wrong = length.checked_sub(1).unwrap_or(length + 1);
    nan(if is_wrong { wrong } else { length })
}

fn winners(length: usize, is_wrong: bool) -> Vec<Winner> {
    vec![0; if is_wrong { length - 1 } else { length }]
}

/// Runs `run` with each of `operands` operands wrong, and with none; says which were refused.
fn refused(operands: usize, run: impl Fn(usize)) -> (Vec<usize>, bool) {
    let is_refused = |wrong| catch_unwind(AssertUnwindSafe(|| run(wrong))).is_err();
    let refused = (0..operands).filter(|wrong| is_refused(*wrong)).collect();
    (refused, is_refused(operands))
}

fn check(what: &str, operands: &[&str], run: impl Fn(usize)) {
    let (refused, is_right_refused) = refused(operands.len(), run);
    for (i, operand) in operands.iter().enumerate() {
        assert!(refused.contains(&i), "{what}: a wrong {operand} is taken");
    }
    assert!(!is_right_refused, "{what}: right lengths are refused");
}

/// Elements of the output, pooled or not.
fn output_len(geometry: &Geometry, fused: Fused) -> usize {
    match fused.pooled {
        false => geometry.output_len(),
        true => geometry.pooled_len(),
    }
}

/// Checks the packing; returns the length of the weights that a run reads.
fn check_packing(cpu: &Cpu, what: &str, pass: &MapPass) -> usize {
    let weights_len = pass.geometry().weights_len();
    let operands = ["weights", "packed weights"];
    check(&format!("{what} packing"), &operands, |wrong| {
        let weights = memory(weights_len, wrong == 0);
        pass.pack(cpu, &weights, &mut memory(pass.packed_len(), wrong == 1));
    });
    match pass.packed_len() {
        0 => weights_len,
        packed_len => packed_len,
    }
}

fn forward(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm, fused: Fused) {
    let Some(pass) = Forward::new(cpu, geometry, algorithm, fused) else {
        return;
    };
    let what = format!("{algorithm} forward {fused:?}");
    let output_len = output_len(&geometry, fused);
    let [inputs, filters] = [geometry.input[2], geometry.output[2]];
    let packed_len = check_packing(cpu, &what, &pass);
    let mut operands = vec!["input", "packed weights", "output", "bias"];
    operands.push(if fused.pooled { "winners" } else { "addition" });
    operands.extend((pass.scratch_len() > 0).then_some("scratch"));
    operands.extend(fused.normalised.then_some("factor"));
    operands.extend(fused.sums.then_some("origin"));
    let at = |name: &str| operands.iter().position(|operand| *operand == name);
    check(&what, &operands, |wrong| {
        let is = |name: &str| at(name) == Some(wrong);
        let (input, packed) = (
            memory(geometry.input_len(), is("input")),
            memory(packed_len, is("packed weights")),
        );
        let mut output = memory(output_len, is("output"));
        let bias = memory(filters, is("bias"));
        let add = memory(output_len, is("addition"));
        let mut winners = winners(output_len, is("winners"));
        let (factor, summand) = (memory(inputs, is("factor")), memory(inputs, false));
        let origin = memory(filters, is("origin"));
        let mut parts = nan(2 * filters * pass.sums_parts());
        let sums = Sums::new(&origin, &mut parts);
        let operands = ForwardOperands {
            input: Input {
                map: &input,
                normalised: fused.normalised.then_some(Normalised {
                    factor: &factor,
                    summand: &summand,
                    activation: Activation::Relu,
                }),
            },
            packed: &packed,
            epilogue: Epilogue {
                bias: Some(&bias),
                add: (!fused.pooled).then_some(&add),
                activation: Activation::Relu,
                sums: fused.sums.then_some(&sums),
            },
            output: match fused.pooled {
                false => Destination::Map(&mut output),
                true => Destination::Pooled {
                    values: &mut output,
                    winners: Some(&mut winners),
                },
            },
            scratch: &mut memory(pass.scratch_len(), is("scratch")),
        };
        pass.run(cpu, operands);
    });
}

fn input_gradient(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm, fused: Fused) {
    let Some(pass) = InputGradient::new(cpu, geometry, algorithm, fused) else {
        return;
    };
    let what = format!("{algorithm} input gradient {fused:?}");
    let gradient_len = output_len(&geometry, fused);
    let inputs = geometry.input[2];
    let packed_len = check_packing(cpu, &what, &pass);
    let mut operands = vec!["gradient", "packed weights", "input gradient", "mask"];
    operands.extend(fused.pooled.then_some("winners"));
    operands.extend((pass.scratch_len() > 0).then_some("scratch"));
    operands.extend(fused.sums.then_some("origin"));
    let at = |name: &str| operands.iter().position(|operand| *operand == name);
    check(&what, &operands, |wrong| {
        let is = |name: &str| at(name) == Some(wrong);
        let gradient = memory(gradient_len, is("gradient"));
        let winners = winners(gradient_len, is("winners"));
        let y = memory(geometry.input_len(), is("mask"));
        let origin = memory(inputs, is("origin"));
        let mut parts = nan(2 * inputs * pass.sums_parts());
        let sums = Sums::new(&origin, &mut parts);
        let operands = InputGradientOperands {
            output_gradient: match fused.pooled {
                false => OutputGradient::Map(&gradient),
                true => OutputGradient::Pooled(Pooled {
                    gradient: &gradient,
                    winners: &winners,
                }),
            },
            packed: &memory(packed_len, is("packed weights")),
            epilogue: GradientEpilogue {
                accumulate: false,
                mask: Some(((&y).into(), Activation::Relu)),
                sums: fused.sums.then_some(&sums),
            },
            input_gradient: &mut memory(geometry.input_len(), is("input gradient")),
            scratch: &mut memory(pass.scratch_len(), is("scratch")),
        };
        pass.run(cpu, operands);
    });
}

fn weight_gradient(cpu: &Cpu, geometry: Geometry, algorithm: Algorithm, fused: Fused) {
    let Some(pass) = WeightGradient::new(cpu, geometry, algorithm, fused) else {
        return;
    };
    let what = format!("{algorithm} weight gradient {fused:?}");
    let gradient_len = output_len(&geometry, fused);
    let mut operands = vec!["input", "gradient", "weight gradient", "bias gradient"];
    operands.extend(fused.pooled.then_some("winners"));
    operands.extend((pass.scratch_len() > 0).then_some("scratch"));
    let at = |name: &str| operands.iter().position(|operand| *operand == name);
    check(&what, &operands, |wrong| {
        let is = |name: &str| at(name) == Some(wrong);
        let input = memory(geometry.input_len(), is("input"));
        let gradient = memory(gradient_len, is("gradient"));
        let winners = winners(gradient_len, is("winners"));
        let operands = WeightGradientOperands {
            input: (&input).into(),
            output_gradient: match fused.pooled {
                false => OutputGradient::Map(&gradient),
                true => OutputGradient::Pooled(Pooled {
                    gradient: &gradient,
                    winners: &winners,
                }),
            },
            weight_gradient: &mut memory(geometry.weights_len(), is("weight gradient")),
            bias_gradient: Some(&mut memory(geometry.output[2], is("bias gradient"))),
            scratch: &mut memory(pass.scratch_len(), is("scratch")),
        };
        pass.run(cpu, operands);
    });
}

#[test]
fn wrong_lengths_are_refused_by_every_loop() {
    let sums = Fused {
        sums: true,
        ..PLAIN
    };
    let normalised = Fused {
        normalised: true,
        ..PLAIN
    };
    let cpu = Cpu::best(2);
    for geometry in [
        square(2, 6, 24, 40, 3),
        square(1, 4, 24, 40, 3),
        // Few channels, whose pooling is computed by windows.
        square(2, 14, 6, 16, 5),
        square(2, 12, 2, 4, 3),
        square(2, 9, 16, 16, 3).with(|s| s.groups = 16),
    ] {
        for algorithm in Algorithm::ORDER {
            for fused in [PLAIN, sums, normalised, POOLED] {
                forward(&cpu, geometry, algorithm, fused);
                input_gradient(&cpu, geometry, algorithm, fused);
                let fused = Fused {
                    sums: false,
                    ..fused
                };
                weight_gradient(&cpu, geometry, algorithm, fused);
            }
        }
    }
}
