//! Picture files for tests.
use std::fs;
use std::path::Path;

/// Writes class folders of ten pictures each.
pub(crate) fn write(root: &Path) {
    for (class, ink) in [("dark", 10), ("light", 200)] {
        fs::create_dir_all(root.join(class)).expect("a folder");
        for number in 0..10 {
            let file = root.join(class).join(format!("{number}.pgm"));
            let picture = [b"P5 2 2 255\n", &[ink, number, 90, ink + number][..]].concat();
            fs::write(file, picture).expect("a picture");
        }
    }
}
