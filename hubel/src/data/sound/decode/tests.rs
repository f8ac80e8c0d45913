use std::path::Path;

use proptest::prelude::*;

use super::*;

const WAV: &[u8] = include_bytes!("../../../../tests/sound/tone.wav");
const FLAC: &[u8] = include_bytes!("../../../../tests/sound/tone.flac");
const SQUARE: &[u8] = include_bytes!("../../../../tests/sound/square.flac");
const OGG: &[u8] = include_bytes!("../../../../tests/sound/tone.ogg");
const MP3: &[u8] = include_bytes!("../../../../tests/sound/tone.mp3");
const AIFF: &[u8] = include_bytes!("../../../../tests/sound/tone.aiff");
const IMA: &[u8] = include_bytes!("../../../../tests/sound/ima.wav");
const MS: &[u8] = include_bytes!("../../../../tests/sound/ms.wav");
const MU_LAW: &[u8] = include_bytes!("../../../../tests/sound/mulaw.wav");
const A_LAW: &[u8] = include_bytes!("../../../../tests/sound/alaw.wav");
const OPUS: &[u8] = include_bytes!("../../../../tests/sound/tone.opus");

fn decoded(bytes: &[u8]) -> Recording {
    decode(bytes, Path::new("x.wav")).unwrap()
}

fn reason(bytes: &[u8]) -> String {
    decode(bytes, Path::new("x.wav"))
        .unwrap_err()
        .without_path()
}

/// The signal of `hubel/tests/sound/sounds.py`.
fn tone() -> Vec<f32> {
    (0..1600)
        .map(|i| {
            let time = std::f64::consts::TAU * f64::from(i) / 8000.0;
            (0.4 * (440.0 * time).sin() + 0.2 * (1234.0 * time).sin()) as f32
        })
        .collect()
}

/// A WAV file with a plain header.
fn wav(tag: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let block = channels.wrapping_mul(bits / 8);
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + data.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0");
    bytes.extend(tag.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend(rate.wrapping_mul(u32::from(block)).to_le_bytes());
    bytes.extend(block.to_le_bytes());
    bytes.extend(bits.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn all_formats_give_the_same_tone_at_the_same_time() {
    let wanted = tone();
    let cases = [
        (WAV, "16-bit PCM in WAV", 1e-4),
        (AIFF, "16-bit PCM in AIFF", 1e-4),
        (FLAC, "FLAC", 1e-4),
        (MU_LAW, "µ-law in WAV", 0.02),
        (A_LAW, "A-law in WAV", 0.02),
        (IMA, "ADPCM in WAV", 0.1),
        (MS, "ADPCM in WAV", 0.1),
        (OGG, "Ogg Vorbis", 0.1),
        (MP3, "MP3", 0.1),
    ];
    for (bytes, coding, tolerance) in cases {
        let recording = decoded(bytes);
        assert_eq!(recording.coding, coding);
        assert_eq!((recording.rate, recording.channels), (8000, 1));
        // The writer of the IMA file announces its padding as samples.
        let length = if bytes == IMA { 2020 } else { 1600 };
        assert_eq!(recording.samples.len(), length, "{coding}");
        assert_eq!(recording.notes, [""; 0], "{coding}");
        // The ends of a recording are where codecs differ most.
        for (i, wanted) in wanted.iter().enumerate().take(1500).skip(100) {
            let difference = (recording.samples[i] - wanted).abs();
            assert!(difference < tolerance, "{coding}, {i}: {difference}");
        }
    }
}

#[test]
fn integers_and_floats_have_the_same_scale() {
    let half = [
        wav(1, 1, 8000, 8, &[192]),
        wav(1, 1, 8000, 16, &[0, 0x40]),
        wav(1, 1, 8000, 24, &[0, 0, 0x40]),
        wav(1, 1, 8000, 32, &[0, 0, 0, 0x40]),
        wav(3, 1, 8000, 32, &0.5_f32.to_le_bytes()),
        wav(3, 1, 8000, 64, &0.5_f64.to_le_bytes()),
        wav(1, 2, 8000, 16, &[0, 0x60, 0, 0x20]),
    ];
    for bytes in half {
        let samples = decoded(&bytes).samples;
        assert!(
            samples.len() == 1 && (samples[0] - 0.5).abs() < 1e-6,
            "{samples:?}"
        );
    }
}

#[test]
fn known_kinds_are_named_with_a_way_out() {
    let opus = decode(OPUS, Path::new("a b/x.opus")).unwrap_err();
    assert_eq!(
        opus.to_string(),
        "cannot use a b/x.opus: it is Opus, which hubel cannot decode; convert it: ffmpeg -i 'a b/x.opus' 'a b/x.wav'"
    );
    let cases: [(&[u8], &str); 7] = [
        (b"", "it is empty"),
        (b"\x89PNG\r\n\x1a\n", "it is a PNG picture, no recording"),
        (b"MThd\0\0\0\x06", "MIDI"),
        (
            b"#!AMR\n",
            "it is AMR, which hubel cannot decode; convert it: ffmpeg -i x.wav x-converted.wav",
        ),
        (b"\xff\xf1\x50\x80", "it is AAC"),
        (b"\0\0\0\x20ftypM4A ", "it is AAC or ALAC (M4A)"),
        (b"hello, world", "no known sound format"),
    ];
    for (bytes, wanted) in cases {
        assert!(reason(bytes).contains(wanted), "{}", reason(bytes));
    }
}

#[test]
fn a_file_that_breaks_off_says_where() {
    assert_eq!(
        reason(&WAV[..44 + 1600]),
        "it breaks off after 0.10 s of 0.20 s; copy or download it again"
    );
    assert_eq!(decoded(SQUARE).samples.len(), 12288);
    assert!(
        reason(&SQUARE[..SQUARE.len() - 200]).contains("of 1.54 s"),
        "{}",
        reason(&SQUARE[..SQUARE.len() - 200])
    );
    assert!(reason(&AIFF[..AIFF.len() - 1600]).contains("it breaks off after 0.10 s of 0.20 s"));
    for (name, bytes) in [
        ("flac", FLAC),
        ("ogg", OGG),
        ("mp3", MP3),
        ("ima", IMA),
        ("ms", MS),
    ] {
        let torn = decode(&bytes[..bytes.len() - bytes.len() / 3], Path::new("x"));
        let Err(error) = torn else {
            panic!("{name} is accepted");
        };
        let reason = error.without_path();
        assert!(
            reason.contains("it breaks off")
                || reason.contains("no complete packet")
                || reason.contains("it is damaged"),
            "{name}: {reason}"
        );
    }
}

#[test]
fn headers_of_streams_are_completed_by_the_size_of_the_file() {
    for size in [0_u32, 0xffff_ffff, 0x7fff_ffff, 0x7fff_f000] {
        let mut bytes = WAV.to_vec();
        bytes[4..8].copy_from_slice(&size.to_le_bytes());
        bytes[40..44].copy_from_slice(&size.to_le_bytes());
        let recording = decoded(&bytes);
        assert_eq!(recording.samples, decoded(WAV).samples);
        assert_eq!(recording.notes.len(), 1, "{size}");
    }
}

#[test]
fn impossible_headers_are_refused() {
    let cases = [
        (wav(1, 0, 8000, 16, &[0; 8]), "0 channels"),
        (wav(1, 1, 0, 16, &[0; 8]), "its sampling rate is 0 Hz"),
        (wav(1, 1, 999, 16, &[0; 8]), "its sampling rate is 999 Hz"),
        (
            wav(1, 1, 768_001, 16, &[0; 8]),
            "its sampling rate is 768001 Hz",
        ),
        (wav(1, 1, 8000, 0, &[0; 8]), "0 bits per sample"),
        (wav(1, 1, 8000, 16, &[]), "it has no samples"),
        (wav(0x55, 1, 8000, 16, &[0; 8]), "coded as MP3 in WAV"),
        (
            wav(3, 1, 8000, 32, &f32::NAN.to_le_bytes()),
            "it has 1 samples that are no finite numbers",
        ),
        (
            wav(3, 1, 8000, 32, &32767_f32.to_le_bytes()),
            "its samples reach 32767",
        ),
    ];
    for (bytes, wanted) in cases {
        assert!(reason(&bytes).contains(wanted), "{}", reason(&bytes));
    }
    assert_eq!(
        decoded(&wav(3, 1, 8000, 32, &1.5_f32.to_le_bytes())).beyond_full_scale,
        1
    );
}

#[test]
fn a_recording_that_is_too_long_is_refused_before_memory_is_taken() {
    let mut flac = FLAC.to_vec();
    // The number of samples: 36 bits from the middle of byte 21.
    flac[21] |= 0x0f;
    assert!(
        reason(&flac).contains("more than the limit of 172800000"),
        "{}",
        reason(&flac)
    );
}

#[test]
fn titles_before_the_sound_are_skipped() {
    for bytes in [MP3, FLAC] {
        let mut tagged = b"ID3\x04\0\0\0\0\x01\x00".to_vec();
        tagged.extend([0; 128]);
        tagged.extend(bytes);
        assert_eq!(decoded(&tagged), decoded(bytes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn damaged_files_neither_panic_nor_hang(
        seed in prop::sample::select(vec![WAV, FLAC, OGG, MP3, AIFF, IMA, MS, MU_LAW]),
        changes in prop::collection::vec((0.0_f64..1.0, any::<u8>(), any::<bool>()), 0..12),
        keep in 0.0_f64..2.0,
    ) {
        let mut bytes = seed.to_vec();
        for (at, value, in_header) in changes {
            let length = if in_header { bytes.len().min(64) } else { bytes.len() };
            bytes[(at * length as f64) as usize] = value;
        }
        bytes.truncate((keep * bytes.len() as f64) as usize);
        if let Ok(recording) = decode(&bytes, Path::new("x.mp3")) {
            prop_assert!(!recording.samples.is_empty());
            prop_assert!(recording.samples.iter().all(|sample| sample.abs() <= 1.0));
            prop_assert!(RATES.contains(&recording.rate));
        }
    }
}
