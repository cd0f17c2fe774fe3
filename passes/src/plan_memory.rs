//! Gives every buffer an offset in the arena: a pure function from sizes and live ranges.
//!
//! Buffers that live as long as the program come first. Those that live for some steps of an entry follow, the largest first, each at the
//! lowest offset where nothing that is alive at the same time lies. Entries never run at the same time, so they use the same memory.
//!
//! **Before:** sizes at the greatest batch, and live ranges. **After:** offsets, multiples of 64, such that no two buffers that are alive
//! at once overlap.
//!
//! ```text
//! a: 64 bytes, steps 0..1         a at 0
//! b: 64 bytes, steps 1..2    →    b at 64
//! c: 64 bytes, steps 2..3         c at 0
//! ```
//!
//! **Order:** last: it needs the order of the steps.
//! **Source:** greedy by size, Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference" (2020).

use kiln_ir::program::LiveRange;

/// Alignment of every buffer: a cache line, and the widest vector.
pub const ALIGNMENT: usize = 64;

/// A buffer to be placed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// Its size.
    pub size_bytes: usize,
    /// When it holds a value; `None`: always.
    pub live: Option<LiveRange>,
}

/// Where the buffers are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// One offset for each request.
    pub offsets: Vec<usize>,
    /// The size of the arena.
    pub arena_bytes: usize,
}

/// Places the buffers.
pub fn run(requests: &[Request]) -> Plan {
    let mut offsets = vec![0; requests.len()];
    let mut end = 0;
    for (at, request) in requests.iter().enumerate().filter(|(_, request)| request.live.is_none()) {
        offsets[at] = end;
        end += request.size_bytes.next_multiple_of(ALIGNMENT);
    }
    let start = end;
    let mut order: Vec<usize> = (0..requests.len()).filter(|&at| requests[at].live.is_some()).collect();
    order.sort_by_key(|&at| (std::cmp::Reverse(requests[at].size_bytes), at));
    let mut placed: Vec<usize> = Vec::new();
    for at in order {
        let mut others: Vec<usize> =
            placed.iter().copied().filter(|&other| overlap_in_time(&requests[at], &requests[other])).collect();
        others.sort_by_key(|&other| offsets[other]);
        let mut offset = start;
        for other in others {
            if offset + requests[at].size_bytes <= offsets[other] {
                break;
            }
            offset = offset.max((offsets[other] + requests[other].size_bytes).next_multiple_of(ALIGNMENT));
        }
        offsets[at] = offset;
        end = end.max(offset + requests[at].size_bytes.next_multiple_of(ALIGNMENT));
        placed.push(at);
    }
    Plan { offsets, arena_bytes: end }
}

/// Whether two buffers are in use at the same time.
pub fn overlap_in_time(a: &Request, b: &Request) -> bool {
    match (a.live, b.live) {
        (Some(a), Some(b)) => a.entry == b.entry && a.first <= b.last && b.first <= a.last,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(size_bytes: usize, entry: usize, first: usize, last: usize) -> Request {
        Request { size_bytes, live: Some(LiveRange { entry, first, last }) }
    }

    #[test]
    fn memory_is_used_again() {
        let plan = run(&[request(64, 0, 0, 1), request(64, 0, 1, 2), request(64, 0, 2, 3)]);
        assert_eq!(plan, Plan { offsets: vec![0, 64, 0], arena_bytes: 128 });
    }

    #[test]
    fn entries_share_and_persistent_buffers_do_not() {
        let always = Request { size_bytes: 4, live: None };
        let plan = run(&[request(100, 0, 0, 0), always, request(100, 1, 0, 0)]);
        assert_eq!(plan.offsets, [64, 0, 64]);
        assert_eq!(plan.arena_bytes, 192);
    }

    #[test]
    fn nothing_alive_at_once_overlaps() {
        // Sizes and ranges from a small linear congruential generator.
        let mut state = 1u64;
        let mut next = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % bound) as usize
        };
        let requests: Vec<Request> = (0..200)
            .map(|_| {
                let first = next(50);
                request(1 + next(5000), next(2), first, first + next(8))
            })
            .collect();
        let plan = run(&requests);
        for (a, b) in (0..200).flat_map(|a| (0..a).map(move |b| (a, b))) {
            let apart = |a: usize, b: usize| plan.offsets[a] + requests[a].size_bytes <= plan.offsets[b];
            assert!(!overlap_in_time(&requests[a], &requests[b]) || apart(a, b) || apart(b, a));
        }
    }
}
