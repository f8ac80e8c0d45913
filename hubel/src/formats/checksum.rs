//! The checksum of a model file, which detects changed bits.
use std::hash::Hasher;

use twox_hash::XxHash3_64;

use super::safetensors::{NamedTensor, Tensors};

/// The metadata key of the checksum, which has 16 hexadecimal digits.
const FIELD: &str = "hubel.checksum";

/// Tensors whose names begin so have a checksum of their own: the state of a training, beside the model. No layer has such a name.
pub(crate) const STATE: &str = "hubel/state/";
/// The metadata of that state, which holds its checksum.
pub(crate) const STATE_FIELD: &str = "hubel.state";

/// Stores the checksum of everything else in the metadata, without a training state.
pub(crate) fn seal(tensors: &mut Tensors) {
    let checksum = checksum(tensors);
    tensors.metadata.insert(FIELD.into(), checksum);
}

/// Compares the stored checksum with the contents. Fuzzers skip this (`cfg(fuzzing)`), because they cannot guess a checksum.
///
/// # Errors
/// The problem and what to do, if the checksum is missing or differs.
pub(crate) fn verify(tensors: &Tensors) -> Result<(), String> {
    match tensors.metadata.get(FIELD) {
        _ if cfg!(fuzzing) => Ok(()),
        None => Err(format!(
            "its metadata has lost its `{FIELD}`; copy or download it again"
        )),
        Some(stored) if *stored != checksum(tensors) => Err(format!(
            "it is damaged: its contents do not have the checksum that was written with them; copy or download it again \
             (if they were changed on purpose, write it without `{FIELD}` and with `hubel.version` 1)"
        )),
        Some(_) => Ok(()),
    }
}

/// XXH3 (64 bits) of the metadata without the checksum, and of the tensors by name with their shapes and values. Changes without
/// meaning, such as another order of tensors, do not change it: Python may load a file and save it again.
fn checksum(tensors: &Tensors) -> String {
    let mut hasher = XxHash3_64::new();
    for (name, value) in &tensors.metadata {
        if name != FIELD && name != STATE_FIELD {
            add_text(&mut hasher, name);
            add_text(&mut hasher, value);
        }
    }
    let of_model = (tensors.tensors.iter()).filter(|tensor| !tensor.name.starts_with(STATE));
    add_tensors(&mut hasher, of_model.collect());
    format!("{:016x}", hasher.finish())
}

/// XXH3 (64 bits) of a text, and of tensors with their names and shapes in any order.
pub(crate) fn of(text: &str, tensors: &[NamedTensor]) -> String {
    let mut hasher = XxHash3_64::new();
    add_text(&mut hasher, text);
    add_tensors(&mut hasher, tensors.iter().collect());
    format!("{:016x}", hasher.finish())
}

fn add_text(hasher: &mut XxHash3_64, text: &str) {
    hasher.write(&(text.len() as u64).to_le_bytes());
    hasher.write(text.as_bytes());
}

fn add_tensors(hasher: &mut XxHash3_64, mut tensors: Vec<&NamedTensor>) {
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    for tensor in tensors {
        add_text(hasher, &tensor.name);
        hasher.write(&(tensor.shape.len() as u64).to_le_bytes());
        for size in &tensor.shape {
            hasher.write(&(*size as u64).to_le_bytes());
        }
        let mut block = [0; 1 << 14];
        for values in tensor.data.chunks(block.len() / size_of::<f32>()) {
            let (places, _) = block.as_chunks_mut();
            for (place, value) in places.iter_mut().zip(values) {
                *place = value.to_le_bytes();
            }
            hasher.write(&block[..size_of_val(values)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Tensors {
        let tensor = |name: &str, shape: &[usize]| NamedTensor {
            name: name.into(),
            shape: shape.into(),
            data: (0..shape.iter().product()).map(|i| i as f32).collect(),
        };
        let mut tensors = Tensors {
            metadata: [("format".to_string(), "pt".to_string())].into(),
            tensors: vec![tensor("b", &[70, 80]), tensor("a", &[6, 1])],
        };
        seal(&mut tensors);
        tensors
    }

    #[test]
    fn any_change_of_the_contents_is_seen_and_their_order_is_none() {
        assert_eq!(verify(&some()), Ok(()));
        let mut reordered = some();
        reordered.tensors.reverse();
        assert_eq!(verify(&reordered), Ok(()));
        let changes: [fn(&mut Tensors); 7] = [
            |file| file.tensors[0].data[5599] = -0.0,
            |file| file.tensors[1].data[0] = -0.0,
            |file| file.tensors[1].shape = vec![3, 2],
            |file| file.tensors[1].name = "c".into(),
            |file| drop(file.tensors.pop()),
            |file| drop(file.metadata.insert("format".into(), "pu".into())),
            |file| drop(file.metadata.insert("more".into(), String::new())),
        ];
        for change in changes {
            let mut changed = some();
            change(&mut changed);
            let problem = verify(&changed).expect_err("another checksum");
            assert!(problem.contains("damaged"), "{problem}");
        }
        let mut without = some();
        without.metadata.remove(FIELD);
        assert!(verify(&without).is_err());
    }
}
