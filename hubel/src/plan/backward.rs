//! The way back: where gradients go, and who applies which derivative.
use hubel_kernels::Cpu;
use hubel_kernels::activation::Activation;

use super::fuse::count_readers;
use super::step::{GradientTarget, Kind, Step, SumsFor};
use super::{Mode, PlanSettings};

/// Decides, for each step, where the gradients of its inputs go and who applies the derivative of a fused activation: the last step
/// that writes the gradient of a map, if it is a convolution, does it in its epilogue. A max pool commutes with it (the derivative at
/// the winner follows from the pooled value), so there the duty moves to the pooled map, which is smaller.
/// Where `fuse`, the gradient of a sum becomes that of one of its summands without being copied, and such a convolution takes the sums of
/// a batch normalisation before it. Where the convolution before a batch normalisation makes the gradient between them, it finds that of the
/// latter's output in its place. In a plan to explain the image has a gradient too.
pub(super) fn plan(steps: &mut [Step], maps: usize, cpu: &Cpu, settings: PlanSettings) {
    let fuse = settings.fuse;
    let reaches_image = settings.mode == Mode::Explanation;
    let mut readers = count_readers(steps, maps);
    let mut duty: Vec<Option<Activation>> = vec![None; maps];
    for step in steps.iter() {
        duty[step.output] = match step.kind {
            Kind::MaxPool { .. } if readers[step.inputs[0]] == 1 => duty[step.inputs[0]].take(),
            _ => Some(step.kind.activation())
                .filter(|activation| *activation != Activation::Identity),
        };
    }
    let mut normalised: Vec<Option<(SumsFor, Activation)>> = vec![None; maps];
    for (i, step) in steps.iter().enumerate().filter(|_| fuse) {
        if let Kind::Normalisation(norm) = &step.kind {
            let origin = norm.shift.clone();
            let sums = SumsFor { step: i, origin };
            let takes_sums = norm.follows_from_output() && !norm.is_running;
            normalised[step.output] = takes_sums.then_some((sums, norm.activation));
        }
    }
    let mut parts_of = Vec::new();
    let mut written = vec![false; maps];
    for step in steps.iter_mut().rev() {
        step.backward.own_mask = duty[step.output].take();
        for map in &step.inputs {
            readers[*map] -= 1;
            let mut last = match &mut step.kind {
                Kind::Convolution(convolution) if readers[*map] == 0 => Some(convolution),
                _ => None,
            };
            let mask = last.as_ref().and_then(|_| duty[*map].take());
            let sums = last.as_mut().and_then(|convolution| {
                let (sums, activation) = normalised[*map].take()?;
                let is_whole = mask.unwrap_or(Activation::Identity) == activation
                    && convolution.geometry.input[2] == sums.origin.len();
                if !is_whole {
                    return None;
                }
                let parts = convolution.sum_gradient(cpu)?;
                parts_of.push((sums.step, parts));
                Some(sums)
            });
            step.backward
                .inputs
                .push((*map != 0 || reaches_image).then(|| GradientTarget {
                    gradient: 0,
                    accumulate: std::mem::replace(&mut written[*map], true),
                    mask,
                    sums,
                }));
        }
        let is_first = |i: &usize| {
            let target = &step.backward.inputs[*i];
            let reads = step.inputs.iter().filter(|map| **map == step.inputs[*i]);
            target.as_ref().is_some_and(|target| !target.accumulate) && reads.count() == 1
        };
        let mut summands = step.kind.summands(step.inputs.len());
        step.backward.heir = summands.find(is_first).filter(|_| fuse);
        if let Kind::Normalisation(norm) = &step.kind
            && norm.gradient_by_writer
        {
            let target = step.backward.inputs[0].take();
            let is_alone = target.is_some_and(|target| !target.accumulate);
            assert!(is_alone, "{} alone reads what it normalises", step.name);
            step.backward.heir = Some(0);
        }
    }
    for (step, parts) in parts_of {
        if let Kind::Normalisation(norm) = &mut steps[step].kind {
            norm.backward_parts = Some(parts);
        }
    }
}
