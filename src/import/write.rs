//! How is a configuration written so that a person likes to read it? As TOML, with comments
//! that say which lines of the source an entry comes from.

use serde_json::Value as Json;
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value};

use super::draft::{
    AliasDraft, AuthDraft, Draft, EndpointDraft, FactsDraft, KeyDraft, Lines, ModelDraft, PricesDraft, ProviderDraft,
    RatesDraft, ServerDraft, TargetDraft,
};

/// The draft as a configuration file.
pub(super) fn toml(draft: &Draft) -> String {
    let mut document = DocumentMut::new();
    let mut server = server(&draft.server);
    server.decor_mut().set_prefix(format!(
        "# Made from {} by `pointsman import litellm`; its report tells what differs.\n\n",
        one_line(&draft.source)
    ));
    document.insert("server", Item::Table(server));
    let mut put = |name: &str, tables: ArrayOfTables| {
        if !tables.is_empty() {
            document.insert(name, Item::ArrayOfTables(tables));
        }
    };
    put("providers", draft.providers.iter().map(provider).collect());
    put("models", draft.models.iter().map(model).collect());
    put("aliases", draft.aliases.iter().map(alias).collect());
    put("keys", draft.keys.iter().map(key).collect());
    document.to_string()
}

/// A comment ends with its line, whatever name a file has.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What stands above an entry.
fn lines_comment(lines: &Lines) -> String {
    let numbers: Vec<String> = lines.iter().take(12).map(usize::to_string).collect();
    let more = if lines.len() > numbers.len() { ", …" } else { "" };
    match numbers.as_slice() {
        [] => "\n".to_owned(),
        [one] => format!("\n# line {one}\n"),
        several => format!("\n# lines {}{more}\n", several.join(", ")),
    }
}

fn put<V: Into<Value>>(table: &mut Table, key: &str, value: Option<V>) {
    if let Some(value) = value {
        table.insert(key, Item::Value(value.into()));
    }
}

fn inline<V: Into<Value>>(table: &mut InlineTable, key: &str, value: Option<V>) {
    if let Some(value) = value {
        table.insert(key, value.into());
    }
}

/// Whole numbers without a point, as people write them.
fn number(number: f64) -> Value {
    // Below 2⁵³ every whole number is exact, and so is the cast.
    if number.fract() == 0.0 && number.abs() < 9e15 { Value::from(number as i64) } else { Value::from(number) }
}

/// Counts of a configuration are far below the largest integer of TOML.
fn count(count: u64) -> Value {
    Value::from(i64::try_from(count).unwrap_or(i64::MAX))
}

fn texts<S: AsRef<str>>(texts: &[S]) -> Value {
    Value::Array(texts.iter().map(AsRef::as_ref).collect())
}

fn server(draft: &ServerDraft) -> Table {
    let mut table = Table::new();
    let mut direct = Value::from(draft.direct_models);
    direct.decor_mut().set_suffix(match draft.direct_models {
        true => "  # as names with a star in model_list let callers name any model",
        false => "  # callers name aliases, as they named entries of model_list",
    });
    table.insert("direct_models", Item::Value(direct));
    if draft.max_body_mib.is_some() || draft.max_answer_mib.is_some() {
        let mut limits = InlineTable::new();
        inline(&mut limits, "max_body_bytes", draft.max_body_mib.map(|mib| format!("{mib}MiB")));
        inline(&mut limits, "max_answer_bytes", draft.max_answer_mib.map(|mib| format!("{mib}MiB")));
        table.insert("limits", Item::Value(limits.into()));
    }
    table
}

fn provider(draft: &ProviderDraft) -> Table {
    let mut table = Table::new();
    table.decor_mut().set_prefix(lines_comment(&draft.lines));
    put(&mut table, "id", Some(draft.id.as_str()));
    put(&mut table, "protocol", draft.protocol);
    let base_url = draft.base_url.as_deref().map(|url| {
        let mut value = Value::from(url);
        if let Some(placeholder) = &draft.placeholder {
            value.decor_mut().set_suffix(format!("  # replace this: {}", one_line(placeholder)));
        }
        value
    });
    put(&mut table, "base_url", base_url);
    put(&mut table, "azure_api_version", draft.azure_api_version.as_deref());
    put(&mut table, "api_key_env", draft.api_key_env.as_deref());
    match draft.auth {
        AuthDraft::Usual => {}
        AuthDraft::None => put(&mut table, "auth", Some("none")),
        AuthDraft::Header(header) => {
            let mut auth = InlineTable::new();
            auth.insert("header", header.into());
            put(&mut table, "auth", Some(auth));
        }
    }
    if !draft.headers.is_empty() {
        let headers: InlineTable = draft.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        put(&mut table, "headers", Some(headers));
    }
    for (field, value) in &draft.quirks {
        put(&mut table, field, json(value));
    }
    table
}

fn model(draft: &ModelDraft) -> Table {
    let mut table = Table::new();
    table.decor_mut().set_prefix(lines_comment(&draft.lines));
    put(&mut table, "id", Some(draft.id.as_str()));
    facts(&mut table, &draft.facts);
    let endpoints: ArrayOfTables = draft.endpoints.iter().map(endpoint).collect();
    if !endpoints.is_empty() {
        table.insert("endpoints", Item::ArrayOfTables(endpoints));
    }
    table
}

fn facts(table: &mut Table, facts: &FactsDraft) {
    put(table, "context_window", facts.context_window.map(count));
    put(table, "max_output_tokens", facts.max_output_tokens.map(count));
    put(table, "input_modalities", facts.input_modalities.as_deref().map(texts));
    put(table, "tools", facts.tools);
    put(table, "structured_output", facts.structured_output);
}

fn endpoint(draft: &EndpointDraft) -> Table {
    let mut table = Table::new();
    table.decor_mut().set_prefix("");
    put(&mut table, "provider", Some(draft.provider.as_str()));
    put(&mut table, "upstream_model", draft.upstream_model.as_deref());
    put(&mut table, "usd_per_mtok", draft.prices.as_ref().map(prices));
    put(&mut table, "requests_per_minute", draft.limits.requests_per_minute.map(count));
    put(&mut table, "tokens_per_minute", draft.limits.tokens_per_minute.map(count));
    put(&mut table, "max_in_flight", draft.limits.max_in_flight.map(count));
    table
}

fn prices(draft: &PricesDraft) -> InlineTable {
    let mut table = InlineTable::new();
    rates(&mut table, &draft.base);
    if !draft.tiers.is_empty() {
        let tier = |(above, of): &(u64, RatesDraft)| {
            let mut table = InlineTable::new();
            table.insert("above_input_tokens", count(*above));
            rates(&mut table, of);
            Value::InlineTable(table)
        };
        table.insert("tiers", Value::Array(draft.tiers.iter().map(tier).collect()));
    }
    table
}

fn rates(table: &mut InlineTable, rates: &RatesDraft) {
    inline(table, "input", Some(number(rates.input)));
    inline(table, "output", Some(number(rates.output)));
    inline(table, "cached_input", rates.cached_input.map(number));
    inline(table, "cache_write", rates.cache_write.map(number));
}

fn alias(draft: &AliasDraft) -> Table {
    let mut table = Table::new();
    table.decor_mut().set_prefix(lines_comment(&draft.lines));
    put(&mut table, "name", Some(draft.name.as_str()));
    put(&mut table, "strategy", Some(draft.strategy));
    put(&mut table, "within", draft.within);
    put(&mut table, "unit", draft.unit);
    put(&mut table, "max_attempts", draft.max_attempts.map(i64::from));
    put(&mut table, "first_token_timeout", draft.times.first_token.map(number));
    put(&mut table, "answer_timeout", draft.times.answer.map(number));
    put(&mut table, "deadline", draft.times.deadline.map(number));
    put(&mut table, "total_timeout", draft.times.total.map(number));
    if draft.on_any_error || draft.on_content_policy {
        let mut fallback = InlineTable::new();
        inline(&mut fallback, "any_error", draft.on_any_error.then_some(true));
        inline(&mut fallback, "content_policy", draft.on_content_policy.then_some(true));
        put(&mut table, "fallback", Some(fallback));
    }
    put(&mut table, "drop_unsupported", draft.drop_unsupported.then_some(true));
    put(&mut table, "targets", Some(targets(&draft.targets)));
    table
}

/// A line for each target, which says where it comes from.
fn targets(drafts: &[TargetDraft]) -> Array {
    let mut array = Array::new();
    let mut comment_before = String::new();
    for draft in drafts {
        let mut value = Value::InlineTable(target(draft));
        value.decor_mut().set_prefix(format!("{comment_before}\n  "));
        array.push_formatted(value);
        // A comment stands behind the comma, so it belongs to what comes next.
        comment_before = format!("  # line {}", draft.line);
    }
    array.set_trailing_comma(true);
    array.set_trailing(format!("{comment_before}\n"));
    array
}

fn target(draft: &TargetDraft) -> InlineTable {
    let mut table = InlineTable::new();
    table.insert("model", draft.model.as_str().into());
    inline(&mut table, "rank", draft.rank.map(i64::from));
    inline(&mut table, "weight", draft.weight.map(number));
    if let Some(only) = &draft.only {
        let mut providers = InlineTable::new();
        providers.insert("only", texts(&[only]));
        table.insert("providers", providers.into());
    }
    inline(&mut table, "last_resort", draft.last_resort.then_some(true));
    inline(&mut table, "first_token_timeout", draft.first_token.map(number));
    if !draft.params.is_empty() {
        let params = draft.params.iter().filter_map(|(name, value)| Some((name.as_str(), json(value)?)));
        table.insert("params", Value::InlineTable(params.collect()));
    }
    if !draft.drop_params.is_empty() {
        table.insert("drop_params", texts(&draft.drop_params));
    }
    table
}

/// `None` for null, which TOML does not have.
fn json(value: &Json) -> Option<Value> {
    Some(match value {
        Json::Null => return None,
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::from(whole),
            None => Value::from(number.as_f64()?),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(values) => Value::Array(values.iter().filter_map(json).collect()),
        Json::Object(fields) => {
            let fields = fields.iter().filter_map(|(name, value)| Some((name.as_str(), json(value)?)));
            Value::InlineTable(fields.collect())
        }
    })
}

fn key(draft: &KeyDraft) -> Table {
    let mut table = Table::new();
    table.decor_mut().set_prefix(lines_comment(&draft.line.into_iter().collect()));
    put(&mut table, "name", Some(draft.name.as_str()));
    put(&mut table, "key_env", Some(draft.key_env.as_str()));
    table
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::import::draft::LimitsDraft;

    fn target_draft(line: usize) -> TargetDraft {
        TargetDraft {
            line,
            model: "openai/gpt-5.5".into(),
            only: None,
            rank: None,
            weight: None,
            last_resort: false,
            params: serde_json::Map::new(),
            drop_params: Vec::new(),
            first_token: None,
        }
    }

    #[test]
    fn every_entry_says_which_lines_it_comes_from() {
        let prices = PricesDraft {
            base: RatesDraft { input: 0.05, output: 10.0, cached_input: None, cache_write: None },
            tiers: Vec::new(),
        };
        let draft = Draft {
            source: "config.yaml\n".into(),
            providers: vec![ProviderDraft {
                id: "azure".into(),
                lines: [3, 9].into(),
                protocol: Some("openai"),
                base_url: Some("https://azure.invalid".into()),
                placeholder: Some("the value of AZURE_API_BASE".into()),
                azure_api_version: Some("2024-10-21".into()),
                api_key_env: Some("AZURE_API_KEY".into()),
                auth: AuthDraft::Usual,
                headers: vec![("x-team".into(), "a \"b\"".into())],
                quirks: vec![("stream_usage", json!(false))],
            }],
            models: vec![ModelDraft {
                id: "azure/our-gpt".into(),
                lines: [3].into(),
                facts: FactsDraft { context_window: Some(1000), tools: Some(false), ..FactsDraft::default() },
                endpoints: vec![EndpointDraft {
                    provider: "azure".into(),
                    upstream_model: Some("our-gpt".into()),
                    prices: Some(prices),
                    limits: LimitsDraft { requests_per_minute: Some(6), ..LimitsDraft::default() },
                }],
            }],
            aliases: vec![AliasDraft {
                name: "chat".into(),
                lines: [3].into(),
                strategy: "random-shuffle",
                within: None,
                unit: None,
                max_attempts: None,
                times: Default::default(),
                on_any_error: false,
                on_content_policy: true,
                drop_unsupported: true,
                targets: vec![
                    TargetDraft {
                        only: Some("azure".into()),
                        weight: Some(2.0),
                        params: [("temperature".to_owned(), json!(0.2))].into_iter().collect(),
                        ..target_draft(3)
                    },
                    target_draft(9),
                ],
            }],
            keys: vec![KeyDraft { name: "k".into(), line: Some(20), key_env: "K".into() }],
            ..Draft::default()
        };
        assert_eq!(
            toml(&draft),
            r#"# Made from config.yaml  by `pointsman import litellm`; its report tells what differs.

[server]
direct_models = false  # callers name aliases, as they named entries of model_list

# lines 3, 9
[[providers]]
id = "azure"
protocol = "openai"
base_url = "https://azure.invalid"  # replace this: the value of AZURE_API_BASE
azure_api_version = "2024-10-21"
api_key_env = "AZURE_API_KEY"
headers = { x-team = 'a "b"' }
stream_usage = false

# line 3
[[models]]
id = "azure/our-gpt"
context_window = 1000
tools = false
[[models.endpoints]]
provider = "azure"
upstream_model = "our-gpt"
usd_per_mtok = { input = 0.05, output = 10 }
requests_per_minute = 6

# line 3
[[aliases]]
name = "chat"
strategy = "random-shuffle"
fallback = { content_policy = true }
drop_unsupported = true
targets = [
  { model = "openai/gpt-5.5", weight = 2, providers = { only = ["azure"] }, params = { temperature = 0.2 } },  # line 3
  { model = "openai/gpt-5.5" },  # line 9
]

# line 20
[[keys]]
name = "k"
key_env = "K"
"#
        );
    }
}
