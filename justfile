# The commands of a working day; `just` alone lists them.
default:
    @just --list

# What CI runs: formatting, lints, docs, tests, licences.
check:
    .ci/run

# The tests alone; `just test conv` runs those whose names hold `conv`.
test *FILTER:
    cargo test --workspace {{FILTER}}

# Formats the code and mends what clippy can mend by itself.
fix:
    cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
    cargo fmt --all

# The main job: trains on MNIST with the defaults.
train *FLAGS:
    cargo run --release -- train {{FLAGS}}

# Time and GFLOP/s of every kernel on this machine.
kernels *FLAGS:
    cargo run --release -- bench kernels {{FLAGS}}

# The documentation of the library, in the browser.
docs:
    cargo doc --workspace --no-deps --open
