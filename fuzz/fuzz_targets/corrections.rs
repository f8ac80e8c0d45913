#![no_main]
use hubel::fuzzing::{self, seeds};

libfuzzer_sys::fuzz_target!(
    init: hubel_fuzz::plant("corrections", seeds::corrections()),
    |bytes: &[u8]| {
        fuzzing::corrections(bytes);
    }
);
