//! The preparation of the targets before their first input.
use std::fs;
use std::path::Path;

/// Writes `seeds` into the corpus of `target`, where libFuzzer finds them.
pub fn plant(target: &str, seeds: Vec<Vec<u8>>) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    fs::create_dir_all(&corpus).expect("the corpus's folder");
    for (i, seed) in seeds.into_iter().enumerate() {
        fs::write(corpus.join(format!("seed-{i}")), seed).expect("a file of the corpus");
    }
}
