//! How does a parameter of a request become one that a target always sends? OpenAI's names,
//! which LiteLLM translates for each vendor, in the vendor's own words.

use serde_json::{Map, Value as Json, json};

use super::findings::Findings;
use super::secrets;
use crate::domain::provider::Protocol;
use crate::import::yaml::{Node, Value};

/// Parameters of a body that are the same for OpenAI and its like; those behind `top_k` are of
/// vLLM, Ollama, OpenRouter and such.
const OPENAI: &str = "temperature top_p n stop max_tokens max_completion_tokens presence_penalty frequency_penalty logit_bias user \
     seed response_format tools tool_choice parallel_tool_calls logprobs top_logprobs reasoning_effort verbosity \
     service_tier prompt_cache_key prompt_cache_retention safety_identifier store modalities audio prediction \
     web_search_options stream_options dimensions encoding_format voice quality size style top_k min_p \
     repetition_penalty chat_template_kwargs guided_json guided_choice guided_regex enable_thinking thinking \
     reasoning transforms provider plugins";

/// What all three protocols are asked in LiteLLM's words.
const WINS: &str = "sent with every request; it wins over what the caller sends, where LiteLLM lets the caller win";

/// The parameters of one target.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct TargetParams {
    pub(super) set: Map<String, Json>,
    pub(super) drop: Vec<String>,
}

impl TargetParams {
    /// Has a field taken out of bodies, whoever put it there.
    fn take_out(&mut self, name: &str) {
        self.set.remove(name);
        if !self.drop.iter().any(|dropped| dropped == name) {
            self.drop.push(name.to_owned());
        }
    }
}

/// Translates for one protocol.
#[derive(Clone, Copy)]
pub(super) struct Writer<'w> {
    pub(super) protocol: Protocol,
    /// The vendor, or a server like it, that wants `max_completion_tokens`.
    pub(super) completion_tokens: bool,
    pub(super) findings: &'w Findings,
}

impl Writer<'_> {
    /// Whether that is a parameter of requests.
    pub(super) fn knows(key: &str) -> bool {
        OPENAI.split_whitespace().any(|known| known == key)
    }

    /// Puts one parameter of LiteLLM's into a target's.
    pub(super) fn put(&self, key: &str, node: &Node, params: &mut TargetParams) {
        if secrets::is_in(node) {
            self.refuse_secret(node);
            return;
        }
        let Some(value) = json_of(node) else {
            let instead = "drop_params, if it is to be left out of requests";
            self.findings.not_possible(node, "a value that TOML cannot say", instead);
            return;
        };
        let written = match self.protocol {
            Protocol::OpenAi => self.openai(key, value, params),
            Protocol::Anthropic => anthropic(key, value, params),
            Protocol::Gemini => gemini(key, value, params),
        };
        if written {
            self.findings.approximated(node, WINS);
        } else {
            let message = format!("protocol {:?} has no word for it that is known here", self.protocol.as_str());
            let instead = "params at the target, in the provider's own words, if it has some";
            self.findings.not_possible(node, message, instead);
        }
    }

    fn openai(&self, key: &str, value: Json, params: &mut TargetParams) -> bool {
        let field = if self.completion_tokens && key == "max_tokens" { "max_completion_tokens" } else { key };
        if field != key {
            // The caller's own may stand beside it, which would be refused.
            params.take_out(key);
        }
        if !params.drop.iter().any(|dropped| dropped == field) {
            params.set.insert(field.to_owned(), value);
        }
        true
    }

    /// `extra_body`, which goes into the body as it is.
    pub(super) fn put_extra_body(&self, node: &Node, params: &mut TargetParams) {
        for entry in node.entries() {
            let (key, node) = (entry.key.as_str(), &entry.node);
            if ["model", "stream"].contains(&key) {
                self.findings.not_possible(node, "routing itself sets this", "nothing");
            } else if secrets::is_name(key) && !Self::knows(key) || secrets::is_in(node) {
                self.refuse_secret(node);
            } else if let Some(value) = json_of(node).filter(|_| !params.drop.iter().any(|dropped| dropped == key)) {
                params.set.insert(key.to_owned(), value);
                self.findings.approximated(node, WINS);
            } else {
                self.findings.not_possible(
                    node,
                    "a value that TOML cannot say",
                    "drop_params, if it is to be left out",
                );
            }
        }
    }

    /// `additional_drop_params`, the names of what is taken out.
    pub(super) fn put_dropped(&self, node: &Node, params: &mut TargetParams) {
        for element in node.elements() {
            match element.text() {
                // A dot or a bracket would lead into the field, which is not done here.
                Some(name) if Self::can_drop(name) && self.protocol == Protocol::OpenAi => {
                    params.take_out(name);
                    self.findings.exact(element, "drop_params of the target");
                }
                _ => self.findings.not_possible(
                    element,
                    "only whole fields of a body are taken out, under the provider's own names",
                    "drop_params at the target",
                ),
            }
        }
    }

    fn refuse_secret(&self, node: &Node) {
        let instead = "a provider with api_key_env and auth, or params at the target by hand";
        self.findings.not_possible(node, "looks like a credential, which is not copied", instead);
    }

    fn can_drop(name: &str) -> bool {
        !name.is_empty() && !["model", "stream"].contains(&name) && !name.contains(['.', '[', ' '])
    }
}

fn anthropic(key: &str, value: Json, params: &mut TargetParams) -> bool {
    let (field, value) = match key {
        "temperature" | "top_p" | "top_k" | "max_tokens" | "thinking" | "service_tier" => (key, value),
        "max_completion_tokens" => ("max_tokens", value),
        "stop" => ("stop_sequences", list(value)),
        "user" => ("metadata", json!({"user_id": value})),
        _ => return false,
    };
    params.set.insert(field.to_owned(), value);
    true
}

fn gemini(key: &str, value: Json, params: &mut TargetParams) -> bool {
    let (field, value) = match key {
        "temperature" => ("temperature", value),
        "top_p" => ("topP", value),
        "top_k" => ("topK", value),
        "max_tokens" | "max_completion_tokens" => ("maxOutputTokens", value),
        "stop" => ("stopSequences", list(value)),
        "seed" => ("seed", value),
        "presence_penalty" => ("presencePenalty", value),
        "frequency_penalty" => ("frequencyPenalty", value),
        _ => return false,
    };
    let config = params.set.entry("generationConfig").or_insert_with(|| json!({}));
    if let Json::Object(fields) = config {
        fields.insert(field.to_owned(), value);
    }
    true
}

/// One stop sequence may be written without a list.
fn list(value: Json) -> Json {
    if value.is_array() { value } else { json!([value]) }
}

/// The value as JSON; `None` where it has none that TOML could say, too.
fn json_of(node: &Node) -> Option<Json> {
    Some(match &node.value {
        Value::Null => return None,
        Value::Bool(flag) => json!(flag),
        Value::Integer(number) => json!(number),
        Value::Float(number) if number.is_finite() => json!(number),
        Value::Float(_) => return None,
        Value::Text(text) => json!(text),
        Value::List(nodes) => Json::Array(nodes.iter().map(json_of).collect::<Option<_>>()?),
        Value::Map(entries) => {
            let fields = entries.iter().map(|entry| Some((entry.key.clone(), json_of(&entry.node)?)));
            Json::Object(fields.collect::<Option<_>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::yaml::parse;

    fn written(protocol: Protocol, completion_tokens: bool, text: &str) -> (Json, Vec<String>) {
        let root = parse(text).unwrap();
        let findings = Findings::default();
        let writer = Writer { protocol, completion_tokens, findings: &findings };
        let mut params = TargetParams::default();
        for entry in root.entries() {
            match entry.key.as_str() {
                "extra_body" => writer.put_extra_body(&entry.node, &mut params),
                "additional_drop_params" => writer.put_dropped(&entry.node, &mut params),
                key => writer.put(key, &entry.node, &mut params),
            }
        }
        let told = findings.finish(&root).iter().map(|f| format!("{}: {}", f.path, f.verdict)).collect();
        (json!({"set": params.set, "drop": params.drop}), told)
    }

    #[test]
    fn each_protocol_has_its_words() {
        let text = "temperature: 0\nstop: END\nmax_tokens: 5\nseed: 1\n";
        let openai = json!({"set": {"temperature": 0, "stop": "END", "max_tokens": 5, "seed": 1}, "drop": []});
        assert_eq!(written(Protocol::OpenAi, false, text).0, openai);
        let (anthropic, told) = written(Protocol::Anthropic, false, text);
        let expected = json!({"temperature": 0, "stop_sequences": ["END"], "max_tokens": 5});
        assert_eq!(anthropic, json!({"set": expected, "drop": []}));
        assert_eq!(told[3], "seed: not possible");
        let gemini = json!({"temperature": 0, "stopSequences": ["END"], "maxOutputTokens": 5, "seed": 1});
        assert_eq!(written(Protocol::Gemini, false, text).0, json!({"set": {"generationConfig": gemini}, "drop": []}));
    }

    #[test]
    fn where_the_newer_word_is_wanted_the_older_is_dropped() {
        let (params, _) = written(Protocol::OpenAi, true, "max_tokens: 5\n");
        assert_eq!(params, json!({"set": {"max_completion_tokens": 5}, "drop": ["max_tokens"]}));
    }

    #[test]
    fn an_extra_body_is_taken_over_but_for_credentials() {
        let text = "extra_body: {a: {b: 1}, my_secret: x, model: y}\nadditional_drop_params: [seed, a.b]\n";
        let (params, told) = written(Protocol::OpenAi, false, text);
        assert_eq!(params, json!({"set": {"a": {"b": 1}}, "drop": ["seed"]}));
        assert_eq!(
            told,
            [
                "extra_body.a: approximated",
                "extra_body.my_secret: not possible",
                "extra_body.model: not possible",
                "additional_drop_params[0]: exact",
                "additional_drop_params[1]: not possible",
            ]
        );
    }

    #[test]
    fn nothing_that_toml_cannot_say_goes_in() {
        let (params, told) = written(Protocol::OpenAi, false, "stop: [a, null]\nseed: .inf\n");
        assert_eq!(params, json!({"set": {}, "drop": []}));
        assert_eq!(told, ["stop: not possible", "seed: not possible"]);
    }
}
