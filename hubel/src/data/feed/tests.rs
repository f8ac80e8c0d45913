//! Batches depend only on (seed, epoch, step), and classes are balanced as requested.
use std::ops::ControlFlow;
use std::sync::Arc;

use super::*;
use crate::Shape;
use crate::data::loader;

/// `counts[c]` pictures of class c, all different.
fn feed(counts: &[usize], balance: Balance, augmentation: &str, seed: u64) -> Feed {
    let shape = Shape::new(6, 6, 3);
    let labels: Vec<usize> = (counts.iter().enumerate())
        .flat_map(|(class, &count)| vec![class; count])
        .collect();
    let pixels = (0..labels.len() * shape.len()).map(|i| (i * 7919 % 251) as u8);
    let classes = (0..counts.len()).map(|class| class.to_string()).collect();
    let dataset = Dataset::from_bytes("test", classes, shape, pixels.collect(), labels)
        .expect("the lengths fit");
    let preparation = Preparation::measure(&dataset).expect("it is in memory");
    let settings = FeedSettings {
        augmentation: augmentation.parse().expect("it is an augmentation"),
        balance,
        batch_size: 8,
        seed,
    };
    Feed::new(dataset, preparation, settings).expect("bytes can be augmented")
}

/// Epoch, draws and images of all batches.
fn all(feed: &Feed, epochs: usize, threads: usize) -> Vec<(usize, Vec<usize>, Vec<f32>)> {
    let mut batches = Vec::new();
    loader::batches(&Arc::new(feed.clone()), 1..epochs + 1, threads, |batch| {
        batches.push((batch.epoch, batch.draws.clone(), batch.images.clone()));
        Ok(ControlFlow::Continue(()))
    })
    .expect("it is in memory");
    batches
}

#[test]
fn batches_are_the_same_for_any_number_of_threads_and_follow_from_the_seed() {
    let standard = feed(&[9, 12], Balance::None, "standard", 1);
    let batches = all(&standard, 3, 1);
    assert_eq!(
        batches.len(),
        9,
        "two full batches and the rest, three times"
    );
    for threads in [2, 3, 7] {
        assert_eq!(all(&standard, 3, threads), batches);
    }
    assert_ne!(
        all(&feed(&[9, 12], Balance::None, "standard", 2), 3, 1),
        batches
    );
    // Any batch can be made again separately.
    let (epoch, mut draws, images) = batches[7].clone();
    let mut again = vec![f32::NAN; images.len()];
    standard
        .fill(epoch, &mut draws, &mut again)
        .expect("in memory");
    assert_eq!(again, images);
    for epoch in 1..=3 {
        let mut order = standard.order(epoch);
        order.sort_unstable();
        assert!(order.into_iter().eq(0..21), "each image comes once");
    }
}

#[test]
fn a_loader_that_is_broken_off_ends() {
    let feed = Arc::new(feed(&[100, 100], Balance::None, "none", 1));
    for threads in [1, 4] {
        let mut taken = 0;
        loader::batches(&feed, 1..1001, threads, |_| {
            taken += 1;
            Ok(if taken == 3 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })
        .expect("it is in memory");
        assert_eq!(taken, 3);
    }
}

#[test]
fn balanced_by_samples_each_class_gives_the_same_number_and_repeats_are_augmented_anew() {
    let feed = feed(&[3, 0, 57], Balance::Sample, "crop(2)", 5);
    let order = feed.order(1);
    assert_eq!(order.len(), 60);
    let of_class = |class| {
        order
            .iter()
            .filter(|&&draw| feed.label(draw) == class)
            .count()
    };
    assert_eq!((of_class(0), of_class(2)), (30, 30));
    let mut draws = order.clone();
    draws.sort_unstable();
    draws.dedup();
    assert_eq!(draws.len(), 60, "no draw comes twice");
    let repeats: Vec<_> = (order.iter())
        .filter(|&&draw| feed.index(draw) == 0)
        .map(|&draw| feed.pixels(1, draw).expect("in memory"))
        .collect();
    assert_eq!(repeats.len(), 10);
    assert!(repeats.iter().any(|pixels| *pixels != repeats[0]));
    assert_eq!(
        feed.pixels(0, 60).expect("in memory"),
        feed.dataset()
            .bytes(0)
            .expect("in memory")
            .map(|bytes| bytes.to_vec()),
        "epoch 0 shows the picture as it is"
    );
}

#[test]
fn balanced_by_loss_rare_classes_weigh_more_and_the_mean_weight_is_one() {
    let feed = feed(&[10, 0, 30], Balance::Loss, "none", 1);
    assert_eq!(feed.class_weights(), Some(vec![2.0, 0.0, 2.0 / 3.0]));
    assert_eq!(
        super::tests::feed(&[10, 30], Balance::None, "none", 1).class_weights(),
        None
    );
}

#[test]
fn mixed_batches_are_the_same_for_any_number_of_threads_and_epoch_0_is_not_mixed() {
    let plain = feed(&[9, 12], Balance::None, "standard", 1);
    let either = Mixing::of(Some(1.0), Some(1.0));
    let mixed = plain.clone().with_mixing(either).expect("it is one");
    let batches = all(&mixed, 3, 1);
    assert_ne!(all(&plain, 3, 1), batches);
    for threads in [2, 3, 7] {
        assert_eq!(all(&mixed, 3, threads), batches);
    }
    let draws = mixed.step(&mixed.order(0), 0).to_vec();
    assert_eq!(mixed.targets(0, 0, &draws), None);
    assert_eq!(plain.targets(1, 0, &draws), None);
    let mut images = [0.5; 8 * 108];
    images[..108].fill(0.0);
    let before = images;
    mixed.mix(0, 0, &mut images);
    assert_eq!(images, before);
}

/// The share of the image's own target and that of its partner, the image before it in the batch.
#[test]
fn targets_are_those_of_the_data_mixed_like_the_images() {
    let plain = feed(&[5, 7], Balance::None, "none", 1);
    let given: Vec<f32> = (0..12)
        .flat_map(|i| [i as f32 / 12.0, 1.0 - i as f32 / 12.0])
        .collect();
    let dataset = (plain.dataset().clone().with_targets(given.clone())).expect("they fit");
    let soft = Feed::new(dataset, plain.preparation().clone(), plain.settings.clone());
    let soft = soft.expect("as before");
    let draws = [3, 11, 0];
    let expected: Vec<f32> = draws
        .iter()
        .flat_map(|&i: &usize| given[2 * i..][..2].to_vec())
        .collect();
    assert_eq!(soft.targets(1, 0, &draws), Some(expected));
    let mixing = Mixing::Mixup { alpha: 1.0 };
    let mixed = soft.with_mixing(mixing).expect("it is one");
    let share = mixed.mixture(1, 0).expect("it is mixed").share();
    let targets = mixed.targets(1, 0, &draws).expect("they are mixed");
    for (place, own, partner) in [(0, 3, 0), (1, 11, 3), (2, 0, 11)] {
        let mean = share * given[2 * own] + (1.0 - share) * given[2 * partner];
        assert!((targets[2 * place] - mean).abs() < 1e-6);
        assert!((targets[2 * place] + targets[2 * place + 1] - 1.0).abs() < 1e-6);
    }
}

#[test]
fn nothing_to_draw_from_is_refused() {
    let feed = feed(&[2, 2], Balance::None, "none", 1);
    let (empty, preparation) = (feed.dataset().subset(&[]), feed.preparation().clone());
    let refused = Feed::new(empty, preparation, feed.settings.clone());
    assert!(
        refused
            .expect_err("it is empty")
            .to_string()
            .contains("is empty")
    );
}
