#![no_main]
use hubel::fuzzing::{self, seeds};

libfuzzer_sys::fuzz_target!(
    init: hubel_fuzz::plant("state", seeds::state()),
    |bytes: &[u8]| {
        fuzzing::state(bytes);
    }
);
