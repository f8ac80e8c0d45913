//! The event file of TensorBoard: records in the framing of TFRecord, each a message `Event` in the encoding of Protocol Buffers.
//!
//! | what | source |
//! |---|---|
//! | framing and checksum | `tensorflow/core/lib/io/record_writer.h`, `tensorflow/core/lib/hash/crc32c.h` |
//! | messages | `tensorboard/compat/proto/event.proto` and `summary.proto` |
//! | encoding | <https://protobuf.dev/programming-guides/encoding/> |
use crc::{CRC_32_ISCSI, Crc, Table};

use super::{Place, Row};
use crate::train::Event;

/// The name of a file that was begun at this time. TensorBoard looks for `tfevents` in names.
pub(super) fn name(wall_time: f64) -> String {
    format!("{PREFIX}{}{SUFFIX}", wall_time as u64)
}

const PREFIX: &str = "events.out.tfevents.";
const SUFFIX: &str = ".hubel";

/// Whether a file of this name was written by hubel.
pub(super) fn is_name(name: &str) -> bool {
    let seconds = (name.strip_prefix(PREFIX)).and_then(|rest| rest.strip_suffix(SUFFIX));
    seconds.is_some_and(|seconds| {
        !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Adds the first record of a file.
pub(super) fn write_version(file: &mut Vec<u8>, wall_time: f64) {
    write_record(file, |event| {
        write_double(event, EVENT_WALL_TIME, wall_time);
        write_bytes(event, EVENT_FILE_VERSION, b"brain.Event:2");
    });
}

/// Adds the values of a step.
pub(super) fn write_step(file: &mut Vec<u8>, event: &Event, place: &Place, wall_time: f64) {
    if let Event::Step {
        batch_loss,
        learning_rate,
        gradient_norm,
        images_per_second,
        ..
    } = event
    {
        write_scalars(
            file,
            place.all_steps(),
            wall_time,
            [
                ("train/batch_loss", Some(*batch_loss)),
                ("train/learning_rate", Some(*learning_rate)),
                ("train/gradient_norm", *gradient_norm),
                ("train/images_per_second", Some(*images_per_second as f32)),
            ],
        );
    }
}

/// Adds the values of an epoch.
pub(super) fn write_epoch(file: &mut Vec<u8>, row: &Row) {
    let scalars = [
        ("train/loss", Some(row.loss)),
        ("train/accuracy", Some(row.accuracy)),
        ("validation/loss", row.validation_loss),
        ("validation/accuracy", row.validation_accuracy),
        (
            "validation/balanced_accuracy",
            row.validation_balanced_accuracy,
        ),
    ];
    write_scalars(file, row.step, row.wall_time, scalars);
}

/// Adds a record with scalars that have these tags.
fn write_scalars<const COUNT: usize>(
    file: &mut Vec<u8>,
    step: usize,
    wall_time: f64,
    scalars: [(&str, Option<f32>); COUNT],
) {
    write_record(file, |event| {
        write_double(event, EVENT_WALL_TIME, wall_time);
        write_key(event, EVENT_STEP, VARINT);
        write_varint(event, step as u64);
        write_message(event, EVENT_SUMMARY, |summary| {
            for (tag, value) in scalars {
                let Some(value) = value else { continue };
                write_message(summary, SUMMARY_VALUE, |message| {
                    write_bytes(message, VALUE_TAG, tag.as_bytes());
                    write_key(message, VALUE_SIMPLE_VALUE, FIXED_32);
                    message.extend_from_slice(&value.to_le_bytes());
                });
            }
        });
    });
}

// The numbers of the fields, each named for its message and itself.
const EVENT_WALL_TIME: u8 = 1;
const EVENT_STEP: u8 = 2;
const EVENT_FILE_VERSION: u8 = 3;
const EVENT_SUMMARY: u8 = 5;
const SUMMARY_VALUE: u8 = 1;
const VALUE_TAG: u8 = 1;
const VALUE_SIMPLE_VALUE: u8 = 2;

// The kinds of fields.
const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const WITH_LENGTH: u8 = 2;
const FIXED_32: u8 = 5;

/// Adds the start of a field. Its number is at most 15, so that it fits one byte.
fn write_key(message: &mut Vec<u8>, field: u8, kind: u8) {
    message.push(field << 3 | kind);
}

/// Adds a number of 7 bits per byte, the lowest first; all bytes but the last have the highest bit set.
fn write_varint(message: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        message.push(number as u8 | 0x80);
        number >>= 7;
    }
    message.push(number as u8);
}

fn write_double(message: &mut Vec<u8>, field: u8, value: f64) {
    write_key(message, field, FIXED_64);
    message.extend_from_slice(&value.to_le_bytes());
}

fn write_bytes(message: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    write_key(message, field, WITH_LENGTH);
    write_varint(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

/// Adds a message as a field. `body` writes at most 16,383 bytes.
fn write_message(message: &mut Vec<u8>, field: u8, body: impl FnOnce(&mut Vec<u8>)) {
    write_key(message, field, WITH_LENGTH);
    // The length is known only after the body. A number may have leading zeros, so two bytes are reserved.
    let start = message.len();
    message.extend_from_slice(&[0; 2]);
    body(message);
    let length = message.len() - start - 2;
    assert!(length < 1 << 14, "a message of {length} bytes");
    message[start] = length as u8 | 0x80;
    message[start + 1] = (length >> 7) as u8;
}

/// Adds a record: the length of `body` and its checksum, then `body` and its checksum.
fn write_record(file: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    /// Bytes of a length and its checksum.
    const HEAD: usize = 12;
    let start = file.len();
    file.extend_from_slice(&[0; HEAD]);
    body(file);
    let (head, body) = file[start..].split_at_mut(HEAD);
    let length = (body.len() as u64).to_le_bytes();
    head[..8].copy_from_slice(&length);
    head[8..].copy_from_slice(&masked_checksum(&length).to_le_bytes());
    let checksum = masked_checksum(body);
    file.extend_from_slice(&checksum.to_le_bytes());
}

/// CRC-32C, rotated and shifted: a checksum of bytes that contain checksums themselves would be weak.
fn masked_checksum(bytes: &[u8]) -> u32 {
    const CASTAGNOLI: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);
    CASTAGNOLI
        .checksum(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_rfc_3720() {
        let of = |bytes: &[u8]| {
            let masked = masked_checksum(bytes);
            masked.wrapping_sub(0xa282_ead8).rotate_left(15)
        };
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(of(&[0; 32]), 0x8a91_36aa);
        assert_eq!(of(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(of(&ascending), 0x46dd_794e);
        assert_eq!(of(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn numbers_have_seven_bits_per_byte() {
        let of = |number: u64| {
            let mut bytes = Vec::new();
            write_varint(&mut bytes, number);
            bytes
        };
        assert_eq!(of(0), [0]);
        assert_eq!(of(127), [127]);
        assert_eq!(of(150), [0x96, 0x01]);
        assert_eq!(of(u64::MAX).len(), 10);
    }

    #[test]
    fn only_files_of_hubel_are_recognised() {
        assert!(is_name(&name(1_700_000_000.9)));
        for other in [
            "events.out.tfevents.1700000000.host.1.0",
            "events.out.tfevents..hubel",
            "events.out.tfevents.new.hubel",
            "events.jsonl",
        ] {
            assert!(!is_name(other), "{other}");
        }
    }
}
