//! Explanations equal those of captum, grad-cam and PyTorch's autograd; `make_explanations.py` wrote the expected values.
use hubel::explain::{Explainer, Heatmap, Score, grad_cam, gradients, occlusion::Occlusion};
use hubel::{Cpu, Shape};
use serde::Deserialize;

use crate::fixtures::{Fixture, model};
use crate::largest;

#[derive(Deserialize)]
struct Case {
    name: String,
    text: String,
    input: [usize; 3],
    /// The layer of Grad-CAM.
    layer: String,
}

#[derive(Deserialize)]
struct Settings {
    class: usize,
    steps: usize,
    integrated_baseline: f32,
    window: [usize; 2],
    stride: [usize; 2],
    occlusion_baseline: f32,
}

#[test]
fn explanations_are_captum_s() {
    let fixture = Fixture::open("explanations");
    let settings: Settings = fixture.description();
    let cases: Vec<Case> = fixture.cases();
    assert_eq!(cases.len(), 3);
    let (cpu, score) = (Cpu::best(2), Score::of(settings.class));
    for case in cases {
        let [height, width, channels] = case.input;
        let shape = Shape::new(height, width, channels);
        let model = model(
            &case.text,
            shape,
            &fixture.under(&format!("{}/", case.name)),
        );
        let image = fixture.numbers(&format!("{}.image", case.name));
        let check = |what: &str, found: &[f32]| {
            let expected = fixture.numbers(&format!("{}.{what}", case.name));
            assert_eq!(found.len(), expected.len(), "{}: {what}", case.name);
            let most = largest(expected);
            assert!(most > 0.0, "{}: {what} shows nothing", case.name);
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (found - expected).abs() <= 1e-4 * most,
                    "{}: {what} is {found}, expected {expected}",
                    case.name
                );
            }
        };

        let mut explainer = Explainer::new(&cpu, &model, 1).unwrap();
        check(
            "gradient",
            &gradients::input_gradient(&mut explainer, image, &score).values,
        );
        let map: Heatmap = grad_cam::map(&mut explainer, &score, None).unwrap();
        assert_eq!(map.layer, case.layer, "{}", case.name);
        check("grad_cam", &map.values);
        let mut explainer = Explainer::new(&cpu, &model, 5).unwrap();
        let found = gradients::integrated_in(
            &mut explainer,
            image,
            &score,
            settings.integrated_baseline,
            settings.steps,
        );
        check("integrated", &found.values);
        let occlusion = Occlusion {
            window: settings.window,
            stride: settings.stride,
            baseline: settings.occlusion_baseline,
        };
        check(
            "occlusion",
            &occlusion
                .map(&cpu, &model, image, &score, &|_, _| {})
                .unwrap()
                .values,
        );
    }
}
