//! Writes NumPy's `.npz`: a ZIP file of arrays, like that of `numpy.savez`.
use std::io::{self, Seek, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// An array for NumPy.
pub(crate) enum Array<'a> {
    /// Rows of equal length.
    Rows(&'a [Vec<f32>]),
    /// Texts.
    Texts(&'a [String]),
}

/// Writes named arrays.
///
/// # Errors
/// If `file` cannot be written.
///
/// # Panics
/// If rows have different lengths.
pub(crate) fn write(file: impl Write + Seek, arrays: &[(&str, Array<'_>)]) -> io::Result<()> {
    let mut zip = ZipWriter::new(file);
    for (name, array) in arrays {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(array.bytes() > u64::from(u32::MAX) / 2);
        zip.start_file(format!("{name}.npy"), options)?;
        zip.write_all(&array.header())?;
        array.write(&mut zip)?;
    }
    zip.finish()?;
    Ok(())
}

impl Array<'_> {
    /// Number of rows, and of values or characters per row.
    fn sizes(&self) -> [usize; 2] {
        match self {
            Self::Rows(rows) => [rows.len(), rows.first().map_or(0, Vec::len)],
            Self::Texts(texts) => {
                let longest = texts.iter().map(|text| text.chars().count()).max();
                // NumPy has no strings of length 0.
                [texts.len(), longest.unwrap_or(0).max(1)]
            }
        }
    }

    /// Bytes per value or character.
    fn bytes(&self) -> u64 {
        let [rows, columns] = self.sizes();
        4 * rows as u64 * columns as u64
    }

    /// The header in version 1.0 of NumPy's format: a magic word, then a Python dictionary, padded to a multiple of 64 bytes.
    fn header(&self) -> Vec<u8> {
        let [rows, columns] = self.sizes();
        let (kind, shape) = match self {
            Self::Rows(_) => ("<f4".to_owned(), format!("({rows}, {columns})")),
            Self::Texts(_) => (format!("<U{columns}"), format!("({rows},)")),
        };
        let mut text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
        let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
        text.extend(std::iter::repeat_n(' ', length - 1 - text.len()));
        text.push('\n');
        let mut header = b"\x93NUMPY\x01\x00".to_vec();
        header.extend((text.len() as u16).to_le_bytes());
        header.extend(text.into_bytes());
        header
    }

    fn write(&self, file: &mut impl Write) -> io::Result<()> {
        let [_, columns] = self.sizes();
        match self {
            Self::Rows(rows) => {
                for row in *rows {
                    assert_eq!(row.len(), columns, "numbers of a row");
                    let bytes: Vec<u8> =
                        row.iter().flat_map(|number| number.to_le_bytes()).collect();
                    file.write_all(&bytes)?;
                }
            }
            Self::Texts(texts) => {
                for text in *texts {
                    let letters = text.chars().map(u32::from);
                    let padded = letters.chain(std::iter::repeat(0)).take(columns);
                    let bytes: Vec<u8> = padded.flat_map(u32::to_le_bytes).collect();
                    file.write_all(&bytes)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_written_as_numpy_reads_them() {
        let mut file = io::Cursor::new(Vec::new());
        let rows = [vec![1.5, -2.0, 0.25], vec![0.0, 1.0, f32::MAX]];
        let texts = ["a/é.png", ""].map(String::from);
        let arrays = [
            ("features", Array::Rows(&rows)),
            ("paths", Array::Texts(&texts)),
        ];
        write(&mut file, &arrays).unwrap();
        let mut zip = zip::ZipArchive::new(file).unwrap();
        let mut contents = |name: &str| {
            let mut bytes = Vec::new();
            io::copy(&mut zip.by_name(name).unwrap(), &mut bytes).unwrap();
            let (header, rest) = bytes.split_at(128);
            assert!(header.ends_with(b"\n"));
            (
                String::from_utf8_lossy(&header[10..]).trim_end().to_owned(),
                rest.to_vec(),
            )
        };
        let (header, numbers) = contents("features.npy");
        assert_eq!(
            header,
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"
        );
        let (numbers, _) = numbers.as_chunks();
        let numbers: Vec<f32> = numbers
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect();
        assert_eq!(numbers, rows.concat());
        let (header, letters) = contents("paths.npy");
        assert_eq!(
            header,
            "{'descr': '<U7', 'fortran_order': False, 'shape': (2,), }"
        );
        assert_eq!(letters.len(), 2 * 7 * 4);
        assert_eq!(letters[8..12], [0xe9, 0, 0, 0]);
    }
}
