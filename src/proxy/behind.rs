//! Who is asked when nobody of a category can serve? Default's targets, as far as the alias
//! allows it, within what is left of the request's attempts and time.

use super::error::GatewayError;
use super::facts::facts_of;
use super::respond::Trace;
use super::walk::{Walk, Walked};
use crate::domain::alias::RequestLimits;
use crate::domain::catalog::Endpoint;
use crate::domain::failure::FailureKind;
use crate::domain::ids::ModelIdx;
use crate::live::decisions::Ranking;
use crate::live::sorting::Reason;
use crate::routing::retry::is_larger;
use crate::routing::{Plan, Skipped};
use crate::upstream::attempt::Reply;

impl Walk<'_> {
    /// Walks the plan and, where that leaves nobody, the one of whoever stands behind.
    pub async fn run(
        &mut self,
        plan: &mut Plan,
        trace: &mut Trace,
        behind: &mut Option<Box<Ranking>>,
    ) -> Result<Reply, GatewayError> {
        let skipped = match self.walk(plan, trace).await? {
            (Walked::Served(reply), _) => return Ok(reply),
            (Walked::Over, skipped) => skipped,
            (Walked::Exhausted, mut skipped) => {
                self.skipped.append(&mut skipped);
                let Some(next) = self.behind.take() else { return Err(self.nobody(Vec::new())) };
                trace.category_reason = Some(Reason::Exhausted.as_str());
                self.meters.exhausted(trace.category.as_deref().unwrap_or_default());
                let next_alias = self.ask.view.catalog.alias(next);
                let facts = facts_of(&self.ask.gateway.long_bodies, self.ask.call, next_alias).await;
                let (ranking, mut plan) = self.ask.decide(next, facts, trace);
                self.turn_to(&ranking, &mut plan);
                *behind = Some(ranking);
                // Boxed, since few requests come this far, and all would carry the room for it.
                match Box::pin(self.walk(&mut plan, trace)).await? {
                    (Walked::Served(reply), _) => return Ok(reply),
                    (_, skipped) => skipped,
                }
            }
        };
        Err(self.nobody(skipped))
    }

    /// Goes on with the targets of another alias, within the same attempts and the same time.
    /// Nobody is asked twice.
    fn turn_to(&mut self, ranking: &Ranking, plan: &mut Plan) {
        let catalog = &self.ask.view.catalog;
        let alias = catalog.alias(ranking.alias);
        self.turned = true;
        self.alias = alias;
        self.live = self.ask.view.alias(ranking.alias);
        self.facts = ranking.facts;
        self.expected_output = ranking.snapshot.alias.expected_output;
        self.limits = RequestLimits {
            max_attempts: self.limits.max_attempts,
            deadline: self.limits.deadline,
            total_timeout: self.limits.total_timeout,
            ..alias.limits
        };
        let failed = |endpoint: &Endpoint| self.failed.iter().find(|(name, _)| name == endpoint.id.as_str());
        let too_long =
            |endpoint: &&Endpoint| failed(endpoint).is_some_and(|(_, error)| error.kind == FailureKind::ContextTooLong);
        let small: Vec<ModelIdx> = match self.failed.is_empty() {
            true => Vec::new(),
            false => catalog.endpoints.iter().filter(too_long).map(|endpoint| endpoint.model).collect(),
        };
        plan.candidates.retain(|candidate| {
            let endpoint = catalog.endpoint(candidate.endpoint);
            failed(endpoint).is_none() && small.iter().all(|small| is_larger(catalog, endpoint.model, *small))
        });
    }

    /// The error of a request that nobody served.
    fn nobody(&mut self, mut skipped: Vec<Skipped>) -> GatewayError {
        skipped.append(&mut self.skipped);
        if self.failed.is_empty() {
            return self.nobody_ready(&skipped);
        }
        // Where two lists were walked, it matters who was left out of the first.
        let passed_over = if self.turned { self.unserved(&skipped).reasons(self.now()) } else { Vec::new() };
        GatewayError::AllFailed {
            alias: self.alias.name.to_string(),
            attempts: std::mem::take(&mut self.failed),
            passed_over,
        }
    }
}
