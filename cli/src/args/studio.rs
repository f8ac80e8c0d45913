//! `hubel studio`
use std::path::PathBuf;

use clap::Args;

/// `hubel studio`
#[derive(Args)]
#[command(after_help = "\
Examples:
  hubel studio                          networks, sizes, and the runs below this folder
  hubel studio runs/mnist-cnn           the network and the curves of this run
  hubel studio model.safetensors        the network of this model
  hubel studio runs/                    the runs below this folder
  hubel studio photos/                  what `hubel check` finds in this data, and its augmentation

The server listens on 127.0.0.1 only and answers only to a browser that has opened the printed address. Port and token of the address are kept in .hubel/studio.json and stay the same over a restart in \
the same folder. Ctrl-C ends the server.")]
pub(crate) struct Studio {
    /// A run, a folder with runs, a model file, a network by name, architecture text, or a folder with labelled data
    #[arg(value_name = "RUN|MODEL|DATA")]
    pub(crate) shown: Option<String>,
    /// The data of the model, a folder or a data set by name. A run knows its own
    #[arg(long, value_name = "DATA")]
    pub(crate) data: Option<PathBuf>,
    /// The port to listen on [default: that of the last time in this folder, or any free one]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// Open the page in the browser. While it starts, other users of this machine can see the address in the list of processes
    #[arg(long)]
    pub(crate) open: bool,
}
