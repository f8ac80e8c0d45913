//! CIFAR's binary files, NumPy's `.npz`, and IDX compressed by gzip.
use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;

use super::bad_bytes::idx_bytes;
use super::catalogue::Found;
use super::*;

/// An array as NumPy writes it.
pub(super) fn npy(kind: &str, sizes: &str, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({sizes}), }}\n");
    let mut array = b"\x93NUMPY\x01\x00".to_vec();
    array.extend((header.len() as u16).to_le_bytes());
    array.extend(header.as_bytes());
    array.extend(bytes);
    array
}

/// Arrays in a file like that of `numpy.savez` or `numpy.savez_compressed`.
pub(super) fn npz(arrays: &[(&str, Vec<u8>)], compressed: bool) -> Vec<u8> {
    let method = if compressed {
        zip::CompressionMethod::Deflated
    } else {
        zip::CompressionMethod::Stored
    };
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        let options = SimpleFileOptions::default().compression_method(method);
        archive.start_file(format!("{name}.npy"), options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// Four grey training pictures of 2×3, and two test pictures.
pub(super) fn small_npz(compressed: bool) -> Vec<u8> {
    npz(
        &[
            (
                "train_images",
                npy("|u1", "4, 2, 3", &(0..24).collect::<Vec<u8>>()),
            ),
            ("train_labels", npy("|u1", "4, 1", &[0, 1, 2, 1])),
            ("test_images", npy("|u1", "2, 2, 3", &[7; 12])),
            (
                "test_labels",
                npy("<i8", "2,", &[&[3u8][..], &[0; 15]].concat()),
            ),
        ],
        compressed,
    )
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn refused(path: &Path) -> String {
    find(path).expect_err("it is wrong").to_string()
}

/// Records of CIFAR whose planes have the values 1, 2 and 3 times `label + 1`.
pub(super) fn cifar(labels: &[u8], coarse: &[u8]) -> Vec<u8> {
    let record = |&label: &u8| {
        let planes = [1, 2, 3].map(|factor| [(label + 1).wrapping_mul(factor); 1024]);
        [coarse, &[label], planes.concat().as_slice()].concat()
    };
    labels.iter().flat_map(record).collect()
}

#[test]
fn the_files_of_cifar_10_are_found_with_the_names_of_their_classes() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("data_batch_1.bin", &cifar(&[3, 0], &[]));
    write("data_batch_2.bin", &cifar(&[9], &[]));
    write("test_batch.bin", &cifar(&[5, 5], &[]));
    let splits = open(folder.path())?;
    assert_eq!(
        splits.description,
        "CIFAR-10 files, 10 classes, 3 + 2 images of 32×32×3"
    );
    assert_eq!(splits.train.labels(), [3, 0, 9]);
    assert_eq!(splits.train.classes()[3], "cat");
    assert_eq!(splits.train.bytes(2)?.unwrap(), [10, 20, 30].repeat(1024));

    write("batches.meta.txt", b"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
    assert_eq!(open(folder.path())?.test.unwrap().classes()[9], "j");
    write("batches.meta.txt", b"a\nb\nc\n");
    let text = refused(folder.path());
    assert!(
        text.contains("picture 0 (at byte 0) has the label 3, but there are only 3 classes"),
        "{text}"
    );
    write("batches.meta.txt", b"");
    assert!(refused(folder.path()).contains("only 0 classes"));
    std::fs::remove_file(folder.path().join("batches.meta.txt")).unwrap();
    write("data_batch_2.bin", &cifar(&[9, 10], &[]));
    assert!(refused(folder.path()).contains("picture 1 (at byte 3073) has the label 10"));
    write("data_batch_2.bin", &cifar(&[9], &[])[..3000]);
    let text = refused(folder.path());
    assert!(
        text.contains("data_batch_2.bin")
            && text.contains("it has 3000 bytes, not a multiple of 3073"),
        "{text}"
    );
    for batch in ["data_batch_1.bin", "data_batch_2.bin"] {
        std::fs::remove_file(folder.path().join(batch)).unwrap();
    }
    assert!(refused(folder.path()).contains("training files"));
    Ok(())
}

#[test]
fn cifar_100_is_read_with_its_fine_labels() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("train.bin", &cifar(&[99, 2], &[7]));
    write("test.bin", &cifar(&[50], &[7]));
    write("coarse_label_names.txt", b"x\ny\n");
    write(
        "fine_label_names.txt",
        (0..100)
            .map(|class| format!("class {class}\n"))
            .collect::<String>()
            .as_bytes(),
    );
    let Found::Arrays(splits) = find(folder.path())? else {
        panic!("these are arrays");
    };
    assert_eq!(
        splits.description,
        "CIFAR-100 files, 100 classes, 2 + 1 images of 32×32×3"
    );
    assert_eq!(splits.train.labels(), [99, 2]);
    assert_eq!(splits.test.unwrap().classes()[50], "class 50");
    assert_eq!(splits.train.bytes(1)?.unwrap()[..3], [3, 6, 9]);
    Ok(())
}

#[test]
fn what_numpy_saved_in_the_layout_of_medmnist_is_read() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/medmnist_layout.npz");
    let splits = open(&path)?;
    assert_eq!(
        splits.description,
        "NumPy arrays, 3 classes, 5 + 2 + 3 images of 4×4×3 (training + validation + test)"
    );
    let (validation, test) = (splits.validation.unwrap(), splits.test.unwrap());
    assert_eq!(splits.train.labels(), [0, 1, 2, 0, 1]);
    assert_eq!(
        (validation.labels(), test.labels()),
        (&[0, 1][..], &[0, 1, 2][..])
    );
    // As `pictures.py` printed them.
    assert_eq!(splits.train.bytes(1)?.unwrap()[..3], [123, 9, 129]);
    assert_eq!(test.bytes(2)?.unwrap()[45..], [21, 241, 109]);
    assert_eq!(validation.bytes(1)?.unwrap()[3..6], [6, 80, 181]);
    Ok(())
}

#[test]
fn arrays_are_read_plain_or_compressed_and_by_the_names_of_keras() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.npz");
    for compressed in [false, true] {
        std::fs::write(&path, small_npz(compressed)).unwrap();
        // The only file of a folder is found by the folder.
        let splits = open(folder.path())?;
        assert_eq!(
            splits.description,
            "NumPy arrays, 4 classes, 4 + 2 images of 2×3×1"
        );
        assert_eq!(splits.train.bytes(1)?.unwrap()[..], [6, 7, 8, 9, 10, 11]);
        assert_eq!(splits.test.unwrap().labels(), [3, 0]);
    }
    let keras = [
        ("x_train", npy("|u1", "2, 2, 3", &[1; 12])),
        ("y_train", npy("|u1", "2,", &[0, 1])),
    ];
    std::fs::write(&path, npz(&keras, true)).unwrap();
    assert_eq!(open(&path)?.train.labels(), [0, 1]);
    Ok(())
}

#[test]
fn what_is_wrong_with_arrays_is_said_with_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wrong.npz");
    let (images, labels) = (
        || npy("|u1", "2, 2, 3", &[1; 12]),
        || npy("|u1", "2, 1", &[0, 1]),
    );
    let of = |images: Vec<u8>, labels: Vec<u8>| {
        npz(&[("train_images", images), ("train_labels", labels)], true)
    };
    let small = small_npz(true);
    for (bytes, expected) in [
        (b"no zip at all".to_vec(), "no complete ZIP archive"),
        (small[..small.len() / 2].to_vec(), "no complete ZIP archive"),
        (
            npz(&[("arr_0", images())], true),
            "it holds arr_0.npy; pictures and labels are expected as train_images",
        ),
        (
            npz(&[("images", images())], true),
            "labels: this array is missing, the labels of `images`",
        ),
        (
            npz(
                &[
                    ("x_train", images()),
                    ("train_images", images()),
                    ("y_train", labels()),
                ],
                true,
            ),
            "`train_images` and `x_train` both contain training images",
        ),
        (
            npz(&[("train_images", images())], true),
            "train_labels: this array is missing",
        ),
        (
            of(b"no array at all".to_vec(), labels()),
            "train_images: it does not begin as a NumPy array",
        ),
        (
            of(npy("|u1", "2, 2, 4", &[1; 12]), labels()),
            "train_images: its header gives 16 bytes, but there are 12",
        ),
        (
            of(npy("|u1", "2, 2, 2", &[1; 12]), labels()),
            "more bytes than the 8 in its header",
        ),
        (
            of(npy("<f4", "2, 1, 1", &[0, 0, 192, 127].repeat(2)), labels()),
            "train_images: picture 0 holds NaN",
        ),
        (
            of(npy("<u2", "2, 1, 1", &[0xa0, 0x0f, 0, 0]), labels()),
            "`(a / 4095).astype(numpy.float32)`",
        ),
        (
            of(npy("<c8", "2, 1, 1", &[0; 16]), labels()),
            "elements are of the type `<c8`",
        ),
        (of(npy("|O", "2,", &[0; 90]), labels()), "Python objects"),
        (
            of(images(), npy("|O", "2,", &[0; 90])),
            "train_labels: its elements are Python objects, which only Python can read; save labels after `.astype(str)`",
        ),
        (
            of(npy("|u1", "2, 3, 1, 2", &[1; 12]), labels()),
            "numpy.moveaxis",
        ),
        (
            of(
                npy("|u1", "2, 2, 3, 1", &[1; 12]),
                npy("|u1", "3, 1", &[0, 1, 1]),
            ),
            "2 pictures and 3 labels",
        ),
        (
            of(npy("|u1", "2, 2, 1, 2", &[1; 8]), labels()),
            "volumes are not supported",
        ),
        (
            of(npy("|u1", "12,", &[1; 12]), labels()),
            "sizes [12]; [count, height, width]",
        ),
        (
            of(images(), npy("|u1", "2, 3", &[0; 6])),
            "each picture has 3 labels",
        ),
        (
            of(images(), npy("|u1", "2, 3", &[0, 1, 0, 1, 0, 0])),
            "one-hot (sizes [2, 3]): save the number of each picture's class instead, `labels.argmax(axis=1)`",
        ),
        (
            of(
                images(),
                npy("<f4", "2, 1", &0.5f32.to_le_bytes().repeat(2)),
            ),
            "a label is 0.5",
        ),
        (
            of(images(), npy("<U1", "2,", &[97, 0, 0, 0, 0, 0, 0, 0])),
            "picture 1 has an empty label",
        ),
        (
            of(images(), npy("|u1", "2, 1", &[0, 0])),
            "at least two classes",
        ),
        // A header of 4 TB in a file of some hundred bytes, and one that overflows.
        (
            of(npy("|u1", "2000000, 1000, 2000", &[1; 12]), labels()),
            "GB of memory",
        ),
        (
            of(npy("|u1", "20000, 10, 20", &[1; 12]), labels()),
            "compressed bytes cannot contain",
        ),
        (
            of(npy("|u1", "99999999999, 99999999999", &[1; 12]), labels()),
            "larger than any memory",
        ),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let text = refused(&path);
        assert!(text.contains(expected), "expected `{expected}` in: {text}");
    }
}

#[test]
fn idx_files_may_be_compressed() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let images = idx_bytes(&[3, 2, 2], &[9; 12]);
    write("train-images-idx3-ubyte.gz", &gzip(&images));
    write("train-labels-idx1-ubyte", &idx_bytes(&[3], &[0, 1, 2]));
    write("t10k-images-idx3-ubyte", &idx_bytes(&[2, 2, 2], &[8; 8]));
    write(
        "t10k-labels-idx1-ubyte.gz",
        &gzip(&idx_bytes(&[2], &[1, 0])),
    );
    for path in [
        folder.path().to_owned(),
        folder.path().join("train-images-idx3-ubyte.gz"),
    ] {
        assert_eq!(
            open(&path)?.description,
            "IDX files, 3 classes, 3 + 2 images of 2×2×1"
        );
    }
    // An unpacked copy of the same file is no second data set.
    write("train-images-idx3-ubyte", &images);
    assert_eq!(open(folder.path())?.train.len(), 3);
    write("letters-train-images-idx3-ubyte", &images);
    let text = refused(folder.path());
    assert!(
        text.contains("several IDX data sets") && text.contains("letters-train-images"),
        "{text}"
    );

    let parse = |bytes: Vec<u8>| {
        idx::parse(bytes, Path::new("x.gz"))
            .map(|idx| idx.values)
            .map_err(|error| error.to_string())
    };
    let packed = gzip(&images);
    assert_eq!(parse(packed.clone()), Ok(vec![9; 12]));
    let mut wrong_sum = packed.clone();
    *wrong_sum.iter_mut().nth_back(5).unwrap() ^= 1;
    for (bytes, expected) in [
        (packed[..packed.len() - 9].to_vec(), "damaged"),
        (packed[..12].to_vec(), "damaged or ends early"),
        (wrong_sum, "damaged"),
        (gzip(&images[..20]), "gives 12 bytes, but there are 4"),
        (
            gzip(&[&images[..], &[1]].concat()),
            "more bytes than the 12",
        ),
        (gzip(b"ustar, not idx"), "magic number is 0x75737461"),
        (gzip(&images[..9]), "header alone takes 16"),
        (
            gzip(&idx_bytes(&[5000, 200, 1], &[1])),
            "compressed bytes cannot contain",
        ),
        (gzip(&idx_bytes(&[u32::MAX; 4], &[1])), "truncated"),
    ] {
        let text = parse(bytes).unwrap_err();
        assert!(text.contains(expected), "expected `{expected}` in: {text}");
    }
    Ok(())
}

#[test]
fn arrays_keep_their_size_and_remember_how_pictures_are_resized() -> Result<()> {
    let options = |shape| Options {
        resize: Resize::Stretch,
        shape,
        ..WHOLE
    };
    let splits = open_with("mnist", &options(None), &|_, _| ())?;
    let preparation = Preparation::measure(&splits.train)?;
    assert_eq!(preparation.resize, Resize::Stretch);
    let shape = Some(Shape::new(32, 32, 1));
    let error = open_with("mnist", &options(shape), &|_, _| ()).expect_err("arrays keep theirs");
    let text = error.to_string();
    assert!(
        text.contains("holds arrays of 28×28×1") && text.contains("Options::shape"),
        "{text}"
    );
    Ok(())
}
