//! Python's pickles, as far as `torch.save` uses them for tensors: a stack machine that builds plain values. It runs no code: of the
//! Python objects that a pickle may call, only those in [`globals`](super::globals) are supported.
//!
//! Source of the instructions: Python's module `pickletools`, which describes each.
use std::collections::HashMap;
use std::rc::Rc;

use super::globals::{self, Global, Storage, Tensor};
use crate::one_line;

/// The index of a value in a [`Pickle`].
pub(super) type Place = usize;

/// A value of a pickle. Values refer to each other by index, so a deeply nested pickle is dropped without recursion.
#[derive(Clone, Debug)]
pub(super) enum Value {
    None,
    Bool(bool),
    Integer(i128),
    Text(Rc<str>),
    Tuple(Vec<Place>),
    List(Vec<Place>),
    Dict(Vec<[Place; 2]>),
    Global(Global),
    Storage(Storage),
    Tensor(Tensor),
    /// A value that tensors do not use: a float, bytes, a long integer.
    Other,
}

/// The values of one pickle.
pub(super) struct Pickle {
    values: Vec<Value>,
    root: Place,
}

impl Pickle {
    pub(super) fn root(&self) -> &Value {
        &self.values[self.root]
    }

    pub(super) fn value(&self, place: Place) -> &Value {
        &self.values[place]
    }

    pub(super) fn values(&self) -> &[Value] {
        &self.values
    }
}

/// Why a pickle cannot be read.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// The bytes end too early.
    Ended,
    /// A problem with its contents.
    Problem(String),
}

impl Fault {
    /// The problem, for a pickle that should be complete.
    pub(super) fn text(self) -> String {
        match self {
            Self::Ended => {
                "its list of tensors ends too early: it is damaged; copy or download it again"
                    .into()
            }
            Self::Problem(problem) => problem,
        }
    }
}

/// Most values of a pickle, which bounds memory. A checkpoint of a large network with its optimizer has a tenth of this.
const MOST_VALUES: usize = 1 << 20;

/// Reads one pickle from the start of `bytes`, and advances `bytes` past it.
pub(super) fn read(bytes: &mut &[u8]) -> Result<Pickle, Fault> {
    read_at_most(MOST_VALUES, bytes)
}

/// As [`read`], but rejects a pickle with more than `most` values or stack entries.
fn read_at_most(most: usize, bytes: &mut &[u8]) -> Result<Pickle, Fault> {
    let mut machine = Machine {
        most,
        bytes,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    while machine.step()? {
        machine.check_memory()?;
    }
    let root = machine.pop()?;
    let values = machine.values;
    Ok(Pickle { values, root })
}

struct Machine<'a, 'b> {
    most: usize,
    bytes: &'b mut &'a [u8],
    values: Vec<Value>,
    stack: Vec<Place>,
    /// The height of the stack at each open mark.
    marks: Vec<usize>,
    memo: HashMap<usize, Place>,
}

impl Machine<'_, '_> {
    /// Executes one instruction; false after the last one.
    fn step(&mut self) -> Result<bool, Fault> {
        let [instruction] = self.take()?;
        match instruction {
            // PROTO, FRAME: the encoding of the rest.
            0x80 => self.take::<1>().map(drop)?,
            0x95 => self.take::<8>().map(drop)?,
            b'.' => return Ok(false),
            b'(' => self.marks.push(self.stack.len()),

            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'J' => {
                let number = i32::from_le_bytes(self.take()?);
                self.push(Value::Integer(number.into()));
            }
            b'K' => {
                let [number] = self.take()?;
                self.push(Value::Integer(number.into()));
            }
            b'M' => {
                let number = u16::from_le_bytes(self.take()?);
                self.push(Value::Integer(number.into()));
            }
            // LONG1, LONG4: integers of any length.
            0x8a => {
                let length = self.length::<1>()?;
                self.long(length)?;
            }
            0x8b => {
                let length = self.length::<4>()?;
                self.long(length)?;
            }
            b'G' => {
                self.take::<8>()?;
                self.push(Value::Other);
            }

            // Strings of Python 3, and of Python 2.
            0x8c | b'U' => {
                let length = self.length::<1>()?;
                self.text(length)?;
            }
            b'X' | b'T' => {
                let length = self.length::<4>()?;
                self.text(length)?;
            }
            0x8d => {
                let length = self.length::<8>()?;
                self.text(length)?;
            }
            // Bytes.
            b'C' => {
                let length = self.length::<1>()?;
                self.skip(length)?;
            }
            b'B' => {
                let length = self.length::<4>()?;
                self.skip(length)?;
            }
            0x8e | 0x96 => {
                let length = self.length::<8>()?;
                self.skip(length)?;
            }

            b')' => self.push(Value::Tuple(Vec::new())),
            0x85..=0x87 => {
                let parts = self.pop_many(usize::from(instruction - 0x84))?;
                self.push(Value::Tuple(parts));
            }
            b't' => {
                let parts = self.pop_to_mark()?;
                self.push(Value::Tuple(parts));
            }
            b']' => self.push(Value::List(Vec::new())),
            b'a' => {
                let items = self.pop_many(1)?;
                self.append(&items)?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(&items)?;
            }
            b'}' => self.push(Value::Dict(Vec::new())),
            b's' => {
                let items = self.pop_many(2)?;
                self.insert(&items)?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.insert(&items)?;
            }

            b'q' => {
                let key = self.length::<1>()?;
                self.remember(key)?;
            }
            b'r' => {
                let key = self.length::<4>()?;
                self.remember(key)?;
            }
            0x94 => self.remember(self.memo.len())?,
            b'h' => {
                let key = self.length::<1>()?;
                self.recall(key)?;
            }
            b'j' => {
                let key = self.length::<4>()?;
                self.recall(key)?;
            }

            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(&module, &name)?;
            }
            // STACK_GLOBAL
            0x93 => {
                let [module, name] = self.pop_texts()?;
                self.global(&module, &name)?;
            }
            b'R' => self.call()?,
            b'b' => self.build()?,
            b'Q' => {
                let id = self.pop()?;
                let storage = globals::persistent(&self.values, id).ok_or_else(misfit)?;
                self.push(Value::Storage(storage));
            }
            other => {
                return Err(Fault::Problem(format!(
                    "its list of tensors contains the instruction {other:#04x}, which no tensor needs: it is damaged, or contains Python objects; {WAY_OUT}"
                )));
            }
        }
        Ok(true)
    }

    fn take<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Fault> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(Fault::Ended)?;
        *self.bytes = rest;
        Ok(*taken)
    }

    /// An unsigned integer of this many bytes.
    fn length<const BYTES: usize>(&mut self) -> Result<usize, Fault> {
        let mut number = [0; 8];
        number[..BYTES].copy_from_slice(&self.take::<BYTES>()?);
        usize::try_from(u64::from_le_bytes(number)).map_err(|_| Fault::Ended)
    }

    fn take_slice(&mut self, length: usize) -> Result<&[u8], Fault> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(Fault::Ended)?;
        *self.bytes = rest;
        Ok(taken)
    }

    /// The next line, without its line break.
    fn line(&mut self) -> Result<String, Fault> {
        let end = self.bytes.iter().position(|byte| *byte == b'\n');
        let line = self.take_slice(end.ok_or(Fault::Ended)?)?;
        let line = String::from_utf8_lossy(line).into_owned();
        self.take::<1>()?;
        Ok(line)
    }

    fn text(&mut self, length: usize) -> Result<(), Fault> {
        let value = match std::str::from_utf8(self.take_slice(length)?) {
            Ok(text) => Value::Text(text.into()),
            Err(_) => Value::Other,
        };
        self.push(value);
        Ok(())
    }

    fn skip(&mut self, length: usize) -> Result<(), Fault> {
        self.take_slice(length)?;
        self.push(Value::Other);
        Ok(())
    }

    /// A little-endian integer of `length` bytes in two's complement.
    fn long(&mut self, length: usize) -> Result<(), Fault> {
        let bytes = self.take_slice(length)?;
        let is_negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut number = [if is_negative { 0xff } else { 0 }; 16];
        let value = match number.get_mut(..length) {
            Some(low) => {
                low.copy_from_slice(bytes);
                Value::Integer(i128::from_le_bytes(number))
            }
            None => Value::Other,
        };
        self.push(value);
        Ok(())
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn check_memory(&self) -> Result<(), Fault> {
        let counts = [
            self.values.len(),
            self.stack.len(),
            self.marks.len(),
            self.memo.len(),
        ];
        match counts.iter().any(|count| *count > self.most) {
            true => Err(Fault::Problem(format!(
                "it describes more than a million objects; {WAY_OUT}"
            ))),
            false => Ok(()),
        }
    }

    /// Pops the top of the stack, unless a mark is on it.
    fn pop(&mut self) -> Result<Place, Fault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len() > floor {
            true => self.stack.pop().ok_or_else(misfit),
            false => Err(misfit()),
        }
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Place>, Fault> {
        let mut places = (0..count)
            .map(|_| self.pop())
            .collect::<Result<Vec<_>, _>>()?;
        places.reverse();
        Ok(places)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Place>, Fault> {
        let mark = self.marks.pop().ok_or_else(misfit)?;
        match mark <= self.stack.len() {
            true => Ok(self.stack.split_off(mark)),
            false => Err(misfit()),
        }
    }

    fn pop_texts(&mut self) -> Result<[Rc<str>; 2], Fault> {
        let places = self.pop_many(2)?;
        match [&self.values[places[0]], &self.values[places[1]]] {
            [Value::Text(first), Value::Text(second)] => Ok([first.clone(), second.clone()]),
            _ => Err(misfit()),
        }
    }

    /// The value on top of the stack, without popping it.
    fn top(&mut self) -> Result<&mut Value, Fault> {
        let place = self.pop()?;
        self.stack.push(place);
        Ok(&mut self.values[place])
    }

    fn append(&mut self, items: &[Place]) -> Result<(), Fault> {
        match self.top()? {
            Value::List(list) => list.extend(items),
            _ => return Err(misfit()),
        }
        Ok(())
    }

    fn insert(&mut self, items: &[Place]) -> Result<(), Fault> {
        let (pairs, rest) = items.as_chunks();
        match self.top()? {
            Value::Dict(dict) if rest.is_empty() => dict.extend(pairs),
            _ => return Err(misfit()),
        }
        Ok(())
    }

    fn remember(&mut self, key: usize) -> Result<(), Fault> {
        let place = self.pop()?;
        self.stack.push(place);
        self.memo.insert(key, place);
        Ok(())
    }

    fn recall(&mut self, key: usize) -> Result<(), Fault> {
        let place = self.memo.get(&key).copied().ok_or_else(misfit)?;
        self.stack.push(place);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), Fault> {
        let global = Global::named(module, name).ok_or_else(|| {
            Fault::Problem(format!(
                "it contains code: a Python object that `{}` would create. Nothing was run; {WAY_OUT}",
                one_line(&format!("{module}.{name}"))
            ))
        })?;
        self.push(Value::Global(global));
        Ok(())
    }

    /// Calls a Python object with a tuple of arguments.
    fn call(&mut self) -> Result<(), Fault> {
        let places = self.pop_many(2)?;
        let (Value::Global(global), Value::Tuple(arguments)) =
            (&self.values[places[0]], &self.values[places[1]])
        else {
            return Err(misfit());
        };
        match globals::call(&self.values, *global, arguments).ok_or_else(misfit)? {
            globals::Made::New(value) => self.push(value),
            globals::Made::Old(place) => self.stack.push(place),
        }
        Ok(())
    }

    /// Sets attributes of an object. Attributes such as `_metadata` of a state dict do not concern its tensors, so they are ignored.
    fn build(&mut self) -> Result<(), Fault> {
        self.pop()?;
        match self.top()? {
            Value::Dict(_) => Ok(()),
            _ => Err(misfit()),
        }
    }
}

/// Advice for a file that contains more than tensors.
pub(super) const WAY_OUT: &str = "in Python, torch.save(model.state_dict(), path) writes only weights; for a checkpoint, save only its state dict";

/// The error for instructions and values that do not fit together.
fn misfit() -> Fault {
    Fault::Problem(
        "its list of tensors contradicts itself: it is damaged; copy or download it again".into(),
    )
}

#[cfg(test)]
mod tests;
