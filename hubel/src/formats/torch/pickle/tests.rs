use super::*;
use proptest::prelude::*;

fn problem(mut bytes: &[u8]) -> String {
    match read(&mut bytes) {
        Ok(_) => panic!("it is read"),
        Err(fault) => fault.text(),
    }
}

#[test]
fn values_are_those_of_python() {
    // pickle.dumps of each, with protocol 2 or 4.
    for (bytes, expected) in [
        (&b"\x80\x02N."[..], "None"),
        (b"\x80\x02\x88.", "Bool(true)"),
        (b"\x80\x02K\xff.", "Integer(255)"),
        (b"\x80\x02M\x00\xff.", "Integer(65280)"),
        (b"\x80\x02J\xff\xff\xff\xff.", "Integer(-1)"),
        (b"\x80\x02\x8a\x00.", "Integer(0)"),
        (
            b"\x80\x02\x8a\x05\x00\x00\x00\x80\xff.",
            "Integer(-2147483648)",
        ),
        (
            b"\x80\x02\x8a\x05\x00\x00\x00\x00\x01.",
            "Integer(4294967296)",
        ),
        (b"\x80\x02G?\xf0\x00\x00\x00\x00\x00\x00.", "Other"),
        (b"\x80\x02X\x03\x00\x00\x00k\xc3\xa4.", "Text(\"k\u{e4}\")"),
        (
            b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01a\x94.",
            "Text(\"a\")",
        ),
        (b"\x80\x02U\x01a.", "Text(\"a\")"),
        (b"\x80\x04C\x02ab.", "Other"),
        (b"\x80\x02K\x01K\x02\x86.", "Tuple([0, 1])"),
        (b"\x80\x02(K\x01K\x02t.", "Tuple([0, 1])"),
        (b"\x80\x02]q\x00(K\x01h\x00e.", "List([1, 0])"),
        (b"\x80\x02}K\x01K\x02s.", "Dict([[1, 2]])"),
        // Python 2: OrderedDict([["a", 1]])
        (
            b"\x80\x02ccollections\nOrderedDict\n](](U\x01aK\x01ee\x85R.",
            "Dict([[3, 4]])",
        ),
        (b"\x80\x02ctorch\nSize\nK\x02\x85\x85R.", "Tuple([1])"),
        // With an attribute.
        (b"\x80\x02ccollections\nOrderedDict\n)R}b.", "Dict([])"),
    ] {
        let mut rest = bytes;
        let pickle = read(&mut rest).unwrap();
        assert_eq!(format!("{:?}", pickle.root()), expected);
        assert!(rest.is_empty());
    }
}

#[test]
fn a_pickle_ends_where_it_ends() {
    let mut bytes = &b"\x80\x02N.\x80\x02\x88."[..];
    assert!(matches!(read(&mut bytes).unwrap().root(), Value::None));
    assert!(matches!(
        read(&mut bytes).unwrap().root(),
        Value::Bool(true)
    ));
}

#[test]
fn storages_of_old_files_may_be_views() {
    let view = |view: &[u8]| {
        let start = b"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\nU\x01kU\x03cpuK\x09";
        [&start[..], view, b"tQ."].concat()
    };
    let start = |bytes: &[u8]| match read(&mut &bytes[..]).unwrap().root() {
        Value::Storage(storage) => (storage.key.to_string(), storage.count, storage.start),
        other => panic!("{other:?}"),
    };
    assert_eq!(start(&view(b"")), ("k".into(), 9, 0));
    assert_eq!(start(&view(b"N")), ("k".into(), 9, 0));
    assert_eq!(start(&view(b"U\x01vK\x02K\x03\x87")), ("k".into(), 9, 2));
    for damaged in [
        &b"K\x01"[..],
        b"NN",
        b"U\x01vK\x02\x86",
        b"U\x01vNK\x03\x87",
    ] {
        assert!(problem(&view(damaged)).contains("contradicts itself"));
    }
}

#[test]
fn what_does_not_fit_together_is_an_error() {
    for bytes in [
        &b"."[..],
        b"\x85.",
        b"h\x00.",
        b"j\x00\x00\x00\x80.",
        b"q\x00.",
        b"t.",
        b"K\x01(\x85.",
        b"K\x01(.",
        b"K\x01K\x01a.",
        b"}K\x01a.",
        b"](s.",
        b"}(K\x01u.",
        b"K\x01K\x02R.",
        b"ctorch\nSize\n)R.",
        b"ctorch\nFloatStorage\n)R.",
        b"ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x01))tR.",
        b"ctorch._utils\n_rebuild_parameter\nN\x85R.",
        b"K\x01K\x02b.",
        b"K\x01Q.",
        b"NN\x93.",
    ] {
        assert!(problem(bytes).contains("contradicts itself"), "{bytes:?}");
    }
    for bytes in [
        &b""[..],
        b"X\x05\x00\x00\x00a",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffa",
        b"ctorch",
        b"N",
        b"\x8b\xff\xff\xff\xff",
    ] {
        assert!(problem(bytes).contains("ends too early"), "{bytes:?}");
    }
    // NEWOBJ, and the floats and integers of protocol 0.
    for bytes in [&b"))\x81."[..], b"F1.0\n.", b"I1\n.", b"\xff"] {
        assert!(
            problem(bytes).contains("which no tensor needs"),
            "{bytes:?}"
        );
    }
}

#[test]
fn only_listed_objects_mean_anything() {
    for (module, name) in [
        ("os", "system"),
        ("builtins", "eval"),
        ("torch", "load"),
        ("torch", "Storage"),
        ("torch.storage", "_load_from_bytes"),
        ("torch._utils", "_rebuild_sparse_tensor"),
        ("collections", "OrderedDict.update"),
        ("torch.serialization", "_get_layout"),
    ] {
        let text = problem(format!("c{module}\n{name}\n.").as_bytes());
        assert!(
            text.contains(&format!("code: a Python object that `{module}.{name}`")),
            "{text}"
        );
        let stacked = [
            &b"\x8c"[..],
            &[module.len() as u8],
            module.as_bytes(),
            b"\x8c",
            &[name.len() as u8],
            name.as_bytes(),
            b"\x93.",
        ];
        assert_eq!(problem(&stacked.concat()), text);
    }
}

#[test]
fn depth_and_number_of_values_are_bounded() {
    let mut nested = vec![b']'; 100_000];
    nested.extend(vec![b'a'; 99_999]);
    nested.push(b'.');
    assert!(read(&mut &nested[..]).is_ok());
    for instructions in [&b"]"[..], b"(", b"\x94", b"h\x00"] {
        let many = |count| [b"Nq\x00", &instructions.repeat(count)[..], b"."].concat();
        let few = read_at_most(100, &mut &many(90)[..]);
        assert!(!few.is_err_and(|fault| fault.text().contains("million")));
        let fault = read_at_most(100, &mut &many(101)[..]).err();
        let text = fault.expect("too many").text();
        assert!(text.contains("more than a million"), "{instructions:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_an_error_or_values(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&mut &bytes[..]);
    }

    /// Random instructions, mostly known ones, which get further.
    #[test]
    fn any_instructions_are_an_error_or_values(instructions in prop::collection::vec(prop::sample::select(&b"(NK)t]ae}suqhRbQ.\x85\x86\x87\x94\x93"[..]), 0..60)) {
        let _ = read(&mut &instructions[..]);
    }
}
