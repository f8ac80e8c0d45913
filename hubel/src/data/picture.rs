//! Decodes picture files, with limits that are checked before memory is allocated.
use std::error::Error as _;
use std::io::{Cursor, ErrorKind, Read};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};

use crate::data::catalogue::thousands;
use crate::data::ending::missing_end;
use crate::data::grey::{is_grey, luma};
use crate::data::tiff::Tiff;
use crate::data::transparency::laid_over;
use crate::data::{jpeg, limit};
use crate::formats::regular;
use crate::{Error, Result, Shape};

/// The largest accepted picture, in pixels: larger than any camera's, but small enough for the memory of a small computer.
pub const LARGEST_PICTURE: u64 = limit::LARGEST_PICTURE;

/// Larger pictures than this, in pixels, are decoded one at a time.
const LARGE_PICTURE: u64 = 64_000_000;

/// The largest accepted file, in bytes: the largest picture, uncompressed, in 16-bit colour with alpha.
pub const LARGEST_FILE: u64 = WIDEST_PIXEL * LARGEST_PICTURE;

/// Extensions of files that [`read`] can decode.
pub const ENDINGS: [&str; 14] = [
    "png", "jpg", "jpeg", "jfif", "bmp", "gif", "webp", "tif", "tiff", "pbm", "pgm", "ppm", "pnm",
    "pam",
];

/// Bytes of the widest pixel: 16-bit colour with alpha.
const WIDEST_PIXEL: u64 = 8;

/// Whether `start`, the first bytes of a file, are those of a picture that [`read`] can decode.
pub(super) fn is_known(start: &[u8]) -> bool {
    image::guess_format(start).is_ok_and(|format| format.reading_enabled())
}

/// Reads the picture at `path` (PNG, JPEG, WebP, GIF's first frame, BMP, TIFF, PNM, detected by contents) and applies its
/// EXIF orientation.
///
/// # Errors
/// [`Error::Io`] if the file cannot be opened; [`Error::Picture`] if it is no picture, damaged, truncated, or larger than
/// [`LARGEST_PICTURE`].
pub fn read(path: &Path) -> Result<DynamicImage> {
    decode_whole(&contents(path)?, path)
}

/// Decodes a picture in memory, as [`read`] does; `path` is for messages.
///
/// # Errors
/// As [`decode`], and when the end is missing.
pub(crate) fn decode_whole(bytes: &[u8], path: &Path) -> Result<DynamicImage> {
    match missing_end(bytes) {
        None => decode(bytes, path),
        Some(missing) => Err(problem(
            path,
            &format!("{missing}; copy or download it again"),
        )),
    }
}

/// The bytes of the file at `path`, at most [`LARGEST_FILE`].
pub(crate) fn contents(path: &Path) -> Result<Vec<u8>> {
    let refused = Error::io("read", path);
    let file = regular::open(path).map_err(|source| match source.kind() {
        ErrorKind::IsADirectory => problem(path, "it is a folder; name the files in it"),
        _ => refused(source),
    })?;
    let metadata = file.metadata().map_err(refused)?;
    if metadata.len() > LARGEST_FILE {
        return Err(too_large(path));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // Reads one byte more than the limit to detect a larger file: it may have grown since.
    file.take(LARGEST_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(refused)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(too_large(path));
    }
    Ok(bytes)
}

/// The error for a file of more than [`LARGEST_FILE`] bytes.
pub(super) fn too_large(path: &Path) -> Error {
    problem(
        path,
        &format!(
            "it is larger than the limit of {} MB; save it compressed, or smaller",
            LARGEST_FILE / 1_000_000
        ),
    )
}

/// Decodes a picture in memory, as [`read`] does, even if its end is missing; `path` is for messages.
///
/// # Errors
/// [`Error::Picture`] if the bytes are no picture, damaged, or larger than [`LARGEST_PICTURE`].
pub fn decode(bytes: &[u8], path: &Path) -> Result<DynamicImage> {
    decode_with_orientation(bytes, path).map(|(picture, _)| picture)
}

/// As [`decode`], and also returns the EXIF orientation, which is already applied.
pub(crate) fn decode_with_orientation(
    bytes: &[u8],
    path: &Path,
) -> Result<(DynamicImage, Orientation)> {
    // A decoder that panics on one file in a million must not stop the work on the others.
    std::panic::catch_unwind(|| turned(bytes, path)).unwrap_or_else(|_| {
        Err(problem(
            path,
            "its decoder failed; save it again as PNG or JPEG with another program, or leave it out",
        ))
    })
}

/// The rotated picture, and its orientation.
fn turned(bytes: &[u8], path: &Path) -> Result<(DynamicImage, Orientation)> {
    let failed = |error: ImageError| {
        problem(
            path,
            &format!(
                "{}; open it in a picture viewer, save it again as PNG or JPEG, or leave it out",
                plainly(&error)
            ),
        )
    };
    if bytes.is_empty() {
        return Err(problem(
            path,
            "the file is empty; copy it again or delete it",
        ));
    }
    if let Some(kind) = jpeg::foreign_kind(bytes) {
        return Err(problem(
            path,
            &format!(
                "its kind is not supported ({kind}); open it in a picture viewer, save it again as PNG or JPEG, or leave it out"
            ),
        ));
    }
    if let Some(tiff) = Tiff::open(bytes) {
        let (width, height) = tiff.dimensions();
        check_size(path, width, height)?;
        let _alone = alone_if_large(width, height);
        let (mut picture, orientation) = tiff.decode().map_err(|error| problem(path, &error))?;
        picture.apply_orientation(orientation);
        return Ok((picture, orientation));
    }
    let bytes = &*jpeg::with_end(bytes);
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| failed(error.into()))?;
    if bytes.get(4..8) == Some(b"ftyp") && reader.format().is_none() {
        return Err(problem(
            path,
            "it is a HEIC picture or a film, which are not supported; convert it to JPEG or PNG",
        ));
    }
    if reader.format().is_none() {
        return Err(problem(
            path,
            "its contents have no known picture format (PNG, JPEG, WebP, GIF, BMP, TIFF, PNM)",
        ));
    }
    let mut limits = Limits::default();
    // The picture, and as much again for the decoder.
    limits.max_alloc = Some(2 * WIDEST_PIXEL * LARGEST_PICTURE);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    check_size(path, width, height)?;
    if decoder.total_bytes() > WIDEST_PIXEL * LARGEST_PICTURE {
        return Err(problem(
            path,
            &format!(
                "it takes {} bytes of memory, more than the {} million that are allowed; make it smaller first",
                decoder.total_bytes(),
                WIDEST_PIXEL * LARGEST_PICTURE / 1_000_000
            ),
        ));
    }
    let _alone = alone_if_large(width, height);
    // A damaged EXIF block does not make a picture useless.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(failed)?;
    picture.apply_orientation(orientation);
    Ok((picture, orientation))
}

fn check_size(path: &Path, width: u32, height: u32) -> Result<()> {
    if u64::from(width) * u64::from(height) > LARGEST_PICTURE {
        return Err(problem(
            path,
            &format!(
                "it has {width}×{height} pixels, more than the limit of {} million; make it smaller first",
                LARGEST_PICTURE / 1_000_000
            ),
        ));
    }
    if width == 0 || height == 0 {
        return Err(problem(path, "it has no pixels"));
    }
    Ok(())
}

/// Pictures of this size can be decoded by all cores at once. Scans and panoramas are larger, and so many would not fit into memory.
fn alone_if_large(width: u32, height: u32) -> Option<MutexGuard<'static, ()>> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let is_large = u64::from(width) * u64::from(height) > LARGE_PICTURE;
    is_large.then(|| ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A readable message for a decoder's error, with the error's text.
fn plainly(error: &ImageError) -> String {
    match error {
        ImageError::Unsupported(_) => format!("its kind is not supported ({error})"),
        ImageError::Limits(_) => format!("it would take more memory than is allowed ({error})"),
        ImageError::Decoding(error) => {
            let words = error
                .source()
                .map_or(error.to_string(), |cause| cause.to_string());
            // The PNG decoder's details of the chunk are for programmers.
            let words = words.split(" while decoding ").next().unwrap_or_default();
            format!("it is damaged ({})", words.trim_end_matches('.'))
        }
        error => format!("it is damaged ({error})"),
    }
}

/// The pixels of a picture as bytes with 1 or 3 channels. Transparent pixels get the level `behind` them, 16 bits become 8, and
/// for one channel, colours become grey.
pub(crate) fn bytes(
    picture: DynamicImage,
    channels: usize,
    behind: u8,
) -> Result<(Vec<u8>, Shape)> {
    let shape = Shape::new(
        picture.height() as usize,
        picture.width() as usize,
        channels,
    );
    let pixels = match (channels, picture) {
        (1, DynamicImage::ImageLuma8(grey)) => grey.into_raw(),
        (3, DynamicImage::ImageRgb8(rgb)) => rgb.into_raw(),
        (1 | 3, picture) => {
            let rgba = picture.into_rgba8();
            let opaque = rgba.pixels().map(|pixel| laid_over(behind, *pixel));
            if channels == 3 {
                opaque.flatten().collect()
            } else {
                opaque
                    .map(|[red, green, blue]| luma(red, green, blue))
                    .collect()
            }
        }
        _ => {
            return Err(Error::DataMismatch(format!(
                "a network whose input has {channels} channels cannot take pictures (1 channel: grey, 3: colour)"
            )));
        }
    };
    Ok((pixels, shape))
}

/// Whether a picture of more than 8 bits uses less than an eighth of its levels (such as 12 bits saved as 16), so that it is nearly
/// black as 8 bits.
pub(crate) fn is_dim(picture: &DynamicImage) -> bool {
    let dim = |colours: &[u16]| colours.iter().all(|&level| level < 1 << 13);
    match picture {
        DynamicImage::ImageLuma16(grey) => dim(grey),
        DynamicImage::ImageLumaA16(grey) => grey.pixels().all(|pixel| dim(&pixel.0[..1])),
        DynamicImage::ImageRgb16(rgb) => dim(rgb),
        DynamicImage::ImageRgba16(rgba) => rgba.pixels().all(|pixel| dim(&pixel.0[..3])),
        _ => false,
    }
}

/// A note on this many pictures that are dim ([`is_dim`]).
pub(crate) fn dim_note(count: usize) -> Option<String> {
    (count > 0).then(|| {
        format!(
            "{} of the pictures have 16 bits and use less than an eighth of their levels, so they are nearly black; scale them to the whole range first",
            thousands(count)
        )
    })
}

/// Whether a picture shows colour; a picture in a colour format may still be grey.
pub(super) fn has_colour(picture: &DynamicImage) -> bool {
    picture.color().has_color()
        && match picture {
            DynamicImage::ImageRgb8(rgb) => !is_grey(rgb.as_raw()),
            other => !is_grey(other.to_rgb8().as_raw()),
        }
}

fn problem(path: &Path, problem: &str) -> Error {
    Error::Picture {
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}
