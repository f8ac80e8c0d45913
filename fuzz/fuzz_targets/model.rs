#![no_main]
use hubel::fuzzing::{self, seeds};

libfuzzer_sys::fuzz_target!(
    init: hubel_fuzz::plant("model", seeds::model()),
    |bytes: &[u8]| {
        fuzzing::model(bytes);
    }
);
