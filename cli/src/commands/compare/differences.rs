//! What the two sides were trained with: settings and data.
use std::collections::HashSet;

use hubel::run_toml::{Difference, RunToml};

use super::side::{Member, Side};

/// Settings that differ from run to run of the same setting.
const OF_A_RUN: [&str; 2] = ["seed", "pace"];

/// What differs between the sides.
pub(super) struct Differences {
    /// `None` if a side has no settings.
    pub(super) settings: Option<Vec<Difference>>,
    /// Settings that differ within a side, other than the seed.
    pub(super) mixed: [Vec<String>; 2],
    /// `None` if a side has no list of its pictures.
    pub(super) trained: Option<Shared>,
}

/// Numbers of distinct training pictures.
pub(super) struct Shared {
    pub(super) counts: [usize; 2],
    pub(super) common: usize,
}

impl Differences {
    /// Compares the first runs of both sides. The others of a side differ from it in nothing but their seeds, unless `mixed` says otherwise.
    pub(super) fn of(sides: &[Side; 2]) -> Self {
        let firsts = sides.each_ref().map(|side| &side.members[0]);
        let are_single = sides.iter().all(|side| !side.is_of_seeds);
        Self {
            settings: settings(firsts, are_single),
            mixed: sides.each_ref().map(mixed),
            trained: trained(firsts),
        }
    }

    /// Whether the settings are known to differ in nothing but the seed.
    pub(super) fn is_seed_alone(&self) -> bool {
        let is_of_run = |setting: &Difference| OF_A_RUN.contains(&&*setting.name);
        let settings = self.settings.as_ref();
        settings.is_some_and(|settings| settings.iter().all(is_of_run))
    }
}

fn settings(members: [&Member; 2], are_single: bool) -> Option<Vec<Difference>> {
    let [first, second] = members.map(|member| &member.settings);
    let mut differences = first.differences(second)?;
    differences.retain(|setting| are_single || !OF_A_RUN.contains(&&*setting.name));
    Some(differences)
}

fn mixed(side: &Side) -> Vec<String> {
    let members: Vec<&Member> = side.members.iter().collect();
    let differs = |name: &String| {
        let mut values = members.iter().map(|member| member.settings.setting(name));
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    let names = RunToml::names(members.iter().map(|member| &member.settings)).into_iter();
    let names = names.filter(|name| !OF_A_RUN.contains(&&**name));
    names.filter(differs).collect()
}

fn trained(members: [&Member; 2]) -> Option<Shared> {
    let contents = |member: &Member| -> Option<HashSet<u64>> {
        Some(member.list.as_ref()?.contents("train").collect())
    };
    let [first, second] = [contents(members[0])?, contents(members[1])?];
    Some(Shared {
        counts: [first.len(), second.len()],
        common: first.intersection(&second).count(),
    })
}
