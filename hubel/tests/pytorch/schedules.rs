//! The learning rates of a hundred steps of each schedule that PyTorch has.
use hubel::{PlateauState, Schedule, WarmUp};
use serde::Deserialize;

use crate::assert_near;
use crate::fixtures::Fixture;

const STEPS: u64 = 100;

#[derive(Deserialize)]
struct Rates {
    peak: f32,
}

/// The rates of all steps.
fn rates(schedule: &Schedule, peak: f32) -> Vec<f32> {
    (0..STEPS)
        .map(|step| schedule.learning_rate(peak, step, STEPS))
        .collect()
}

#[test]
fn schedules() {
    let fixture = Fixture::open("schedules");
    let Rates { peak } = fixture.description();
    let triangle = Schedule::Linear {
        start: 0.2,
        rise: 0.25,
        end: 0.07,
    };
    for (name, schedule) in [
        ("step", Schedule::step()),
        ("cosine", Schedule::Cosine),
        ("linear", Schedule::linear()),
        ("linear_other", triangle),
    ] {
        // The argument of the cosine is rounded, and the rates of PyTorch are products of all factors so far.
        assert_near(
            name,
            &rates(&schedule, peak),
            fixture.numbers(name),
            peak,
            4,
        );
    }
    let warm_up = WarmUp::Share(0.1);
    let rises = (0..STEPS).map(|step| warm_up.factor(step, STEPS));
    let warmed: Vec<f32> = (rates(&Schedule::Cosine, peak).iter().zip(rises))
        .map(|(rate, rise)| rate * rise)
        .collect();
    assert_near("warm-up", &warmed, fixture.numbers("warm_up"), peak, 4);
}

/// PyTorch reaches the peak and the end one step earlier, so that hubel's rate is between those of PyTorch for this step and for the step before.
#[test]
fn one_cycle_is_that_of_pytorch_up_to_one_step() {
    let fixture = Fixture::open("schedules");
    let Rates { peak } = fixture.description();
    let other = Schedule::OneCycle {
        rise: 0.2,
        end: 0.01,
    };
    for (name, schedule, top) in [
        ("onecycle", Schedule::one_cycle(), 30),
        ("onecycle_other", other, 20),
    ] {
        let (own, theirs) = (rates(&schedule, peak), fixture.numbers(name));
        let rounding = 8.0 * f32::EPSILON * peak;
        for step in 1..top {
            let range = theirs[step - 1] - rounding..=theirs[step] + rounding;
            assert!(
                range.contains(&own[step]),
                "{name}, step {step}: {}, not in {range:?}",
                own[step]
            );
        }
        let falls = theirs.len() - 1;
        assert_near(name, &own[top..], &theirs[top - 1..falls], peak, 4);
    }
}

#[test]
fn plateau() {
    let fixture = Fixture::open("schedules");
    let Rates { peak } = fixture.description();
    let schedule = Schedule::Plateau {
        factor: 0.5,
        patience: 3,
        threshold: 1e-3,
    };
    let mut state = PlateauState::default();
    let own: Vec<f32> = (fixture.numbers("losses").iter())
        .map(|loss| {
            let rate = peak * state.factor();
            state.add_epoch(&schedule, *loss);
            rate
        })
        .collect();
    let theirs = fixture.numbers("plateau");
    // PyTorch leaves out a change that is smaller than 1e-8.
    let large = theirs.iter().take_while(|rate| **rate > 1e-7).count();
    assert!(large > 50 && theirs[large - 1] < 0.5 * peak);
    assert_near("plateau", &own[..large], &theirs[..large], peak, 1);
}
