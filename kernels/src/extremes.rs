//! Tests of all public functions outside of `conv` with lengths that do not fit, with sizes that no memory holds, and with 0. The tests
//! of [`pool::Window`] are beside it.
//!
//! Tests are compiled with overflow checks, a release build is not. Each test therefore expects the message of an assertion. An
//! overflow would panic here with another message, and would wrap in a release build.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::activation::{self, Activation};
use crate::add::{self, Channels};
use crate::batch_norm::{self, Batch, InputGradient};
use crate::pad::{self, Padding, PaddingMode};
use crate::pool::{self, Pooling, Regions, Window};
use crate::update::{Adam, Lion, Muon, NewtonSchulz, RmsProp, Sgd, sum_of_squares};
use crate::{Buffer, Cpu, DisjointMut, InstructionSet, dropout, softmax};

const EXTREMES: [usize; 4] = [1 << 31, 1 << 62, isize::MAX as usize, usize::MAX];

/// Asserts that `body` panics with a message that contains `expected`.
#[track_caller]
fn assert_refused<R>(expected: &str, body: impl FnOnce() -> R) {
    let panic = (catch_unwind(AssertUnwindSafe(body)).err()).expect("this is refused");
    let message = match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic.downcast::<&str>().expect("a message").to_string(),
    };
    assert!(message.contains(expected), "{message}, not {expected}");
}

fn cpu() -> Cpu {
    Cpu::best(2)
}

#[test]
fn elementwise_functions_refuse_slices_of_other_lengths() {
    let (cpu, relu, short, long) = (&cpu(), Activation::Relu, &[1.0; 3], &[1.0; 4]);
    assert_refused("length of the output", || {
        activation::forward(cpu, relu, long, &mut [0.0; 3]);
    });
    assert_refused("length of the output", || {
        activation::forward(cpu, relu, short, &mut [0.0; 4]);
    });
    assert_refused("length of the gradient", || {
        activation::backward_in_place(cpu, relu, short, &mut [0.0; 4]);
    });
    assert_refused("lengths of the gradients", || {
        activation::backward(cpu, relu, short, long, &mut [0.0; 3], false);
    });
    assert_refused("lengths of the gradients", || {
        activation::backward(cpu, relu, short, short, &mut [0.0; 4], false);
    });
    assert_refused("lengths of the maps", || {
        add::add(cpu, short, long, &mut [0.0; 3]);
    });
    assert_refused("lengths of the maps", || {
        add::copy(cpu, short, &mut [0.0; 4], true);
    });
    assert_refused("lengths of the maps", || {
        add::add_scaled(cpu, 1.0, short, &mut [0.0; 4]);
    });
    assert_refused("lengths of the maps", || {
        add::scale(cpu, 1.0, short, &mut [0.0; 4]);
    });
    assert_refused("length of the output", || {
        dropout::apply(cpu, 0.5, 1, short, &mut [0.0; 4], false);
    });
}

#[test]
fn functions_of_nothing_do_nothing() {
    let (cpu, relu) = (&cpu(), Activation::Relu);
    activation::forward(cpu, relu, &[], &mut []);
    activation::forward_in_place(cpu, relu, &mut []);
    activation::backward_in_place(cpu, relu, &[], &mut []);
    activation::backward(cpu, relu, &[], &[], &mut [], true);
    add::add(cpu, &[], &[], &mut []);
    add::copy(cpu, &[], &mut [], false);
    dropout::apply(cpu, 0.5, 1, &[], &mut [], false);
    softmax::softmax(cpu, &[], 3, &mut []);
    batch_norm::normalise(cpu, &[], &[1.0], &[0.0], None, relu, &mut []);
    batch_norm::factors(&[], &[], 0.1, &[], &[], &mut [], &mut []);
    batch_norm::update_running(&[], &[], usize::MAX, 0.1, &mut [], &mut []);
    cpu.parallel(0, |_| unreachable!("there is no task"));
    cpu.parallel_chunks::<f32>(&mut [], 5, |_, _| unreachable!("there is no chunk"));
    assert_eq!(Buffer::zeros(0).len(), 0);
}

#[test]
fn channels_that_a_map_does_not_have_are_not_copied() {
    let copy = |from: Channels, to: Channels, count: usize| {
        add::copy_channels(
            &cpu(),
            (&[1.0; 12], from),
            (&mut [0.0; 12], to),
            count,
            false,
        );
    };
    let usual = Channels {
        total: 3,
        offset: 1,
    };
    copy(usual, usual, 2);
    for extreme in EXTREMES {
        let offset = Channels {
            offset: extreme,
            ..usual
        };
        assert_refused("channels from channel", || copy(offset, usual, 2));
        assert_refused("channels from channel", || copy(usual, offset, 2));
        assert_refused("channels from channel", || copy(usual, usual, extreme));
    }
    for total in EXTREMES.into_iter().chain([0, 5]) {
        let total = Channels { total, offset: 0 };
        assert_refused("whole pixels", || copy(total, usual, 1));
        assert_refused("whole pixels", || copy(usual, total, 1));
    }
    let wider = Channels {
        total: 4,
        offset: 0,
    };
    assert_refused("pixels of the maps", || copy(usual, wider, 1));
}

#[test]
fn batch_normalisation_refuses_what_does_not_fit() {
    let (cpu, two, three) = (&cpu(), &[1.0; 2], &[1.0; 3]);
    let statistics = |input: &[f32], mean: usize, variance: usize| {
        batch_norm::statistics(cpu, input, &mut vec![0.0; mean], &mut vec![0.0; variance]);
    };
    assert_refused("has channels", || statistics(&[], 0, 0));
    assert_refused("no rows", || statistics(&[], 2, 2));
    assert_refused("whole rows", || statistics(three, 2, 2));
    assert_refused("length of the variance", || statistics(two, 2, 3));

    let of_sums = |parts: &[f32], origin: &[f32], rows: usize, mean: usize, variance: usize| {
        let (mean, variance) = (&mut vec![0.0; mean], &mut vec![0.0; variance]);
        batch_norm::statistics_of_sums(parts, origin, rows, 0.1, mean, variance)
    };
    assert!(of_sums(&[0.0; 8], two, usize::MAX, 2, 2));
    assert_refused("has channels", || of_sums(&[], &[], 1, 0, 0));
    assert_refused("parts are whole", || of_sums(&[0.0; 6], two, 1, 2, 2));
    assert_refused("of the origin", || of_sums(&[0.0; 8], three, 1, 2, 2));
    assert_refused("of the variance", || of_sums(&[0.0; 8], two, 1, 2, 3));

    assert_refused("lengths of the statistics", || {
        batch_norm::update_running(two, two, 5, 0.1, &mut [0.0; 2], &mut [0.0; 3]);
    });
    assert_refused("of the channels' values", || {
        batch_norm::factors(two, two, 0.1, two, three, &mut [0.0; 2], &mut [0.0; 2]);
    });

    let normalise = |input: &[f32], factor: &[f32], output: usize| {
        let (relu, output) = (Activation::Relu, &mut vec![0.0; output]);
        batch_norm::normalise(cpu, input, factor, factor, None, relu, output);
    };
    assert_refused("has channels", || normalise(&[], &[], 0));
    assert_refused("whole rows", || normalise(three, two, 3));
    assert_refused("length of the output", || normalise(two, two, 4));

    let batch = Batch {
        input: &[1.0; 4],
        mean: two,
        variance: two,
        epsilon: 0.1,
        scale: two,
        shift: two,
    };
    let backward =
        |batch: Batch, gradient: usize, scale: usize, coefficients: usize| {
            let (gradient, coefficients) = (&vec![1.0; gradient], &mut vec![0.0; coefficients]);
            let (to_scale, to_shift) = (&mut vec![0.0; scale], &mut [0.0; 2]);
            batch_norm::backward(cpu, batch, gradient, None, to_scale, to_shift, coefficients)
                .write(cpu, &mut [0.0; 4], false);
        };
    backward(batch, 4, 2, 6);
    assert_refused("length of the gradient", || backward(batch, 5, 2, 6));
    assert_refused("of the channels' values", || backward(batch, 4, 3, 6));
    assert_refused("coefficients", || backward(batch, 4, 2, 7));
    let odd = Batch {
        input: three,
        ..batch
    };
    assert_refused("whole rows", || backward(odd, 3, 2, 6));
    let more = Batch {
        shift: three,
        ..batch
    };
    assert_refused("of the channels' values", || backward(more, 4, 2, 6));

    let gradient = InputGradient {
        input: &[1.0; 4],
        mean: two,
        output_gradient: &[1.0; 4],
        coefficients: &[1.0; 6],
    };
    assert_refused("length of the target", || {
        gradient.write(cpu, &mut [0.0; 6], false);
    });
    let none = InputGradient {
        mean: &[],
        ..gradient
    };
    assert_refused("has channels", || none.write(cpu, &mut [0.0; 4], true));
}

#[test]
fn a_buffer_that_no_memory_holds_is_refused() {
    for length in [1 << 61, 1 << 62, isize::MAX as usize, usize::MAX] {
        assert_refused("no more bytes", || Buffer::zeros(length));
        let mut buffer = Buffer::zeros(3);
        assert_refused("no more bytes", || buffer.reset(length));
        assert_eq!(buffer.len(), 0, "what is left is a buffer");
    }
}

#[test]
fn work_of_any_length_is_divided() {
    assert_refused("at least one thread", || {
        Cpu::new(InstructionSet::Scalar, 0)
    });
    for threads in [1 << 62, usize::MAX] {
        assert_refused("capacity", || Cpu::new(InstructionSet::Scalar, threads));
    }
    let cpu = cpu();
    assert_refused("at least one element", || {
        cpu.parallel_chunks(&mut [0.0; 3], 0, |_, _| ());
    });
    for length in EXTREMES {
        let calls = AtomicUsize::new(0);
        cpu.parallel_chunks(&mut [0.0; 3], length, |i, chunk| {
            assert_eq!((i, chunk.len()), (0, 3));
            calls.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(calls.into_inner(), 1);
    }
    // A slice may have this many elements if they take no memory.
    let (total, length) = (AtomicUsize::new(0), usize::MAX / 2 + 1);
    cpu.parallel_chunks(&mut [(); usize::MAX], length, |_, chunk| {
        total.fetch_add(chunk.len(), Ordering::Relaxed);
    });
    assert_eq!(total.into_inner(), usize::MAX);
}

#[test]
fn no_part_lies_outside_its_slice() {
    let mut data = [0.0; 3];
    let parts = DisjointMut::new(&mut data);
    #[allow(clippy::reversed_empty_ranges, reason = "one of them is refused")]
    for range in [0..4, 3..usize::MAX, 2..1, 1 << 62..1 << 62] {
        // SAFETY: no other part is alive.
        assert_refused("of 3", || unsafe { parts.slice(range) }.len());
    }
    // SAFETY: no other part is alive.
    assert_eq!(unsafe { parts.slice(3..3) }.len(), 0);
}

#[test]
fn padding_that_no_memory_holds_is_refused() {
    let usual = Padding {
        batch: 1,
        input: [2, 2, 1],
        output: [4, 4, 1],
        before: [1, 1],
        mode: PaddingMode::Reflect,
    };
    let both = |expected: &str, padding: Padding, input: usize, output: usize| {
        let (input, output) = (vec![0.0; input], vec![0.0; output]);
        assert_refused(expected, || {
            pad::forward(&cpu(), &padding, &input, &mut output.clone());
        });
        assert_refused(expected, || {
            pad::backward(&cpu(), &padding, &output, &mut input.clone(), false);
        });
    };
    both("length of the input", usual, 3, 16);
    both("length of the output", usual, 4, 15);
    for extreme in EXTREMES {
        let batch = Padding {
            batch: extreme,
            ..usual
        };
        let expected = match extreme {
            0x8000_0000 => "length of the input",
            _ => "no slice is as long",
        };
        // With 2⁶² images both lengths wrap to 0.
        both(expected, batch, 0, 0);
        for axis in 0..2 {
            let mut input = usual;
            input.input[axis] = extreme;
            both("lies within", input, 0, 0);
            let mut before = usual;
            before.before[axis] = extreme;
            both("lies within", before, 4, 16);
        }
        let mut channels = usual;
        channels.output[2] = extreme;
        both("keeps the channels", channels, 4, 0);
    }
    for axis in 0..3 {
        let mut nothing = usual;
        (nothing.input[axis], nothing.output[axis]) = (0, 0);
        both("has pixels", nothing, 0, 0);
    }
    let none = Padding { batch: 0, ..usual };
    pad::forward(&cpu(), &none, &[], &mut []);
    pad::backward(&cpu(), &none, &[], &mut [], false);
}

#[test]
fn pooling_refuses_slices_of_other_lengths() {
    let regions = Regions::Sliding {
        kernel: [2, 2],
        stride: [2, 2],
        padding: [0; 4],
        count_padding: false,
    };
    let window = Window::new(1, [4, 4, 1], [2, 2, 1], regions).expect("its windows fit");
    let (cpu, pooling) = (&cpu(), &Pooling::new(window));
    assert_refused("length of the input", || {
        pool::max_forward(cpu, pooling, &[0.0; 15], &mut [0.0; 4], None);
    });
    assert_refused("length of the output", || {
        pool::max_forward(cpu, pooling, &[0.0; 16], &mut [0.0; 5], None);
    });
    assert_refused("length of the index", || {
        pool::max_forward(cpu, pooling, &[0.0; 16], &mut [0.0; 4], Some(&mut [0; 3]));
    });
    assert_refused("length of the index", || {
        pool::max_backward(cpu, pooling, &[0; 5], &[0.0; 4], &mut [0.0; 16], false);
    });
    assert_refused("length of the input", || {
        pool::max_backward(cpu, pooling, &[0; 4], &[0.0; 4], &mut [0.0; 17], false);
    });
    assert_refused("length of the input", || {
        pool::average_forward(cpu, pooling, &[], &mut [0.0; 4]);
    });
    assert_refused("length of the output", || {
        pool::average_backward(cpu, pooling, &[], &mut [0.0; 16], true);
    });
    for i in [2, 1 << 62, usize::MAX] {
        assert_refused("window", || window.range(0, i));
        assert_refused("window", || window.divisor(1, i));
    }
    // A place outside of its window is harmless: no pixel gets the gradient.
    let mut gradient = [7.0; 16];
    pool::max_backward(
        cpu,
        pooling,
        &[4, u16::MAX, 9, 5],
        &[1.0; 4],
        &mut gradient,
        false,
    );
    assert_eq!(gradient, [0.0; 16]);

    let none = Window::new(0, [4, 4, 1], [2, 2, 1], regions).expect("a batch of none fits");
    let pooling = &Pooling::new(none);
    pool::max_forward(cpu, pooling, &[0.0; 0], &mut [], Some(&mut []));
    pool::max_backward(cpu, pooling, &[], &[], &mut [], false);
    pool::average_forward(cpu, pooling, &[], &mut []);
    pool::average_backward(cpu, pooling, &[], &mut [], false);
}

#[test]
fn logits_of_any_number_of_classes_are_counted() {
    let cpu = &cpu();
    for classes in EXTREMES.into_iter().chain([0, 5]) {
        assert_refused("rows of", || {
            softmax::softmax(cpu, &[0.0; 6], classes, &mut [0.0; 6]);
        });
    }
    assert_refused("length of the output", || {
        softmax::softmax(cpu, &[0.0; 6], 3, &mut [0.0; 3]);
    });
    let loss = |logits: usize, labels: &[u32], classes: usize, weights: Option<&[f32]>| {
        let (logits, gradient) = (vec![0.0; logits], &mut vec![0.0; logits]);
        softmax::cross_entropy(&logits, labels, classes, 0.1, weights, gradient)
    };
    assert_refused("no class", || loss(0, &[], 0, None));
    for classes in EXTREMES {
        // With 2⁶² classes the length of four rows wraps to 0.
        assert_refused("a label for each row", || loss(0, &[0; 4], classes, None));
    }
    assert_refused("label 4294967295", || loss(3, &[u32::MAX], 3, None));
    assert_refused("label 3", || loss(3, &[3], 3, Some(&[1.0; 3])));
    assert_refused("a weight for each", || loss(3, &[1], 3, Some(&[1.0])));
    assert_refused("length of the gradient", || {
        softmax::cross_entropy(&[0.0; 3], &[1], 3, 0.0, None, &mut [0.0; 4]);
    });
    let of_targets = |logits: usize, targets: usize, classes: usize, gradient: usize| {
        let (logits, targets, weights) = (vec![0.0; logits], vec![0.0; targets], [1.0; 3]);
        let (weights, gradient) = (Some(&weights[..]), &mut vec![0.0; gradient]);
        softmax::cross_entropy_of_probabilities(&logits, &targets, classes, 0.1, weights, gradient)
    };
    for classes in EXTREMES.into_iter().chain([0, 5]) {
        assert_refused("rows of", || of_targets(6, 6, classes, 6));
    }
    assert_refused("length of the targets", || of_targets(6, 3, 3, 6));
    assert_refused("length of the gradient", || of_targets(6, 6, 3, 3));
    assert_refused("a weight for each", || of_targets(6, 6, 2, 6));
}

#[test]
fn optimizers_refuse_state_of_other_lengths() {
    let cpu = &cpu();
    let sgd = Sgd {
        learning_rate: 0.1,
        momentum: 0.9,
        nesterov: false,
        weight_decay: 0.0,
    };
    assert_refused("length of the gradient", || {
        sgd.step(cpu, &mut [0.0; 3], [0.0; 4][..].into(), &mut [0.0; 3]);
    });
    assert_refused("length of the optimizer's state", || {
        sgd.step(cpu, &mut [0.0; 3], [0.0; 3][..].into(), &mut [0.0; 4]);
    });
    let adam = Adam {
        learning_rate: 0.1,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.0,
        decoupled: true,
    };
    let step = |step: u64, second: usize| {
        let (mut values, mut first, mut second) = ([1.0; 3], [0.0; 3], vec![0.0; second]);
        let gradient = [1.0; 3][..].into();
        adam.step(cpu, step, &mut values, gradient, &mut first, &mut second);
        values
    };
    assert!(step(u64::MAX, 3).iter().all(|value| value.is_finite()));
    assert_refused("steps count from 1", || step(0, 3));
    assert_refused("length of the optimizer's state", || step(1, 4));
    let lion = Lion {
        learning_rate: 0.1,
        beta1: 0.9,
        beta2: 0.99,
        weight_decay: 0.0,
    };
    assert_refused("length of the optimizer's state", || {
        lion.step(cpu, &mut [0.0; 3], [0.0; 3][..].into(), &mut [0.0; 2]);
    });
    let rms_prop = RmsProp {
        learning_rate: 0.1,
        alpha: 0.99,
        epsilon: 1e-8,
        momentum: 0.0,
        weight_decay: 0.0,
    };
    assert_refused("length of the optimizer's state", || {
        let (values, gradient) = (&mut [0.0; 3], [0.0; 3]);
        rms_prop.step(
            cpu,
            values,
            gradient[..].into(),
            &mut [0.0; 3],
            &mut [0.0; 2],
        );
    });
    assert_eq!(sum_of_squares(cpu, &[]), 0.0);
}

#[test]
fn an_orthogonal_step_refuses_matrices_and_scratch_that_do_not_fit() {
    let cpu = &cpu();
    for extreme in [0, 1 << 62, usize::MAX] {
        assert!(NewtonSchulz::new(cpu, extreme, 3).is_none());
        assert!(NewtonSchulz::new(cpu, 3, extreme).is_none());
    }
    let muon = Muon {
        learning_rate: 0.1,
        momentum: 0.9,
        nesterov: true,
        weight_decay: 0.0,
    };
    let iteration = NewtonSchulz::new(cpu, 4, 3).expect("a matrix of this size exists");
    let enough = Muon::scratch_len(&iteration);
    let step = |values: usize, mean: usize, scratch: usize| {
        let gradient = vec![1.0; values];
        let (values, mean) = (&mut vec![1.0; values], &mut vec![0.0; mean]);
        let scratch = &mut vec![0.0; scratch];
        muon.step(cpu, &iteration, values, gradient[..].into(), mean, scratch);
    };
    step(12, 12, enough);
    assert_refused("too little scratch", || step(12, 12, enough - 1));
    assert_refused("length of the optimizer's state", || step(12, 11, enough));
    assert_refused("matrix", || step(11, 11, enough));
}
