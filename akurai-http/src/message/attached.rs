//! Values that middleware attaches to a request.

use std::any::Any;
use std::io;
use std::iter;
use std::panic::resume_unwind;
use std::sync::OnceLock;
use std::thread;

use crate::io::contain::contain;

/// Values of any type. A value can be added through a shared reference, and stays at its place: so
/// a reference to it is valid as long as the whole.
#[derive(Default)]
pub(crate) struct Attached {
    first: Slot,
}

type Slot = OnceLock<Box<Link<dyn Any + Send + Sync>>>;

struct Link<T: ?Sized> {
    next: Slot,
    value: T,
}

impl Attached {
    pub(crate) fn insert<T: Send + Sync + 'static>(&self, value: T) {
        let next = Slot::new();
        let mut link: Box<Link<dyn Any + Send + Sync>> = Box::new(Link { next, value });
        let mut slot = &self.first;
        loop {
            while let Some(taken) = slot.get() {
                slot = &taken.next;
            }
            match slot.set(link) {
                Ok(()) => return,
                // Another thread was faster.
                Err(again) => link = again,
            }
        }
    }

    /// The last value of this type.
    pub(crate) fn get<T: 'static>(&self) -> Option<&T> {
        let links = iter::successors(self.first.get(), |link| link.next.get());
        links.filter_map(|link| link.value.downcast_ref()).last()
    }

    /// Whether no value is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.first.get().is_none()
    }

    /// Drops all values, also if some of them panic. Returns these panics.
    pub(crate) fn clear(&mut self) -> Vec<io::Error> {
        let mut panics = Vec::new();
        // One by one: a chain that drops itself would need as much stack as it is long.
        let mut rest = self.first.take();
        while let Some(mut link) = rest {
            rest = link.next.take();
            panics.extend(contain(|| drop(link)).err());
        }
        panics
    }
}

/// A value's panic goes on, once all values are dropped.
impl Drop for Attached {
    fn drop(&mut self) {
        let panic = self.clear().into_iter().next();
        if let Some(panic) = panic.filter(|_| !thread::panicking()) {
            resume_unwind(Box::new(panic.to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn the_last_value_of_a_type_counts_and_the_earlier_ones_stay() {
        let values = Attached::default();
        assert_eq!(values.get::<u8>(), None);
        values.insert(1_u8);
        let first = values.get::<u8>();
        values.insert("text");
        values.insert(2_u8);
        assert_eq!((first, values.get::<u8>()), (Some(&1), Some(&2)));
        assert_eq!(values.get::<&str>(), Some(&"text"));
        assert_eq!(values.get::<u16>(), None);
    }

    #[test]
    fn values_of_many_threads_all_stay() {
        let values = Attached::default();
        let counted = Arc::new(());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50).for_each(|_| values.insert(Arc::clone(&counted))));
            }
        });
        assert_eq!(Arc::strong_count(&counted), 201);
        drop(values);
        assert_eq!(Arc::strong_count(&counted), 1);
    }

    /// Panics when it is dropped.
    struct Panicking(Arc<()>);

    impl Drop for Panicking {
        fn drop(&mut self) {
            assert_eq!(Arc::strong_count(&self.0), 0, "planned");
        }
    }

    #[test]
    fn values_that_panic_keep_no_other_from_being_dropped() {
        let counted = Arc::new(());
        let mut values = Attached::default();
        for _ in 0..3 {
            values.insert(Panicking(Arc::clone(&counted)));
        }
        assert_eq!(values.clear().len(), 3);
        assert!(values.is_empty());
        assert_eq!(Arc::strong_count(&counted), 1);
        values.insert(Panicking(Arc::clone(&counted)));
        values.insert(Arc::clone(&counted));
        let dropped = contain(|| drop(values));
        let panic = dropped.expect_err("it goes on").to_string();
        assert!(panic.contains("planned"), "{panic}");
        assert_eq!(Arc::strong_count(&counted), 1);
    }

    #[test]
    fn many_values_are_dropped_without_much_stack() {
        let mut values = Attached::default();
        // From the end to the front, since adding walks the whole chain.
        for value in 0..1_000_000_u32 {
            let next = std::mem::take(&mut values.first);
            let link: Box<Link<dyn Any + Send + Sync>> = Box::new(Link { next, value });
            values.first = OnceLock::from(link);
        }
        drop(values);
    }
}
