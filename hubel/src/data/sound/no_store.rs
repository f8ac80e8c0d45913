//! Replaces `store.rs` without the feature `sound`.
use std::borrow::Cow;
use std::path::Path;

use crate::Result;
use crate::data::fingerprint::Fingerprint;
use crate::data::preparation::{Preparation, Stage};
use crate::data::sound::SoundSettings;

/// Has no values.
#[derive(Debug)]
pub(in crate::data) enum Sounds {}

impl Sounds {
    pub(in crate::data) fn path(&self, _: usize) -> &Path {
        match *self {}
    }

    pub(in crate::data) fn settings(&self) -> SoundSettings {
        match *self {}
    }

    pub(in crate::data) fn fingerprint(&self, _: usize) -> &Fingerprint {
        match *self {}
    }

    pub(in crate::data) fn moments(&self, _: usize) -> [f64; 2] {
        match *self {}
    }

    pub(in crate::data) fn picture(&self, _: usize) -> Result<Cow<'_, [u8]>> {
        match *self {}
    }

    pub(in crate::data) fn input(
        &self,
        _: usize,
        _: &Preparation,
        _: &mut dyn FnMut(Stage<'_, '_>),
        _: &mut [f32],
    ) -> Result<()> {
        match *self {}
    }
}
