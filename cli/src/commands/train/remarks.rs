//! What `hubel train` says before the first step: what it trains on, and how.
use hubel::check::IMBALANCE;
use hubel::data::{Augmentation, Balance, Kind, Subject};
use hubel::{Dataset, Model, Splits, listed, one_line};

use super::Log;
use super::course::{Course, augmentation, epochs};
use crate::commands::of_texts;
use crate::console::{Console, thousands};

/// Says all of it.
pub(super) fn before(
    course: &Course,
    splits: &Splits,
    subject: &Subject,
    model: &Model,
    log: &Log,
    console: &Console,
) {
    console.remark(&parts(splits));
    let augmentation = augmentation(course.phases());
    console.remark(&detected(subject, &epochs(course.phases()), &augmentation));
    let settings = course.settings();
    console.remark(&treatment(&splits.train, settings.balance, &augmentation));
    let preparation = model.preparation();
    if let Some(vocabulary) = preparation.medium.vocabulary() {
        console.remark(&of_texts(vocabulary, preparation.input().shape.time));
    }
    if !log.loss_includes.is_empty() {
        console.remark(&format!(
            "loss*: with {}; the validation loss is without",
            log.loss_includes.join(" and ")
        ));
    }
    if settings.batch_size > splits.train.len() {
        console.remark(&format!(
            "each step uses all {}: there are fewer than {} (--batch-size)",
            splits.train.kind().plural(),
            settings.batch_size
        ));
    }
}

/// How many images are used for training, validation and test.
fn parts(splits: &Splits) -> String {
    let held_out = match &splits.validation {
        Some(validation) => format!("{} held out for validation", thousands(validation.len())),
        None => "none held out for validation".into(),
    };
    let test = match &splits.test {
        Some(test) => format!("{} for the final test", thousands(test.len())),
        None => "none for a final test".into(),
    };
    let training = thousands(splits.train.len());
    let kind = splits.train.kind();
    let mut text = format!(
        "{training} {} to train on, {held_out}, {test}",
        kind.plural()
    );
    if let Some(test) = &splits.test {
        let classes = test.classes().iter().zip(test.counts());
        let untested: Vec<String> = classes
            .filter(|(_, count)| *count == 0)
            .map(|(class, _)| format!("`{}`", one_line(class)))
            .collect();
        if !untested.is_empty() {
            text += &format!(
                "\nno test {} of {}: the accuracy of these classes will be unknown",
                kind.singular(),
                listed(untested.iter().map(String::as_str))
            );
        }
    }
    text
}

/// The detected kind of data, and the settings that follow from it.
fn detected(subject: &Subject, epochs: &str, augmentation: &Augmentation) -> String {
    let mut follows = vec![epochs.to_owned()];
    let flips = match (augmentation.flips(), subject.may_be_flipped()) {
        (true, true) => "flipped at random".into(),
        (true, false) => "flipped anyway, because of --augment".into(),
        (false, _) => "no flips".into(),
    };
    if subject.kind == Kind::Pictures {
        follows.push(flips);
    }
    follows.extend(
        subject
            .inverted()
            .map(|other| format!("pictures on a {other} background are inverted")),
    );
    format!("detected {subject}: {}", follows.join(", "))
}

/// The augmentation, and remarks on classes that are missing or of very different size.
fn treatment(train: &Dataset, balance: Balance, augmentation: &Augmentation) -> String {
    let mut text = format!("augmentation: {augmentation}");
    let counts = train.counts();
    let of = |count: usize| {
        &train.classes()[counts.iter().position(|&other| other == count).unwrap_or(0)]
    };
    let unseen: Vec<String> = std::iter::zip(train.classes(), &counts)
        .filter(|(_, count)| **count == 0)
        .map(|(class, _)| format!("`{class}`"))
        .collect();
    if !unseen.is_empty() {
        text += &format!(
            "\nno training {} of {}: the model will never recognise these classes",
            train.kind().singular(),
            listed(unseen.iter().map(String::as_str))
        );
    }
    // Balancing cannot help a class without images.
    let (smallest, largest) = (
        counts.iter().filter(|count| **count > 0).min(),
        counts.iter().max(),
    );
    if let (Some(&smallest), Some(&largest)) = (smallest, largest)
        && largest >= IMBALANCE * smallest
    {
        let remedy = match balance {
            Balance::None => "; --balance loss or --balance sample compensates for it".into(),
            balance => format!("; balanced by {balance}: look at the balanced accuracy"),
        };
        text += &format!(
            "\nclasses differ in size: {} of `{}`, {} of `{}`{remedy}",
            thousands(largest),
            one_line(of(largest)),
            thousands(smallest),
            one_line(of(smallest))
        );
    }
    text
}
