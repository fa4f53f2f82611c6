//! How does a group become an alias? Its deployments are targets, ordered as LiteLLM would
//! order them, and those of its fallbacks follow in later ranks.

use std::collections::{HashMap, HashSet};

use super::deployment::{Deployment, Number};
use super::fallbacks::Fallbacks;
use super::groups::Book;
use super::settings::Settings;
use super::strategy::Strategy;
use super::weights::{LARGEST, Share, shares};
use crate::import::draft::{AliasDraft, Lines, TargetDraft, TimesDraft};

/// Where a deployment is served in the new configuration.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) model: String,
    pub(super) only: Option<String>,
}

/// What aliases are made of.
pub(super) struct Maker<'m, 'y> {
    pub(super) book: &'m Book<'y>,
    pub(super) settings: &'m Settings<'y>,
    pub(super) fallbacks: &'m Fallbacks,
    /// By the position of the deployment.
    pub(super) placed: &'m [Placed],
}

/// What an alias allows where nothing is said.
const USUAL_ATTEMPTS: usize = 3;
const MOST_ATTEMPTS: usize = 20;
const USUAL_DEADLINE: f64 = 600.0;
const USUAL_TOTAL: f64 = 1800.0;
const DAY: f64 = 86_400.0;

impl Maker<'_, '_> {
    /// The alias by which callers name a group. `asked` is the name in LiteLLM.
    pub(super) fn alias(&self, name: String, asked: &str, group: usize) -> AliasDraft {
        let chain = self.fallbacks.chain(asked, group, self.book);
        let tiers: Vec<Vec<Share>> = chain.groups.iter().flat_map(|group| self.tiers(*group)).collect();
        let members = || {
            chain.groups.iter().flat_map(|group| &self.book.groups[*group].members).map(|m| &self.book.deployments[*m])
        };
        let attempts = self.attempts(&tiers, group);
        let times = self.times(members(), attempts);
        let (strategy, within) = self.strategy(&tiers);
        let unit = match self.settings.strategy {
            Strategy::Scored { unit, .. } if strategy != "priority" || within.is_some() => unit,
            _ => None,
        };
        AliasDraft {
            name,
            lines: self.lines(group),
            strategy,
            within,
            unit,
            max_attempts: (attempts != USUAL_ATTEMPTS).then(|| u32::try_from(attempts).unwrap_or(u32::MAX)),
            on_any_error: chain.on_any_error,
            on_content_policy: chain.on_content_policy,
            drop_unsupported: members().any(|deployment| deployment.drop_unsupported),
            targets: self.targets(&tiers, times.first_token),
            times,
        }
    }

    fn lines(&self, group: usize) -> Lines {
        let members = self.book.groups[group].members.iter();
        members.map(|member| self.book.deployments[*member].group_node.place.line).collect()
    }

    /// The members of a group that are equals, and then those that only serve when these
    /// cannot: by `order`, and those without a weight where others have one.
    fn tiers(&self, group: usize) -> Vec<Vec<Share>> {
        let members = &self.book.groups[group].members;
        let mut orders: Vec<Option<i64>> = members.iter().map(|member| self.book.deployments[*member].order).collect();
        // Those without an order come last.
        orders.sort_by_key(|order| (order.is_none(), *order));
        orders.dedup();
        let of_order = |order: &Option<i64>| {
            let equals = members.iter().copied().filter(|member| self.book.deployments[*member].order == *order);
            shares(equals.collect(), &self.settings.strategy, |member| weights(&self.book.deployments[member]))
        };
        orders.iter().flat_map(of_order).collect()
    }

    /// The members of a group that follow behind others because they have nothing that they
    /// could be drawn by.
    pub(super) fn behind(&self, group: usize) -> Vec<usize> {
        let weighs = |member: &usize| weights(&self.book.deployments[*member]);
        let drawn_by = |measure: &usize| {
            let mut members = self.book.groups[group].members.iter();
            members.any(|member| weighs(member)[*measure].is_some_and(|weight| weight > 0.0))
        };
        let Some(measure) = (0..3).find(drawn_by).filter(|_| self.settings.strategy.draws()) else { return Vec::new() };
        let members = self.book.groups[group].members.iter();
        members.copied().filter(|member| weighs(member)[measure].is_none_or(|weight| weight <= 0.0)).collect()
    }

    fn strategy(&self, tiers: &[Vec<Share>]) -> (&'static str, Option<&'static str>) {
        match tiers {
            [_] => (self.settings.strategy.name(), None),
            _ if self.settings.strategy.draws() => ("priority", None),
            // Where no two are equals, there is nothing to compare.
            _ if tiers.iter().all(|tier| self.distinct(tier) < 2) => ("priority", None),
            _ => ("priority", Some(self.settings.strategy.name())),
        }
    }

    fn distinct(&self, tier: &[Share]) -> usize {
        tier.iter().map(|share| identity(&self.target(share, None, None))).collect::<HashSet<_>>().len()
    }

    fn targets(&self, tiers: &[Vec<Share>], first_token: Option<f64>) -> Vec<TargetDraft> {
        let mut targets: Vec<TargetDraft> = Vec::new();
        let mut position_of: HashMap<String, usize> = HashMap::new();
        let mut rank = 0;
        for tier in tiers {
            let begin = targets.len();
            for share in tier {
                let target = self.target(share, (tiers.len() > 1).then_some(rank), first_token);
                let position = *position_of.entry(identity(&target)).or_insert(targets.len());
                if position == targets.len() {
                    targets.push(target);
                } else if position >= begin && self.settings.strategy.draws() {
                    // Two of the same in one tier are drawn twice as often.
                    let weight = targets[position].weight.unwrap_or(1.0) + target.weight.unwrap_or(1.0);
                    targets[position].weight = Some(weight.min(LARGEST));
                }
                // One that has failed is not asked again in a later rank.
            }
            if let [only] = &mut targets[begin..] {
                only.weight = None;
            }
            rank += u32::from(targets.len() > begin);
        }
        targets
    }

    fn target(&self, share: &Share, rank: Option<u32>, first_token: Option<f64>) -> TargetDraft {
        let deployment = &self.book.deployments[share.member];
        let placed = &self.placed[share.member];
        let own = deployment.stream_timeout.or(deployment.timeout);
        TargetDraft {
            line: deployment.model_node.place.line,
            model: placed.model.clone(),
            only: placed.only.clone(),
            rank,
            weight: share.weight,
            last_resort: false,
            params: deployment.params.set.clone(),
            drop_params: deployment.params.drop.clone(),
            first_token: own.filter(|own| Some(*own) != first_token),
        }
    }

    /// As many as reach the last tier, and its repeats.
    fn attempts(&self, tiers: &[Vec<Share>], group: usize) -> usize {
        let own = self.book.groups[group].members.iter().filter_map(|member| self.book.deployments[*member].retries);
        let retries = own.max().unwrap_or(self.settings.retries) as usize;
        let before: usize = tiers.iter().rev().skip(1).map(|tier| self.distinct(tier)).sum();
        (before + retries + 1).clamp(1, MOST_ATTEMPTS)
    }

    /// Times for one attempt, and those of the request that leave room for all attempts.
    fn times<'d>(&self, members: impl Iterator<Item = &'d Deployment<'d>>, attempts: usize) -> TimesDraft {
        let each: Vec<Option<f64>> = members.map(|deployment| deployment.timeout.or(self.settings.timeout)).collect();
        let longest =
            |times: &[Option<f64>]| times.iter().copied().collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::max);
        let answer = longest(&each);
        let first_token = self.settings.stream_timeout.or(self.settings.timeout);
        let attempt = each.iter().copied().flatten().chain(first_token).reduce(f64::max).unwrap_or(0.0);
        let needed = (attempt * attempts as f64).min(DAY);
        let deadline = (needed > USUAL_DEADLINE).then_some(needed);
        TimesDraft { first_token, answer, deadline, total: deadline.filter(|deadline| *deadline > USUAL_TOTAL) }
    }
}

/// What tells a target from others: the endpoint, and how it is asked.
fn identity(target: &TargetDraft) -> String {
    let TargetDraft { model, only, params, drop_params, .. } = target;
    format!("{model} {only:?} {drop_params:?} {}", serde_json::json!(params))
}

/// What the draw goes by, in the order in which it is looked for.
fn weights(deployment: &Deployment<'_>) -> [Option<f64>; 3] {
    [deployment.weight, deployment.rpm, deployment.tpm]
        .map(|number: Option<Number<'_>>| number.map(|number| number.value))
}
