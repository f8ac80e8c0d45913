#![no_main]
use hubel::fuzzing::{self, seeds};

libfuzzer_sys::fuzz_target!(
    init: hubel_fuzz::plant("cifar", seeds::cifar()),
    |bytes: &[u8]| {
        fuzzing::cifar(bytes);
    }
);
