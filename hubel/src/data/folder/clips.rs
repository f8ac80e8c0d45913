//! Tells clips from plain pictures. Clips are folders of numbered frames, animated pictures, and video files.
use std::collections::HashSet;
use std::path::Path;

use super::{Listing, kind_of};
use crate::data::catalogue::File;
use crate::data::clip::{self, Frames};
use crate::data::ignored::Reason;
use crate::data::{Kind, sound};

/// Extensions of pictures that may be animated.
pub(in crate::data) const ANIMATED_ENDINGS: [&str; 4] = ["gif", "webp", "png", "apng"];

/// Pictures that are examined for animation.
const EXAMINED: usize = 12;

/// The pictures directly in one folder.
struct Group<'a> {
    folder: &'a Path,
    files: Vec<&'a File>,
    /// Whether the folder is that of a class, whose pictures do not belong together.
    is_class: bool,
}

impl<'a> Group<'a> {
    fn paths(&self) -> impl Iterator<Item = &'a Path> {
        self.files.iter().map(|file| file.path.as_path())
    }

    /// Whether the pictures are surely the frames of one clip.
    fn is_steady(&self) -> bool {
        let paths = || self.paths().map(Path::to_owned).collect::<Vec<_>>();
        !self.is_class && Frames::of(&paths()).are_steady()
    }
}

impl Listing<'_> {
    /// Whether most of the pictures and video files are clips. A folder in a class folder counts once, as a clip if its pictures are numbered in equal steps; other
    /// pictures count one by one, as clips if they are animated, which some of them show.
    pub(super) fn are_clips(&self) -> bool {
        let groups = self.groups(&self.files).into_iter();
        let (steady, others): (Vec<Group>, Vec<Group>) = groups.partition(Group::is_steady);
        let all: Vec<&Path> = others.iter().flat_map(Group::paths).collect();
        let share = animated_share(&all);
        let (plain_folders, single) = match share > 0.5 {
            true => (0, all),
            false => {
                let (direct, folders): (Vec<&Group>, Vec<&Group>) =
                    others.iter().partition(|group| group.is_class);
                let paths = direct.into_iter().flat_map(Group::paths);
                (folders.len(), paths.collect())
            }
        };
        let may_be = single.iter().filter(|file| may_be_animated(file)).count();
        let animated = (share * may_be as f64).round() as usize;
        let videos = of_kind(&self.files, Kind::Clips).count();
        let clips = steady.len() + videos + animated;
        let plain = plain_folders + single.len() - animated;
        clips > plain && (steady.len() > 1 || videos + animated > 0)
    }

    /// Keeps the clips and ignores the other files.
    pub(super) fn keep_clips(&mut self) {
        let files = std::mem::take(&mut self.files);
        let mut clips: Vec<File> = of_kind(&files, Kind::Clips).cloned().collect();
        for group in self.groups(&files) {
            let paths: Vec<&Path> = group.paths().collect();
            if !group.is_class && animated_share(&paths) <= 0.5 {
                clips.push(File {
                    path: group.folder.to_owned(),
                    ..group.files[0].clone()
                });
                continue;
            }
            for file in group.files {
                match may_be_animated(&file.path) {
                    true => clips.push(file.clone()),
                    false => self.ignored.note(Reason::Picture, &file.path),
                }
            }
        }
        for kind in [Kind::Sounds, Kind::Texts] {
            for file in of_kind(&files, kind) {
                self.ignored.note(Reason::of_other(kind), &file.path);
            }
        }
        self.files = clips;
    }

    /// Whether there is a clip, if all is taken for clips that may be one.
    pub(super) fn may_hold_clips(&self) -> bool {
        let is_one = |group: &Group| !group.is_class || group.paths().any(may_be_animated);
        let has_videos = of_kind(&self.files, Kind::Clips).next().is_some();
        has_videos || self.groups(&self.files).iter().any(is_one)
    }

    /// The pictures among `files` by their folders. They are listed folder by folder.
    fn groups<'a>(&self, files: &'a [File]) -> Vec<Group<'a>> {
        let folders = self.folders.iter().map(|folder| folder.path.as_path());
        let mut classes: HashSet<&Path> = folders.collect();
        // A folder that is listed by itself is a clip, or it holds clips.
        if files
            .iter()
            .any(|file| file.path.parent() != Some(self.root))
        {
            classes.insert(self.root);
        }
        let mut groups: Vec<Group> = Vec::new();
        for file in of_kind(files, Kind::Pictures) {
            let folder = file.path.parent().unwrap_or(Path::new(""));
            match groups.last_mut().filter(|group| group.folder == folder) {
                Some(group) => group.files.push(file),
                None => groups.push(Group {
                    folder,
                    files: vec![file],
                    is_class: classes.contains(folder),
                }),
            }
        }
        groups
    }
}

fn of_kind(files: &[File], kind: Kind) -> impl Iterator<Item = &File> {
    let of_kind = move |file: &&File| kind_of(&file.path) == Some(kind);
    files.iter().filter(of_kind)
}

fn may_be_animated(file: &Path) -> bool {
    sound::has_ending(file, &ANIMATED_ENDINGS)
}

/// The share of animated pictures among those that may be animated, of some that are examined; 0 if these are less than half of all.
fn animated_share(files: &[&Path]) -> f64 {
    let may_be: Vec<&Path> = files
        .iter()
        .copied()
        .filter(|file| may_be_animated(file))
        .collect();
    if may_be.is_empty() || 2 * may_be.len() < files.len() {
        return 0.0;
    }
    let step = may_be.len().div_ceil(EXAMINED);
    let examined: Vec<&Path> = may_be.into_iter().step_by(step).collect();
    let animated = examined.iter().filter(|file| clip::is_animated(file));
    animated.count() as f64 / examined.len() as f64
}
