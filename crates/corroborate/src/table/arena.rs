//! A growing list of records in chunks that never move, with the places of removed ones used again.

/// Records a chunk: 16,384, so that one chunk is under a megabyte.
const CHUNK_BITS: u32 = 14;
const CHUNK: usize = 1 << CHUNK_BITS;

/// An arena of `T`, addressed by dense 32-bit numbers.
#[derive(Clone, Debug)]
pub(crate) struct Arena<T> {
    chunks: Vec<Vec<T>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Arena<T> {
    pub const fn new() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), len: 0 }
    }

    /// Stores `value` and gives its number; a free place first. `None` when 2³² - 2 places are taken.
    pub fn insert(&mut self, value: T) -> Option<u32> {
        if let Some(id) = self.free.pop() {
            self[id] = value;
            return Some(id);
        }
        let id = u32::try_from(self.len).ok().filter(|id| *id < u32::MAX - 1)?;
        if self.len.is_multiple_of(CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        self.chunks[self.len >> CHUNK_BITS].push(value);
        self.len += 1;
        Some(id)
    }

    /// The free place that the next value gets, if there is one.
    pub fn next_free(&self) -> Option<u32> {
        self.free.last().copied()
    }

    /// Frees the place `id`; the caller no longer refers to it.
    pub fn free(&mut self, id: u32) {
        self.free.push(id);
    }

    /// Places in use or free: numbers are below this.
    pub fn places(&self) -> u32 {
        self.len as u32
    }

    /// Bytes allocated.
    pub fn bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<T>() + self.free.capacity() * 4
    }
}

impl<T> std::ops::Index<u32> for Arena<T> {
    type Output = T;

    fn index(&self, id: u32) -> &T {
        &self.chunks[(id >> CHUNK_BITS) as usize][id as usize & (CHUNK - 1)]
    }
}

impl<T> std::ops::IndexMut<u32> for Arena<T> {
    fn index_mut(&mut self, id: u32) -> &mut T {
        &mut self.chunks[(id >> CHUNK_BITS) as usize][id as usize & (CHUNK - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_where_they_were_put_across_chunks() {
        let mut arena = Arena::new();
        let ids: Vec<u32> = (0..CHUNK as u32 * 2 + 5).map(|i| arena.insert(i * 3).unwrap()).collect();
        assert!(ids.iter().enumerate().all(|(i, id)| arena[*id] == i as u32 * 3));
        assert_eq!(arena.places(), CHUNK as u32 * 2 + 5);
    }

    #[test]
    fn a_freed_place_is_used_again_before_the_arena_grows() {
        let mut arena = Arena::new();
        let first = arena.insert('a').unwrap();
        arena.insert('b').unwrap();
        arena.free(first);
        assert_eq!(arena.insert('c'), Some(first));
        assert_eq!((arena[first], arena.places()), ('c', 2));
    }
}
