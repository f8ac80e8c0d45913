#![no_main]
use hubel::fuzzing::{self, seeds};

libfuzzer_sys::fuzz_target!(
    init: hubel_fuzz::plant("idx", seeds::idx()),
    |bytes: &[u8]| {
        fuzzing::idx(bytes);
    }
);
