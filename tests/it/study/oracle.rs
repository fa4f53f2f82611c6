//! The best informed router: knows parameters, queues and limits, but not the luck.
//!
//! Somebody who only minds his own time fills the queue of a fast target until it is as
//! slow as the others, and nobody gains; somebody who minds the others too leaves it
//! earlier. Which is better depends on the load, so there are both, and what the study
//! compares with is the better one.

use std::rc::Rc;
use std::time::Duration;

use pointsman::routing::Plan;

use super::baselines::candidate;
use super::fleet::Fleet;
use super::router::{AttemptId, Ended, Router, Sight};

/// Takes the smallest expected total time. What would refuse or fail is left out, unless
/// nothing else is there.
#[derive(Debug)]
pub struct Oracle {
    fleet: Rc<Fleet>,
    failure_s: f64,
    waiting: f64,
}

impl Oracle {
    /// `failure_s`: what a failed request is charged. `waiting`: how often it counts a
    /// second of waiting.
    pub fn new(fleet: Rc<Fleet>, failure_s: f64, waiting: f64) -> Self {
        Self { fleet, failure_s, waiting }
    }
}

impl Router for Oracle {
    fn plan(&mut self, sight: &Sight<'_>) -> Plan {
        let present = (0..sight.world.len()).filter(|endpoint| sight.world.is_present(*endpoint, sight.now));
        let expected =
            |endpoint: usize| sight.world.expected_s(endpoint, sight.request, self.failure_s, self.waiting, sight.now);
        let mut order: Vec<(f64, usize)> = present.map(|endpoint| (expected(endpoint), endpoint)).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0));
        let serving = order.iter().take_while(|(expected, _)| expected.is_finite()).count();
        order.truncate(if serving > 0 { serving } else { order.len() });
        let candidates = order.iter().map(|(_, endpoint)| candidate(&self.fleet, *endpoint)).collect();
        Plan { candidates, ..Plan::default() }
    }

    fn begin(&mut self, _: AttemptId, _: &Sight<'_>, _: &Plan, _: usize, _: bool) -> bool {
        true
    }

    fn first_token(&mut self, _: AttemptId, _: Duration, _: Duration) {}

    fn end(&mut self, _: AttemptId, _: &Ended, _: Duration) {}
}
