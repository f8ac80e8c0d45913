#![no_main]
use hubel::fuzzing::{self, seeds};

libfuzzer_sys::fuzz_target!(
    init: {
        hubel_fuzz::plant("picture", seeds::picture());
        // hubel catches the panics of decoders; libFuzzer's hook would end the process before.
        let _ = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| ()));
    },
    |bytes: &[u8]| {
        fuzzing::picture(bytes);
    }
);
