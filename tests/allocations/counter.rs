//! An allocator that counts, for each thread, how often it is asked for memory, and how much of it
//! the thread holds. The tests' only `unsafe`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    // Without a destructor, so that the counters work as long as the thread lives and allocate
    // nothing themselves.
    static MADE: Cell<u64> = const { Cell::new(0) };
    static HELD: Cell<isize> = const { Cell::new(0) };
}

/// How many allocations this thread has made so far. Growing or shrinking an allocation counts as a
/// new one.
pub(crate) fn made() -> u64 {
    MADE.get()
}

/// How many bytes this thread has allocated minus the bytes that it has freed. Memory that moves
/// between threads counts where it was allocated and where it is freed.
pub(crate) fn held() -> isize {
    HELD.get()
}

fn count(layout: Layout) {
    MADE.set(MADE.get() + 1);
    HELD.set(HELD.get() + layout.size() as isize);
}

fn uncount(layout: Layout) {
    HELD.set(HELD.get() - layout.size() as isize);
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        uncount(layout);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        uncount(layout);
        // SAFETY: the caller promises that this is a valid layout.
        count(unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) });
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}
