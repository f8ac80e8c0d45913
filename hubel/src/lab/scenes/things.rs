//! The things, seen from the side, facing right. Units and axes are those of [`View`].
use super::canvas::{Canvas, Colour, View};
use super::landscape::GREENS;
use super::{between, happens, one_of, shaded};
use crate::random::Stream;

const GLASS: Colour = [92.0, 118.0, 140.0];
const TYRE: Colour = [34.0, 34.0, 38.0];
const CHASSIS: Colour = [58.0, 58.0, 62.0];
const STEEL: Colour = [190.0, 192.0, 196.0];
const LAMP: Colour = [252.0, 230.0, 150.0];
const TRUNK: Colour = [104.0, 76.0, 54.0];
const WHITE: Colour = [238.0, 238.0, 236.0];
const RED: [Colour; 2] = [[204.0, 34.0, 30.0], [178.0, 26.0, 30.0]];

/// The paint of vehicles: red, blue, yellow, white, green, black, silver, orange, teal.
const PAINTS: [Colour; 9] = [
    [192.0, 44.0, 42.0],
    [44.0, 84.0, 164.0],
    [228.0, 190.0, 58.0],
    [232.0, 232.0, 230.0],
    [52.0, 116.0, 78.0],
    [48.0, 48.0, 54.0],
    [168.0, 172.0, 178.0],
    [222.0, 126.0, 46.0],
    [48.0, 138.0, 148.0],
];
/// A truck: any of these colours except red.
const TRUCKS: &[Colour] = PAINTS.split_at(1).1;

pub(super) fn car(canvas: &mut Canvas, view: View, random: &mut Stream) {
    let paint = one_of(random, &PAINTS);
    let roof = between(random, 0.82, 0.98);
    let back = between(random, -0.85, -0.5);
    let bonnet = between(random, 0.48, 0.58);
    wheels(canvas, view, &[-0.56, 0.58], 0.21);
    canvas.polygon(
        view,
        &[[back, 0.5], [back + 0.2, roof], [0.25, roof], [0.58, 0.5]],
        paint,
    );
    for [left, right] in [[back + 0.12, -0.1], [-0.02, 0.46]] {
        let slant = if left < -0.1 {
            [0.14, 0.0]
        } else {
            [0.0, 0.22]
        };
        canvas.polygon(
            view,
            &[
                [left, 0.54],
                [left + slant[0], roof - 0.08],
                [right - slant[1], roof - 0.08],
                [right, 0.54],
            ],
            GLASS,
        );
    }
    canvas.polygon(
        view,
        &[
            [-1.0, 0.2],
            [-1.0, 0.48],
            [-0.9, 0.56],
            [0.55, 0.54],
            [0.95, bonnet - 0.06],
            [1.0, 0.2],
        ],
        paint,
    );
    canvas.box_of(view, [-1.0, 0.18], [1.0, 0.26], shaded(paint, 0.7));
    wheels(canvas, view, &[-0.56, 0.58], 0.19);
    canvas.box_of(view, [0.88, 0.34], [1.0, 0.44], LAMP);
}

pub(super) fn bus(canvas: &mut Canvas, view: View, random: &mut Stream) {
    let paint = one_of(random, &PAINTS);
    let height = between(random, 0.85, 1.0);
    canvas.polygon(
        view,
        &[
            [-1.0, 0.2],
            [-1.0, height - 0.06],
            [-0.94, height],
            [0.92, height],
            [1.0, height - 0.1],
            [1.0, 0.2],
        ],
        paint,
    );
    let windows = 4 + random.below(3);
    let width = 1.7 / windows as f32;
    for window in 0..windows {
        let left = -0.9 + width * window as f32;
        canvas.box_of(
            view,
            [left, 0.55],
            [left + 0.75 * width, height - 0.12],
            GLASS,
        );
    }
    canvas.box_of(view, [0.84, 0.45], [1.0, height - 0.12], GLASS);
    if happens(random, 0.5) {
        let stripe = one_of(random, &PAINTS);
        canvas.box_of(view, [-1.0, 0.36], [1.0, 0.46], stripe);
    }
    wheels(canvas, view, &[-0.6, 0.6], 0.17);
}

pub(super) fn truck(canvas: &mut Canvas, view: View, random: &mut Stream) {
    let paint = one_of(random, TRUCKS);
    let cargo = match happens(random, 0.5) {
        true => paint,
        false => one_of(random, TRUCKS),
    };
    lorry(canvas, view, [paint, cargo], random);
}

/// A red truck; only the colour distinguishes it.
pub(super) fn fire_engine(canvas: &mut Canvas, view: View, random: &mut Stream) {
    let paint = one_of(random, &RED);
    lorry(canvas, view, [paint; 2], random);
}

/// A cab and its load, each with its paint.
fn lorry(canvas: &mut Canvas, view: View, [cab, cargo]: [Colour; 2], random: &mut Stream) {
    let height = between(random, 0.9, 1.15);
    let gap = between(random, 0.26, 0.4);
    canvas.box_of(view, [-1.0, 0.2], [0.95, 0.3], CHASSIS);
    canvas.box_of(view, [-1.0, 0.28], [gap - 0.08, height], cargo);
    if happens(random, 0.6) {
        canvas.box_of(view, [-1.0, 0.5], [gap - 0.08, 0.6], WHITE);
    }
    if happens(random, 0.4) {
        canvas.box_of(view, [-0.95, height], [gap - 0.2, height + 0.08], STEEL);
    }
    canvas.polygon(
        view,
        &[
            [gap, 0.24],
            [gap, 0.88],
            [0.74, 0.88],
            [0.96, 0.56],
            [0.98, 0.24],
        ],
        cab,
    );
    let windscreen = [
        [gap + 0.18, 0.56],
        [gap + 0.18, 0.8],
        [0.72, 0.8],
        [0.88, 0.56],
    ];
    canvas.polygon(view, &windscreen, GLASS);
    wheels(canvas, view, &[-0.74, -0.34, 0.66], 0.18);
    canvas.box_of(view, [0.88, 0.32], [0.98, 0.42], LAMP);
}

/// Wheels of this radius that touch the ground.
fn wheels(canvas: &mut Canvas, view: View, places: &[f32], radius: f32) {
    for &place in places {
        canvas.ellipse(view, [place, radius], [radius; 2], TYRE);
        canvas.ellipse(view, [place, radius], [0.4 * radius; 2], STEEL);
    }
}

pub(super) fn ship(canvas: &mut Canvas, view: View, random: &mut Stream) {
    let hull = one_of(random, &PAINTS);
    if happens(random, 0.4) {
        let sail = one_of(random, &[WHITE, [240.0, 226.0, 190.0], [216.0, 96.0, 72.0]]);
        let top = between(random, 1.1, 1.4);
        canvas.box_of(view, [-0.04, 0.2], [0.04, top], TRUNK);
        canvas.polygon(view, &[[0.08, 0.3], [0.08, top], [0.75, 0.3]], sail);
        canvas.polygon(view, &[[-0.08, 0.3], [-0.08, 0.9 * top], [-0.6, 0.3]], sail);
    } else {
        let funnel = one_of(random, &PAINTS);
        let place = between(random, -0.45, 0.0);
        canvas.box_of(view, [place, 0.5], [place + 0.24, 1.0], funnel);
        canvas.box_of(view, [place, 0.86], [place + 0.24, 1.0], CHASSIS);
        canvas.box_of(view, [-0.65, 0.26], [0.5, 0.56], WHITE);
        canvas.box_of(view, [-0.35, 0.5], [0.3, 0.74], WHITE);
        canvas.box_of(view, [-0.58, 0.4], [0.44, 0.48], GLASS);
    }
    let keel = [[-1.0, 0.34], [-0.8, 0.0], [0.78, 0.0], [1.05, 0.4]];
    canvas.polygon(view, &keel, hull);
    canvas.polygon(
        view,
        &[[-0.86, 0.1], [-0.8, 0.0], [0.78, 0.0], [0.85, 0.1]],
        shaded(hull, 0.6),
    );
}

pub(super) fn aeroplane(canvas: &mut Canvas, view: View, random: &mut Stream) {
    let body = one_of(random, &[WHITE, STEEL, WHITE, PAINTS[1], PAINTS[2]]);
    let tail = one_of(random, &PAINTS);
    let wing = shaded(body, 0.72);
    canvas.polygon(
        view,
        &[[0.2, 0.05], [-0.25, 0.42], [-0.4, 0.42], [-0.12, 0.05]],
        wing,
    );
    canvas.polygon(
        view,
        &[[-0.98, 0.02], [-1.0, 0.5], [-0.82, 0.5], [-0.55, 0.08]],
        tail,
    );
    canvas.ellipse(view, [0.0, 0.0], [1.0, 0.16], body);
    for window in 0..7 {
        let left = -0.5 + 0.15 * window as f32;
        canvas.box_of(view, [left, 0.02], [left + 0.08, 0.09], GLASS);
    }
    canvas.polygon(view, &[[0.78, 0.02], [0.74, 0.1], [0.88, 0.06]], GLASS);
    canvas.polygon(
        view,
        &[[0.25, -0.04], [-0.35, -0.5], [-0.52, -0.5], [-0.15, -0.04]],
        wing,
    );
    canvas.ellipse(view, [-0.05, -0.24], [0.16, 0.08], CHASSIS);
    canvas.polygon(view, &[[-0.7, 0.02], [-1.05, -0.16], [-0.9, 0.04]], wing);
}

pub(super) fn bird(canvas: &mut Canvas, view: View, random: &mut Stream) {
    const FEATHERS: [Colour; 6] = [
        [112.0, 84.0, 62.0],
        [228.0, 228.0, 226.0],
        [54.0, 54.0, 60.0],
        [120.0, 128.0, 140.0],
        [58.0, 98.0, 158.0],
        [176.0, 72.0, 58.0],
    ];
    // A bird is smaller than an aeroplane, though both may be seen as large.
    let view = View {
        size: 0.85 * view.size,
        ..view
    };
    let feathers = one_of(random, &FEATHERS);
    let belly = match happens(random, 0.5) {
        true => shaded(feathers, 1.35),
        false => WHITE,
    };
    let beat = between(random, -0.55, 0.95);
    let wing = |beat: f32| [[-0.3, 0.05], [0.28, 0.08], [0.1, 0.5 * beat], [-0.35, beat]];
    canvas.polygon(
        view,
        &wing(beat * 0.9).map(|[x, y]| [x + 0.22, y]),
        shaded(feathers, 0.7),
    );
    canvas.polygon(
        view,
        &[[-0.4, 0.06], [-0.98, 0.16], [-0.9, -0.1], [-0.4, -0.06]],
        feathers,
    );
    canvas.ellipse(view, [0.0, 0.0], [0.52, 0.2], feathers);
    canvas.ellipse(view, [0.05, -0.07], [0.4, 0.12], belly);
    canvas.ellipse(view, [0.5, 0.13], [0.19, 0.17], feathers);
    canvas.polygon(
        view,
        &[[0.66, 0.17], [0.95, 0.09], [0.66, 0.04]],
        [230.0, 160.0, 50.0],
    );
    canvas.polygon(view, &wing(beat), shaded(feathers, 0.85));
}

pub(super) fn house(canvas: &mut Canvas, view: View, random: &mut Stream) {
    const WALLS: [Colour; 6] = [
        [236.0, 228.0, 208.0],
        [224.0, 196.0, 150.0],
        [176.0, 92.0, 74.0],
        [206.0, 212.0, 216.0],
        [196.0, 206.0, 172.0],
        [178.0, 196.0, 214.0],
    ];
    const ROOFS: [Colour; 4] = [
        [164.0, 72.0, 54.0],
        [98.0, 84.0, 80.0],
        [122.0, 92.0, 66.0],
        [72.0, 82.0, 98.0],
    ];
    let (walls, roof) = (one_of(random, &WALLS), one_of(random, &ROOFS));
    let (eaves, ridge) = (between(random, 0.6, 0.85), between(random, 1.1, 1.4));
    let chimney = between(random, 0.25, 0.5);
    canvas.box_of(
        view,
        [chimney, eaves],
        [chimney + 0.16, ridge],
        shaded(roof, 0.8),
    );
    canvas.box_of(view, [-0.8, 0.0], [0.8, eaves], walls);
    let half = between(random, 0.0, 0.35);
    canvas.polygon(
        view,
        &[
            [-0.98, eaves - 0.03],
            [-half, ridge],
            [half, ridge],
            [0.98, eaves - 0.03],
        ],
        roof,
    );
    let door = one_of(random, &[TRUNK, PAINTS[4], PAINTS[1]]);
    canvas.box_of(view, [-0.14, 0.0], [0.16, 0.46], door);
    for left in [-0.62, 0.34] {
        canvas.box_of(view, [left, 0.22], [left + 0.3, 0.52], WHITE);
        canvas.box_of(view, [left + 0.05, 0.26], [left + 0.25, 0.48], GLASS);
    }
}

pub(super) fn tree(canvas: &mut Canvas, view: View, random: &mut Stream) {
    if happens(random, 0.7) {
        leafy(canvas, view, random);
        return;
    }
    let green = one_of(random, &GREENS);
    canvas.box_of(view, [-0.09, 0.0], [0.09, 0.4], TRUNK);
    for (step, bottom) in [0.25, 0.6, 0.95].into_iter().enumerate() {
        let reach = 0.62 - 0.15 * step as f32;
        let corners = [[-reach, bottom], [0.0, bottom + 0.65], [reach, bottom]];
        canvas.polygon(view, &corners, shaded(green, 0.9 + 0.1 * step as f32));
    }
}

pub(super) fn apple_tree(canvas: &mut Canvas, view: View, random: &mut Stream) {
    leafy(canvas, view, random);
    for _ in 0..7 + random.below(6) {
        let angle = between(random, 0.0, std::f32::consts::TAU);
        let reach = 0.62 * random.uniform().sqrt();
        let place = [reach * angle.cos(), 1.0 + 0.75 * reach * angle.sin()];
        let apple = one_of(random, &RED);
        canvas.ellipse(view, place, [0.085; 2], apple);
    }
}

/// A trunk and a round crown.
fn leafy(canvas: &mut Canvas, view: View, random: &mut Stream) {
    let green = one_of(random, &GREENS);
    canvas.box_of(view, [-0.11, 0.0], [0.11, 0.7], TRUNK);
    for at in [[-0.38, 0.85], [0.4, 0.9], [0.0, 1.2], [0.02, 0.85]] {
        let radii = [between(random, 0.36, 0.46), between(random, 0.32, 0.42)];
        canvas.ellipse(view, at, radii, shaded(green, between(random, 0.85, 1.12)));
    }
}
