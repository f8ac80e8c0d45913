//! The way back: where gradients go, and which step applies which derivative.
use hubel_kernels::Cpu;
use hubel_kernels::activation::Activation;

use super::fuse::count_readers;
use super::step::{GradientTarget, Kind, Step, SumsFor};
use super::{Mode, PlanSettings};

/// Decides for each step where the gradients of its inputs go, and which step multiplies a gradient by the derivative of a fused activation.
///
/// - The derivative is applied by the last step that writes the gradient of a map, if that is a convolution: in its epilogue. Otherwise the step
///   that made the map applies it to its own output's gradient. A max pooling commutes with the derivative (at the winner it follows from the
///   pooled value), so there the derivative moves on to the pooled map, which is smaller.
/// - With `fuse`, the gradient of a sum becomes that of one summand without a copy. The convolution that writes a gradient last takes the sums
///   of the batch norm before it.
/// - A convolution with joint gradients reads the gradient of the batch norm's output, not of its own.
/// - In a plan to explain, the image has a gradient too.
pub(super) fn plan(steps: &mut [Step], maps: usize, cpu: &Cpu, settings: PlanSettings) {
    let fuse = settings.fuse;
    let reaches_image = settings.mode == Mode::Explanation;
    let mut readers = count_readers(steps, maps);
    let mut derivatives = derivatives(steps, &readers);
    let mut sums_of = if fuse {
        sums_of(steps, maps)
    } else {
        vec![None; maps]
    };
    let mut parts_of = Vec::new();
    let mut written = vec![false; maps];
    for step in steps.iter_mut().rev() {
        step.backward.own_mask = derivatives[step.output].take();
        for map in &step.inputs {
            readers[*map] -= 1;
            let mut last = match &mut step.kind {
                Kind::Convolution(convolution) if readers[*map] == 0 => Some(convolution),
                _ => None,
            };
            let mask = last.as_ref().and_then(|_| derivatives[*map].take());
            let sums = last.as_mut().and_then(|convolution| {
                let (sums, activation) = sums_of[*map].take()?;
                let is_whole = mask.unwrap_or(Activation::Identity) == activation
                    && convolution.geometry.input[2] == sums.origin.len();
                if !is_whole {
                    return None;
                }
                let parts = convolution.sum_gradient(cpu)?;
                parts_of.push((sums.step, parts));
                Some(sums)
            });
            let target = GradientTarget {
                gradient: 0,
                accumulate: std::mem::replace(&mut written[*map], true),
                mask,
                sums,
            };
            let has_gradient = *map != 0 || reaches_image;
            step.backward.inputs.push(has_gradient.then_some(target));
        }
        step.backward.in_place = in_place(step).filter(|_| fuse);
        if let Kind::Normalisation(norm) = &step.kind
            && norm.gradient_by_writer
        {
            let target = step.backward.inputs[0].take();
            let is_alone = target.is_some_and(|target| !target.accumulate);
            assert!(is_alone, "{} alone reads what it normalises", step.name);
            step.backward.in_place = Some(0);
        }
    }
    for (step, parts) in parts_of {
        if let Kind::Normalisation(norm) = &mut steps[step].kind {
            norm.backward_parts = Some(parts);
        }
    }
}

/// For each map the activation whose derivative is still to be applied to its gradient.
fn derivatives(steps: &[Step], readers: &[usize]) -> Vec<Option<Activation>> {
    let mut derivatives = vec![None; readers.len()];
    for step in steps {
        derivatives[step.output] = match step.kind {
            Kind::MaxPool { .. } if readers[step.inputs[0]] == 1 => {
                derivatives[step.inputs[0]].take()
            }
            _ => Some(step.kind.activation())
                .filter(|activation| *activation != Activation::Identity),
        };
    }
    derivatives
}

/// For each map that a batch norm wrote: the sums that its backward pass needs, if they follow from the map, and its activation.
fn sums_of(steps: &[Step], maps: usize) -> Vec<Option<(SumsFor, Activation)>> {
    let mut sums_of = vec![None; maps];
    for (i, step) in steps.iter().enumerate() {
        if let Kind::Normalisation(norm) = &step.kind
            && norm.follows_from_output()
            && !norm.is_running
        {
            let origin = norm.shift.clone();
            let sums = SumsFor { step: i, origin };
            sums_of[step.output] = Some((sums, norm.activation));
        }
    }
    sums_of
}

/// The summand whose gradient can reuse the memory of the output's gradient. The step is the first to write it, and reads the summand once.
fn in_place(step: &Step) -> Option<usize> {
    let is_first = |i: &usize| {
        let target = &step.backward.inputs[*i];
        let reads = step.inputs.iter().filter(|map| **map == step.inputs[*i]);
        target.as_ref().is_some_and(|target| !target.accumulate) && reads.count() == 1
    };
    step.kind.summands(step.inputs.len()).find(is_first)
}
