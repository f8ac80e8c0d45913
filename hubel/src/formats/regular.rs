//! Opens files that a user names. Pipes and devices are rejected, even if one replaces the file at the last moment.
use std::fs::{self, File, Metadata};
use std::io;
use std::path::Path;

/// Opens the regular file at `path` for reading, following links. It never waits for the writer of a pipe.
///
/// # Errors
/// [`io::ErrorKind::IsADirectory`] for a folder, [`io::ErrorKind::Unsupported`] for a pipe, socket or device; otherwise the system's
/// error.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    // Opening a device may already have an effect: a tape is rewound.
    refuse_others(&fs::metadata(path)?)?;
    open_without_waiting(path)
}

/// As [`open`], even if something has replaced the file since its kind was checked.
fn open_without_waiting(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        libc::O_NONBLOCK | libc::O_NOCTTY,
    );
    let file = options.open(path)?;
    refuse_others(&file.metadata()?)?;
    Ok(file)
}

fn refuse_others(metadata: &Metadata) -> io::Result<()> {
    let (kind, problem) = match metadata {
        metadata if metadata.is_file() => return Ok(()),
        metadata if metadata.is_dir() => (io::ErrorKind::IsADirectory, "it is a folder"),
        _ => (
            io::ErrorKind::Unsupported,
            "it is a pipe, a socket or a device; only files can be read",
        ),
    };
    Err(io::Error::new(kind, problem))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::data::tests::pipe;

    #[test]
    fn only_files_and_links_to_files_are_opened() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), b"bytes")?;
        pipe(&at("pipe"));
        for target in ["file", "pipe", "nothing"] {
            std::os::unix::fs::symlink(at(target), at(&format!("link-to-{target}")))?;
        }
        assert!(open(&at("file")).is_ok() && open(&at("link-to-file")).is_ok());
        for (name, kind) in [
            (".", io::ErrorKind::IsADirectory),
            ("pipe", io::ErrorKind::Unsupported),
            ("link-to-pipe", io::ErrorKind::Unsupported),
            ("/dev/zero", io::ErrorKind::Unsupported),
            ("link-to-nothing", io::ErrorKind::NotFound),
        ] {
            assert_eq!(open(&at(name)).expect_err(name).kind(), kind, "{name}");
        }
        Ok(())
    }

    #[test]
    fn a_pipe_that_has_replaced_a_file_is_refused_without_waiting() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("pipe");
        pipe(&path);
        let error = open_without_waiting(&path).expect_err("nobody writes to it");
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        Ok(())
    }
}
