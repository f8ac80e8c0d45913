use super::*;
use crate::fuzzing::torch_file::{self, Storage, archive_of, legacy_of, text};
use proptest::prelude::*;
use std::io::Cursor;
use zip::CompressionMethod;

const ARCHIVE: &[u8] = include_bytes!("../../../tests/fixtures/weights/archive.pth");
const PROTOCOL4: &[u8] = include_bytes!("../../../tests/fixtures/weights/protocol4.pth");
const LEGACY: &[u8] = include_bytes!("../../../tests/fixtures/weights/legacy.pth");
const CHECKPOINT: &[u8] = include_bytes!("../../../tests/fixtures/weights/checkpoint.pth");
const CODE: &[u8] = include_bytes!("../../../tests/fixtures/weights/code.pth");
const WITHOUT_CHECKSUMS: &[u8] =
    include_bytes!("../../../tests/fixtures/weights/without_checksums.pth");

/// The tensors of a file that `wanted` names, or all if it is empty.
fn read(bytes: &[u8], wanted: &[&str]) -> Result<BTreeMap<String, NamedTensor>, String> {
    let form = Form::of(bytes).ok_or("no file of torch.save")?;
    let choose = |outline: &[(&str, Vec<usize>)]| {
        let names = outline.iter().map(|(name, _)| *name);
        let chosen = names.filter(|name| wanted.is_empty() || wanted.contains(name));
        Ok(chosen.map(str::to_owned).collect())
    };
    let path = Path::new("some.pth");
    match read_some(
        &mut Cursor::new(bytes),
        bytes.len() as u64,
        form,
        path,
        choose,
    ) {
        Ok(tensors) => {
            let named = tensors
                .into_iter()
                .map(|tensor| (tensor.name.clone(), tensor));
            Ok(named.collect())
        }
        Err(Error::ForeignWeights { path: at, problem }) => {
            assert_eq!(at, path);
            Err(problem)
        }
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
fn assert_problem(bytes: &[u8], part: &str) {
    let problem = read(bytes, &[]).expect_err(part);
    assert!(problem.contains(part), "{problem}");
}

fn quarters(numbers: impl IntoIterator<Item = usize>) -> Vec<f32> {
    let numbers = numbers.into_iter().map(|number| number as f32 / 4.0);
    numbers.collect()
}

#[test]
fn files_of_pytorch_are_read_in_all_forms() {
    let expected: [(&str, &[usize], Vec<f32>); 10] = [
        ("whole", &[2, 3, 4], quarters(0..24)),
        ("shared", &[24], quarters(0..24)),
        (
            "transposed",
            &[6, 4],
            quarters((0..6).flat_map(|i| [i, i + 6, i + 12, i + 18])),
        ),
        ("sliced", &[2, 3], quarters([6, 8, 10, 12, 14, 16])),
        ("parameter", &[5], quarters(0..5)),
        ("half", &[3], quarters(0..3)),
        ("bfloat16", &[3], quarters(0..3)),
        ("double", &[3], quarters(0..3)),
        ("scalar", &[], vec![2.5]),
        ("empty", &[0, 3], vec![]),
    ];
    let wanted: Vec<&str> = expected.iter().map(|(name, ..)| *name).collect();
    for file in [ARCHIVE, PROTOCOL4, LEGACY, CHECKPOINT] {
        let found = read(file, &wanted).unwrap();
        assert_eq!(found.len(), expected.len());
        for (name, shape, data) in &expected {
            let tensor = &found[*name];
            assert_eq!((&tensor.shape[..], &tensor.data), (*shape, data), "{name}");
        }
    }
    assert_eq!(
        read(WITHOUT_CHECKSUMS, &[]).unwrap()["whole"].data,
        quarters(0..24)
    );
}

#[test]
fn a_needed_tensor_of_other_elements_is_refused_by_name() {
    for (name, kind) in [
        ("whole_numbers", "int32"),
        ("float8", "float8_e4m3fn"),
        ("bn.num_batches_tracked", "int64"),
    ] {
        let problem = read(ARCHIVE, &[name]).unwrap_err();
        assert!(
            problem.contains(&format!("`{name}` is {kind}")),
            "{problem}"
        );
    }
}

#[test]
fn code_is_named_and_not_run() {
    assert_problem(CODE, "`torch.nn.modules.linear.Linear`");
    assert_problem(CODE, "torch.save(model.state_dict(), path)");
    // `os.system` is not called: its name alone is an error.
    let pickle = b"\x80\x02cos\nsystem\nX\x09\x00\x00\x00touch /x\x0a\x85R.";
    assert_problem(
        &legacy_of(&[pickle]),
        "code: a Python object that `os.system`",
    );
    let parts = [("data.pkl".to_owned(), &pickle[..])];
    assert_problem(
        &archive_of(&parts, CompressionMethod::Stored),
        "`os.system`",
    );
    let program = [
        ("data.pkl".to_owned(), &b"\x80\x02}."[..]),
        ("constants.pkl".to_owned(), b""),
    ];
    assert_problem(
        &archive_of(&program, CompressionMethod::Stored),
        "torch.jit.save",
    );
}

/// A file of each format with the values 0 to 5, declared as `count` values, and `tensor` on them.
fn files_with(tensor: torch_file::Tensor, count: usize) -> [Vec<u8>; 2] {
    let mut storage = Storage::floats(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    storage.count = count;
    let (tensors, storages) = ([tensor], [storage]);
    [
        torch_file::archive(&tensors, &storages),
        torch_file::legacy(&tensors, &storages),
    ]
}

#[test]
fn a_tensor_that_reaches_beyond_its_storage_is_refused() {
    let plain = || torch_file::Tensor::plain("a", 0, &[2, 3]);
    let strided = |shape: &[usize], strides: &[usize], offset| torch_file::Tensor {
        shape: shape.into(),
        strides: strides.into(),
        offset,
        ..plain()
    };
    for file in files_with(plain(), 6) {
        assert_eq!(
            read(&file, &[]).unwrap()["a"].data,
            [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
        );
    }
    // The stride of an axis with one element has no meaning, nor have strides of an empty tensor.
    for file in files_with(strided(&[1, 2], &[usize::MAX, 3], 1), 6) {
        assert_eq!(read(&file, &[]).unwrap()["a"].data, [1.0, 4.0]);
    }
    for file in files_with(
        strided(&[0, usize::MAX, 2], &[usize::MAX; 3], usize::MAX),
        6,
    ) {
        assert!(read(&file, &[]).unwrap()["a"].data.is_empty());
    }
    for (tensor, part) in [
        (
            strided(&[2, 3], &[3, 1], 1),
            "reaches beyond the 6 elements",
        ),
        (strided(&[7], &[1], 0), "reaches beyond"),
        (strided(&[2], &[6], 0), "reaches beyond"),
        (strided(&[2], &[usize::MAX], 0), "reaches beyond"),
        (strided(&[1], &[1], usize::MAX), "reaches beyond"),
        (strided(&[usize::MAX, 2], &[1, 1], 0), "reaches beyond"),
        (strided(&[usize::MAX], &[0], 0), "repeats 6 elements"),
        (strided(&[7], &[0], 0), "repeats 6 elements"),
        (strided(&[2], &[1, 1], 0), "contradicts itself"),
        (strided(&[1; 9], &[1; 9], 0), "contradicts itself"),
    ] {
        for file in files_with(tensor, 6) {
            assert_problem(&file, part);
        }
    }
    for count in [5, 7, usize::MAX] {
        let [archive, legacy] = files_with(strided(&[1], &[1], 0), count);
        assert_problem(&archive, "there are 24 bytes");
        match count {
            5 => assert!(read(&legacy, &[]).is_ok()),
            _ => assert_problem(&legacy, "truncated"),
        }
    }
}

#[test]
fn damage_is_said() {
    let tensors = [torch_file::Tensor::plain("a", 0, &[3])];
    let storages = [Storage::floats(&[1.0, 2.0, 3.0])];
    let archive = torch_file::archive(&tensors, &storages);
    let numbers = (archive.windows(12))
        .position(|window| window == &storages[0].bytes[..])
        .unwrap();
    let mut flipped = archive.clone();
    flipped[numbers] ^= 1;
    assert_problem(&flipped, "checksum");
    assert_problem(&archive[..archive.len() - 1], "truncated");
    let legacy = torch_file::legacy(&tensors, &storages);
    assert_problem(&legacy[..legacy.len() - 1], "truncated");
    assert_problem(&legacy[..legacy.len() - 30], "truncated");
    let mut other = legacy.clone();
    let count = legacy.len() - 12 - 8;
    other[count] = 2;
    assert_problem(&other, "2 elements, and its tensors were written for 3");
    assert_problem(
        &torch_file::archive(&tensors, &storages[..1]).repeat(1)[..100],
        "ZIP",
    );
    // The same tensor without its storage.
    let pickle = legacy_of(&[b"\x80\x02}.", b"\x80\x02](X\x01\x00\x00\x000e."]);
    assert_problem(&pickle, "not that of its tensors");
}

#[test]
fn other_files_are_told_apart() {
    let empty = ("a".to_owned(), &b""[..]);
    let stored = CompressionMethod::Stored;
    assert_problem(&archive_of(&[empty], stored), "no `data.pkl`, but some/a");
    assert_problem(
        b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        "but nothing",
    );
    let compressed = ("data.pkl".to_owned(), &b"\x80\x02}."[..]);
    assert_problem(
        &archive_of(&[compressed], CompressionMethod::Deflated),
        "compressed",
    );
    let foreign = [
        ("data.pkl".to_owned(), &b"\x80\x02}."[..]),
        ("byteorder".to_owned(), b"big"),
    ];
    assert_problem(&archive_of(&foreign, stored), "big-endian");
    assert_problem(b"\x80\x02K\x07.", "not of torch.save");
    let magic = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
    assert_problem(&[&magic[..], b"\x80\x02K\x07."].concat(), "another version");
    let mut big = magic.to_vec();
    big.extend(b"\x80\x02M\xe9\x03.\x80\x02}");
    text(&mut big, "little_endian");
    big.extend(b"\x89s.");
    assert_problem(&big, "big-endian");
    for (pickle, part) in [
        (&b"\x80\x02]."[..], "no named tensors"),
        (b"\x80\x02}.", "no tensors but nothing"),
        (
            b"\x80\x02}X\x05\x00\x00\x00epochK\x03s.",
            "no tensors but epoch",
        ),
    ] {
        assert_problem(&legacy_of(&[pickle, b"\x80\x02]."]), part);
    }
    for bytes in [
        &b""[..],
        b"P",
        b"\x80",
        b"\x80\x02\x00\x00",
        &[0x80, 4, 0x95],
    ] {
        assert_eq!(Form::of(bytes), None);
    }
}

#[test]
fn a_checkpoint_that_holds_itself_is_an_error() {
    // d = {}; d["model"] = d
    let mut pickle = b"\x80\x02}q\x00".to_vec();
    text(&mut pickle, "model");
    pickle.extend(b"h\x00s.");
    assert_problem(
        &legacy_of(&[&pickle, b"\x80\x02]."]),
        "no tensors but model",
    );
}

/// Shapes, the order of their axes in memory, and the gaps before and between them.
fn some_tensor() -> impl Strategy<Value = (Vec<usize>, Vec<usize>, usize, usize)> {
    prop::collection::vec(1..4_usize, 0..4).prop_flat_map(|shape| {
        let axes: Vec<usize> = (0..shape.len()).collect();
        (
            Just(shape),
            Just(axes).prop_shuffle(),
            0..4_usize,
            1..3_usize,
        )
    })
}

proptest! {
    #[test]
    fn tensors_in_any_order_are_read((shape, order, offset, step) in some_tensor()) {
        let mut strides = vec![0; shape.len()];
        let mut stride = step;
        for axis in order {
            strides[axis] = stride;
            stride *= shape[axis];
        }
        let numbers: Vec<f32> = (0..offset + stride).map(|number| number as f32).collect();
        let mut expected = vec![offset];
        for (size, stride) in shape.iter().zip(&strides) {
            expected = expected.iter().flat_map(|place| (0..*size).map(move |i| place + i * stride)).collect();
        }
        let tensors = [torch_file::Tensor { name: "a".into(), storage: 0, offset, shape: shape.clone(), strides }];
        let storages = [Storage::floats(&numbers)];
        for file in [torch_file::archive(&tensors, &storages), torch_file::legacy(&tensors, &storages)] {
            let found = read(&file, &[]).unwrap();
            prop_assert_eq!(&found["a"].shape, &shape);
            prop_assert_eq!(&found["a"].data, &expected.iter().map(|place| *place as f32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn damaged_files_are_errors_or_tensors(
        file in prop::sample::select(&[ARCHIVE, PROTOCOL4, LEGACY, CHECKPOINT, CODE, WITHOUT_CHECKSUMS][..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..4),
    ) {
        let mut bytes = file.to_vec();
        for (place, byte, kind) in changes {
            let place = place.index(bytes.len());
            match kind {
                0 => bytes[place] ^= 1 << (byte % 8),
                1 => bytes[place] = byte,
                2 => bytes.insert(place, byte),
                _ => bytes.truncate(place + 1),
            }
        }
        crate::fuzzing::weights(&bytes);
    }
}
