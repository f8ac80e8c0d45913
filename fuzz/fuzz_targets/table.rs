#![no_main]
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use hubel::fuzzing::{self, seeds};

/// The path of a table in a folder with the pictures that the seeds name.
static TABLE: OnceLock<PathBuf> = OnceLock::new();

fn prepare() {
    hubel_fuzz::plant("table", seeds::table());
    let folder = std::env::temp_dir().join("hubel-fuzz-table");
    for name in seeds::pictures() {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, b"").expect("a file");
    }
    TABLE.get_or_init(|| folder.join("table.csv"));
}

libfuzzer_sys::fuzz_target!(init: prepare(), |bytes: &[u8]| {
    fuzzing::table(bytes, TABLE.get().expect("it is prepared"));
});
