//! Largest matchings in a bipartite graph, by augmenting paths.
//!
//! Uses `placement::budget`, `dense`. Used by `placement::bounds`.
//! Data: `start` -> `add_left` for every left vertex -> `largest`.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: counts and positions of vertices and edges, below u32::MAX"
)]

use super::budget::{Budget, Stop};
use crate::dense::{DenseId, IdVec, dense_id, to_u32};
use alloc::vec::Vec;

dense_id! {
    struct LeftIx;
    struct RightIx;
    struct EdgeIx;
}

/// A bipartite graph and its matching.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matching {
    /// Edges of each left vertex: `edges[first[left]..first[left + 1]]`.
    first: IdVec<LeftIx, EdgeIx>,
    edges: IdVec<EdgeIx, RightIx>,
    matched: IdVec<RightIx, Option<LeftIx>>,
    seen: IdVec<RightIx, u32>,
    /// The alternating path: a left vertex and its next edge.
    path: Vec<(LeftIx, EdgeIx)>,
}

impl Matching {
    /// An empty graph with so many right vertices.
    pub(crate) fn start(&mut self, rights: usize) {
        self.first.clear();
        self.first.push(EdgeIx(0));
        self.edges.clear();
        self.matched.reset(None, rights);
        self.seen.reset(0, rights);
    }

    /// Adds a left vertex with edges to these right vertices.
    pub(crate) fn add_left(&mut self, rights: impl Iterator<Item = u32>) {
        for right in rights {
            self.edges.push(RightIx(right));
        }
        self.first.push(EdgeIx::from_index(self.edges.len()));
    }

    /// The size of a largest matching: left vertices are added one by one, and a matching is largest when no
    /// augmenting path starts at any of them (Berge); a vertex without one never gets one later.
    pub(crate) fn largest(&mut self, budget: &mut Budget<'_>) -> Result<u32, Stop> {
        let mut size = 0;
        for left in (0..self.first.len() - 1).map(LeftIx::from_index) {
            size += u32::from(self.augment(left, to_u32(left.index()) + 1, budget)?);
        }
        Ok(size)
    }

    fn augment(&mut self, start: LeftIx, stamp: u32, budget: &mut Budget<'_>) -> Result<bool, Stop> {
        self.path.clear();
        self.path.push((start, self.first[start]));
        while let Some(&(left, edge)) = self.path.last() {
            if edge >= self.first[LeftIx(left.0 + 1)] {
                self.path.pop();
                continue;
            }
            budget.spend_steps(1)?;
            if let Some(top) = self.path.last_mut() {
                top.1 = EdgeIx(edge.0 + 1);
            }
            let right = self.edges[edge];
            if self.seen[right] == stamp {
                continue;
            }
            self.seen[right] = stamp;
            if let Some(other) = self.matched[right] {
                self.path.push((other, self.first[other]));
                continue;
            }
            // Every left vertex of the path takes the right vertex of the edge it just followed.
            for &(left, next) in &self.path {
                let taken = self.edges[EdgeIx(next.0 - 1)];
                self.matched[taken] = Some(left);
            }
            return Ok(true);
        }
        Ok(false)
    }
}
