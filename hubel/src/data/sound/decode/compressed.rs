//! FLAC, MP3, Ogg and ADPCM, by the decoders of `symphonia`.
use std::io::{Cursor, ErrorKind};

use symphonia::core::audio::SampleBuffer;
use symphonia::core::codecs::{CODEC_TYPE_FLAC, CODEC_TYPE_VORBIS, DecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::{FormatOptions, FormatReader};
use symphonia::core::io::{MediaSource, MediaSourceStream, ReadOnlySource};
use symphonia::default::formats::{FlacReader, MpaReader, OggReader, WavReader};

use super::ogg::{self, End};
use super::riff::Adpcm;
use super::{Decoded, check_length, check_rate};

/// A file with more damaged packets than one in this many is refused.
const PACKETS_PER_DAMAGED: usize = 20;

/// Damaged packets in a row after which decoding stops.
const MOST_DAMAGED_IN_A_ROW: usize = 1000;

/// Samples of the longest MP3 frame.
const MP3_FRAME: u64 = 1152;

/// Samples of the longest block of Vorbis.
const LONGEST_VORBIS_BLOCK: u64 = 8192;

/// Removes the encoder's delay and padding.
fn options() -> FormatOptions {
    FormatOptions {
        enable_gapless: true,
        ..FormatOptions::default()
    }
}

fn stream(source: impl MediaSource + 'static) -> MediaSourceStream {
    MediaSourceStream::new(Box::new(source), Default::default())
}

/// Decodes FLAC.
pub(super) fn flac(bytes: &[u8]) -> Result<Decoded, String> {
    let source = stream(Cursor::new(without_metadata(bytes)?));
    let reader = FlacReader::try_new(source, &options()).map_err(|error| unreadable(&error))?;
    if let Some(announced) = announced(&reader) {
        check_length(announced)?;
    }
    let mut decoded = decode_packets(Box::new(reader), "FLAC")?;
    // 0 means unknown.
    decoded.announced = decoded.announced.filter(|&announced| announced > 0);
    Ok(decoded)
}

/// FLAC with its first metadata block, which describes the samples, but without titles and pictures: the reader takes as much
/// memory for them as their lengths say, even if those are damaged.
fn without_metadata(bytes: &[u8]) -> Result<Vec<u8>, String> {
    const TORN: &str = "it breaks off before the first sample; copy or download it again";
    let blocks = bytes.strip_prefix(b"fLaC").ok_or(TORN)?;
    let mut rest = blocks;
    let mut is_last = false;
    while !is_last {
        let &[kind, a, b, c] = rest.first_chunk().ok_or(TORN)?;
        is_last = kind & 0x80 != 0;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        rest = rest.get(4 + length..).ok_or(TORN)?;
    }
    // A length of 34 bytes is part of the format.
    let Some((&[kind @ (0 | 0x80), 0, 0, 34, ref description @ ..], _)) =
        blocks.split_first_chunk::<38>()
    else {
        return Err(
            "it is FLAC without a description of its samples; copy or download it again".to_owned(),
        );
    };
    let mut clean = Vec::with_capacity(42 + rest.len());
    clean.extend(b"fLaC");
    clean.extend([kind | 0x80, 0, 0, 34]);
    clean.extend(description);
    clean.extend(rest);
    Ok(clean)
}

/// Decodes MP3.
pub(super) fn mp3(bytes: &[u8]) -> Result<Decoded, String> {
    // The reader guesses a length from the bit rate if it can seek.
    let source = stream(ReadOnlySource::new(Cursor::new(bytes.to_vec())));
    let reader = MpaReader::try_new(source, &options()).map_err(|error| unreadable(&error))?;
    let mut decoded = decode_packets(Box::new(reader), "MP3")?;
    // Some programs also count the frame that has the header. A length of more frames than its 32 bits can state comes from
    // a delay that is longer than the recording.
    let frame = if decoded.rate < 32_000 {
        MP3_FRAME / 2
    } else {
        MP3_FRAME
    };
    let last = decoded.samples.len() as u64 + frame;
    let most = u64::from(u32::MAX) * MP3_FRAME;
    decoded.announced = decoded
        .announced
        .filter(|announced| (last + 1..=most).contains(announced));
    Ok(decoded)
}

/// Decodes Vorbis or FLAC in Ogg.
pub(super) fn ogg(bytes: &[u8]) -> Result<Decoded, String> {
    ogg::check_comments(bytes)?;
    ogg::check_tables(bytes)?;
    let (end, position) = ogg::end(bytes);
    let source = stream(Cursor::new(bytes.to_vec()));
    let reader = OggReader::try_new(source, &options()).map_err(|error| unreadable(&error))?;
    let coding = match reader.default_track().map(|track| track.codec_params.codec) {
        Some(CODEC_TYPE_VORBIS) => "Ogg Vorbis",
        Some(CODEC_TYPE_FLAC) => "Ogg FLAC",
        _ => return Err("it is Ogg without Vorbis or FLAC, which hubel cannot decode".to_owned()),
    };
    let mut decoded = decode_packets(Box::new(reader), coding)?;
    // The length comes from the last page that is there.
    decoded.announced = None;
    match end {
        // The last block is longer than its samples: the position of the last page tells where they end. A stream that was cut
        // out of a longer one starts at another position than 0.
        End::Marked => {
            let padding = (decoded.samples.len() as u64).checked_sub(position);
            if padding.is_some_and(|padding| padding <= LONGEST_VORBIS_BLOCK) {
                decoded.samples.truncate(position as usize);
            }
        }
        End::Unmarked => decoded
            .notes
            .push("its end is not marked, so a part may be missing".to_owned()),
        End::Torn => {
            let seconds = decoded.samples.len() as f64 / f64::from(decoded.rate);
            return Err(format!(
                "it breaks off after {seconds:.2} s; copy or download it again"
            ));
        }
    }
    Ok(decoded)
}

/// Decodes ADPCM: the header is written anew, because the reader trusts all of it.
pub(super) fn adpcm(adpcm: Adpcm<'_>) -> Result<Decoded, String> {
    check_length(adpcm.samples)?;
    let mut bytes = Vec::with_capacity(adpcm.format.len() + adpcm.blocks.len() + 32);
    let format = adpcm.format.len() + adpcm.format.len() % 2;
    let lengths = [28 + format + adpcm.blocks.len(), format, adpcm.blocks.len()];
    let [all, format_length, blocks] = lengths.map(|length| (length as u32).to_le_bytes());
    bytes.extend(b"RIFF");
    bytes.extend(all);
    bytes.extend(b"WAVEfmt ");
    bytes.extend(format_length);
    bytes.extend(adpcm.format);
    bytes.resize(20 + format, 0);
    bytes.extend(b"data");
    bytes.extend(blocks);
    bytes.extend(adpcm.blocks);
    let reader = WavReader::try_new(stream(Cursor::new(bytes)), &options())
        .map_err(|error| unreadable(&error))?;
    let mut decoded = decode_packets(Box::new(reader), "ADPCM in WAV")?;
    decoded.samples.truncate(adpcm.samples as usize);
    decoded.announced = adpcm.announced;
    decoded.notes.extend(adpcm.notes);
    Ok(decoded)
}

/// The samples per channel that the header of the first track announces.
fn announced(reader: &impl FormatReader) -> Option<u64> {
    reader
        .default_track()
        .and_then(|track| track.codec_params.n_frames)
}

/// Decodes all packets of the first track to the mean of their channels.
fn decode_packets(mut reader: Box<dyn FormatReader>, coding: &str) -> Result<Decoded, String> {
    let track = reader
        .default_track()
        .ok_or("it has no track of sound; save it again with another program")?;
    let id = track.id;
    let parameters = track.codec_params.clone();
    let mut decoder = symphonia::default::get_codecs()
        .make(&parameters, &DecoderOptions::default())
        .map_err(|error| unreadable(&error))?;
    let mut samples: Vec<f32> = Vec::new();
    let mut buffer: Option<SampleBuffer<f32>> = None;
    let mut format = None;
    let mut notes = Vec::new();
    let [mut packets, mut damaged, mut in_a_row] = [0_usize; 3];
    while in_a_row < MOST_DAMAGED_IN_A_ROW {
        let result = reader.next_packet().and_then(|packet| {
            if packet.track_id() != id {
                return Ok(());
            }
            packets += 1;
            let decoded = decoder.decode(&packet)?;
            let spec = *decoded.spec();
            let is_large_enough = |buffer: &SampleBuffer<f32>| {
                buffer.capacity() >= decoded.capacity() * spec.channels.count()
            };
            if !buffer.as_ref().is_some_and(is_large_enough) {
                buffer = Some(SampleBuffer::new(decoded.capacity() as u64, spec));
            }
            let Some(buffer) = &mut buffer else {
                return Ok(());
            };
            let channels = spec.channels.count();
            if channels == 0
                || *format.get_or_insert((spec.rate, channels)) != (spec.rate, channels)
            {
                return Err(Error::DecodeError("another rate or number of channels"));
            }
            buffer.copy_interleaved_ref(decoded);
            let scale = 1.0 / channels as f32;
            let frames = buffer.samples().chunks_exact(channels);
            samples.extend(frames.map(|frame| frame.iter().sum::<f32>() * scale));
            Ok(())
        });
        in_a_row += 1;
        match result {
            Ok(()) => in_a_row = 0,
            Err(Error::DecodeError(_)) => damaged += 1,
            Err(Error::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(Error::ResetRequired) => {
                notes.push(
                    "several recordings follow one another in it; only the first one is used"
                        .to_owned(),
                );
                break;
            }
            Err(error) => return Err(unreadable(&error)),
        }
        check_length(samples.len() as u64)?;
    }
    let Some((rate, channels)) = format else {
        return Err(match damaged {
            0 => "it has no complete packet of samples; copy or download it again".to_owned(),
            _ => "it is damaged: no packet can be decoded; copy or download it again".to_owned(),
        });
    };
    check_rate(rate)?;
    if damaged * PACKETS_PER_DAMAGED > packets.max(PACKETS_PER_DAMAGED) {
        return Err(format!(
            "it is damaged: {damaged} of its {packets} packets cannot be decoded; copy or download it again"
        ));
    }
    if damaged > 0 {
        notes.push(format!(
            "{damaged} of its {packets} packets are damaged and were left out"
        ));
    }
    Ok(Decoded {
        samples,
        rate,
        channels,
        coding: coding.to_owned(),
        notes,
        announced: parameters.n_frames,
        damaged: damaged > 0,
    })
}

/// The error for a file whose decoder says `error`.
fn unreadable(error: &Error) -> String {
    match error {
        Error::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            "it breaks off before the first sample; copy or download it again".to_owned()
        }
        Error::DecodeError(detail) | Error::Unsupported(detail) => format!(
            "it cannot be decoded ({detail}); save it again with another program, or leave it out"
        ),
        error => format!(
            "it cannot be decoded ({error}); save it again with another program, or leave it out"
        ),
    }
}
