# Commands for development; `just` lists them.
default:
    @just --list

# What CI runs: formatting, lints, docs, tests, licences.
check:
    .ci/run

# Only the tests; `just test conv` runs those whose names contain `conv`.
test *FILTER:
    cargo test --workspace {{FILTER}}

# Formats the code, and applies clippy's automatic fixes.
fix:
    cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
    cargo fmt --all

# Trains on MNIST with the defaults.
train *FLAGS:
    cargo run --release -- train {{FLAGS}}

# Time and GFLOP/s of each kernel on this machine.
kernels *FLAGS:
    cargo run --release -- bench kernels {{FLAGS}}

# The documentation of the library, in the browser.
docs:
    cargo doc --workspace --no-deps --open
