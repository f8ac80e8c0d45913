//! Video files, read by the program `ffmpeg`.
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use image::{DynamicImage, RgbImage};

use super::decode::{Taken, USUAL_RATE, problem};
use super::is_video;
use crate::data::ClipSettings;
use crate::data::catalogue::thousands;
use crate::data::fingerprint::Fingerprint;
use crate::formats::regular;
use crate::{Error, Result};

/// The program.
const PROGRAM: &str = "ffmpeg";
/// Frames per second that are read if no rate is given: enough to choose from.
const RATE: f32 = 10.0;
/// Frames that are read at most. Longer films are read at a lower rate, or only their middle is read.
const MOST_FRAMES: usize = 600;
/// The longer side that frames are reduced to.
const LONGEST_SIDE: usize = 480;
/// The most bytes of a frame.
const MOST_BYTES: usize = 3 * LONGEST_SIDE * LONGEST_SIDE;
/// The longest time that reading a file may take.
const TIME: Duration = Duration::from_secs(120);

/// Says once that `ffmpeg` is not installed, if there are video files among the `clips` of a data set.
///
/// # Errors
/// [`Error::DataFile`] about the data at `path`.
pub(crate) fn require<'a>(path: &Path, clips: impl Iterator<Item = &'a Path>) -> Result<()> {
    let count = clips.filter(|clip| is_video(clip)).count();
    if count == 0 || is_installed() {
        return Ok(());
    }
    let files = match count {
        1 => "1 video file".to_owned(),
        many => format!("{} video files", thousands(many)),
    };
    Err(Error::DataFile {
        path: path.to_owned(),
        problem: format!("it holds {files}; {}", missing()),
    })
}

/// As [`require`], for a single clip.
///
/// # Errors
/// [`Error::Clip`] if it is a video file.
pub(crate) fn require_for(clip: &Path) -> Result<()> {
    match is_video(clip) && !is_installed() {
        true => Err(problem(clip, &missing())),
        false => Ok(()),
    }
}

fn missing() -> String {
    format!(
        "video files are read by the program `{PROGRAM}`, which is not installed; install it, or save the clips as animated GIF or WebP, or as folders of numbered frames"
    )
}

/// Whether the program can be started.
fn is_installed() -> bool {
    let started = Command::new(PROGRAM)
        .arg("-version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match started {
        Ok(mut child) => {
            // It has nothing else to do.
            let _ = child.wait();
            true
        }
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

/// Reads `frames` frames of a video file. Of a film whose length it does not say, only the first frames are read, for a minute at the usual rate.
///
/// # Errors
/// [`Error::Clip`] if `ffmpeg` is missing, takes too long, or finds no frames.
pub(super) fn read(path: &Path, settings: ClipSettings, frames: usize) -> Result<Taken> {
    let content = content(path)?;
    let section = Section::of(settings, duration(path)?);
    let rate = section.rate;
    let found = decode(path, section)?;
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
        remark: None,
    })
}

/// What is read of a film.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Section {
    /// Where it begins, in seconds.
    start: f32,
    /// Frames per second.
    rate: f32,
}

impl Section {
    /// The section of a film of this duration that has the frames to choose from: all of it, or its middle if a rate is wanted that takes too many frames.
    fn of(settings: ClipSettings, duration: Option<f32>) -> Self {
        let most = MOST_FRAMES as f32;
        let (start, rate) = match (settings.rate, duration) {
            (Some(rate), duration) => {
                let rate = rate.clamp(0.1, USUAL_RATE * 10.0);
                let start = duration.map_or(0.0, |seconds| (seconds - most / rate) / 2.0);
                (start.max(0.0), rate)
            }
            (None, Some(seconds)) => (0.0, RATE.min(most / seconds)),
            (None, None) => (0.0, RATE),
        };
        Self { start, rate }
    }
}

/// The duration of a film in seconds; `None` if the file does not say it.
///
/// # Errors
/// [`Error::Clip`] if `ffmpeg` is missing.
fn duration(path: &Path) -> Result<Option<f32>> {
    // Without an output the program says what it knows of the input, and ends.
    let mut command = command(path, &[])?;
    command.stdout(Stdio::null());
    let mut child = spawn(path, &mut command)?;
    let mut errors = child
        .stderr
        .take()
        .expect("the errors are a pipe")
        .take(1 << 20);
    let said = in_time(child, move || {
        let mut said = Vec::new();
        let _ = errors.read_to_end(&mut said);
        said
    });
    let said = said.unwrap_or_default();
    Ok(seconds_in(&String::from_utf8_lossy(&said)))
}

/// What `read` makes of the program's output, in a thread of its own; `None` if it takes too long. The program is then ended.
fn in_time<T: Send + 'static>(
    mut child: Child,
    read: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        // The receiver is gone if the time is up.
        let _ = sender.send(read());
    });
    let found = receiver.recv_timeout(TIME);
    // It has ended, or it is too slow, or nobody reads on.
    let _ = child.kill();
    let _ = child.wait();
    found.ok()
}

/// The seconds of `Duration: 00:01:02.50`.
fn seconds_in(said: &str) -> Option<f32> {
    let (_, after) = said.split_once("Duration: ")?;
    let (clock, _) = after.split_once(',')?;
    let mut seconds = 0.0;
    for part in clock.trim().split(':') {
        seconds = 60.0 * seconds + part.parse::<f32>().ok()?;
    }
    Some(seconds).filter(|seconds| *seconds > 0.0 && seconds.is_finite())
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

/// The frames of a section, in colour.
fn decode(path: &Path, section: Section) -> Result<Vec<DynamicImage>> {
    let mut child = start(path, section)?;
    let mut output = child.stdout.take().expect("the output is a pipe");
    let errors = child.stderr.take().expect("the errors are a pipe");
    let errors = std::thread::spawn(move || last_line(errors));
    let found = in_time(child, move || {
        let mut frames = Vec::new();
        loop {
            match frame(&mut output) {
                Ok(Some(frame)) if frames.len() < MOST_FRAMES => frames.push(frame),
                Ok(_) => break Ok(frames),
                Err(error) => break Err(error),
            }
        }
    });
    match found {
        None => Err(problem(
            path,
            &format!("ffmpeg was not done with it in {} s", TIME.as_secs()),
        )),
        Some(Ok(frames)) if !frames.is_empty() => Ok(frames),
        Some(_) => {
            let last = errors.join().unwrap_or_default();
            let last = last.as_deref().unwrap_or("no frames");
            Err(problem(path, &format!("ffmpeg cannot read it ({last})")))
        }
    }
}

/// The last line of what is read to its end: a full pipe would stop the program.
fn last_line(errors: impl Read) -> Option<String> {
    const LONGEST: u64 = 4096;
    let mut errors = BufReader::new(errors);
    let mut last = None;
    loop {
        let mut line = Vec::new();
        let read = (&mut errors).take(LONGEST).read_until(b'\n', &mut line);
        if read.unwrap_or(0) == 0 {
            return last;
        }
        let line = String::from_utf8_lossy(&line).trim().to_owned();
        last = Some(line).filter(|line| !line.is_empty()).or(last);
    }
}

/// The program with this file as its input; `before` are arguments about the input.
fn command(path: &Path, before: &[String]) -> Result<Command> {
    let absolute = std::path::absolute(path).map_err(Error::io("read", path))?;
    // `file:` before an absolute path: it is never taken for an option or for another protocol.
    let mut name = std::ffi::OsString::from("file:");
    name.push(absolute);
    let mut command = Command::new(PROGRAM);
    command
        .args(["-nostdin", "-hide_banner", "-protocol_whitelist", "file"])
        .args(before)
        .arg("-i")
        .arg(name)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    Ok(command)
}

/// Starts the program so that it writes the frames of a section.
fn start(path: &Path, Section { start, rate }: Section) -> Result<Child> {
    let mut before = vec!["-v".to_owned(), "error".to_owned()];
    if start > 0.0 {
        before.extend(["-ss".to_owned(), start.to_string()]);
    }
    let size = format!(
        "fps={rate},scale='min({LONGEST_SIDE},iw)':'min({LONGEST_SIDE},ih)':force_original_aspect_ratio=decrease"
    );
    let mut command = command(path, &before)?;
    command
        .args(["-an", "-sn", "-dn", "-vf", &size])
        .args(["-frames:v", &MOST_FRAMES.to_string()])
        .args(["-pix_fmt", "rgb24", "-c:v", "ppm", "-f", "image2pipe", "-"])
        .stdout(Stdio::piped());
    spawn(path, &mut command)
}

fn spawn(path: &Path, command: &mut Command) -> Result<Child> {
    command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => problem(path, &missing()),
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

    #[test]
    fn long_films_are_read_to_their_end_or_in_their_middle() {
        let said = "Input #0, mov:\n  Duration: 00:02:00.50, start: 0.000000, bitrate: 1 kb/s";
        assert_eq!(seconds_in(said), Some(120.5));
        assert_eq!(seconds_in("  Duration: N/A, start: 0.0"), None);
        let section = |rate, duration| {
            let Section { start, rate } = Section::of(ClipSettings { rate }, duration);
            (start, rate)
        };
        assert_eq!(section(None, Some(30.0)), (0.0, RATE));
        assert_eq!(section(None, Some(120.0)), (0.0, 5.0));
        assert_eq!(section(None, None), (0.0, RATE));
        // 600 frames at 30 per second are 20 seconds: from 50 to 70.
        assert_eq!(section(Some(30.0), Some(120.0)), (50.0, 30.0));
        assert_eq!(section(Some(30.0), Some(15.0)), (0.0, 30.0));
    }

    #[test]
    fn the_last_line_is_kept_of_any_number() {
        let said = "an error\n".repeat(20_000) + "the last one\n\n";
        assert_eq!(last_line(said.as_bytes()).as_deref(), Some("the last one"));
        assert_eq!(last_line(&b""[..]), None);
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
