#![no_main]
use hubel::fuzzing::{self, seeds};

libfuzzer_sys::fuzz_target!(
    init: hubel_fuzz::plant("npz", seeds::npz()),
    |bytes: &[u8]| {
        fuzzing::npz(bytes);
    }
);
