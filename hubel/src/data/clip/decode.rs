//! The frames of one clip: an animated GIF, WebP or PNG, a folder of numbered frames, or a video file.
use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::{
    AnimationDecoder, DynamicImage, Frame, ImageDecoder, ImageFormat, ImageResult, Limits,
};

use super::frames::{Frames, SINGLE};
use super::video;
use crate::data::fingerprint::Fingerprint;
use crate::data::thumbnail::picture_of;
use crate::data::{ClipSettings, Kind, folder, limit, picture};
use crate::film::{self, film};
use crate::{Error, Result, Shape, shown};

/// Frames per second of clips that do not say it: folders of frames, and animations without delays.
pub(super) const USUAL_RATE: f32 = 25.0;
/// The most frames of a clip that are read.
pub(super) const MOST_FRAMES: usize = 10_000;
/// The most bytes of all frames of an animation, decoded.
const MOST_BYTES: u64 = 2 << 30;
/// The most bytes of all frames that are kept. Larger animations are read twice: first the times of the frames, then the chosen ones.
const KEPT_BYTES: u64 = 64 << 20;

/// Frames of a clip that were chosen.
pub(super) struct Taken {
    pub(super) frames: Vec<DynamicImage>,
    /// Frames that the clip has.
    pub(super) count: usize,
    /// The hash of its files.
    pub(super) content: u64,
    /// What is unusual about the numbers of its frames.
    pub(super) remark: Option<String>,
}

/// Reads `frames` frames of the clip at `path`.
///
/// # Errors
/// [`Error::Clip`] if it cannot be read, or has fewer than two frames; [`Error::Io`].
pub(super) fn read(path: &Path, settings: ClipSettings, frames: usize) -> Result<Taken> {
    let taken = if path.is_dir() {
        of_folder(path, settings, frames)?
    } else if super::is_video(path) {
        video::read(path, settings, frames)?
    } else {
        of_animation(path, settings, frames)?
    };
    match taken.count {
        0 | 1 => Err(problem(path, SINGLE)),
        _ => Ok(taken),
    }
}

/// `count` frames of the clip at `path`, spread evenly over it, beside and below each other. Each has a longer side of at most `side` pixels.
///
/// # Errors
/// As for [`read`].
pub(crate) fn film_of(path: &Path, count: usize, side: u32) -> Result<DynamicImage> {
    let taken = read(path, ClipSettings::default(), count)?;
    let (width, height) = (taken.frames[0].width(), taken.frames[0].height());
    let shrunk = |length: u32| match width.max(height) {
        longer if longer > side => (length * side / longer).max(1),
        _ => length,
    };
    let (width, height) = (shrunk(width), shrunk(height));
    let frames = taken.frames.iter();
    let pixels =
        frames.flat_map(|frame| frame.thumbnail_exact(width, height).into_rgb8().into_raw());
    let pixels: Vec<u8> = pixels.collect();
    let clip = Shape::new(height as usize, width as usize, 3).over(count);
    let film = picture_of(film(&pixels, clip).into_owned(), film::shape(clip));
    Ok(film.expect("a film has three channels"))
}

/// What `check` says of a clip that can be read.
pub(crate) struct Examined {
    /// The hash of its files.
    pub(crate) content: u64,
    /// Height and width of a frame.
    pub(crate) size: (usize, usize),
    /// What is unusual about the numbers of its frames.
    pub(crate) remark: Option<String>,
}

/// Examines a clip; of a folder, every frame is read.
///
/// # Errors
/// As for [`read`].
pub(crate) fn examine(path: &Path) -> Result<Examined> {
    let taken = read(path, ClipSettings::default(), 1)?;
    if path.is_dir() {
        for file in &frames_in(path)?.files {
            frame_at(path, file)?;
        }
    }
    let frame = &taken.frames[0];
    Ok(Examined {
        content: taken.content,
        size: (frame.height() as usize, frame.width() as usize),
        remark: taken.remark,
    })
}

fn of_folder(path: &Path, settings: ClipSettings, frames: usize) -> Result<Taken> {
    let found = frames_in(path)?;
    let files = &found.files;
    let times: Vec<f32> = (0..files.len())
        .map(|frame| frame as f32 / USUAL_RATE)
        .collect();
    let end = files.len() as f32 / USUAL_RATE;
    let mut content = Vec::new();
    for file in files {
        content.extend(Fingerprint::content_of(&picture::contents(file)?).to_le_bytes());
    }
    let chosen = settings.choose(&times, end, frames);
    let mut taken: Vec<DynamicImage> = Vec::with_capacity(frames);
    for (place, &frame) in chosen.iter().enumerate() {
        match place
            .checked_sub(1)
            .filter(|before| chosen[*before] == frame)
        {
            Some(before) => taken.push(taken[before].clone()),
            None => taken.push(frame_at(path, &files[frame])?),
        }
    }
    Ok(Taken {
        frames: taken,
        count: files.len(),
        content: Fingerprint::content_of(&content),
        remark: found.remark(),
    })
}

/// The frames in a folder.
fn frames_in(path: &Path) -> Result<Frames> {
    let mut files = folder::contents(path)?.files;
    files.retain(|file| folder::kind_of(file) == Some(Kind::Pictures));
    let found = Frames::of(&files);
    match found.problem() {
        Some(why) => Err(problem(path, &why)),
        None => Ok(found),
    }
}

/// A frame of the clip at `path`.
fn frame_at(path: &Path, file: &Path) -> Result<DynamicImage> {
    picture::read(file).map_err(|error| {
        let name = shown(Path::new(file.file_name().unwrap_or_default()));
        problem(path, &format!("its frame {name}: {}", error.without_path()))
    })
}

/// Whether a file is an animated GIF, WebP or PNG of at least two frames.
pub(in crate::data) fn is_animated(path: &Path) -> bool {
    let Ok(bytes) = picture::contents(path) else {
        return false;
    };
    let two = |frames: &mut dyn Iterator<Item = ImageResult<Frame>>| {
        frames.take(2).filter(Result::is_ok).count() == 2
    };
    let found = guarded(|| animation(&bytes, two));
    matches!(found, Some(Ok(Some(true))))
}

fn of_animation(path: &Path, settings: ClipSettings, frames: usize) -> Result<Taken> {
    let bytes = picture::contents(path)?;
    let decoded = guarded(|| animation(&bytes, |found| collect(found)));
    let found = decoded.ok_or_else(|| {
        problem(
            path,
            "its decoder failed; save it again with another program",
        )
    })?;
    let found = match found {
        Ok(Some(Ok(found))) => found,
        Ok(Some(Err(error))) => return Err(problem(path, &format!("it is damaged ({error})"))),
        Ok(None) if picture::is_known(&bytes) => return Err(problem(path, SINGLE)),
        Ok(None) => {
            return Err(problem(
                path,
                "it is no animated GIF, WebP or PNG, no video and no folder of numbered frames",
            ));
        }
        Err(error) => return Err(problem(path, &format!("it is damaged ({error})"))),
    };
    let (mut times, mut end) = (Vec::new(), 0.0);
    for delay in &found.seconds {
        times.push(end);
        end += delay;
    }
    if times.is_empty() {
        return Err(problem(path, "it has no frames"));
    }
    let chosen = settings.choose(&times, end, frames);
    let pictures = match found.pictures {
        Some(pictures) => pictures.into_iter().enumerate().collect(),
        None => {
            let picked = guarded(|| animation(&bytes, |frames| pick(frames, &chosen)));
            let picked = picked.and_then(|picked| picked.ok().flatten());
            picked.unwrap_or_default()
        }
    };
    let picture = |frame: usize| {
        let found = pictures.get(&frame).cloned();
        found.ok_or_else(|| problem(path, "it is damaged"))
    };
    Ok(Taken {
        frames: chosen.into_iter().map(picture).collect::<Result<_>>()?,
        count: times.len(),
        content: Fingerprint::content_of(&bytes),
        remark: None,
    })
}

/// What a decoder returns, or `None` if it panics: one file in a million must not stop the work on the others.
fn guarded<T>(decode: impl FnOnce() -> T + std::panic::UnwindSafe) -> Option<T> {
    std::panic::catch_unwind(decode).ok()
}

/// The frames of an animation.
struct Found {
    /// The duration of each.
    seconds: Vec<f32>,
    /// All of them; `None` if they are more than [`KEPT_BYTES`].
    pictures: Option<Vec<DynamicImage>>,
}

/// Reads all frames to their end, and keeps them if they are small.
fn collect(frames: &mut dyn Iterator<Item = ImageResult<Frame>>) -> Result<Found, String> {
    let mut found = Found {
        seconds: Vec::new(),
        pictures: Some(Vec::new()),
    };
    let mut bytes = 0;
    for frame in frames {
        let frame = frame.map_err(|error| error.to_string())?;
        let (numerator, denominator) = frame.delay().numer_denom_ms();
        let seconds = numerator as f32 / denominator.max(1) as f32 / 1000.0;
        let seconds = if seconds > 0.0 {
            seconds
        } else {
            1.0 / USUAL_RATE
        };
        let picture = frame.into_buffer();
        if picture.as_raw().is_empty() {
            return Err("its frames have no pixels".to_owned());
        }
        bytes += picture.as_raw().len() as u64;
        if found.seconds.len() == MOST_FRAMES || bytes > MOST_BYTES {
            return Err(format!(
                "it has more than {MOST_FRAMES} frames, or {} GB of them",
                MOST_BYTES >> 30
            ));
        }
        found.seconds.push(seconds);
        found.pictures = found.pictures.filter(|_| bytes <= KEPT_BYTES);
        if let Some(pictures) = &mut found.pictures {
            pictures.push(DynamicImage::ImageRgba8(picture));
        }
    }
    Ok(found)
}

/// The frames with these numbers, as far as they can be read.
fn pick(
    frames: &mut dyn Iterator<Item = ImageResult<Frame>>,
    chosen: &[usize],
) -> BTreeMap<usize, DynamicImage> {
    let last = chosen.iter().max().map_or(0, |last| last + 1);
    let frames = frames.map_while(Result::ok).take(last).enumerate();
    let wanted = frames.filter(|(number, _)| chosen.contains(number));
    wanted
        .map(|(number, frame)| (number, DynamicImage::ImageRgba8(frame.into_buffer())))
        .collect()
}

/// What `take` makes of the frames of an animated picture; `None` if the bytes are no such picture.
fn animation<T>(
    bytes: &[u8],
    take: impl FnOnce(&mut dyn Iterator<Item = ImageResult<Frame>>) -> T,
) -> ImageResult<Option<T>> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BYTES);
    let side = limit::LARGEST_PICTURE.isqrt() as u32;
    (limits.max_image_width, limits.max_image_height) = (Some(side), Some(side));
    let reader = Cursor::new(bytes);
    Ok(match image::guess_format(bytes) {
        Ok(ImageFormat::Gif) => {
            let mut decoder = GifDecoder::new(reader)?;
            decoder.set_limits(limits)?;
            Some(take(&mut decoder.into_frames()))
        }
        Ok(ImageFormat::WebP) => {
            let mut decoder = WebPDecoder::new(reader)?;
            decoder.set_limits(limits)?;
            match decoder.has_animation() {
                true => Some(take(&mut decoder.into_frames())),
                false => None,
            }
        }
        Ok(ImageFormat::Png) => {
            let decoder = PngDecoder::with_limits(reader, limits)?;
            match decoder.is_apng()? {
                true => Some(take(&mut decoder.apng()?.into_frames())),
                false => None,
            }
        }
        _ => None,
    })
}

pub(super) fn problem(path: &Path, problem: &str) -> Error {
    Error::Clip {
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}

impl ClipSettings {
    /// The indices of `frames` frames out of those at `times`, in seconds from the start, in ascending order. `end` is the end of the last one.
    ///
    /// # Panics
    /// If there are no times.
    pub(super) fn choose(&self, times: &[f32], end: f32, frames: usize) -> Vec<usize> {
        // The middles of equal parts of the clip, or times at the rate around its middle.
        let step = match self.rate {
            None => end / frames as f32,
            Some(rate) => 1.0 / rate,
        };
        let first = (end - step * frames as f32) / 2.0 + step / 2.0;
        let shown_at = |time: f32| {
            times
                .partition_point(|start| *start <= time)
                .saturating_sub(1)
        };
        (0..frames)
            .map(|frame| shown_at(first + frame as f32 * step))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_spread_over_the_clip_or_taken_at_a_rate() {
        let even = ClipSettings::default();
        let times: Vec<f32> = (0..10).map(|frame| frame as f32 / 10.0).collect();
        assert_eq!(even.choose(&times, 1.0, 5), [1, 3, 5, 7, 9]);
        assert_eq!(even.choose(&times, 1.0, 2), [2, 7]);
        assert_eq!(even.choose(&[0.0, 0.9], 1.0, 4), [0, 0, 0, 0]);
        assert_eq!(even.choose(&[0.0], 0.04, 3), [0, 0, 0]);
        let at_10 = ClipSettings { rate: Some(10.0) };
        assert_eq!(at_10.choose(&times, 1.0, 4), [3, 4, 5, 6]);
        // A short clip repeats its first and last frame.
        assert_eq!(at_10.choose(&[0.0, 0.1], 0.2, 4), [0, 0, 1, 1]);
    }
}
