//! What can a model do? `model_info`, as far as it is of use here, and what the catalogue knows.

use std::sync::LazyLock;

use super::findings::Findings;
use super::prices::GivenPrices;
use super::rules::INFO;
use crate::catalogue::{KnownModel, Modality, catalogue};
use crate::domain::names::NameIndex;
use crate::import::draft::FactsDraft;
use crate::import::report::Verdict;
use crate::import::yaml::Node;

/// Modes that a model may have, all of which are paths that are served.
const MODES: &str = "chat completion embedding responses image_generation image_edit audio_transcription audio_speech moderation \
     moderations rerank";

/// The abilities that only count when they are missing, and the modality each is about.
const MODALITIES: &[(&str, Modality)] = &[
    ("supports_vision", Modality::Image),
    ("supports_audio_input", Modality::Audio),
    ("supports_video_input", Modality::Video),
    ("supports_pdf_input", Modality::Pdf),
];

/// Reads `model_info` but for what [`GivenPrices`] reads.
pub(super) fn read<'y>(info: Option<&'y Node>, prices: &mut GivenPrices<'y>, findings: &Findings) -> FactsDraft {
    let mut facts = FactsDraft::default();
    let mut lacking: Vec<Modality> = Vec::new();
    for entry in info.map(Node::entries).unwrap_or_default() {
        let node = &entry.node;
        let modality = MODALITIES.iter().find(|(key, _)| *key == entry.key).map(|(_, modality)| *modality);
        match (entry.key.as_str(), node.boolean()) {
            ("supports_function_calling", Some(able)) => flag(&mut facts.tools, able, "tools", node, findings),
            ("supports_response_schema", Some(able)) => {
                flag(&mut facts.structured_output, able, "structured_output", node, findings);
            }
            (_, Some(false)) if modality.is_some() => {
                lacking.extend(modality);
                findings.exact(node, "not among input_modalities of the model");
            }
            (key, Some(false)) if key.starts_with("supports_") => {
                let instead = "drop_params at the target, for what it does not understand";
                findings.not_possible(node, "this ability is not asked about before a target is chosen", instead);
            }
            ("max_input_tokens", _) => {
                let message = "context_window of the model, which is for prompt and answer together";
                tokens(&mut facts.context_window, Verdict::Approximated, message, node, findings);
            }
            ("max_output_tokens", _) => {
                tokens(&mut facts.max_output_tokens, Verdict::Exact, "max_output_tokens of the model", node, findings);
            }
            ("max_tokens", _) => {
                let message = "taken for max_output_tokens of the model, where that is not given";
                let mut given = None;
                tokens(&mut given, Verdict::Approximated, message, node, findings);
                if info.is_some_and(|info| info.get("max_output_tokens").is_none()) {
                    facts.max_output_tokens = given;
                }
            }
            ("mode", _) => mode(node, findings),
            // Read by whoever knows the deployment.
            ("base_model" | "rpm" | "tpm" | "order" | "weight" | "cooldown_time", _) => {}
            _ if prices.read(entry, findings) => {}
            _ => _ = findings.by_rules(entry, INFO),
        }
    }
    if !lacking.is_empty() {
        let able = Modality::ALL.iter().filter(|(_, modality)| !lacking.contains(modality));
        facts.input_modalities = Some(able.map(|(name, _)| *name).collect());
    }
    facts
}

fn flag(fact: &mut Option<bool>, able: bool, field: &str, node: &Node, findings: &Findings) {
    *fact = Some(able);
    findings.exact(node, format!("{field} of the model"));
}

fn tokens(fact: &mut Option<u64>, verdict: Verdict, message: &str, node: &Node, findings: &Findings) {
    match node.count() {
        Some(count) => {
            *fact = Some(count);
            match verdict {
                Verdict::Exact => findings.exact(node, message),
                _ => findings.approximated(node, message),
            }
        }
        None => findings.not_possible(node, "is no number of tokens", "write it into the model by hand"),
    }
}

fn mode(node: &Node, findings: &Findings) {
    match node.text() {
        Some(mode) if MODES.split_whitespace().any(|known| known == mode) => {
            findings.exact(node, "every path is served as far as the provider has it; no mode has to be said");
        }
        _ => findings.not_possible(
            node,
            "models of this mode have no path here",
            "keep LiteLLM for them, or call the provider itself",
        ),
    }
}

/// What a model of the catalogue can do, to be said of the same model elsewhere.
pub(super) fn facts_of(known: &KnownModel) -> FactsDraft {
    let modality = |of: &Modality| Modality::ALL.iter().find(|(_, modality)| modality == of).map(|(name, _)| *name);
    let modalities = known.facts.input_modalities.as_ref();
    FactsDraft {
        context_window: known.facts.context_window,
        max_output_tokens: known.facts.max_output_tokens,
        input_modalities: modalities.map(|list| list.iter().filter_map(modality).collect()),
        tools: known.facts.tools,
        structured_output: known.facts.structured_output,
    }
}

/// The model of the catalogue that a name means, in any of its spellings.
pub(super) fn known_model(name: &str) -> Option<&'static KnownModel> {
    static NAMES: LazyLock<NameIndex> =
        LazyLock::new(|| NameIndex::new(catalogue().models.iter().map(|model| model.id.as_str())));
    let position = NAMES.resolve(name).ok()?;
    catalogue().models.get(position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::yaml::parse;

    /// The facts, and the verdicts in the order of the text.
    fn read_all(text: &str) -> (FactsDraft, Vec<String>) {
        let root = parse(text).unwrap();
        let (mut prices, findings) = (GivenPrices::default(), Findings::default());
        let facts = read(Some(&root), &mut prices, &findings);
        prices.finish(None, &findings);
        let told = findings.finish(&root).iter().map(|f| format!("{}: {}", f.path, f.verdict)).collect();
        (facts, told)
    }

    #[test]
    fn abilities_count_where_they_are_missing() {
        let (facts, told) = read_all(
            "supports_vision: false\nsupports_audio_input: true\nsupports_function_calling: true\n\
             supports_reasoning: true\nsupports_web_search: false\n",
        );
        assert_eq!(facts.input_modalities, Some(vec!["text", "audio", "video", "pdf"]));
        assert_eq!((facts.tools, facts.structured_output), (Some(true), None));
        assert_eq!(
            told,
            [
                "supports_vision: exact",
                "supports_audio_input: exact",
                "supports_function_calling: exact",
                "supports_reasoning: exact",
                "supports_web_search: not possible",
            ]
        );
    }

    #[test]
    fn what_is_given_of_the_answers_length_wins_over_the_older_word() {
        let (facts, told) = read_all("max_tokens: 10\nmax_output_tokens: 20\nmax_input_tokens: 30\nmode: chat\n");
        assert_eq!((facts.max_output_tokens, facts.context_window), (Some(20), Some(30)));
        assert_eq!(told[0], "max_tokens: approximated");
        assert_eq!(read_all("max_tokens: 10\n").0.max_output_tokens, Some(10));
    }

    #[test]
    fn a_mode_without_a_path_is_told() {
        assert_eq!(read_all("mode: realtime\n").1, ["mode: not possible"]);
    }

    #[test]
    fn the_catalogue_is_asked_in_any_spelling() {
        assert_eq!(known_model("openai/gpt-5.5-2026-01-01").unwrap().id, "openai/gpt-5.5");
        assert!(known_model("openai/nobody").is_none());
    }
}
