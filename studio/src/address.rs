//! The address of the page: a port and a token. Both stay the same over a restart in the same folder, so that open pages and links go on to work.
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use hubel::{Error, Result, shown};
use serde::{Deserialize, Serialize};

/// Where the address is kept, below the current folder.
pub(crate) const FOLDER: &str = ".hubel";
const FILE: &str = "studio.json";

/// What is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    port: u16,
    token: String,
}

/// An address that is in use.
pub(crate) struct Address {
    pub(crate) listener: TcpListener,
    pub(crate) port: u16,
    pub(crate) token: String,
    /// What the user should know: the kept port was taken, or the address could not be kept.
    pub(crate) notes: Vec<String>,
}

impl Address {
    /// Listens on 127.0.0.1, on `port` or else on the port of the last time in this folder.
    ///
    /// # Errors
    /// [`Error::Settings`] if `port` is taken; [`Error::Io`] if the system gives no port or no random numbers.
    pub(crate) fn take(folder: &Path, port: Option<u16>) -> Result<Self> {
        let file = folder.join(FOLDER).join(FILE);
        let kept = read(&file);
        let mut notes = Vec::new();
        let listener = match (port, &kept) {
            (Some(port), _) => listen(port).map_err(|error| Error::Settings {
                problem: format!(
                    "cannot listen on port {port}: {error}; name another one, or leave out --port"
                ),
            })?,
            (None, Some(Kept { port, .. })) => match listen(*port) {
                Ok(listener) => listener,
                Err(error) => {
                    notes.push(format!(
                        "port {port} of the last time cannot be used ({error}), so the address has another one"
                    ));
                    any_port(&file)?
                }
            },
            (None, None) => any_port(&file)?,
        };
        let port = listener
            .local_addr()
            .map_err(Error::io("open", &file))?
            .port();
        let token = match kept {
            Some(kept) => kept.token,
            None => new_token().map_err(Error::io("make a token for", &file))?,
        };
        let address = Kept { port, token };
        if let Err(error) = keep(&file, &address) {
            notes.push(format!(
                "cannot write {} ({error}), so the address will be another one next time",
                shown(&file)
            ));
        }
        Ok(Self {
            listener,
            port,
            token: address.token,
            notes,
        })
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

fn any_port(file: &Path) -> Result<TcpListener> {
    listen(0).map_err(Error::io("find a free port for", file))
}

/// 128 random bits in hexadecimal.
fn new_token() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The kept address; `None` if there is none that can be used.
fn read(file: &Path) -> Option<Kept> {
    let kept: Kept = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    let is_token = kept.token.len() == 32 && kept.token.bytes().all(|b| b.is_ascii_hexdigit());
    is_token.then_some(kept)
}

/// Replaces the file. Only its owner may read it.
fn keep(file: &Path, address: &Kept) -> io::Result<()> {
    if read(file).as_ref() == Some(address) {
        return Ok(());
    }
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let beside = folder.join(format!("{FILE}.{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut new = options.open(&beside)?;
    new.write_all(&serde_json::to_vec(address)?)?;
    new.sync_all()?;
    fs::rename(&beside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_and_token_stay_the_same_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let first = Address::take(folder.path(), None).unwrap();
        let (port, token) = (first.port, first.token.clone());
        drop(first);
        let again = Address::take(folder.path(), None).unwrap();
        assert_eq!((again.port, &again.token), (port, &token));
        assert!(again.notes.is_empty());
        // The port is taken now.
        let other = Address::take(folder.path(), None).unwrap();
        assert_ne!(other.port, port);
        assert_eq!(other.token, token);
        assert!(other.notes[0].contains(&port.to_string()));
        assert!(Address::take(folder.path(), Some(port)).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_the_token() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let address = Address::take(folder.path(), None).unwrap();
        assert_eq!(address.token.len(), 32);
        let file = folder.path().join(FOLDER).join(FILE);
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(FOLDER)).unwrap();
        for contents in ["", "{", r#"{"port":1,"token":"short"}"#] {
            fs::write(folder.path().join(FOLDER).join(FILE), contents).unwrap();
            let address = Address::take(folder.path(), None).unwrap();
            assert_eq!(address.token.len(), 32, "{contents}");
        }
    }
}
