//! Free memory.
use std::fs;
use std::path::Path;

use crate::{Error, Result};

/// Checks that `needed` bytes are free, for steps of `batch` images.
///
/// # Errors
/// [`Error::Memory`]
pub(crate) fn check(needed: usize, batch: usize) -> Result<()> {
    fits(needed).map_err(|available| Error::Memory {
        needed,
        available,
        batch,
    })
}

/// Checks that `needed` bytes for a network's weights are free.
///
/// # Errors
/// [`Error::Weights`]
pub(crate) fn check_weights(needed: usize) -> Result<()> {
    fits(needed).map_err(|available| Error::Weights { needed, available })
}

/// Checks that this many bytes are free, or, if the system does not say, that they can be addressed. The error is the number of free bytes.
fn fits(needed: usize) -> std::result::Result<(), usize> {
    let available = available().unwrap_or(isize::MAX as usize);
    if needed > available {
        return Err(available);
    }
    Ok(())
}

/// Free bytes on Linux: those that the system reports, or the rest of a container's limit if that is less. `None` on other systems.
pub(crate) fn available() -> Option<usize> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("MemAvailable:"))?;
    let kilobytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    let free = kilobytes.checked_mul(1024)?;
    Some(free.min(left_of_limits().unwrap_or(usize::MAX)))
}

/// The smallest rest of the limits of this process's control groups (version 2).
fn left_of_limits() -> Option<usize> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let folders = Path::new(group).ancestors();
    folders
        .filter_map(|folder| left_of_limit(&Path::new("/sys/fs/cgroup").join(folder)))
        .min()
}

/// The rest of the limit of the control group at `folder`. Cached file contents count as free.
fn left_of_limit(folder: &Path) -> Option<usize> {
    let number = |name: &str| -> Option<usize> {
        let text = fs::read_to_string(folder.join(name)).ok()?;
        text.trim().parse().ok()
    };
    let (limit, used) = (number("memory.max")?, number("memory.current")?);
    let statistics = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let of_files: usize = statistics
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(name, _)| ["active_file", "inactive_file"].contains(name))
        .filter_map(|(_, bytes)| bytes.parse::<usize>().ok())
        .sum();
    Some(limit.saturating_sub(used.saturating_sub(of_files)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_leaves_what_is_not_used_but_for_files() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        assert_eq!(left_of_limit(folder.path()), None);
        write("memory.max", "max\n");
        write("memory.current", "700\n");
        assert_eq!(left_of_limit(folder.path()), None);
        write("memory.max", "1000\n");
        assert_eq!(left_of_limit(folder.path()), Some(300));
        write(
            "memory.stat",
            "anon 500\nactive_file 20\ninactive_file 150\n",
        );
        assert_eq!(left_of_limit(folder.path()), Some(470));
        write("memory.current", "1200\n");
        write("memory.stat", "");
        assert_eq!(left_of_limit(folder.path()), Some(0));
    }
}
