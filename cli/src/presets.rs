//! `hubel train --preset`: recipes, as files of settings. Flags and `--config` win over them.
use std::fmt;
use std::path::Path;

use hubel::data::Source;
use hubel::{Shape, shown};

/// A recipe.
struct Preset {
    name: &'static str,
    kind: Kind,
    file: &'static str,
    settings: &'static str,
}

/// The kind of pictures that a recipe is for.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    SmallGrey,
    Other,
}

const PRESETS: [Preset; 1] = [Preset {
    name: "fast",
    kind: Kind::SmallGrey,
    file: "digits-fast.toml",
    settings: include_str!("../presets/digits-fast.toml"),
}];

/// The largest height and width of small pictures.
const SMALL: usize = 32;

impl Kind {
    fn of(size: Shape) -> Self {
        match size.channels == 1 && size.height <= SMALL && size.width <= SMALL {
            true => Self::SmallGrey,
            false => Self::Other,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SmallGrey => "grey pictures of at most 32×32 pixels",
            Self::Other => "other pictures",
        })
    }
}

/// The names of all presets.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|preset| preset.name)
}

/// The file of the preset of this name for these pictures: its name and its settings.
///
/// # Errors
/// A message if the data cannot be read, or there is no such preset for it.
pub(crate) fn find(name: &str, data: &Path) -> Result<(&'static str, &'static str), String> {
    let outlook = Source::find(data).and_then(|mut source| source.outlook());
    let outlook = outlook.map_err(|error| error.to_string())?;
    let kind = outlook.size.map_or(Kind::Other, Kind::of);
    let mut presets = PRESETS.iter();
    match presets.find(|preset| preset.name == name && preset.kind == kind) {
        Some(preset) => Ok((preset.file, preset.settings)),
        None => {
            let list = PRESETS
                .iter()
                .map(|preset| format!("`{}` is for {}", preset.name, preset.kind));
            Err(format!(
                "there is no preset `{name}` for {}: {}; leave out --preset for the usual settings",
                shown(data),
                list.collect::<Vec<_>>().join(", ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_is_found_for_its_kind_of_pictures_alone() {
        let (file, settings) = find("fast", Path::new("mnist")).expect("there is one");
        assert!(file.starts_with("digits") && settings.contains("epochs = 1"));
        let refused = find("best", Path::new("mnist")).expect_err("there is none");
        assert!(refused.contains("`fast` is for grey pictures"), "{refused}");
        assert!(
            find("fast", Path::new("nowhere"))
                .expect_err("no data")
                .contains("nowhere")
        );
        assert!(
            Kind::of(Shape::new(64, 20, 1)) == Kind::Other
                && Kind::of(Shape::new(28, 28, 3)) == Kind::Other
        );
    }
}
