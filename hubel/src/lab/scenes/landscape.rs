//! The surroundings of a thing: sky, ground, clouds, hills, distant trees, bushes.
use super::canvas::{Canvas, Colour, View};
use super::{Place, between, happens, one_of, shaded};
use crate::random::Stream;

/// The sky above and at the horizon: blue, pale, grey, in the evening, at dusk.
const SKIES: [[Colour; 2]; 6] = [
    [[96.0, 156.0, 226.0], [186.0, 216.0, 240.0]],
    [[128.0, 178.0, 222.0], [226.0, 232.0, 232.0]],
    [[160.0, 170.0, 182.0], [206.0, 210.0, 214.0]],
    [[132.0, 142.0, 196.0], [250.0, 196.0, 148.0]],
    [[82.0, 88.0, 140.0], [214.0, 142.0, 140.0]],
    [[110.0, 180.0, 210.0], [240.0, 236.0, 206.0]],
];
/// Grass, dry grass, sand, snow, asphalt, earth.
const GROUNDS: [Colour; 7] = [
    [104.0, 150.0, 72.0],
    [132.0, 168.0, 92.0],
    [178.0, 168.0, 102.0],
    [214.0, 194.0, 146.0],
    [228.0, 232.0, 238.0],
    [138.0, 138.0, 142.0],
    [160.0, 124.0, 92.0],
];
const WATERS: [Colour; 4] = [
    [58.0, 112.0, 158.0],
    [82.0, 142.0, 166.0],
    [96.0, 122.0, 136.0],
    [44.0, 88.0, 122.0],
];
pub(super) const GREENS: [Colour; 5] = [
    [58.0, 112.0, 52.0],
    [84.0, 136.0, 60.0],
    [44.0, 90.0, 62.0],
    [116.0, 146.0, 66.0],
    [72.0, 104.0, 44.0],
];
const ROAD: Colour = [112.0, 112.0, 118.0];
const POSTS: [Colour; 2] = [[92.0, 78.0, 66.0], [120.0, 124.0, 130.0]];

/// Draws sky, ground and distant things. Returns the position of the horizon, in pixels from the top.
pub(super) fn behind(canvas: &mut Canvas, place: Place, random: &mut Stream) -> f32 {
    let side = canvas.side();
    let horizon = match place {
        Place::Air => side * between(random, 0.7, 1.15),
        _ => side * between(random, 0.42, 0.72),
    };
    let [above, low] = SKIES[random.below(SKIES.len())];
    let is_wet = match place {
        Place::Water => true,
        Place::Land => false,
        Place::Air => happens(random, 0.4),
    };
    let ground = match is_wet {
        true => one_of(random, &WATERS),
        false => one_of(random, &GROUNDS),
    };
    canvas.rows(|row| match row < horizon {
        true => mixed(above, low, row / horizon),
        // Nearer parts are darker.
        false => shaded(ground, 1.04 - 0.2 * (row - horizon) / side),
    });
    for _ in 0..random.below(4) {
        cloud(canvas, horizon, random);
    }
    if happens(random, 0.45) {
        hill(canvas, horizon, low, random);
    }
    if is_wet {
        for _ in 0..4 + random.below(6) {
            wave(canvas, horizon, ground, random);
        }
    } else {
        for _ in 0..random.below(5) {
            bush(canvas, horizon, between(random, 0.6, 2.2), random);
        }
    }
    horizon
}

/// Draws what is beside a thing, before the thing itself: a road, posts.
pub(super) fn around(canvas: &mut Canvas, view: View, place: Place, random: &mut Stream) {
    if place != Place::Land {
        return;
    }
    let (side, ground) = (canvas.side(), view.at[1]);
    if happens(random, 0.5) {
        let (top, bottom) = (
            ground - between(random, 0.5, 3.0),
            ground + between(random, 1.0, 4.0),
        );
        let road = shaded(ROAD, between(random, 0.8, 1.25));
        canvas.fill(
            &[[0.0, top], [side, top], [side, bottom], [0.0, bottom]],
            road,
        );
    }
    for _ in 0..random.below(3) {
        let (left, height) = (between(random, 0.0, side), between(random, 5.0, 14.0));
        let width = between(random, 0.5, 1.2);
        let colour = one_of(random, &POSTS);
        let corners = [[left, ground], [left + width, ground]];
        let upper = corners.map(|[x, y]| [x, y - height]);
        canvas.fill(&[corners[0], corners[1], upper[1], upper[0]], colour);
    }
}

/// Draws something that hides a part of a thing, in some scenes.
pub(super) fn in_front(canvas: &mut Canvas, view: View, place: Place, random: &mut Stream) {
    match place {
        Place::Land if happens(random, 0.3) => {
            bush(canvas, view.at[1] + 1.5, between(random, 1.5, 3.2), random);
        }
        Place::Water => {
            // The water in front of the hull.
            let foam = [206.0, 222.0, 230.0];
            canvas.box_of(view, [-0.9, -0.05], [0.9, 0.03], foam);
        }
        Place::Air if happens(random, 0.12) => cloud(canvas, view.at[1] + 4.0, random),
        _ => {}
    }
}

fn mixed(from: Colour, to: Colour, share: f32) -> Colour {
    [0, 1, 2].map(|channel| from[channel] + share * (to[channel] - from[channel]))
}

/// The view of a distant thing, in pixels.
fn at(across: f32, down: f32, size: f32) -> View {
    View {
        at: [across, down],
        size,
        mirrored: false,
        tilt: 0.0,
    }
}

fn cloud(canvas: &mut Canvas, horizon: f32, random: &mut Stream) {
    let size = between(random, 1.5, 4.5);
    let across = between(random, 0.0, canvas.side());
    let view = at(across, between(random, 0.0, 0.8 * horizon), size);
    let white = shaded([246.0, 246.0, 248.0], between(random, 0.86, 1.0));
    for shift in [-0.9, 0.0, 0.8] {
        let radii = [between(random, 0.7, 1.2), between(random, 0.3, 0.6)];
        canvas.ellipse(view, [shift, between(random, -0.1, 0.2)], radii, white);
    }
}

fn hill(canvas: &mut Canvas, horizon: f32, sky: Colour, random: &mut Stream) {
    let view = at(
        between(random, 0.0, canvas.side()),
        horizon,
        between(random, 8.0, 22.0),
    );
    // Distant things are pale.
    let colour = mixed(one_of(random, &GREENS), sky, between(random, 0.35, 0.65));
    let top = between(random, 0.2, 0.5);
    let corners = [
        [-1.0, 0.0],
        [-0.4, 0.7 * top],
        [0.1, top],
        [0.5, 0.6 * top],
        [1.0, 0.0],
    ];
    canvas.polygon(view, &corners, colour);
}

fn wave(canvas: &mut Canvas, horizon: f32, water: Colour, random: &mut Stream) {
    let side = canvas.side();
    let down = between(random, horizon + 0.5, side.max(horizon + 1.0));
    let view = at(between(random, 0.0, side), down, between(random, 1.5, 5.0));
    let colour = shaded(water, between(random, 0.85, 1.25));
    canvas.ellipse(view, [0.0, 0.0], [1.0, 0.12], colour);
}

fn bush(canvas: &mut Canvas, ground: f32, size: f32, random: &mut Stream) {
    let view = at(between(random, 0.0, canvas.side()), ground, size);
    let colour = one_of(random, &GREENS);
    for shift in [-0.6, 0.5, 0.0] {
        let radii = [between(random, 0.6, 0.9), between(random, 0.6, 1.0)];
        let shade = between(random, 0.85, 1.1);
        canvas.ellipse(view, [shift, 0.4], radii, shaded(colour, shade));
    }
}
