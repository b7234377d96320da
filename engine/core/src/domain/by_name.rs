//! What a config names, found by its name on every request.

use indexmap::{IndexMap, IndexSet};
use rustc_hash::FxBuildHasher;

/// A map by name that keeps its order, so that going through it is the same wherever the same snapshot
/// is followed; looking a name up takes a third of the time of a tree. The names are the config's own.
pub type ByName<T> = IndexMap<String, T, FxBuildHasher>;

/// Names, in order, of which each is looked up.
pub type Names = IndexSet<String, FxBuildHasher>;

/// What `name` has, made if there is nothing yet: the name is copied only then.
pub fn kept<'a, T>(map: &'a mut ByName<T>, name: &str, make: impl FnOnce() -> T) -> &'a mut T {
    let place = match map.get_index_of(name) {
        Some(place) => place,
        None => map.insert_full(name.to_owned(), make()).0,
    };
    &mut map[place]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_name_has_is_made_once() {
        let mut map = ByName::default();
        *kept(&mut map, "a", || 1) += 1;
        *kept(&mut map, "b", || 5) += 1;
        *kept(&mut map, "a", || 9) += 1;

        assert_eq!(map.into_iter().collect::<Vec<_>>(), [("a".to_owned(), 3), ("b".to_owned(), 6)]);
    }
}
