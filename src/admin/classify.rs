//! What are prompts taken for?

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::asker::Asker;
use super::error::AdminError;
use super::input::Json;
use crate::api::classify::{self, ClassifyReport, ClassifyRequest, MOST_PROMPTS, Prompt, PromptReport};
use crate::api::error::ErrorReport;
use crate::classifier::labelled;
use crate::config::categories_of_json;
use crate::control::ControlError;
use crate::domain::category::{CategoryScheme, Tier};
use crate::domain::conversation::Conversation;
use crate::domain::grouping::NoCategories;
use crate::domain::nearest::nearest;
use crate::live::View;
use crate::live::sorting::Sorting;
use crate::proxy::Gateway;
use crate::proxy::category::turns;
use crate::store::record::Role;
use crate::wire::Dialect;
use crate::wire::conversation::{Turns, of_chat};

/// One question after the other, each of at most seconds: whoever tries prompts takes no more
/// than one thread from those who send some.
static AT_A_TIME: Semaphore = Semaphore::const_new(1);

/// Judges prompts as routing would, with time enough for a second look at each.
#[utoipa::path(
    post, path = "/admin/v1/classify", operation_id = "classify", tag = "traffic",
    responses((status = 200, body = ClassifyReport), (status = "4XX", body = ErrorReport))
)]
pub async fn classify(
    asker: Asker,
    State(gateway): State<Arc<Gateway>>,
    Json(asked): Json<ClassifyRequest>,
) -> Result<Answer<ClassifyReport>, AdminError> {
    asker.must_be(Role::Viewer)?;
    if asked.prompts.len() > MOST_PROMPTS {
        let message = format!("The body: there are {} prompts; expected at most {MOST_PROMPTS}.", asked.prompts.len());
        return Err(AdminError::Bad(message));
    }
    let bench = Bench::find(&asked, &gateway.live.view())?;
    // It only ends with the process.
    let turn = AT_A_TIME.acquire().await.map_err(|_| ControlError::Ending)?;
    let judged = tokio::task::spawn_blocking(move || {
        let report = bench.judge(asked.prompts);
        drop(turn);
        report
    });
    judged.await.map_err(|_| ControlError::Ending)?.map(Answer)
}

/// What prompts are sorted into.
struct Bench {
    scheme: CategoryScheme,
    /// What has learned the scheme already.
    sorting: Option<Arc<Sorting>>,
    turns: Turns,
}

impl Bench {
    fn find(asked: &ClassifyRequest, view: &View) -> Result<Self, AdminError> {
        let tier = asked.tier.map(|tier| match tier {
            classify::Tier::Fast => Tier::Fast,
            classify::Tier::Cascade => Tier::Cascade,
        });
        let usual = tier.unwrap_or_default();
        let scheme = match (&asked.alias, &asked.categories) {
            (Some(_), Some(_)) => {
                return Err(AdminError::Bad("The body: there should be `alias` or `categories`, not both.".to_owned()));
            }
            (Some(alias), None) => {
                let (idx, grouping) = view.catalog.of_categories(alias).map_err(no_categories)?;
                let tier = tier.unwrap_or(grouping.scheme.tier);
                let sorting = view.sorting(idx).filter(|_| tier == grouping.scheme.tier).cloned();
                let scheme = CategoryScheme { tier, ..grouping.scheme.clone() };
                return Ok(Self { scheme, sorting, turns: turns(grouping) });
            }
            (None, Some(list)) => {
                CategoryScheme::to_try(categories_of_json(list).map_err(ControlError::Invalid)?, usual)
            }
            (None, None) => CategoryScheme::built_in(usual),
        };
        Ok(Self { scheme, sorting: None, turns: Turns::Last })
    }

    /// Not for threads that others wait for.
    fn judge(self, prompts: Vec<Prompt>) -> Result<ClassifyReport, AdminError> {
        let sorting = self.sorting.clone().unwrap_or_else(|| Arc::new(Sorting::new(&self.scheme)));
        let report = |prompt| {
            let conversation = conversation(prompt, self.turns);
            let begun = Instant::now();
            let mut judged = sorting.first_look(&conversation);
            if let Ok(first) = &judged
                && first.in_doubt
            {
                judged = sorting.second_look(&conversation, first);
            }
            let judged = judged.map_err(|_| AdminError::Classifier)?;
            let chosen = (judged.category(&self.scheme), judged.reason());
            let scores = judged.named_scores(&self.scheme);
            Ok(PromptReport::new(chosen, judged.confidence, scores, judged.by.as_str(), begun.elapsed()))
        };
        let answers = prompts.into_iter().map(report).collect::<Result<_, AdminError>>()?;
        Ok(ClassifyReport { answers, remarks: sorting.remarks() })
    }
}

/// What has nothing to read is as empty as an empty text.
fn conversation(prompt: Prompt, turns: Turns) -> Conversation {
    match prompt {
        Prompt::Plain(text) => labelled::conversation(&text),
        Prompt::Text(prompt) => labelled::conversation(&prompt.text),
        Prompt::Messages(prompt) => {
            let body = serde_json::json!({ "messages": prompt.messages }).to_string();
            of_chat(Dialect::ChatCompletions, body.as_bytes(), turns).unwrap_or_default()
        }
    }
}

fn no_categories(error: NoCategories) -> AdminError {
    let message = error.to_string();
    match error {
        NoCategories::Unknown { name, having } => {
            AdminError::NotFound { message, nearest: nearest(&name, having.iter().map(String::as_str)) }
        }
        NoCategories::Other { .. } => AdminError::Bad(format!("The body: {message}.")),
    }
}
