//! The format since PyTorch 1.6: an uncompressed ZIP archive with a pickle and one file per storage.
use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::pickle::{self, Fault};
use super::{Contents, LARGEST_PICKLE, Record, bytes_of};
use crate::formats::stop::{Stop, problem};
use crate::{listed, one_line};

const PICKLE: &str = "data.pkl";

/// The description of the archive's tensors.
pub(super) fn open(file: &mut (impl Read + Seek), size: u64) -> Result<Contents, Stop> {
    let parts = parts(file)?;
    let Some(folder) = folder(parts.keys()) else {
        return problem(no_tensors(&parts));
    };
    // A file of torch.jit.save also contains constants and code.
    if parts.contains_key(&format!("{folder}constants.pkl")) {
        return problem(format!(
            "it is a program of torch.jit.save: it contains code, which was not run; {}",
            pickle::WAY_OUT
        ));
    }
    let mut small = |name: &str| match parts.get(&format!("{folder}{name}")) {
        Some(part) if part.bytes > LARGEST_PICKLE => problem(format!(
            "its `{name}` has {} bytes, more than that of any network; {}",
            part.bytes,
            pickle::WAY_OUT
        )),
        Some(part) => bytes_of(file, part.record(name, size)?),
        None => Ok(Vec::new()),
    };
    if small("byteorder")? == b"big" {
        return problem(super::BIG_ENDIAN);
    }
    let pickle = pickle::read(&mut &small(PICKLE)?[..]).map_err(Fault::text)?;
    let folder = format!("{folder}data/");
    let storages =
        (parts.iter()).filter_map(|(name, part)| Some((name.strip_prefix(&folder)?, part)));
    let records = storages.map(|(key, part)| Ok((key.to_owned(), part.record(key, size)?)));
    Ok(Contents {
        pickle,
        records: records.collect::<Result<_, Stop>>()?,
    })
}

/// A file of the archive.
struct Part {
    start: Option<u64>,
    bytes: u64,
    checksum: u32,
    is_plain: bool,
}

impl Part {
    /// The position of its bytes in the archive of `size` bytes.
    fn record(&self, name: &str, size: u64) -> Result<Record, String> {
        let end = self.start.and_then(|start| start.checked_add(self.bytes));
        match (self.start, end) {
            _ if !self.is_plain => Err(format!(
                "its part `{}` is compressed or encrypted, which torch.save never does; in Python, torch.save(torch.load(path), path) writes it again",
                one_line(name)
            )),
            (Some(start), Some(end)) if end <= size => Ok(Record {
                start,
                bytes: self.bytes,
                // PyTorch has a setting that leaves it out.
                checksum: Some(self.checksum).filter(|checksum| *checksum != 0),
            }),
            _ => Err(format!(
                "its part `{}` reaches beyond its end: it is truncated or damaged; copy or download it again",
                one_line(name)
            )),
        }
    }
}

/// The files of the archive, by name.
fn parts(file: &mut (impl Read + Seek)) -> Result<HashMap<String, Part>, Stop> {
    file.seek(SeekFrom::Start(0))?;
    let damaged = |error: ZipError| {
        Stop::Problem(format!(
            "it is no complete ZIP archive, as torch.save writes ({error}): it is truncated or damaged; copy or download it again"
        ))
    };
    let mut archive = ZipArchive::new(file).map_err(damaged)?;
    let mut parts = HashMap::new();
    for place in 0..archive.len() {
        let entry = archive.by_index_raw(place).map_err(damaged)?;
        let part = Part {
            start: entry.data_start(),
            bytes: entry.size(),
            checksum: entry.crc32(),
            is_plain: entry.compression() == CompressionMethod::Stored && !entry.encrypted(),
        };
        parts.insert(entry.name().map_err(damaged)?.into_owned(), part);
    }
    Ok(parts)
}

/// The folder in the archive with the pickle; it has the original name of the file.
fn folder<'a>(names: impl Iterator<Item = &'a String>) -> Option<String> {
    let folders = names.filter_map(|name| name.strip_suffix(PICKLE));
    // The pickle with the fewest parent folders, and the first by name.
    let folders = folders.filter(|folder| folder.is_empty() || folder.ends_with('/'));
    let nearest = folders.min_by_key(|folder| (folder.matches('/').count(), *folder));
    nearest.map(str::to_owned)
}

fn no_tensors(parts: &HashMap<String, Part>) -> String {
    let mut names: Vec<&str> = parts.keys().map(String::as_str).collect();
    names.sort_unstable();
    format!(
        "it is a ZIP archive, but not of torch.save: it has no `{PICKLE}`, but {}",
        match names.is_empty() {
            true => "nothing".to_owned(),
            false => one_line(&listed(names)).into_owned(),
        }
    )
}
