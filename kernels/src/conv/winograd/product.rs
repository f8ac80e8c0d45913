//! The products of one plane: C (+)= A · B with C in registers.
use crate::Simd;
use crate::conv::prefetch::{WEIGHTS_AHEAD, prefetch};

/// A matrix that is read or written in place: the address of its first number, and the steps between rows and columns.
#[derive(Clone, Copy)]
pub(super) struct Left {
    pub(super) start: *const f32,
    pub(super) row: usize,
    pub(super) column: usize,
}

/// Rows of contiguous numbers.
#[derive(Clone, Copy)]
pub(super) struct Right {
    pub(super) start: *const f32,
    pub(super) row: usize,
}

/// Rows of contiguous numbers that are written.
#[derive(Clone, Copy)]
pub(super) struct Product {
    pub(super) start: *mut f32,
    pub(super) row: usize,
}

/// C = A · B, or where `add` C += A · B; A has `rows` × `terms` numbers, B `terms` × `vectors` vectors.
///
/// # Safety
/// The matrices are as large as that and C overlaps neither A nor B.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "three matrices and their sizes")]
pub(super) unsafe fn multiply<S: Simd>(
    simd: S,
    add: bool,
    [rows, terms, vectors]: [usize; 3],
    a: Left,
    b: Right,
    c: Product,
) {
    let mut v = 0;
    // SAFETY: the caller's promise, for two columns of vectors at a time and the last one.
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

#[inline(always)]
unsafe fn shift(b: Right, floats: usize) -> Right {
    Right {
        // SAFETY: within B, as `multiply` promises.
        start: unsafe { b.start.add(floats) },
        ..b
    }
}

#[inline(always)]
unsafe fn below(a: Left, rows: usize) -> Left {
    Left {
        // SAFETY: within A, as `multiply` promises.
        start: unsafe { a.start.add(rows * a.row) },
        ..a
    }
}

#[inline(always)]
unsafe fn at(c: Product, row: usize, floats: usize) -> Product {
    Product {
        // SAFETY: within C, as `multiply` promises.
        start: unsafe { c.start.add(row * c.row + floats) },
        ..c
    }
}

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
    // Where there are few rows, B comes from memory as fast as it is asked for.
    let fetch = rows < 8;
    let mut i = 0;
    // SAFETY: as in `multiply`.
    unsafe {
        // 8 × 2 of 32 registers for sums; 6 × 2 of 16 leave two for B and one for the broadcast of A.
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
    // SAFETY: R rows and V vectors of columns lie within the matrices, as `multiply` promises.
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
