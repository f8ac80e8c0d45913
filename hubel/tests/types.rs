//! The public types are `Send`, `Sync` and `'static`.
use hubel::data::{Feed, Options};
use hubel::doctor::{Diagnosis, Sign, Watch};
use hubel::features::Features;
use hubel::network::Graph;
use hubel::{
    Cpu, Dataset, Error, Explainer, Model, Network, Optimizer, Parameters, Phase, Plan,
    PlanSettings, Prediction, Predictor, Preparation, Report, Schedule, Splits, TrainSettings,
    TrainState, Trainer, Workspace,
};

fn is_send_and_sync<T: Send + Sync>() {}

fn lives_on_its_own<T: Send + Sync + 'static>() {}

#[test]
fn public_types_go_to_other_threads() {
    lives_on_its_own::<Cpu>();
    lives_on_its_own::<Dataset>();
    lives_on_its_own::<Diagnosis>();
    lives_on_its_own::<Error>();
    lives_on_its_own::<Explainer>();
    lives_on_its_own::<Feed>();
    lives_on_its_own::<Graph>();
    lives_on_its_own::<Model>();
    lives_on_its_own::<Network>();
    lives_on_its_own::<Optimizer>();
    lives_on_its_own::<Options>();
    lives_on_its_own::<Parameters>();
    lives_on_its_own::<Phase>();
    lives_on_its_own::<Plan>();
    lives_on_its_own::<PlanSettings>();
    lives_on_its_own::<Prediction>();
    lives_on_its_own::<Predictor>();
    lives_on_its_own::<Preparation>();
    lives_on_its_own::<Report>();
    lives_on_its_own::<Schedule>();
    lives_on_its_own::<Sign>();
    lives_on_its_own::<Splits>();
    lives_on_its_own::<Trainer>();
    lives_on_its_own::<TrainSettings>();
    lives_on_its_own::<TrainState>();
    lives_on_its_own::<Watch>();
    lives_on_its_own::<Workspace>();
    // Not `'static`: it borrows its model.
    is_send_and_sync::<Features<'_>>();
}

#[cfg(feature = "pictures")]
#[test]
fn sources_of_pictures_go_to_other_threads() {
    lives_on_its_own::<hubel::data::Source>();
    lives_on_its_own::<hubel::data::EncodedPicture>();
    lives_on_its_own::<Box<dyn hubel::data::Pictures>>();
}
