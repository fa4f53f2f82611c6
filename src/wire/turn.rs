//! Turns for others within long work. The system lets a thread go on for some milliseconds before another that
//! has something to do runs on its processor; whoever translates a megabyte asks whether there is one much
//! sooner.

use std::cell::Cell;

/// After so many steps others have a turn. A step is a value that is read, built, written or given up, and
/// takes 50 to 300 ns, so that is a twentieth of a millisecond or less.
const TURN: u32 = 256;

#[derive(Clone, Copy, Debug)]
struct Work {
    steps: u32,
    turns: u32,
}

thread_local! {
    /// The long work that this thread is at.
    static WORK: Cell<Option<Work>> = const { Cell::new(None) };
}

/// Does work that takes long, and gives others turns at its [`step`]s. Returns how many they had as well.
pub fn in_turns<T>(work: impl FnOnce() -> T) -> (T, u32) {
    /// What this thread was at before, also where the work panics.
    struct Before(Option<Work>);
    impl Drop for Before {
        fn drop(&mut self) {
            WORK.set(self.0);
        }
    }
    let before = Before(WORK.replace(Some(Work { steps: 0, turns: 0 })));
    let done = work();
    let turns = WORK.get().map_or(0, |work| work.turns);
    drop(before);
    (done, turns)
}

/// Counts what takes no more than some nanoseconds: a string that is passed over, a piece that is written.
#[derive(Clone, Default, Debug)]
pub struct Pieces(u32);

impl Pieces {
    /// One more; so many are a step.
    pub fn one(&mut self) {
        const STEP: u32 = 32;
        self.0 += 1;
        if self.0 == STEP {
            self.0 = 0;
            step();
        }
    }
}

/// Called for each value that is read, built, written or given up. What is not done [`in_turns`] goes on.
pub fn step() {
    let Some(Work { steps, turns }) = WORK.get() else { return };
    let steps = steps + 1;
    let due = steps == TURN;
    WORK.set(Some(Work { steps: if due { 0 } else { steps }, turns: turns + u32::from(due) }));
    if due {
        std::thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(count: u32) {
        (0..count).for_each(|_| step());
    }

    #[test]
    fn others_have_a_turn_after_so_many_steps_of_long_work_only() {
        steps(TURN);
        assert_eq!(in_turns(|| steps(TURN - 1)).1, 0);
        assert_eq!(in_turns(|| steps(3 * TURN)).1, 3);
        steps(TURN);
        assert_eq!(in_turns(|| 7), (7, 0));
    }

    #[test]
    fn many_pieces_are_a_step() {
        let mut pieces = Pieces::default();
        assert_eq!(in_turns(|| (0..32 * TURN).for_each(|_| pieces.one())).1, 1);
    }

    #[test]
    fn work_within_work_has_its_own_account_and_a_panic_ends_it() {
        let (inner, outer) = in_turns(|| {
            steps(TURN - 1);
            let inner = in_turns(|| steps(2 * TURN)).1;
            step();
            inner
        });
        assert_eq!((inner, outer), (2, 1));
        assert!(std::panic::catch_unwind(|| in_turns(|| panic!("work"))).is_err());
        assert!(WORK.get().is_none());
    }
}
