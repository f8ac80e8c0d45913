//! Judging a model: the numbers are those of scikit-learn, netcal and SciPy, and the bounds hold. `fixtures/judging.py` makes the fixture.
use hubel::{
    Answers, Cpu, Dataset, Error, Model, Network, Predictor, Preparation, Purpose, Random, Shape,
    separation,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    classes: usize,
    labels: Vec<usize>,
    logits: Vec<f32>,
    ece: f64,
    brier: f64,
    log_loss: f64,
    log_loss_without_the_sure: f64,
    top_2: f64,
    roc: Vec<f64>,
    average_precision: Vec<f64>,
    temperature_without_the_sure: f64,
}

/// How many answers at the start of the fixture have confidence 1.
const SURE: usize = 12;

fn fixture() -> (Fixture, Answers) {
    let fixture: Fixture = serde_json::from_str(include_str!("fixtures/judging.json")).unwrap();
    let Fixture {
        classes,
        labels,
        logits,
        ..
    } = &fixture;
    let answers = Answers::from_logits(&Cpu::best(1), *classes, labels, logits).unwrap();
    (fixture, answers)
}

fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-6, "{found} {expected}");
}

#[test]
fn the_numbers_are_those_of_the_field_s_tools() {
    let (fixture, answers) = fixture();
    assert_eq!(answers.confidence(0), 1.0);
    let calibration = answers.calibration();
    assert_near(calibration.error, fixture.ece);
    assert_eq!(
        calibration.bins.iter().map(|bin| bin.count).sum::<usize>(),
        300
    );
    assert_near(answers.brier(), fixture.brier);
    assert_near(answers.log_loss(), fixture.log_loss);
    assert_near(answers.top(2), fixture.top_2);
    assert_eq!(answers.top(4), 1.0);
    for class in 0..fixture.classes {
        let curves = answers.separation(class).unwrap();
        assert_near(curves.roc.area, fixture.roc[class]);
        assert_near(
            curves.precision_recall.area,
            fixture.average_precision[class],
        );
        let end = curves.roc.points.last();
        assert_eq!(end, Some(&[1.0, 1.0]));
        let thinned = curves.roc.thinned(20);
        assert!(thinned.len() <= 22 && thinned.last() == end, "{thinned:?}");
    }
}

#[test]
fn the_temperature_is_scipy_s_and_lowers_the_loss() {
    let (fixture, answers) = fixture();
    let places: Vec<usize> = (SURE..answers.len()).collect();
    let answers = answers.select(&places);
    assert_near(answers.log_loss(), fixture.log_loss_without_the_sure);
    let temperature = answers.best_temperature().unwrap();
    let expected = fixture.temperature_without_the_sure;
    assert!(
        (f64::from(temperature) / expected - 1.0).abs() < 1e-4,
        "{temperature} {expected}"
    );
    let calibrated = answers.clone().at_temperature(temperature);
    assert!(calibrated.log_loss() < answers.log_loss());
    assert!(calibrated.calibration().error < answers.calibration().error);
    for place in 0..answers.len() {
        assert_eq!(calibrated.class(place), answers.class(place));
    }
}

#[test]
fn a_temperature_stays_moderate_where_all_answers_are_right_and_few_images_give_none() {
    let cpu = Cpu::best(1);
    let labels: Vec<usize> = (0..100).map(|i| i % 2).collect();
    let logits: Vec<f32> = (labels.iter())
        .flat_map(|label| [(1 - label) as f32 * 3.0, *label as f32 * 3.0])
        .collect();
    let answers = Answers::from_logits(&cpu, 2, &labels, &logits).unwrap();
    let temperature = answers.best_temperature().unwrap();
    // The true class gets (n + 1)/(n + 2): the logits differ by ln 101.
    assert!(
        (3.0 / temperature - 101f32.ln()).abs() < 1e-3,
        "{temperature}"
    );
    let few: Vec<usize> = (0..49).collect();
    assert_eq!(answers.select(&few).best_temperature(), None);
}

#[test]
fn one_class_and_no_image_are_no_special_case() {
    let cpu = Cpu::best(1);
    let none = Answers::from_logits(&cpu, 3, &[], &[]).unwrap();
    assert_eq!(
        (none.brier(), none.log_loss(), none.top(1)),
        (0.0, 0.0, 0.0)
    );
    assert_eq!(none.calibration().error, 0.0);
    let one = Answers::from_logits(&cpu, 1, &[0; 60], &[0.5; 60]).unwrap();
    assert_eq!(one.separation(0), None);
    assert!(one.best_temperature().unwrap().is_finite());
    assert!(matches!(
        Answers::from_logits(&cpu, 2, &[0, 2], &[0.0; 4]),
        Err(Error::DataMismatch(_))
    ));
    assert!(matches!(
        Answers::from_logits(&cpu, 2, &[0], &[0.0, f32::NAN]),
        Err(Error::NotFinite { .. })
    ));
}

#[test]
fn equal_scores_are_one_threshold() {
    // scikit-learn: roc_auc_score([1, 0, 1, 0], [.5, .5, .5, .1]) = 0.75, average_precision_score = 2/3
    let curves = separation(&[0.5, 0.5, 0.5, 0.1], &[true, false, true, false]).unwrap();
    assert_near(curves.roc.area, 0.75);
    assert_near(curves.precision_recall.area, 2.0 / 3.0);
    assert_eq!(curves.roc.points.len(), 3);
}

/// Answers of two classes: confidence uniform in [½, 1), and an answer of confidence p is wrong with probability 1 − p.
fn calibrated(count: usize, seed: u64) -> Answers {
    let mut draw = Random::new(seed).stream(Purpose::Experiment, 0, 0);
    let (mut labels, mut logits) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let confidence = 0.5 + 0.5 * draw.uniform();
        labels.push(usize::from(draw.uniform() > confidence));
        logits.extend([confidence.ln(), (1.0 - confidence).max(1e-9).ln()]);
    }
    Answers::from_logits(&Cpu::best(1), 2, &labels, &logits).unwrap()
}

#[test]
fn chance_explains_the_calibration_error_of_right_probabilities() {
    const TRIES: u64 = 60;
    let mut explained = 0;
    for seed in 0..TRIES {
        let answers = calibrated(300, seed);
        let calibration = answers.calibration();
        let [low, high] = calibration.by_chance;
        assert!(0.0 < low && low < high, "{low} {high}");
        explained += u64::from((low..=high).contains(&calibration.error));
        // Too sure.
        let wrong = answers.at_temperature(0.3).calibration();
        assert!(wrong.error > wrong.by_chance[1], "{wrong:?}");
    }
    // 95 % and three standard deviations of a binomial distribution.
    assert!(explained >= 52, "{explained} of {TRIES}");
}

#[test]
fn copies_of_images_do_not_narrow_what_chance_explains() {
    let answers = calibrated(200, 1);
    let copies: Vec<usize> = (0..800).map(|copy| copy / 4).collect();
    let copied = answers.select(&copies);
    let groups: Vec<usize> = (0..200).collect();
    let alone = answers.calibration().by_chance;
    let of_groups = copied.calibration_of_groups(&groups).by_chance;
    for (one, other) in std::iter::zip(alone, of_groups) {
        assert_near(one, other);
    }
    assert!(copied.calibration().by_chance[1] < 0.7 * alone[1]);
}

#[test]
fn the_bound_on_wrong_answers_breaks_in_at_most_five_percent() {
    const TRIES: u64 = 400;
    let mut broken = 0;
    for seed in 0..TRIES {
        let threshold = calibrated(1000, seed).threshold(0.15).unwrap();
        assert!(threshold.wrong as f64 <= 0.15 * threshold.answered as f64);
        // Above the threshold t the mean error is (1 − t) / 2.
        let error = (1.0 - f64::from(threshold.probability)) / 2.0;
        broken += u64::from(error > 0.15);
    }
    // 5 % and three standard deviations of a binomial distribution.
    assert!(broken <= 33, "{broken} of {TRIES}");
    assert!(broken > 0, "the threshold could be lower");
}

#[test]
fn a_broken_bound_is_told_from_chance() {
    let threshold = calibrated(1000, 1).threshold(0.15).unwrap();
    // Of 100 answers, 15 wrong ones are expected; 24 or more have the probability 0.012, and 25 or more 0.006.
    assert!(!threshold.is_broken_by(0, 0));
    assert!(!threshold.is_broken_by(24, 100));
    assert!(threshold.is_broken_by(25, 100));
}

#[test]
fn images_of_equal_contents_are_left_out() {
    let shape = Shape::new(1, 2, 1);
    let of = |pixels: &[u8]| {
        let labels = vec![0; pixels.len() / 2];
        let classes = ["a", "b"].map(String::from).to_vec();
        Dataset::from_bytes("images", classes, shape, pixels.to_vec(), labels).unwrap()
    };
    let (images, others) = (of(&[1, 2, 3, 4, 1, 2, 5, 6]), of(&[7, 8, 1, 2]));
    assert_eq!(images.without(&others).len(), 2);
    assert!(images.without(&images).is_empty());
}

#[test]
fn a_threshold_is_refused_where_it_cannot_be_known() {
    let said = |answers: &Answers, wrong_at_most| match answers.threshold(wrong_at_most) {
        Err(Error::Settings { problem }) => problem,
        other => panic!("{other:?}"),
    };
    let few = calibrated(298, 1);
    assert!(said(&few, 0.01).contains("at least 299 are needed"));
    assert!(said(&calibrated(2000, 1), 0.01).contains("most confident answers"));
    assert!(said(&few, 0.0).contains("no share"));
    assert!(said(&few, 1.0).contains("no share"));
    // With 299 right answers it is possible.
    let labels = vec![0; 299];
    let logits: Vec<f32> = (0..299)
        .flat_map(|i| [3.0 + i as f32 * 0.01, 0.0])
        .collect();
    let all = Answers::from_logits(&Cpu::best(1), 2, &labels, &logits).unwrap();
    let threshold = all.threshold(0.01).unwrap();
    assert_eq!((threshold.answered, threshold.wrong), (299, 0));
    assert!((0..299).all(|place| all.is_answered(place, &threshold)));
}

fn model() -> Model {
    let preparation = Preparation::unmeasured(Shape::new(6, 6, 1), Default::default());
    let network = Network::parse("conv(4)-relu-flatten-fc(classes)").unwrap();
    let classes = ["a", "b", "c"].map(String::from).to_vec();
    Model::untrained(network, classes, preparation, 3).unwrap()
}

#[test]
fn evaluation_and_prediction_have_the_same_probabilities() {
    let images: Vec<f32> = (0..8 * 36).map(|i| (i as f32 * 0.37).sin()).collect();
    let labels: Vec<usize> = (0..8).map(|i| i % 3).collect();
    let dataset = Dataset::from_arrays(&images, Shape::new(6, 6, 1), &labels).unwrap();
    let cpu = Cpu::best(1);
    for temperature in [None, Some(0.3), Some(2.5)] {
        let model = (model().with_temperature(temperature))
            .and_then(|model| model.for_classes(dataset.classes()))
            .unwrap();
        let (report, answers) = model.answers(&cpu, &dataset, &mut |_| {}).unwrap();
        assert!((f64::from(report.loss) - answers.log_loss()).abs() < 1e-6);
        let mut tensor = vec![0.0; images.len()];
        let all: Vec<usize> = (0..8).collect();
        dataset
            .fill(&cpu, &all, model.preparation(), &mut tensor)
            .unwrap();
        let mut predictor = Predictor::new(model.clone(), cpu.clone()).unwrap();
        let probabilities = predictor.predict_tensor(&tensor).unwrap();
        for place in 0..8 {
            let own = &probabilities[3 * place..][..3];
            // The same bits: a threshold divides the answers of both in the same way.
            assert_eq!(own, answers.probabilities(place));
        }
    }
}

#[test]
fn temperature_and_threshold_are_stored_and_other_weights_drop_them() {
    let threshold = calibrated(1000, 1).threshold(0.2).unwrap();
    let model = model()
        .with_temperature(Some(1.7))
        .unwrap()
        .with_threshold(Some(threshold));
    let read = Model::from_bytes(&model.to_bytes().unwrap()).unwrap();
    assert_eq!(read.temperature(), Some(1.7));
    assert_eq!(read.threshold(), Some(&threshold));
    let parameters = read.parameters().clone();
    let other = read.clone().with_parameters(parameters).unwrap();
    assert_eq!((other.temperature(), other.threshold()), (None, None));
    let hotter = read.clone().with_temperature(Some(2.0)).unwrap();
    assert_eq!(hotter.threshold(), None);
    for temperature in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert!(read.clone().with_temperature(Some(temperature)).is_err());
    }
    let mut predictor = Predictor::new(read, Cpu::best(1)).unwrap();
    let prediction = predictor
        .predict_pixels(&[7; 36], Shape::new(6, 6, 1))
        .unwrap();
    assert_eq!(
        prediction.is_sure,
        prediction.probability >= threshold.probability
    );
}
