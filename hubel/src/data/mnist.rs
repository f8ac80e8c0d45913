//! MNIST, embedded: the four original files, compressed. See `hubel/data/mnist/README.md` for provenance and licence.
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

use ruzstd::decoding::StreamingDecoder;

use crate::data::catalogue::Part;
use crate::data::{Dataset, Splits, idx, labelled};
use crate::on_all_cores::on_all_cores;
use crate::{Error, Result};

/// In parts, which are decompressed in parallel.
const TRAIN_IMAGES: [&[u8]; 4] = [
    include_bytes!("../../data/mnist/train-images-idx3-ubyte.0.zst"),
    include_bytes!("../../data/mnist/train-images-idx3-ubyte.1.zst"),
    include_bytes!("../../data/mnist/train-images-idx3-ubyte.2.zst"),
    include_bytes!("../../data/mnist/train-images-idx3-ubyte.3.zst"),
];
const TRAIN_LABELS: &[u8] = include_bytes!("../../data/mnist/train-labels-idx1-ubyte.zst");
const TEST_IMAGES: &[u8] = include_bytes!("../../data/mnist/t10k-images-idx3-ubyte.zst");
const TEST_LABELS: &[u8] = include_bytes!("../../data/mnist/t10k-labels-idx1-ubyte.zst");

/// The MNIST database of handwritten digits: 60,000 training and 10,000 test pictures, 28×28×1, classes `0` … `9`.
/// Needs no file and no internet. The first call decompresses it (0.1 to 0.3 seconds, depending on the number of cores); later calls share that memory.
///
/// By Yann LeCun and Corinna Cortes, under CC BY-SA 3.0.
///
/// # Errors
/// [`Error::Idx`] only if the program itself is damaged.
pub fn mnist() -> Result<Splits> {
    static DECODED: OnceLock<Splits> = OnceLock::new();
    if let Some(splits) = DECODED.get() {
        return Ok(splits.clone());
    }
    let (train, test) = std::thread::scope(|scope| {
        let test = scope.spawn(|| decode(&[TEST_IMAGES], TEST_LABELS));
        let train = decode(&TRAIN_IMAGES, TRAIN_LABELS);
        (train, test.join())
    });
    let test = test.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let description = "MNIST (embedded), 10 classes, 60,000 + 10,000 images of 28×28×1";
    let splits = Splits::found(description.into(), train?, None, Some(test?));
    Ok(DECODED.get_or_init(|| splits).clone())
}

fn decode(images: &[&[u8]], labels: &[u8]) -> Result<Dataset> {
    let path = Path::new("(embedded MNIST)");
    let digits = idx::labelled(
        Part::Train,
        (idx::parse(decompress(images, path)?, path)?, path),
        (idx::parse(decompress(&[labels], path)?, path)?, path),
    )?;
    Ok(labelled::splits("IDX", "mnist", path, vec![digits], None)?.train)
}

/// The parts of one file, decompressed in parallel.
fn decompress(parts: &[&[u8]], path: &Path) -> Result<Vec<u8>> {
    let decompress_part = |part: &&[u8]| -> Result<Vec<u8>> {
        let damaged = |problem: String| Error::Idx {
            path: path.to_owned(),
            problem,
        };
        let mut decoder =
            StreamingDecoder::new(*part).map_err(|error| damaged(error.to_string()))?;
        let mut bytes = Vec::with_capacity(decoder.decoder.content_size() as usize);
        decoder
            .read_to_end(&mut bytes)
            .map_err(|error| damaged(error.to_string()))?;
        Ok(bytes)
    };
    let parts = on_all_cores(parts.iter(), decompress_part, |_| ());
    Ok(parts.into_iter().collect::<Result<Vec<_>>>()?.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    #[test]
    fn holds_the_original_counts_and_pixels() -> Result<()> {
        let Splits { train, test, .. } = mnist()?;
        let test = test.expect("MNIST has test images");
        assert_eq!((train.len(), test.len()), (60_000, 10_000));
        assert_eq!(train.shape(), Shape::new(28, 28, 1));
        assert_eq!(train.classes().len(), 10);
        // Over the whole file including the header: no part is missing or in another's place.
        let images = decompress(&TRAIN_IMAGES, Path::new("(embedded MNIST)"))?;
        assert_eq!(
            twox_hash::XxHash3_64::oneshot(&images),
            0x59bf_22c0_57c5_2478
        );
        assert_eq!(&train.labels()[..8], &[5, 0, 4, 1, 9, 2, 1, 3]);
        // The known mean grey level of the training pictures.
        let preparation = crate::data::Preparation::measure(&train)?;
        assert!((preparation.mean[0] - 0.1307).abs() < 5e-5);
        assert!((preparation.std[0] - 0.3081).abs() < 5e-5);
        Ok(())
    }
}
