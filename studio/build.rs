//! Compresses the files of `assets/` and lists them with their hashes, for `include!` in `src/assets.rs`.
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::{env, fs, io};

use flate2::{Compression, GzBuilder};
use twox_hash::XxHash3_64;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=assets");
    println!("cargo::rerun-if-changed=build.rs");
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    let out = Path::new(&out);
    let mut names: Vec<String> = fs::read_dir("assets")?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()?;
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    let mut table = String::from("&[\n");
    // The browser asks for all modules at once, not for each when the one before it is read.
    let preloads: String = (names.iter())
        .filter(|name| name.ends_with(".js"))
        .map(|name| format!("<link rel=\"modulepreload\" href=\"/assets/{name}\">\n"))
        .collect();
    for name in names {
        let mut contents = fs::read(Path::new("assets").join(&name))?;
        if name == "index.html" {
            let page = String::from_utf8(contents).map_err(io::Error::other)?;
            contents = page
                .replace("</head>", &format!("{preloads}</head>"))
                .into_bytes();
        }
        let hash = XxHash3_64::oneshot(&contents);
        let compressed = out.join(format!("{name}.gz"));
        // Without a time in its header, the same file becomes the same bytes.
        let mut writer =
            GzBuilder::new().write(fs::File::create(&compressed)?, Compression::best());
        writer.write_all(&contents)?;
        writer.finish()?;
        let row = writeln!(
            table,
            "Asset {{ name: {name:?}, hash: {hash:#018x}, compressed: include_bytes!({compressed:?}) }},"
        );
        row.expect("a String takes all");
    }
    table += "]\n";
    fs::write(out.join("assets.rs"), table)
}
