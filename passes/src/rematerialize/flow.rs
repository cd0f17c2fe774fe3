//! A maximal flow, and the minimal cut that it shows.
//!
//! **Source:** Dinitz, "Algorithm for solution of a problem of maximum flow in networks with power estimation" (1970): shortest ways first, as many at
//! once as there are. The edges are tried in the order in which they were made, so equal networks have equal cuts.

/// A capacity that no sum of sizes reaches.
pub const UNBOUNDED: u64 = u64::MAX / 4;

/// A directed graph with capacities.
pub struct Network {
    edges: Vec<Edge>,
    /// The edges that leave each node, the reverse ones among them.
    leaving: Vec<Vec<usize>>,
}

/// An edge; its reverse is its neighbour in the list: `at ^ 1`.
struct Edge {
    to: usize,
    /// The capacity that is left.
    left: u64,
}

impl Network {
    /// A network without edges.
    pub fn new(nodes: usize) -> Network {
        Network { edges: Vec::new(), leaving: vec![Vec::new(); nodes] }
    }

    /// Adds an edge.
    pub fn connect(&mut self, from: usize, to: usize, capacity: u64) {
        for (from, to, left) in [(from, to, capacity), (to, from, 0)] {
            self.leaving[from].push(self.edges.len());
            self.edges.push(Edge { to, left });
        }
    }

    /// The nodes on the sink's side of the minimal cut that is nearest to the sink.
    pub fn sink_side(mut self, source: usize, sink: usize) -> Vec<bool> {
        while let Some(levels) = self.levels(source, sink) {
            self.block(source, sink, &levels);
        }
        // Whatever can still send something to the sink.
        let mut side = vec![false; self.leaving.len()];
        let mut pending = vec![sink];
        while let Some(node) = pending.pop() {
            if std::mem::replace(&mut side[node], true) {
                continue;
            }
            let sends = |&&at: &&usize| self.edges[at ^ 1].left > 0 && !side[self.edges[at].to];
            pending.extend(self.leaving[node].iter().filter(sends).map(|&at| self.edges[at].to));
        }
        side
    }

    /// How far each node is from the source along edges with capacity left; `None` when the sink is out of reach.
    fn levels(&self, source: usize, sink: usize) -> Option<Vec<usize>> {
        let mut levels = vec![usize::MAX; self.leaving.len()];
        levels[source] = 0;
        let mut queue = std::collections::VecDeque::from([source]);
        while let Some(node) = queue.pop_front() {
            for &at in &self.leaving[node] {
                let Edge { to, left } = self.edges[at];
                if left > 0 && levels[to] == usize::MAX {
                    levels[to] = levels[node] + 1;
                    queue.push_back(to);
                }
            }
        }
        (levels[sink] != usize::MAX).then_some(levels)
    }

    /// Sends what goes along shortest ways, until each of them has an edge that is full.
    fn block(&mut self, source: usize, sink: usize, levels: &[usize]) {
        // The edges before these lead nowhere any more.
        let mut next = vec![0; self.leaving.len()];
        let mut way: Vec<usize> = Vec::new();
        loop {
            let node = way.last().map_or(source, |&at| self.edges[at].to);
            if node == sink {
                let sent = way.iter().map(|&at| self.edges[at].left).min().unwrap_or(0);
                for &at in &way {
                    self.edges[at].left -= sent;
                    self.edges[at ^ 1].left += sent;
                }
                let full = way.iter().position(|&at| self.edges[at].left == 0).unwrap_or(0);
                way.truncate(full);
                continue;
            }
            match self.leaving[node].get(next[node]) {
                Some(&at) if self.edges[at].left > 0 && levels[self.edges[at].to] == levels[node] + 1 => way.push(at),
                Some(_) => next[node] += 1,
                None => match way.pop() {
                    Some(at) => next[self.edges[at ^ 1].to] += 1,
                    None => return,
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(nodes: usize, edges: &[(usize, usize, u64)]) -> Vec<usize> {
        let mut network = Network::new(nodes);
        edges.iter().for_each(|&(from, to, capacity)| network.connect(from, to, capacity));
        let side = network.sink_side(0, nodes - 1);
        (0..nodes).filter(|&node| side[node]).collect()
    }

    #[test]
    fn the_cut_is_where_the_least_goes_through() {
        // CLRS, figure 26.6: the flow is 23.
        let edges =
            [(0, 1, 16), (0, 2, 13), (1, 3, 12), (2, 1, 4), (2, 4, 14), (3, 2, 9), (3, 5, 20), (4, 3, 7), (4, 5, 4)];
        assert_eq!(cut(6, &edges), [3, 5]);
    }

    #[test]
    fn of_equal_cuts_it_is_the_one_next_to_the_sink() {
        assert_eq!(cut(4, &[(0, 1, 5), (1, 2, 5), (2, 3, 5)]), [3]);
        assert_eq!(cut(4, &[(0, 1, UNBOUNDED), (1, 2, 5), (2, 3, UNBOUNDED)]), [2, 3]);
    }

    #[test]
    fn without_a_way_nothing_is_cut() {
        assert_eq!(cut(3, &[(0, 1, 5)]), [2]);
    }
}
