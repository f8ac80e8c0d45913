//! Video files, read by the program `ffmpeg`.
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use image::{DynamicImage, RgbImage};

use super::decode::{Taken, USUAL_RATE, problem};
use crate::data::ClipSettings;
use crate::data::fingerprint::Fingerprint;
use crate::formats::regular;
use crate::{Error, Result};

/// The endings of video files.
pub(in crate::data) const ENDINGS: [&str; 12] = [
    "mp4", "m4v", "mov", "avi", "mkv", "webm", "mpg", "mpeg", "wmv", "flv", "ogv", "3gp",
];

/// The program.
const PROGRAM: &str = "ffmpeg";
/// Frames per second that are read if no rate is given: enough to choose from.
const RATE: f32 = 10.0;
/// Frames that are read at most: a minute.
const MOST_FRAMES: usize = 600;
/// The longer side that frames are reduced to.
const LONGEST_SIDE: usize = 480;
/// The most bytes of a frame.
const MOST_BYTES: usize = 3 * LONGEST_SIDE * LONGEST_SIDE;
/// The longest time that reading a file may take.
const TIME: Duration = Duration::from_secs(120);

/// Whether a file is a video by its ending.
pub(super) fn is_video(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default();
    ENDINGS
        .iter()
        .any(|known| ending.eq_ignore_ascii_case(known))
}

/// Reads `frames` frames of a video file, of its first minute.
///
/// # Errors
/// [`Error::Picture`] if `ffmpeg` is missing, takes too long, or finds no frames.
pub(super) fn read(path: &Path, settings: ClipSettings, frames: usize) -> Result<Taken> {
    let content = content(path)?;
    let rate = settings.rate.unwrap_or(RATE).clamp(0.1, USUAL_RATE * 10.0);
    let found = decode(path, rate)?;
    if found.is_empty() {
        return Err(problem(path, "ffmpeg finds no film in it"));
    }
    let times: Vec<f32> = (0..found.len()).map(|frame| frame as f32 / rate).collect();
    let chosen = settings.choose(&times, found.len() as f32 / rate, frames);
    Ok(Taken {
        frames: chosen
            .into_iter()
            .map(|frame| found[frame].clone())
            .collect(),
        count: found.len(),
        content,
    })
}

/// The hash of a file of any size.
fn content(path: &Path) -> Result<u64> {
    let mut hash = Vec::new();
    let mut file = regular::open(path).map_err(Error::io("read", path))?;
    let mut piece = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut piece).map_err(Error::io("read", path))?;
        if count == 0 {
            return Ok(Fingerprint::content_of(&hash));
        }
        hash.extend(Fingerprint::content_of(&piece[..count]).to_le_bytes());
    }
}

/// The frames at `rate`, in colour.
fn decode(path: &Path, rate: f32) -> Result<Vec<DynamicImage>> {
    let mut child = start(path, rate)?;
    let mut output = child.stdout.take().expect("the output is a pipe");
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut frames = Vec::new();
        let mut read = || -> std::io::Result<Option<DynamicImage>> { frame(&mut output) };
        let result = loop {
            match read() {
                Ok(Some(frame)) if frames.len() < MOST_FRAMES => frames.push(frame),
                Ok(_) => break Ok(frames),
                Err(error) => break Err(error),
            }
        };
        // The receiver is gone if the time is up.
        let _ = sender.send(result);
    });
    let found = receiver.recv_timeout(TIME);
    // It has ended, or it is too slow, or nobody reads on.
    let _ = child.kill();
    let output = child.wait_with_output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stderr).trim().to_owned());
    match found {
        Err(_) => Err(problem(
            path,
            &format!("ffmpeg was not done with it in {} s", TIME.as_secs()),
        )),
        Ok(Ok(frames)) if !frames.is_empty() => Ok(frames),
        Ok(_) => {
            let said = said.unwrap_or_default();
            let last = said.lines().last().unwrap_or("no frames");
            Err(problem(path, &format!("ffmpeg cannot read it ({last})")))
        }
    }
}

fn start(path: &Path, rate: f32) -> Result<Child> {
    let absolute = std::path::absolute(path).map_err(Error::io("read", path))?;
    // `file:` before an absolute path: it is never taken for an option or for another protocol.
    let mut name = std::ffi::OsString::from("file:");
    name.push(absolute);
    let size = format!(
        "fps={rate},scale='min({LONGEST_SIDE},iw)':'min({LONGEST_SIDE},ih)':force_original_aspect_ratio=decrease"
    );
    let started = Command::new(PROGRAM)
        .args(["-nostdin", "-v", "error", "-protocol_whitelist", "file"])
        .arg("-i")
        .arg(name)
        .args(["-an", "-sn", "-dn", "-vf", &size])
        .args(["-frames:v", &MOST_FRAMES.to_string()])
        .args(["-pix_fmt", "rgb24", "-c:v", "ppm", "-f", "image2pipe", "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    started.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => problem(
            path,
            "video files are read by the program `ffmpeg`, which is not installed; install it, or save the clip as an animated GIF or WebP, or as a folder of numbered frames",
        ),
        _ => problem(path, &format!("ffmpeg cannot be started ({error})")),
    })
}

/// The next picture of a sequence of PPM files; `None` at the end.
fn frame(input: &mut impl Read) -> std::io::Result<Option<DynamicImage>> {
    let invalid = || std::io::Error::new(std::io::ErrorKind::InvalidData, "no PPM");
    let mut fields = Vec::new();
    let mut field = String::new();
    while fields.len() < 4 {
        let mut byte = [0];
        if input.read(&mut byte)? == 0 {
            return if fields.is_empty() && field.is_empty() {
                Ok(None)
            } else {
                Err(invalid())
            };
        }
        match byte[0] {
            byte if byte.is_ascii_whitespace() && field.is_empty() => {}
            byte if byte.is_ascii_whitespace() => fields.push(std::mem::take(&mut field)),
            byte if byte.is_ascii_alphanumeric() && field.len() < 10 => field.push(byte.into()),
            _ => return Err(invalid()),
        }
    }
    let number = |field: &String| field.parse::<usize>().ok();
    let sizes = (fields[0] == "P6" && fields[3] == "255")
        .then(|| Some((number(&fields[1])?, number(&fields[2])?)));
    let (width, height) = sizes.flatten().ok_or_else(invalid)?;
    let length = width
        .checked_mul(height)
        .and_then(|pixels| pixels.checked_mul(3));
    let length = length
        .filter(|length| (1..=MOST_BYTES).contains(length))
        .ok_or_else(invalid)?;
    let mut pixels = vec![0; length];
    input.read_exact(&mut pixels)?;
    let picture = RgbImage::from_raw(width as u32, height as u32, pixels).ok_or_else(invalid)?;
    Ok(Some(DynamicImage::ImageRgb8(picture)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pictures_in_a_row_are_read_to_the_end() {
        let mut stream = b"P6\n2 1\n255\nabcdefP6 1 1 255\nxyz".as_slice();
        let sizes =
            std::iter::from_fn(|| frame(&mut stream).unwrap()).map(|picture| picture.width());
        assert_eq!(sizes.collect::<Vec<_>>(), [2, 1]);
        assert!(frame(&mut b"P6\n2 1\n255\nabc".as_slice()).is_err());
        assert!(frame(&mut b"P6\n99999 99999\n255\n".as_slice()).is_err());
    }

    proptest! {
        #[test]
        fn any_output_is_read_without_a_panic(bytes: Vec<u8>, start in prop_oneof![Just(&b""[..]), Just(&b"P6 1 1 255\n"[..])]) {
            let all = [start, &bytes].concat();
            let mut stream = &all[..];
            while let Ok(Some(_)) = frame(&mut stream) {}
        }
    }
}
