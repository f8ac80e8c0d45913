#![no_main]
use hubel::fuzzing::{self, seeds};

libfuzzer_sys::fuzz_target!(
    init: {
        hubel_fuzz::plant("picture", seeds::picture());
        // hubel catches panics of decoders; libFuzzer's hook would end the process first.
        let _ = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| ()));
    },
    |bytes: &[u8]| {
        fuzzing::picture(bytes);
    }
);
