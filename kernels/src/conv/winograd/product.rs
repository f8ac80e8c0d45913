//! The matrix product of one plane: C = A · B or C += A · B, with tiles of C in registers.
use crate::Simd;
use crate::conv::prefetch::{WEIGHTS_AHEAD, prefetch};

/// The matrix A: where it begins, and the floats from row to row and from column to column.
#[derive(Clone, Copy)]
pub(super) struct Left {
    pub(super) start: *const f32,
    pub(super) row: usize,
    pub(super) column: usize,
}

/// The matrix B: where it begins, and the floats from row to row. Rows are contiguous.
#[derive(Clone, Copy)]
pub(super) struct Right {
    pub(super) start: *const f32,
    pub(super) row: usize,
}

/// The matrix C, which is written: where it begins, and the floats from row to row. Rows are contiguous.
#[derive(Clone, Copy)]
pub(super) struct Product {
    pub(super) start: *mut f32,
    pub(super) row: usize,
}

/// A has `rows` × `terms` elements, B `terms` × `vectors` vectors, C `rows` × `vectors` vectors.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) rows: usize,
    pub(super) terms: usize,
    pub(super) vectors: usize,
}

/// C = A · B, or C += A · B if `add`.
///
/// # Safety
/// A and B can be read, and C read and written, at these sizes. C overlaps neither A nor B.
#[inline(always)]
pub(super) unsafe fn multiply<S: Simd>(
    simd: S,
    add: bool,
    sizes: Sizes,
    a: Left,
    b: Right,
    c: Product,
) {
    let Sizes {
        rows,
        terms,
        vectors,
    } = sizes;
    let mut v = 0;
    // SAFETY: v + V ≤ `vectors`, so that B and C have the V vectors from v on in each row.
    unsafe {
        while v + 2 <= vectors {
            columns::<S, 2>(
                simd,
                add,
                rows,
                terms,
                a,
                shift(b, v * S::LANES),
                at(c, 0, v * S::LANES),
            );
            v += 2;
        }
        if v < vectors {
            columns::<S, 1>(
                simd,
                add,
                rows,
                terms,
                a,
                shift(b, v * S::LANES),
                at(c, 0, v * S::LANES),
            );
        }
    }
}

/// B from `floats` floats further right.
///
/// # Safety
/// B has a column there.
#[inline(always)]
unsafe fn shift(b: Right, floats: usize) -> Right {
    Right {
        // SAFETY: B has a column there.
        start: unsafe { b.start.add(floats) },
        ..b
    }
}

/// A from `rows` rows further down.
///
/// # Safety
/// A has a row there.
#[inline(always)]
unsafe fn below(a: Left, rows: usize) -> Left {
    Left {
        // SAFETY: A has a row there.
        start: unsafe { a.start.add(rows * a.row) },
        ..a
    }
}

/// C from `row` and `floats` floats further right.
///
/// # Safety
/// C has an element there.
#[inline(always)]
unsafe fn at(c: Product, row: usize, floats: usize) -> Product {
    Product {
        // SAFETY: C has an element there.
        start: unsafe { c.start.add(row * c.row + floats) },
        ..c
    }
}

/// Computes V vectors of all rows.
///
/// # Safety
/// As of [`multiply`], for V vectors.
#[inline(always)]
unsafe fn columns<S: Simd, const V: usize>(
    simd: S,
    add: bool,
    rows: usize,
    terms: usize,
    a: Left,
    b: Right,
    c: Product,
) {
    // With few rows, the time goes into reading B from memory: it is prefetched.
    let fetch = rows < 8;
    let mut i = 0;
    // SAFETY: i + R ≤ `rows` for each tile of R rows, so that A and C have its rows.
    unsafe {
        // Of 32 registers, 8 × 2 hold sums. Of 16, 6 × 2 hold sums and leave two for B and one for the broadcast of A.
        if S::REGISTERS >= 32 {
            while i + 8 <= rows {
                tile::<S, 8, V>(simd, add, false, terms, below(a, i), b, at(c, i, 0));
                i += 8;
            }
        } else {
            while i + 6 <= rows {
                tile::<S, 6, V>(simd, add, false, terms, below(a, i), b, at(c, i, 0));
                i += 6;
            }
        }
        if i + 4 <= rows {
            tile::<S, 4, V>(simd, add, fetch, terms, below(a, i), b, at(c, i, 0));
            i += 4;
        }
        if i + 2 <= rows {
            tile::<S, 2, V>(simd, add, fetch, terms, below(a, i), b, at(c, i, 0));
            i += 2;
        }
        if i < rows {
            tile::<S, 1, V>(simd, add, fetch, terms, below(a, i), b, at(c, i, 0));
        }
    }
}

/// Computes V vectors of R rows; `fetch` prefetches B.
///
/// # Safety
/// As of [`multiply`], for R rows and V vectors.
#[inline(always)]
unsafe fn tile<S: Simd, const R: usize, const V: usize>(
    simd: S,
    add: bool,
    fetch: bool,
    terms: usize,
    a: Left,
    b: Right,
    c: Product,
) {
    let mut sums = [[simd.zero(); V]; R];
    // SAFETY: A has R rows of `terms` elements, B `terms` rows of V vectors, and C R rows of V vectors.
    unsafe {
        if add {
            for i in 0..R {
                for v in 0..V {
                    sums[i][v] = simd.load(c.start.add(i * c.row + v * S::LANES));
                }
            }
        }
        let (mut from_a, mut from_b) = (a.start, b.start);
        for _ in 0..terms {
            if fetch {
                prefetch(from_b.wrapping_add(WEIGHTS_AHEAD), V * S::LANES);
            }
            let mut right = [simd.zero(); V];
            for v in 0..V {
                right[v] = simd.load(from_b.add(v * S::LANES));
            }
            for i in 0..R {
                let left = simd.splat(*from_a.add(i * a.row));
                for v in 0..V {
                    sums[i][v] = simd.mul_add(left, right[v], sums[i][v]);
                }
            }
            from_a = from_a.wrapping_add(a.column);
            from_b = from_b.wrapping_add(b.row);
        }
        for i in 0..R {
            for v in 0..V {
                simd.store(sums[i][v], c.start.add(i * c.row + v * S::LANES));
            }
        }
    }
}
