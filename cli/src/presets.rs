//! `hubel train --preset`: recipes, as files of settings. Flags and `--config` win over them.
use std::fmt;
use std::path::Path;

use hubel::{Error, Shape, shown};

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
    SmallColour,
    Other,
}

const PRESETS: [Preset; 3] = [
    Preset {
        name: "fast",
        kind: Kind::SmallGrey,
        file: "digits-fast.toml",
        settings: include_str!("../presets/digits-fast.toml"),
    },
    Preset {
        name: "best",
        kind: Kind::SmallGrey,
        file: "digits-best.toml",
        settings: include_str!("../presets/digits-best.toml"),
    },
    Preset {
        name: "best",
        kind: Kind::SmallColour,
        file: "small-colour-best.toml",
        settings: include_str!("../presets/small-colour-best.toml"),
    },
];

/// The largest height and width of small pictures.
const SMALL: usize = 32;

impl Kind {
    /// Of pictures of this size; `None` if their sizes differ.
    fn of(size: Option<Shape>) -> Self {
        let Some(size) = size else {
            return Self::Other;
        };
        match (size.height <= SMALL && size.width <= SMALL, size.channels) {
            (true, 1) => Self::SmallGrey,
            (true, 3) => Self::SmallColour,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SmallGrey => "grey pictures of at most 32×32 pixels",
            Self::SmallColour => "colour pictures of at most 32×32 pixels",
            Self::Other => "other pictures",
        })
    }
}

/// The names of all presets.
pub(crate) const NAMES: [&str; 2] = ["fast", "best"];

/// The file of a preset, and its settings; `None` if there is none. `size` gives that of the pictures, and is asked only if it decides between several.
pub(crate) fn settings(
    name: &str,
    size: impl FnOnce() -> Option<Shape>,
) -> Option<(&'static str, &'static str)> {
    let mut presets = PRESETS.iter().filter(|preset| preset.name == name);
    let preset = match presets.clone().count() {
        0 | 1 => presets.next()?,
        _ => {
            let kind = Kind::of(size());
            presets.find(|preset| preset.kind == kind)?
        }
    };
    Some((preset.file, preset.settings))
}

/// Refuses a preset for pictures that it is not for; `size` is theirs, and `data` names them.
///
/// # Errors
/// [`Error::Settings`]
pub(crate) fn check(name: &str, size: Option<Shape>, data: &Path) -> Result<(), Error> {
    let kind = Kind::of(size);
    let mut presets = PRESETS.iter();
    if presets.any(|preset| preset.name == name && preset.kind == kind) {
        return Ok(());
    }
    let list = PRESETS
        .iter()
        .map(|preset| format!("`{}` is for {}", preset.name, preset.kind));
    Err(Error::Settings {
        problem: format!(
            "there is no preset `{name}` for {}: {}; leave out --preset for the usual settings",
            shown(data),
            list.collect::<Vec<_>>().join(", ")
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_is_found_for_its_kind_of_pictures_alone() {
        let of_size = |name: &str, size: Shape| settings(name, || Some(size)).map(|(file, _)| file);
        let (grey, colour) = (Shape::new(28, 28, 1), Shape::new(32, 32, 3));
        assert_eq!(of_size("fast", grey), Some("digits-fast.toml"));
        assert_eq!(of_size("best", grey), Some("digits-best.toml"));
        assert_eq!(of_size("best", colour), Some("small-colour-best.toml"));
        for preset in &PRESETS {
            assert!(NAMES.contains(&preset.name));
        }
        let of = |name: &str, size: Shape| check(name, Some(size), Path::new("pictures"));
        assert!(of("fast", Shape::new(28, 28, 1)).is_ok());
        for (name, size) in [
            ("best", Shape::new(33, 28, 1)),
            ("fast", Shape::new(28, 28, 3)),
        ] {
            let refused = of(name, size).expect_err("there is none").to_string();
            assert!(refused.contains("`fast` is for grey pictures"), "{refused}");
        }
        assert!(Kind::of(Some(Shape::new(64, 20, 1))) == Kind::Other);
    }
}
