#![no_main]
use hubel::fuzzing::{self, seeds};

libfuzzer_sys::fuzz_target!(
    init: hubel_fuzz::plant("onnx", seeds::onnx()),
    |bytes: &[u8]| {
        fuzzing::onnx(bytes);
    }
);
