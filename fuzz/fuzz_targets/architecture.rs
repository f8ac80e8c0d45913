#![no_main]
use hubel::fuzzing::{self, seeds};

libfuzzer_sys::fuzz_target!(
    init: hubel_fuzz::plant("architecture", seeds::architecture()),
    |text: &str| {
        fuzzing::architecture(text);
    }
);
