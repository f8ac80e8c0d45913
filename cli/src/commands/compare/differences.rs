//! What the two sides were trained with: settings and data.
use std::collections::HashSet;

use super::side::{Member, Side};

/// Settings that do not change what is trained.
const WITHOUT_EFFECT: [&str; 2] = ["checkpoint", "cache"];

/// Settings that differ from run to run of the same setting.
const OF_A_RUN: [&str; 2] = ["seed", "pace"];

/// What differs between the sides.
pub(super) struct Differences {
    /// `None` if a side has no settings.
    pub(super) settings: Option<Vec<Setting>>,
    /// Settings that differ within a side, other than the seed.
    pub(super) mixed: [Vec<String>; 2],
    /// `None` if a side has no list of its pictures.
    pub(super) trained: Option<Shared>,
}

/// A setting with its values in A and B; `None` where it has its default.
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) values: [Option<String>; 2],
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
        let is_of_run = |setting: &Setting| OF_A_RUN.contains(&&*setting.name);
        let settings = self.settings.as_ref();
        settings.is_some_and(|settings| settings.iter().all(is_of_run))
    }
}

fn settings(members: [&Member; 2], are_single: bool) -> Option<Vec<Setting>> {
    if members
        .iter()
        .any(|member| member.settings.settings.is_empty())
    {
        return None;
    }
    let differ = names(&members).into_iter().filter_map(|name| {
        let values = members.map(|member| value(member, &name));
        let is_shown = are_single || !OF_A_RUN.contains(&&*name);
        (is_shown && values[0] != values[1]).then_some(Setting { name, values })
    });
    Some(differ.collect())
}

/// The value of a setting.
fn value(member: &Member, name: &str) -> Option<String> {
    match name {
        "split-seed" => member.split_seed(),
        _ => member.settings.setting(name),
    }
}

/// The names of all settings that have an effect, in the order of the files.
fn names(members: &[&Member]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (name, _) in members.iter().flat_map(|member| &member.settings.settings) {
        if !names.contains(name) && !WITHOUT_EFFECT.contains(&&**name) {
            names.push(name.clone());
        }
    }
    names
}

fn mixed(side: &Side) -> Vec<String> {
    let members: Vec<&Member> = side.members.iter().collect();
    let differs = |name: &String| {
        let mut values = members.iter().map(|member| member.settings.setting(name));
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    let names = names(&members).into_iter();
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
