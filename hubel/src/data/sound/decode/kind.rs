//! Detects what a file is by its first bytes.
use std::path::Path;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// RIFF WAVE, or RF64.
    Wav,
    /// AIFF or AIFF-C.
    Aiff,
    /// FLAC without Ogg.
    Flac,
    /// MPEG audio, layer 3.
    Mp3,
    /// Ogg with Vorbis or FLAC in it.
    Ogg,
    /// Sound, or a film, of this kind, which is not decoded here.
    Unsupported(&'static str),
    /// A file of this kind, which has no sound.
    NoSound(&'static str),
    /// Nothing known.
    Unknown,
}

/// First bytes of kinds that are not decoded here.
const UNSUPPORTED: [(&[u8], &str); 24] = [
    (b"MThd", "MIDI (notes, not sound)"),
    (b"#!AMR", "AMR"),
    (b"#!SILK", "SILK"),
    (b"\x02#!SILK", "SILK"),
    (b"NIST_1A", "NIST SPHERE"),
    (b"ajkg", "Shorten"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media (WMA)"),
    (b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (b"caff", "Core Audio (CAF)"),
    (b".snd", "Sun Audio (AU)"),
    (b"wvpk", "WavPack"),
    (b"MAC ", "Monkey's Audio (APE)"),
    (b"MPCK", "Musepack"),
    (b"MP+", "Musepack"),
    (b"TTA1", "True Audio (TTA)"),
    (b"DSD ", "DSD"),
    (b"FRM8", "DSD"),
    (b"riff\x2e\x91", "Sony Wave64"),
    (b"RIFX", "big-endian WAV (RIFX)"),
    (b"Creative Voice File", "Creative Voice (VOC)"),
    (b"fLaX", "encrypted FLAC"),
    (b"FLV", "Flash Video"),
    (b".RMF", "RealMedia"),
    (b"\x00\x00\x01\xba", "an MPEG film"),
];

/// First bytes of files that have no sound.
const NO_SOUND: [(&[u8], &str); 15] = [
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"7z\xbc\xaf", "a 7z file"),
    (b"<!DOCTYPE", "a web page"),
    (b"<html", "a web page"),
    (b"{", "a JSON text"),
    (
        b"version https://git-lfs",
        "a Git LFS pointer (fetch the recording with `git lfs pull`)",
    ),
];

/// What `bytes`, which start after [`without_tags`], are. The extension of `path` decides only for bytes without a known
/// start.
pub(super) fn detect(bytes: &[u8], path: &Path) -> Kind {
    let form = bytes.get(8..12).unwrap_or_default();
    if bytes.starts_with(b"RIFF") || bytes.starts_with(b"RF64") || bytes.starts_with(b"BW64") {
        return match form {
            b"WAVE" => Kind::Wav,
            b"AVI " => Kind::Unsupported("an AVI film"),
            b"WEBP" => Kind::NoSound("a WebP picture"),
            b"RMID" => Kind::Unsupported("MIDI (notes, not sound)"),
            _ => Kind::Unknown,
        };
    }
    if bytes.starts_with(b"FORM") {
        return match form {
            b"AIFF" | b"AIFC" => Kind::Aiff,
            b"8SVX" => Kind::Unsupported("Amiga sound (8SVX)"),
            _ => Kind::Unknown,
        };
    }
    if bytes.starts_with(b"fLaC") {
        return Kind::Flac;
    }
    if bytes.starts_with(b"OggS") {
        return in_ogg(bytes);
    }
    if bytes.get(4..8) == Some(b"ftyp") {
        return Kind::Unsupported(match form {
            b"M4A " | b"M4B " => "AAC or ALAC (M4A)",
            b"3gp4" | b"3gp5" | b"3gp6" => "3GP",
            _ => "MP4 or QuickTime",
        });
    }
    let named = |table: &[(&[u8], &'static str)]| {
        table
            .iter()
            .find(|(start, _)| bytes.starts_with(start))
            .map(|&(_, name)| name)
    };
    if let Some(name) = named(&UNSUPPORTED) {
        return Kind::Unsupported(name);
    }
    if let Some(name) = named(&NO_SOUND) {
        return Kind::NoSound(name);
    }
    mpeg(bytes, path)
}

/// What an Ogg file has in it; its first page has one packet, which starts with the name of the codec.
fn in_ogg(bytes: &[u8]) -> Kind {
    let segments = bytes.get(26).copied().map_or(0, usize::from);
    let packet = bytes.get(27 + segments..).unwrap_or_default();
    let codecs: [(&[u8], Kind); 6] = [
        (b"\x01vorbis", Kind::Ogg),
        (b"\x7fFLAC", Kind::Ogg),
        (b"OpusHead", Kind::Unsupported("Opus")),
        (b"Speex ", Kind::Unsupported("Speex")),
        (b"\x80theora", Kind::Unsupported("an Ogg film")),
        (b"fishead", Kind::Unsupported("an Ogg film")),
    ];
    codecs
        .iter()
        .find(|(start, _)| packet.starts_with(start))
        .map_or(
            Kind::Unsupported("Ogg without Vorbis or FLAC"),
            |&(_, kind)| kind,
        )
}

/// MPEG audio has no magic word: frames start with 11 set bits. The four header bytes must be those of a valid frame.
fn mpeg(bytes: &[u8], path: &Path) -> Kind {
    if let [0xff, second, third, ..] = *bytes
        && second & 0xe0 == 0xe0
    {
        // Values 1 of the version, 15 of the bit rate, and 3 of the sampling rate are reserved.
        let is_valid = second & 0x18 != 0x08 && third & 0xf0 != 0xf0 && third & 0x0c != 0x0c;
        match second & 0x06 {
            0x00 if second & 0xf0 == 0xf0 => return Kind::Unsupported("AAC"),
            0x02 if is_valid => return Kind::Mp3,
            0x04 if is_valid => return Kind::Unsupported("MPEG audio, layer 2 (MP2)"),
            0x06 if is_valid => return Kind::Unsupported("MPEG audio, layer 1 (MP1)"),
            _ => (),
        }
    }
    // Some MP3 files start with zeros or with the end of a frame.
    let is_mp3 = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("mp3"));
    if is_mp3 { Kind::Mp3 } else { Kind::Unknown }
}

/// `bytes` without ID3v2 tags at their start: titles and cover pictures, which are legal before MP3 and exist before FLAC.
pub(super) fn without_tags(mut bytes: &[u8]) -> &[u8] {
    while let [b'I', b'D', b'3', _, _, flags, a, b, c, d, ..] = *bytes {
        // Seven bits per byte.
        let length = [a, b, c, d]
            .iter()
            .fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f));
        let footer = if flags & 0x10 == 0 { 0 } else { 10 };
        bytes = bytes.get(10 + length + footer..).unwrap_or_default();
    }
    bytes
}
