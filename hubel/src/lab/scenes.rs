//! Small coloured pictures that hubel draws itself: vehicles, houses, trees and birds in a landscape.
//!
//! The number of a scene decides everything: class, place, size, colours, ground, weather, clutter and noise. Most classes
//! differ in shape. A fire engine is a red truck, and an apple tree is a tree with red dots: these need colour.
mod canvas;
mod landscape;
mod things;

use self::canvas::{Canvas, Colour, View};
use super::Budget;
use crate::on_all_cores::on_all_cores;
use crate::random::Stream;
use crate::{Dataset, Purpose, Random, Result, Shape, Splits};

/// Height and width of a scene in pixels.
const SIDE: usize = 32;
/// Number of scenes, relative to how many a seed draws.
const CHOICE: usize = 2;
/// Number of the first test scene.
const TEST: usize = 1 << 30;

/// The classes of scenes.
#[derive(Clone, Copy)]
struct Class {
    name: &'static str,
    place: Place,
    draw: fn(&mut Canvas, View, &mut Stream),
}

/// The surroundings of a thing.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Land,
    Water,
    Air,
}

const CLASSES: [Class; 10] = [
    class("aeroplane", Place::Air, things::aeroplane),
    class("apple tree", Place::Land, things::apple_tree),
    class("bird", Place::Air, things::bird),
    class("bus", Place::Land, things::bus),
    class("car", Place::Land, things::car),
    class("fire engine", Place::Land, things::fire_engine),
    class("house", Place::Land, things::house),
    class("ship", Place::Water, things::ship),
    class("tree", Place::Land, things::tree),
    class("truck", Place::Land, things::truck),
];

const fn class(
    name: &'static str,
    place: Place,
    draw: fn(&mut Canvas, View, &mut Stream),
) -> Class {
    Class { name, place, draw }
}

/// Training scenes and test scenes, enough for this budget; always the same ones.
///
/// # Errors
/// None in practice: the pictures fit their classes.
pub(super) fn splits(budget: Budget) -> Result<Splits> {
    let [train, test] = [budget.images, budget.test_images()].map(|drawn| CHOICE * drawn);
    let names: Vec<&str> = CLASSES.iter().map(|class| class.name).collect();
    Ok(Splits {
        train: scenes(0, train)?,
        validation: None,
        test: Some(scenes(TEST, test)?),
        description: format!(
            "coloured scenes of {SIDE}x{SIDE} pixels that hubel draws itself, {} classes: {}",
            names.len(),
            names.join(", ")
        ),
        notes: Vec::new(),
        bad_files: Vec::new(),
        empty_texts: Vec::new(),
        division: None,
    })
}

/// `count` scenes from number `first` on, equally many of each class.
fn scenes(first: usize, count: usize) -> Result<Dataset> {
    let pictures = on_all_cores(first..first + count, scene, |_| ());
    Dataset::from_bytes(
        "scenes",
        CLASSES.map(|class| class.name.to_owned()).into(),
        Shape::new(SIDE, SIDE, 3),
        pictures.concat(),
        (first..first + count).map(class_of).collect(),
    )
}

/// The class of the scene of this number.
fn class_of(number: usize) -> usize {
    number % CLASSES.len()
}

/// The scene of this number, `[h, w, 3]`.
fn scene(number: usize) -> Vec<u8> {
    let Class { place, draw, .. } = CLASSES[class_of(number)];
    let mut random = Random::new(0).stream(Purpose::Scene, 0, number as u64);
    let random = &mut random;
    let mut canvas = Canvas::new(SIDE);
    let horizon = landscape::behind(&mut canvas, place, random);
    let view = view(place, horizon, random);
    landscape::around(&mut canvas, view, place, random);
    draw(&mut canvas, view, random);
    landscape::in_front(&mut canvas, view, place, random);
    canvas.photograph(random)
}

/// The camera for a thing in these surroundings.
fn view(place: Place, horizon: f32, random: &mut Stream) -> View {
    let side = SIDE as f32;
    let size = side * between(random, 0.27, 0.44);
    // The left or right edge may cut off less than a quarter of a thing.
    let across = between(random, 0.75 * size, side - 0.75 * size);
    let (down, tilt) = match place {
        Place::Air => (
            between(
                random,
                0.5 * size,
                (side - 0.4 * size).min(horizon + 0.2 * side),
            ),
            between(random, -0.35, 0.35),
        ),
        Place::Land => (between(random, horizon + 1.0, side - 1.0), 0.0),
        Place::Water => (
            between(random, horizon + 1.0, side - 2.0),
            between(random, -0.08, 0.08),
        ),
    };
    View {
        at: [across, down],
        size,
        mirrored: random.below(2) == 0,
        tilt,
    }
}

fn between(random: &mut Stream, low: f32, high: f32) -> f32 {
    low + (high - low) * random.uniform()
}

/// True with this probability.
fn happens(random: &mut Stream, probability: f32) -> bool {
    random.uniform() < probability
}

/// One of these colours, slightly changed.
fn one_of(random: &mut Stream, colours: &[Colour]) -> Colour {
    let colour = colours[random.below(colours.len())];
    colour.map(|level| (level + between(random, -14.0, 14.0)).clamp(0.0, 255.0))
}

/// The colour with its levels multiplied.
fn shaded(colour: Colour, factor: f32) -> Colour {
    colour.map(|level| (level * factor).min(255.0))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_scene_is_decided_by_its_number_and_no_two_are_alike() -> Result<()> {
        let first = scenes(0, 40)?;
        assert_eq!(first.counts(), [4; 10]);
        let pictures: HashSet<Vec<u8>> = (0..40).map(scene).collect();
        assert_eq!(pictures.len(), 40);
        // A range of scenes is drawn the same as when drawing all.
        let later = scenes(30, 10)?;
        assert_eq!(later.bytes(3)?, first.bytes(33)?);
        assert_eq!(later.labels(), &first.labels()[30..]);
        assert!(first.has_colour()?);
        assert!(!first.in_grey(3)?.has_colour()?);
        Ok(())
    }

    #[test]
    fn fire_engines_are_red_and_trucks_are_not() {
        let reds = |class: usize| {
            let pictures = (0..30).map(|turn| scene(turn * CLASSES.len() + class));
            let red = |pixel: &&[u8]| {
                let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(f32::from);
                red > 2.2 * green && red > 2.2 * blue
            };
            pictures
                .filter(|picture| picture.chunks_exact(3).filter(red).count() >= 20)
                .count()
        };
        let [engine, truck] = ["fire engine", "truck"].map(|name| {
            let place = CLASSES.iter().position(|class| class.name == name);
            reds(place.expect("it is drawn"))
        });
        assert!(engine >= 28 && truck <= 2, "{engine} and {truck} of 30");
    }
}
