//! Which memory each map and each gradient lives in: maps whose lives do not overlap take turns in one slot.
use super::Mode;
use super::step::Step;

pub(super) struct Slots {
    pub(super) values: Vec<usize>,
    pub(super) gradients: Vec<usize>,
    /// The value slot of each map.
    pub(super) value_of: Vec<usize>,
    /// The gradient slot of each map that has one.
    pub(super) gradient_of: Vec<Option<usize>>,
}

/// Replaces the maps in `steps` by slots. `maps` holds the length of each map; map 0 is the image.
pub(super) fn assign(steps: &mut [Step], maps: &[usize], logits: usize, mode: Mode) -> Slots {
    let mut gradients = Pool::default();
    let mut gradient_of: Vec<Option<usize>> = vec![None; maps.len()];
    if mode.goes_back() {
        gradient_of[logits] = Some(gradients.take(maps[logits]));
        for step in steps.iter_mut().rev() {
            let own = gradient_of[step.output]
                .expect("every map but the image has a reader or is the logits");
            step.backward.output_gradient = own;
            let stays = step.backward.in_place;
            if let Some(i) = stays {
                gradient_of[step.inputs[i]] = Some(own);
            }
            for (target, map) in step.backward.inputs.iter_mut().zip(&step.inputs) {
                if let Some(target) = target {
                    target.gradient =
                        *gradient_of[*map].get_or_insert_with(|| gradients.take(maps[*map]));
                }
            }
            if stays.is_none() && mode != Mode::Explanation {
                gradients.give_back(own);
            }
        }
    }

    let mut values = Pool::default();
    let mut slot_of: Vec<usize> = vec![0; maps.len()];
    slot_of[0] = values.take(maps[0]);
    let mut last_reader: Vec<Option<usize>> = vec![None; maps.len()];
    for (i, step) in steps.iter().enumerate() {
        step.inputs
            .iter()
            .for_each(|map| last_reader[*map] = Some(i));
    }
    for (i, step) in steps.iter_mut().enumerate() {
        slot_of[step.output] = match step.kind.output_is_input() {
            true => slot_of[step.inputs[0]],
            false => values.take(maps[step.output]),
        };
        if mode == Mode::Inference {
            let mut ended: Vec<usize> = step.inputs.clone();
            ended.sort_unstable();
            ended.dedup();
            // The image's slot is filled by the caller and never shared.
            ended.retain(|map| last_reader[*map] == Some(i) && *map != 0 && *map != logits);
            ended.iter().for_each(|map| values.give_back(slot_of[*map]));
        }
        step.inputs.iter_mut().for_each(|map| *map = slot_of[*map]);
        step.output = slot_of[step.output];
    }
    Slots {
        values: values.lengths,
        gradients: gradients.lengths,
        value_of: slot_of,
        gradient_of,
    }
}

/// Slots that are taken and given back; the one that fits best is taken.
#[derive(Default)]
struct Pool {
    lengths: Vec<usize>,
    free: Vec<usize>,
}

impl Pool {
    fn take(&mut self, length: usize) -> usize {
        let waste = |slot: &usize| self.lengths[*slot].abs_diff(length);
        let best = (0..self.free.len()).min_by_key(|i| waste(&self.free[*i]));
        match best {
            Some(i) => {
                let slot = self.free.swap_remove(i);
                self.lengths[slot] = self.lengths[slot].max(length);
                slot
            }
            None => {
                self.lengths.push(length);
                self.lengths.len() - 1
            }
        }
    }

    fn give_back(&mut self, slot: usize) {
        self.free.push(slot);
    }
}
