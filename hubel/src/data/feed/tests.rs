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
fn nothing_to_draw_from_is_refused() {
    let feed = feed(&[2, 2], Balance::None, "none", 1);
    let (empty, preparation) = (feed.dataset().subset(&[]), feed.preparation().clone());
    let refused = Feed::new(empty, preparation, feed.settings.clone());
    assert!(
        refused
            .expect_err("it is empty")
            .to_string()
            .contains("holds no images")
    );
}
