use super::*;

/// A folder with the pictures that the tables of the seeds name; their contents do not matter.
fn pictures() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in seeds::pictures() {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"").unwrap();
    }
    folder
}

#[test]
fn every_seed_is_data() {
    let folder = pictures();
    let table = |bytes: &[u8]| table(bytes, &folder.path().join("table.csv"));
    let text = |bytes: &[u8]| architecture(std::str::from_utf8(bytes).unwrap());
    type Target<'a> = (&'static str, Vec<Vec<u8>>, &'a dyn Fn(&[u8]) -> bool);
    let targets: [Target; 11] = [
        ("model", seeds::model(), &model),
        ("state", seeds::state(), &state),
        ("weights", seeds::weights(), &weights),
        ("onnx", seeds::onnx(), &onnx),
        ("architecture", seeds::architecture(), &text),
        ("idx", seeds::idx(), &idx),
        ("cifar", seeds::cifar(), &cifar),
        ("npz", seeds::npz(), &npz),
        ("table", seeds::table(), &table),
        ("corrections", seeds::corrections(), &corrections),
        ("picture", seeds::picture(), &picture),
    ];
    for (name, seeds, takes) in targets {
        for (i, seed) in seeds.iter().enumerate() {
            assert!(takes(seed), "seed {i} of {name}");
            // A seed that is cut off anywhere gives an error or data, and never a panic.
            for length in (0..seed.len()).step_by(1 + seed.len() / 100) {
                takes(&seed[..length]);
            }
        }
    }
}
