use super::*;
use proptest::prelude::*;
use std::path::PathBuf;
use tempfile::TempDir;

fn at_a_path(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// Reads a file with any outline.
fn read(path: &Path) -> Result<Tensors> {
    super::read(path, |_| Ok(()))
}

fn written(tensors: &Tensors) -> Vec<u8> {
    let (_folder, path) = at_a_path(b"what stood there before");
    write(&path, tensors).unwrap();
    std::fs::read(&path).unwrap()
}

/// The problem with a file of these bytes, if any.
fn problem_of(bytes: &[u8]) -> Option<String> {
    let (_folder, path) = at_a_path(bytes);
    match read(&path) {
        Ok(_) => None,
        Err(Error::Safetensors { path: at, problem }) => {
            assert_eq!(at, path);
            Some(problem)
        }
        Err(error) => panic!("{error}"),
    }
}

fn with_header(header: &str, numbers: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(numbers);
    bytes
}

fn some_tensors() -> impl Strategy<Value = Tensors> {
    let number = || any::<f32>().prop_filter("comparable", |number| !number.is_nan());
    let tensor = prop::collection::vec(0..4usize, 0..4).prop_flat_map(move |shape| {
        let length: usize = shape.iter().product();
        (Just(shape), prop::collection::vec(number(), length))
    });
    let text = || prop::collection::vec(any::<char>(), 0..8).prop_map(String::from_iter);
    let metadata = prop::collection::btree_map(text(), text(), 0..4);
    let tensors = prop::collection::vec((text(), tensor), 0..5);
    (metadata, tensors).prop_map(|(metadata, tensors)| Tensors {
        metadata,
        tensors: (tensors.into_iter().enumerate())
            .map(|(i, (text, (shape, data)))| NamedTensor {
                // The number makes the names unique.
                name: format!("{text}.{i}"),
                shape,
                data,
            })
            .collect(),
    })
}

/// Empty tensors have the same position as their neighbours, so only names decide their order.
fn by_name(mut tensors: Tensors) -> Tensors {
    tensors.tensors.sort_by(|a, b| a.name.cmp(&b.name));
    tensors
}

proptest! {
    #[test]
    fn what_is_written_is_read(tensors in some_tensors()) {
        let bytes = written(&tensors);
        prop_assert_eq!(&bytes, &written(&tensors.clone()));
        let (_folder, path) = at_a_path(&bytes);
        prop_assert_eq!(by_name(read(&path).unwrap()), by_name(tensors));
    }

    #[test]
    fn the_crate_safetensors_reads_the_same(tensors in some_tensors()) {
        let bytes = written(&tensors);
        let (_, header) = ::safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = header.metadata().clone().unwrap_or_default();
        prop_assert_eq!(BTreeMap::from_iter(metadata), tensors.metadata);
        let file = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
        prop_assert_eq!(file.len(), tensors.tensors.len());
        for tensor in &tensors.tensors {
            let view = file.tensor(&tensor.name).unwrap();
            let bytes: Vec<u8> = tensor.data.iter().flat_map(|number| number.to_le_bytes()).collect();
            prop_assert_eq!(view.shape(), &tensor.shape[..]);
            prop_assert_eq!(view.data(), &bytes[..]);
        }
    }

    #[test]
    fn a_truncated_or_lengthened_file_is_an_error(tensors in some_tensors(), cut in any::<prop::sample::Index>()) {
        let mut bytes = written(&tensors);
        let length = cut.index(bytes.len());
        prop_assert!(problem_of(&bytes[..length]).is_some());
        bytes.push(0);
        prop_assert!(problem_of(&bytes).is_some());
    }

    /// Damaged values are still values. A damaged header gives an error, or a valid file if only a name or a text changed.
    #[test]
    fn a_damaged_file_never_panics(
        tensors in some_tensors(),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = written(&tensors);
        for (place, byte) in damages {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        problem_of(&bytes);
    }

    /// Headers with arbitrary contents in the right form.
    #[test]
    fn a_header_with_any_sizes_never_panics(
        shape in prop::collection::vec(prop_oneof![0..4u64, any::<u64>()], 0..4),
        offsets in prop::collection::vec(prop_oneof![0..40u64, any::<u64>()], 2),
        dtype in prop_oneof![Just("F32"), Just("I64"), Just("U8")],
        length in 0..40usize,
    ) {
        let entry = serde_json::json!({ "a": { "dtype": dtype, "shape": shape, "data_offsets": offsets } });
        problem_of(&with_header(&entry.to_string(), &vec![0; length]));
    }

    #[test]
    fn a_foreign_file_is_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(problem_of(&bytes).is_some());
    }
}

#[test]
fn each_problem_is_named() {
    let entry = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    // Sizes whose sum is just below 2⁶⁴: additions must not overflow.
    let sixteen: Vec<String> = (0..16u64)
        .map(|i| {
            let length = (1 << 60) - if i == 15 { 4 } else { 0 };
            let (start, shape) = (i << 60, length / 4);
            let end = start + length;
            format!(
                r#""{i:02}":{{"dtype":"F32","shape":[{shape}],"data_offsets":[{start},{end}]}}"#
            )
        })
        .collect();
    let cases = [
        (vec![], "empty"),
        (b"short".to_vec(), "fewer than any"),
        (b"PK\x03\x04 a zip archive".to_vec(), "torch.save"),
        (b"\x80\x02}q\x00X\x06\x00\x00\x00".to_vec(), "torch.save"),
        (b"\x89PNG\r\n\x1a\n".to_vec(), "picture"),
        (vec![0xff; 64], "no safetensors file"),
        (1000u64.to_le_bytes().to_vec(), "truncated"),
        (with_header("{not JSON", &[]), "header is damaged"),
        (with_header("[]", &[]), "header is damaged"),
        (
            with_header(&entry("F32", "[2]", "[0,8]"), &[0; 4]),
            "truncated",
        ),
        (
            with_header(&entry("F32", "[2]", "[0,8]"), &[0; 12]),
            "too long",
        ),
        (
            with_header(&entry("F32", "[3]", "[0,8]"), &[0; 8]),
            "`a` of [3]",
        ),
        (
            with_header(&entry("F32", "[2]", "[4,12]"), &[0; 12]),
            "`a` of [2]",
        ),
        (
            with_header(&entry("F32", "[2]", "[8,0]"), &[0; 8]),
            "`a` of [2]",
        ),
        (
            with_header(&entry("F8_E4M3", "[2]", "[0,2]"), &[0; 2]),
            "tensor.float()",
        ),
        (
            with_header(&entry("I64", "[2]", "[0,16]"), &[0; 16]),
            "tensor.float()",
        ),
        (
            with_header(&entry("F32", "[4611686018427387904,4]", "[0,0]"), &[]),
            "does not fit",
        ),
        (
            with_header(&format!("{{{}}}", sixteen.join(",")), &[]),
            "truncated",
        ),
    ];
    for (bytes, expected) in cases {
        let problem = problem_of(&bytes).expect(expected);
        assert!(problem.contains(expected), "{problem}");
    }
}

/// The first bytes are the length, even if other kinds of files begin with the same bytes.
#[test]
fn headers_of_all_lengths_are_read() {
    let (_folder, path) = at_a_path(b"");
    for length in (0..1800).chain([0x4b50, 0x5089, 0xd8ff]) {
        let mut tensors = Tensors::default();
        let text = "x".repeat(length);
        tensors.metadata.insert("text".into(), text);
        write(&path, &tensors).unwrap();
        assert_eq!(read(&path).unwrap(), tensors);
    }
}

#[test]
fn what_is_no_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("it is no file") && error.contains(folder.path().to_str().unwrap()));
    let missing = read(&folder.path().join("missing"));
    assert!(matches!(missing, Err(Error::Io { action: "read", .. })));
}

#[test]
fn floats_of_all_widths_are_read() {
    for (dtype, one_and_a_half) in [
        ("F16", &[0x00, 0x3e][..]),
        ("BF16", &[0xc0, 0x3f]),
        ("F32", &[0x00, 0x00, 0xc0, 0x3f]),
        ("F64", &[0, 0, 0, 0, 0, 0, 0xf8, 0x3f]),
    ] {
        let end = 3 * one_and_a_half.len();
        let header =
            format!(r#"{{"a":{{"dtype":"{dtype}","shape":[3],"data_offsets":[0,{end}]}}}}"#);
        let (_folder, path) = at_a_path(&with_header(&header, &one_and_a_half.repeat(3)));
        assert_eq!(read(&path).unwrap().tensors[0].data, [1.5; 3], "{dtype}");
    }
}

#[test]
fn counters_of_pytorch_are_passed_over() {
    let header = r#"{"n":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#;
    let numbers = [&7i64.to_le_bytes()[..], &1.5f32.to_le_bytes()].concat();
    let (_folder, path) = at_a_path(&with_header(header, &numbers));
    let file = read(&path).unwrap();
    let tensor = NamedTensor {
        name: "w".into(),
        shape: vec![1],
        data: vec![1.5],
    };
    assert_eq!(file.tensors, [tensor]);
}
