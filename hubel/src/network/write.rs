//! Writes architecture text that `text.rs` parses as the same network.
use super::{Block, Item, Network};
use std::fmt;

/// The architecture text; it parses to an equal network.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_chain(f, &self.items)
    }
}

fn write_chain(f: &mut fmt::Formatter<'_>, items: &[Item]) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str("-")?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(label) = &self.label {
            write!(f, "{label}: ")?;
        }
        match &self.block {
            Block::Layer(layer) => layer.fmt(f),
            Block::Chain(items) => {
                f.write_str("[")?;
                write_chain(f, items)?;
                f.write_str("]")
            }
            Block::Residual { body, shortcut } => {
                f.write_str("residual[")?;
                write_chain(f, body)?;
                if !shortcut.is_empty() {
                    f.write_str(" | ")?;
                    write_chain(f, shortcut)?;
                }
                f.write_str("]")
            }
            Block::Multiply { map, factors } => {
                f.write_str("multiply[")?;
                write_chain(f, map)?;
                f.write_str(" | ")?;
                write_chain(f, factors)?;
                f.write_str("]")
            }
            Block::Concat(branches) => {
                f.write_str("concat[")?;
                for (i, branch) in branches.iter().enumerate() {
                    if i > 0 {
                        f.write_str(" | ")?;
                    }
                    write_chain(f, branch)?;
                }
                f.write_str("]")
            }
        }
    }
}
