//! What was loaded and stays in memory. Each is loaded once, even if several ask for it at the same time, and nobody waits for what others load.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::jobs::locked;

/// Values by their keys.
pub(crate) struct Kept<K, T> {
    /// The one that was asked for last comes first.
    places: Mutex<VecDeque<Arc<Place<K, T>>>>,
    /// How many are kept.
    most: usize,
}

/// The place of one value.
struct Place<K, T> {
    key: K,
    /// Locked while it is loaded; `None` until then.
    value: Mutex<Option<Arc<T>>>,
}

impl<K: PartialEq, T> Kept<K, T> {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            places: Mutex::default(),
            most,
        }
    }

    /// The value of a key. The first who asks loads it.
    ///
    /// # Errors
    /// Those of `load`. They are not kept: the next one who asks loads again.
    pub(crate) fn get<E>(&self, key: K, load: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let place = self.place(key);
        let mut value = locked(&place.value);
        match &*value {
            Some(known) => Ok(known.clone()),
            None => Ok(value.insert(Arc::new(load()?)).clone()),
        }
    }

    fn place(&self, key: K) -> Arc<Place<K, T>> {
        let mut places = locked(&self.places);
        let known = places.iter().position(|place| place.key == key);
        let known = known.and_then(|known| places.remove(known));
        let place = known.unwrap_or_else(|| {
            let value = Mutex::default();
            Arc::new(Place { key, value })
        });
        places.push_front(place.clone());
        places.truncate(self.most);
        place
    }

    /// Forgets values.
    pub(crate) fn forget(&self, is_stale: impl Fn(&K) -> bool) {
        locked(&self.places).retain(|place| !is_stale(&place.key));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Long enough for a thread to do what it must not do.
    const WHILE: Duration = Duration::from_millis(100);

    fn loaded(kept: &Kept<&'static str, u8>, key: &'static str, value: u8) -> Arc<u8> {
        kept.get(key, || Ok::<_, ()>(value)).unwrap()
    }

    #[test]
    fn others_do_not_wait_for_a_slow_one_and_it_is_loaded_once() {
        let kept = &Kept::new(3);
        let (begun, has_begun) = channel();
        let (go_on, may_go_on) = channel();
        thread::scope(|scope| {
            let first = scope.spawn(move || {
                kept.get("slow", || {
                    begun.send(()).unwrap();
                    may_go_on.recv().unwrap();
                    Ok::<_, ()>(1)
                })
            });
            has_begun.recv().unwrap();
            let second = scope.spawn(|| loaded(kept, "slow", 2));
            let other = scope.spawn(|| loaded(kept, "other", 3));
            thread::sleep(WHILE);
            let is_there = other.is_finished();
            let waits = !second.is_finished();
            go_on.send(()).unwrap();
            assert!(is_there, "it waits for another one");
            assert!(waits, "it is loaded twice");
            let first = first.join().unwrap().unwrap();
            assert!(Arc::ptr_eq(&first, &second.join().unwrap()));
            assert_eq!((*first, *other.join().unwrap()), (1, 3));
        });
    }

    #[test]
    fn an_error_is_not_kept() {
        let kept = Kept::new(3);
        assert_eq!(kept.get("damaged", || Err::<u8, _>("no")), Err("no"));
        assert_eq!(*loaded(&kept, "damaged", 1), 1);
    }

    #[test]
    fn the_one_that_was_not_asked_for_longest_leaves() {
        let kept = Kept::new(2);
        for (key, value) in [("a", 1), ("b", 2), ("a", 0), ("c", 3)] {
            loaded(&kept, key, value);
        }
        assert_eq!(*loaded(&kept, "a", 9), 1);
        assert_eq!(*loaded(&kept, "b", 9), 9);
        kept.forget(|key| *key == "a");
        assert_eq!(*loaded(&kept, "a", 8), 8);
    }
}
