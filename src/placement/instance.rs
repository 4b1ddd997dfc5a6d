//! A placement problem made ready for search: targets numbered densely, eligibility as bits, sizes to sort by.
//!
//! Uses `placement::problem`, `placement::rules`, `dense`, `ids`. Used by every engine of `placement`.
//! Data: `Problem` -> [`Instance::new`] -> engines, which see targets (`TargetIx`) and translate to node slots only
//! for rules and for the final solution.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "INVARIANT: sums of needs and of capacities fit u64 (the cluster checks it); products are u128; the rest \
              counts objects"
)]

use super::problem::{EligibleIx, EligibleNodes, ItemIx, Problem};
use super::rules::{self, RuleStates};
use crate::dense::{DenseId, IdVec, Rows, dense_id, fits, to_u32, to_usize};
use crate::ids::NodeSlot;
use alloc::vec::Vec;
use core::ops::Range;
use smallvec::SmallVec;

dense_id! {
    /// A target: a position in the problem's `nodes`.
    pub(crate) struct TargetIx;
    /// A class of items.
    pub(crate) struct ClassIx;
}

/// Full scale of a normalised quantity: the largest room of its kind.
const SCALE_BITS: u32 = 16;
/// Bits by which a multiplier is kept more exactly than the scale.
const FRACTION_BITS: u32 = 32;

/// A set of targets, a bit each.
#[derive(Clone, Debug, Default)]
pub(crate) struct TargetSet {
    words: Vec<u64>,
    count: u32,
}

impl TargetSet {
    fn filled_by(targets: usize, mut holds: impl FnMut(TargetIx) -> bool) -> Self {
        let mut set = Self { words: alloc::vec![0; targets.div_ceil(64)], count: 0 };
        for target in (0..targets).map(TargetIx::from_index) {
            if !holds(target) {
                continue;
            }
            if let Some(word) = set.words.get_mut(target.index() / 64) {
                *word |= 1 << (target.index() % 64);
                set.count += 1;
            }
        }
        set
    }

    #[inline]
    pub(crate) fn contains(&self, target: TargetIx) -> bool {
        self.words.get(target.index() / 64).is_some_and(|word| word >> (target.index() % 64) & 1 == 1)
    }

    /// How many targets are in the set.
    pub(crate) const fn count(&self) -> u32 {
        self.count
    }

    /// Whether every target of `other` is in the set.
    pub(crate) fn includes(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).all(|(mine, theirs)| theirs & !mine == 0)
    }
}

/// A problem ready for search.
#[derive(Debug)]
pub(crate) struct Instance<'p, 'a> {
    pub(crate) problem: &'p Problem<'a>,
    /// Free amounts before anything is placed.
    pub(crate) room: Rows<TargetIx>,
    /// Where each eligible set's items may go.
    pub(crate) eligible: IdVec<EligibleIx, TargetSet>,
    /// Whether an item could be placed at all: alone it fits on an eligible target under its constraints, and so do
    /// its prerequisites. Nothing else is ever tried.
    pub(crate) placeable: IdVec<ItemIx, bool>,
    /// How many placeable items each class has.
    pub(crate) placeable_count: IdVec<ClassIx, u32>,
    /// Per item those that need it.
    pub(crate) dependents: IdVec<ItemIx, SmallVec<[ItemIx; 1]>>,
    /// Items whose removal can make a legal assignment illegal (members of a constraint that is not closed under
    /// subsets): local search leaves them where they are.
    pub(crate) pinned: IdVec<ItemIx, bool>,
    /// Per kind a multiplier for [`Instance::normal`].
    multiplier: SmallVec<[u64; 4]>,
    /// Per kind how much of it is wanted, in per cent of what there is, between 1 and 400.
    scarcity: SmallVec<[u64; 4]>,
    /// Per item its largest normalised need.
    pub(crate) dominant: IdVec<ItemIx, u64>,
    /// Per item the sum of its normalised needs, each weighted by how scarce its kind is.
    pub(crate) weighted: IdVec<ItemIx, u64>,
}

impl<'p, 'a> Instance<'p, 'a> {
    pub(crate) fn new(problem: &'p Problem<'a>) -> Self {
        let kinds = problem.room.width();
        let targets = problem.nodes.len();
        let mut room = Rows::new(kinds);
        for &node in problem.nodes {
            room.push(&problem.room[node]);
        }
        let eligible = problem.eligible_sets.iter().map(|set| target_set(problem, set)).collect();
        let mut instance = Self {
            problem,
            room,
            eligible,
            placeable: IdVec::filled(false, problem.class.len()),
            placeable_count: IdVec::filled(0, to_usize(problem.classes)),
            dependents: IdVec::filled(SmallVec::new(), problem.class.len()),
            pinned: IdVec::filled(false, problem.class.len()),
            multiplier: SmallVec::new(),
            scarcity: SmallVec::new(),
            dominant: IdVec::filled(0, problem.class.len()),
            weighted: IdVec::filled(0, problem.class.len()),
        };
        instance.find_placeable(targets);
        instance.find_sizes(kinds);
        instance
    }

    pub(crate) const fn kinds(&self) -> usize {
        self.room.width()
    }

    pub(crate) fn targets(&self) -> impl DoubleEndedIterator<Item = TargetIx> + ExactSizeIterator + use<> {
        (0..self.problem.nodes.len()).map(TargetIx::from_index)
    }

    pub(crate) fn items(&self) -> impl DoubleEndedIterator<Item = ItemIx> + ExactSizeIterator + use<> {
        (0..self.problem.class.len()).map(ItemIx::from_index)
    }

    pub(crate) fn class(&self, item: ItemIx) -> ClassIx {
        ClassIx(self.problem.class[item])
    }

    /// The items of `class`.
    pub(crate) fn class_items(&self, class: ClassIx) -> Range<usize> {
        let classes = self.problem.class.as_slice();
        classes.partition_point(|&other| other < class.0)..classes.partition_point(|&other| other <= class.0)
    }

    pub(crate) fn node(&self, target: TargetIx) -> NodeSlot {
        self.problem.nodes.get(target.index()).copied().unwrap_or(NodeSlot(0))
    }

    #[inline]
    pub(crate) fn is_eligible(&self, item: ItemIx, target: TargetIx) -> bool {
        self.eligible[self.problem.eligible[item]].contains(target)
    }

    /// A quantity of a kind on the common scale of all kinds, rounded down: only ever to compare and to sort.
    #[inline]
    pub(crate) fn normal(&self, kind: usize, quantity: u64) -> u64 {
        let multiplier = self.multiplier.get(kind).copied().unwrap_or(0);
        let product = (u128::from(quantity) * u128::from(multiplier)) >> FRACTION_BITS;
        u64::try_from(product).unwrap_or(u64::MAX)
    }

    /// Per kind how scarce it is.
    pub(crate) fn scarcity(&self) -> &[u64] {
        &self.scarcity
    }

    fn find_placeable(&mut self, targets: usize) {
        let problem = self.problem;
        let mut rules = RuleStates::default();
        rules.reset(problem);
        for item in self.items() {
            rules.open(problem, item);
            if problem.member_of[item]
                .iter()
                .any(|membership| !rules::traits(&problem.constraints[membership.constraint]).subset_closed)
            {
                self.pinned[item] = true;
            }
            for &needed in &problem.prerequisites[item] {
                self.dependents[needed].push(item);
            }
        }
        for item in self.items() {
            let need = &problem.need[item];
            self.placeable[item] = (0..targets).map(TargetIx::from_index).any(|target| {
                fits(need, &self.room[target])
                    && self.is_eligible(item, target)
                    && rules.could_allow(problem, item, self.node(target))
            });
        }
        let mut hopeless: Vec<ItemIx> = self.items().filter(|&item| !self.placeable[item]).collect();
        while let Some(item) = hopeless.pop() {
            for &dependent in &self.dependents[item] {
                if self.placeable[dependent] {
                    self.placeable[dependent] = false;
                    hopeless.push(dependent);
                }
            }
        }
        for item in self.items() {
            if self.placeable[item] {
                self.placeable_count[ClassIx(problem.class[item])] += 1;
            }
        }
    }

    fn find_sizes(&mut self, kinds: usize) {
        let problem = self.problem;
        for kind in 0..kinds {
            let of_kind = |row: &[u64]| row.get(kind).copied().unwrap_or(0);
            let largest = self.room.iter().map(of_kind).max().unwrap_or(0).max(1);
            let full = 1_u128 << (SCALE_BITS + FRACTION_BITS);
            self.multiplier.push(u64::try_from(full / u128::from(largest)).unwrap_or(u64::MAX).max(1));
            let total: u128 = self.room.iter().map(|row| u128::from(of_kind(row))).sum();
            let wanted: u128 = problem.need.iter().map(|row| u128::from(of_kind(row))).sum();
            let per_cent = (wanted.saturating_mul(100) / total.max(1)).clamp(1, 400);
            self.scarcity.push(u64::try_from(per_cent).unwrap_or(400));
        }
        for item in self.items() {
            let mut dominant = 0;
            let mut weighted = 0_u64;
            for (kind, &need) in problem.need[item].iter().enumerate() {
                let share = self.normal(kind, need);
                dominant = dominant.max(share);
                weighted = weighted.saturating_add(share.saturating_mul(self.scarcity.get(kind).copied().unwrap_or(1)));
            }
            self.dominant[item] = dominant;
            self.weighted[item] = weighted;
        }
    }
}

fn target_set(problem: &Problem<'_>, set: &EligibleNodes) -> TargetSet {
    let targets = problem.nodes.len();
    let node = |target: TargetIx| problem.nodes.get(target.index()).copied().unwrap_or(NodeSlot(0));
    match set {
        EligibleNodes::Short(list) => {
            // Both lists are in the order of the targets.
            let mut rest = list.iter().peekable();
            TargetSet::filled_by(targets, |target| rest.next_if(|&&slot| slot == node(target)).is_some())
        }
        EligibleNodes::All | EligibleNodes::Bits(_) => {
            TargetSet::filled_by(targets, |target| set.contains(node(target)))
        }
    }
}

/// Compares counts per class: the upper class decides first.
pub(crate) fn counts_compare(left: &IdVec<ClassIx, u32>, right: &IdVec<ClassIx, u32>) -> core::cmp::Ordering {
    left.as_slice().cmp(right.as_slice())
}

/// A small generator with a fixed seed, for orders that differ from try to try and are the same in every run
/// (xorshift64*).
#[derive(Clone, Debug)]
pub(crate) struct Shuffler(u64);

impl Shuffler {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `bound` (0 if that is 0).
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = to_u32(bound);
        to_usize(u32::try_from(((self.next() >> 32) * u64::from(bound)) >> 32).unwrap_or(0))
    }
}
