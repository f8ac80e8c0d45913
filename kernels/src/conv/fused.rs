//! Convolutions computed together with what comes before or behind them, by loops of their own.
pub(super) mod bands;
pub(super) mod joint;
