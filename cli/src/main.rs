//! `hubel`: train, understand and ship convolutional neural networks from one binary.
fn main() {}
