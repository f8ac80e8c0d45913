//! Methods that have a name and settings. In text they are their name, as in `"cosine"`; with settings other than the usual ones they are
//! a table such as `{ name = "step", factor = 0.2 }`, in which the other settings are the usual ones.
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};
use serde_json::Value;

use crate::nearest::nearest;
use crate::{Error, Result, one_line};

/// A choice among several methods.
pub(crate) trait Named: PartialEq + Sized + 'static {
    /// What it is, for messages: `optimizer`.
    const KIND: &'static str;
    /// The names in text.
    const NAMES: &'static [&'static str];

    /// The method with its usual settings.
    fn usual(name: &str) -> Option<Self>;

    /// The name in text. None if it has none.
    fn name(&self) -> Option<&'static str>;

    /// Reads a table with the name and all settings.
    fn of_table(table: Value) -> serde_json::Result<Self>;

    /// Writes a table with the name and all settings.
    fn write_table<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

/// The method called `name`, with its usual settings.
///
/// # Errors
/// [`Error::Settings`] with all names if there is none.
pub(crate) fn of_name<T: Named>(name: &str) -> Result<T> {
    T::usual(name).ok_or_else(|| {
        let guess = match nearest(name, T::NAMES.iter().copied()) {
            Some(near) => format!("did you mean {near}? "),
            None => String::new(),
        };
        let (given, kind, names) = (one_line(name), T::KIND, T::NAMES.join(", "));
        Error::Settings {
            problem: format!("there is no {kind} `{given}`; {guess}choose one of {names}"),
        }
    })
}

/// Writes the name, or a table if not all settings are the usual ones.
pub(crate) fn serialize<T: Named, S: Serializer>(
    method: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match method.name() {
        Some(name) if T::usual(name).as_ref() == Some(method) => serializer.serialize_str(name),
        _ => method.write_table(serializer),
    }
}

/// Reads a name or a table.
pub(crate) fn deserialize<'de, T: Named, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let (name, given) = match Value::deserialize(deserializer)? {
        Value::String(name) => (name, serde_json::Map::new()),
        Value::Object(mut table) => match table.remove("name") {
            Some(Value::String(name)) => (name, table),
            _ => return Err(D::Error::missing_field("name")),
        },
        _ => {
            let kind = T::KIND;
            return Err(D::Error::custom(format!(
                "the {kind} must be a name or a table with a name"
            )));
        }
    };
    let usual: T = of_name(&name).map_err(D::Error::custom)?;
    let table = usual.write_table(serde_json::value::Serializer);
    let Value::Object(mut table) = table.map_err(D::Error::custom)? else {
        unreachable!("a method with settings is a table");
    };
    table.extend(given);
    T::of_table(Value::Object(table)).map_err(D::Error::custom)
}
