#![no_main]
use hubel::fuzzing::{self, seeds};

libfuzzer_sys::fuzz_target!(
    init: hubel_fuzz::plant("weights", seeds::weights()),
    |bytes: &[u8]| {
        fuzzing::weights(bytes);
    }
);
