//! Accounts become providers, and deployments models at them.

use super::{import, part, told, verdict};
use crate::import::from_litellm;
use crate::import::report::Verdict;

/// `model_list` with one entry, whose `litellm_params` are these.
fn entry(params: &str) -> String {
    format!("model_list:\n- model_name: a\n  litellm_params: {{{params}}}\n")
}

fn provider(params: &str) -> String {
    part(&import(&entry(params)).toml, "[[providers]]", 0)
}

fn model(params: &str) -> String {
    part(&import(&entry(params)).toml, "[[models]]", 0)
}

#[test]
fn a_known_vendor_needs_only_its_name() {
    for (model, id) in [
        ("openai/gpt-5.5", "openai"),
        ("gpt-5.5", "openai"),
        ("claude-opus-4-8", "anthropic"),
        ("gemini/gemini-3-pro-preview", "google"),
        ("together_ai/Qwen/Qwen3.6-Plus", "together"),
        ("openrouter/anthropic/claude-opus-4.8", "openrouter"),
        ("deepseek/deepseek-chat", "deepseek"),
    ] {
        assert_eq!(provider(&format!("model: {model}")), format!("id = {id:?}"), "{model}");
    }
}

#[test]
fn a_key_stays_in_its_variable() {
    assert_eq!(provider("model: openai/gpt-5.5, api_key: os.environ/OPENAI_API_KEY"), "id = \"openai\"");
    assert_eq!(
        provider("model: openai/gpt-5.5, api_key: os.environ/TEAM_KEY"),
        "id = \"openai\"\napi_key_env = \"TEAM_KEY\""
    );
    // LiteLLM looks into another variable than the catalogue.
    assert_eq!(provider("model: zai/glm-5"), "id = \"zai\"\napi_key_env = \"ZAI_API_KEY\"");
}

#[test]
fn a_key_in_the_file_gets_a_variable() {
    let import = import(&entry("model: openai/gpt-5.5, api_key: sk-secret"));
    assert_eq!(part(&import.toml, "[[providers]]", 0), "id = \"openai\"");
    let path = "model_list[0].litellm_params.api_key";
    assert_eq!(verdict(&import.report, path), Verdict::Approximated);
    let finding = import.report.findings.iter().find(|finding| finding.path == path).unwrap();
    assert_eq!(finding.instead.as_deref(), Some("set OPENAI_API_KEY to the key in this line"));
    assert!(!(import.toml + &import.report.text()).contains("sk-secret"));
}

#[test]
fn several_keys_are_several_providers() {
    let text = "
model_list:
- {model_name: a, litellm_params: {model: openai/gpt-5.5, api_key: os.environ/OPENAI_API_KEY_EU}}
- {model_name: a, litellm_params: {model: openai/gpt-5.5, api_key: os.environ/OPENAI_API_KEY}}
- {model_name: a, litellm_params: {model: openai/gpt-5.5, api_key: sk-1}}
- {model_name: a, litellm_params: {model: openai/gpt-5.5, api_key: sk-2}}
- {model_name: a, litellm_params: {model: openai/gpt-5.5, api_key: sk-1}}
";
    let toml = import(text).toml;
    let ids: Vec<&str> = toml.lines().filter(|line| line.starts_with("id = ")).collect();
    let own = "protocol = \"openai\"\nbase_url = \"https://api.openai.com/v1\"\n";
    let as_openai = "responses_api = true\noutput_limit_field = \"max_completion_tokens\"";
    assert_eq!(ids[..4], ["id = \"openai-eu\"", "id = \"openai\"", "id = \"openai-2\"", "id = \"openai-3\""], "{toml}");
    assert_eq!(
        part(&toml, "[[providers]]", 0),
        format!("id = \"openai-eu\"\n{own}api_key_env = \"OPENAI_API_KEY_EU\"\n{as_openai}")
    );
    assert!(part(&toml, "[[providers]]", 2).contains("api_key_env = \"OPENAI_2_API_KEY\""), "{toml}");
    assert!(
        toml.contains("{ model = \"openai/gpt-5.5\", weight = 2, providers = { only = [\"openai-2\"] } }"),
        "{toml}"
    );
}

#[test]
fn azure_is_a_resource_with_deployments() {
    let params = "model: azure/our-gpt, api_base: 'https://my-eu.openai.azure.com/', api_version: '2024-10-21', \
                  api_key: os.environ/AZURE_EU";
    assert_eq!(
        provider(params),
        "id = \"azure-my-eu\"\nprotocol = \"openai\"\nbase_url = \"https://my-eu.openai.azure.com\"\n\
         azure_api_version = \"2024-10-21\"\napi_key_env = \"AZURE_EU\""
    );
    let text = entry(params) + "  model_info: {base_model: azure/gpt-4o}\n";
    let import = import(&text);
    let model = part(&import.toml, "[[models]]", 0);
    assert!(model.starts_with("id = \"azure-my-eu/our-gpt\"\ncontext_window = 128000\n"), "{model}");
    assert!(model.contains("usd_per_mtok = { input = 2.5, output = 10"), "{model}");
    assert_eq!(verdict(&import.report, "model_list[0].model_info.base_model"), Verdict::Approximated);
}

#[test]
fn azures_newer_surface_needs_no_version() {
    let params = "model: azure/our-gpt, api_base: 'https://x.openai.azure.com', api_version: v1";
    assert_eq!(
        provider(params),
        "id = \"azure-x\"\nprotocol = \"openai\"\nbase_url = \"https://x.openai.azure.com/openai/v1\"\n\
         api_key_env = \"AZURE_API_KEY\"\nauth = { header = \"api-key\" }\nresponses_api = true\n\
         output_limit_field = \"max_completion_tokens\""
    );
}

#[test]
fn azures_address_may_be_missing_whichever_surface_it_is() {
    let missing = |version: &str| provider(&format!("model: azure/our-gpt, api_version: {version}"));
    assert!(missing("2024-10-21").contains("base_url = \"https://azure.invalid\"\nazure_api_version = \"2024-10-21\""));
    let newer = missing("latest");
    assert!(newer.contains("auth = { header = \"api-key\" }") && !newer.contains("azure_api_version"), "{newer}");
}

#[test]
fn servers_of_ones_own_are_named_after_their_hosts() {
    for (params, id, url) in [
        (
            "model: hosted_vllm/llama, api_base: 'http://gpu-box.local:8000/v1'",
            "vllm-gpu-box",
            "http://gpu-box.local:8000/v1",
        ),
        ("model: ollama/llama3, api_base: 'http://10.0.0.7:11434'", "ollama-10-0-0-7", "http://10.0.0.7:11434/v1"),
        ("model: ollama_chat/llama3", "ollama", "http://localhost:11434/v1"),
        (
            "model: openai/llama, api_base: 'http://llm.example.com/v1', api_key: none",
            "llm-example",
            "http://llm.example.com/v1",
        ),
        ("model: lm_studio/x, api_base: 'http://localhost:1234/v1'", "lm-studio", "http://localhost:1234/v1"),
    ] {
        let expected = format!("id = {id:?}\nprotocol = \"openai\"\nbase_url = {url:?}");
        assert_eq!(provider(params), expected, "{params}");
    }
    assert_eq!(
        provider("model: anthropic/claude-opus-4-8, api_base: 'https://proxy.example/anthropic'"),
        "id = \"anthropic-proxy\"\nprotocol = \"anthropic\"\nbase_url = \"https://proxy.example/anthropic/v1\"\n\
         api_key_env = \"ANTHROPIC_API_KEY\""
    );
}

#[test]
fn an_address_in_a_variable_is_looked_up_or_left_to_be_filled_in() {
    let text = entry("model: hosted_vllm/llama, api_base: os.environ/GPU_BASE");
    let set = from_litellm(&text, "c", &|name| (name == "GPU_BASE").then(|| "http://gpu/v1/".to_owned())).unwrap();
    assert!(set.toml.contains("base_url = \"http://gpu/v1\"\n"), "{}", set.toml);
    assert_eq!(verdict(&set.report, "model_list[0].litellm_params.api_base"), Verdict::Approximated);
    let unset = import(&text);
    assert!(unset.toml.contains("base_url = \"https://vllm.invalid\"  # replace this: the value of GPU_BASE\n"));
    assert_eq!(verdict(&unset.report, "model_list[0].litellm_params.api_base"), Verdict::NotPossible);
    let in_file = import(&(text + "environment_variables: {GPU_BASE: 'http://gpu/v1', OTHER: x}\n"));
    assert!(in_file.toml.contains("base_url = \"http://gpu/v1\"\n"));
    assert_eq!(verdict(&in_file.report, "environment_variables.GPU_BASE"), Verdict::Exact);
    assert_eq!(verdict(&in_file.report, "environment_variables.OTHER"), Verdict::NotPossible);
}

#[test]
fn a_credential_fills_in_what_the_entry_does_not_say() {
    let text = "
model_list:
- model_name: a
  litellm_params: {model: azure/gpt, litellm_credential_name: eu}
credential_list:
- credential_name: eu
  credential_values: {api_key: os.environ/EU_KEY, api_base: 'https://eu.openai.azure.com', api_version: '2024-10-21'}
  credential_info: {description: ours}
- {credential_name: us, credential_values: {api_key: sk-us}, credential_info: {}}
";
    let import = import(text);
    let provider = part(&import.toml, "[[providers]]", 0);
    assert!(provider.contains("id = \"azure-eu\"\n") && provider.ends_with("api_key_env = \"EU_KEY\""), "{provider}");
    for path in [
        "model_list[0].litellm_params.litellm_credential_name",
        "credential_list[0].credential_values.api_key",
        "credential_list[0].credential_values.api_base",
        "credential_list[0].credential_info",
        "credential_list[1]",
    ] {
        assert_eq!(verdict(&import.report, path), Verdict::Exact, "{path}");
    }
}

#[test]
fn headers_make_an_account_and_credentials_among_them_stay_behind() {
    let params = "model: openai/gpt-5.5, organization: org-1, extra_headers: {x-team: a, Authorization: Bearer sk-x, x-b: os.environ/B}";
    let import = import(&entry(params));
    assert_eq!(
        part(&import.toml, "[[providers]]", 0),
        "id = \"openai\"\nheaders = { OpenAI-Organization = \"org-1\", x-team = \"a\" }"
    );
    let base = "model_list[0].litellm_params.extra_headers";
    assert_eq!(verdict(&import.report, &format!("{base}.Authorization")), Verdict::NotPossible);
    assert_eq!(verdict(&import.report, &format!("{base}.x-b")), Verdict::NotPossible);
    assert!(!import.report.text().contains("sk-x"));
}

#[test]
fn limits_and_prices_belong_to_the_endpoint() {
    assert_eq!(
        model(
            "model: openai/gpt-5.5, rpm: 10, tpm: 1000, max_parallel_requests: 4, input_cost_per_token: 1.0e-6, output_cost_per_token: 2.0e-6"
        ),
        "id = \"openai/gpt-5.5\"\n[[models.endpoints]]\nprovider = \"openai\"\nusd_per_mtok = { input = 1, output = 2 }\n\
         requests_per_minute = 10\ntokens_per_minute = 1000\nmax_in_flight = 4"
    );
}

#[test]
fn the_same_model_with_other_limits_is_another_model() {
    let text = "
model_list:
- {model_name: small, litellm_params: {model: openai/gpt-4o, rpm: 10}}
- {model_name: large, litellm_params: {model: openai/gpt-4o, rpm: 900}}
- {model_name: other, litellm_params: {model: openai/gpt-4o, rpm: 900}}
";
    let toml = import(text).toml;
    let second = part(&toml, "[[models]]", 1);
    assert!(second.starts_with("id = \"openai/gpt-4o~2\"\ncontext_window = "), "{second}");
    assert!(second.contains("upstream_model = \"gpt-4o\"\nusd_per_mtok = ") && second.ends_with("= 900"), "{second}");
    assert_eq!(toml.matches("{ model = \"openai/gpt-4o~2\" }").count(), 2, "{toml}");
    assert_eq!(toml.matches("[[models]]").count(), 2, "{toml}");
}

#[test]
fn a_dated_name_stays_as_it_is_written() {
    let model = model("model: openai/gpt-5-2025-08-07");
    assert!(model.starts_with("id = \"openai/gpt-5-2025-08-07\"\ncontext_window = "), "{model}");
    assert!(model.contains("upstream_model = \"gpt-5-2025-08-07\""), "{model}");
}

#[test]
fn what_cannot_be_reached_is_left_out_with_a_reason() {
    for model in [
        "bedrock/anthropic.claude-3",
        "vertex_ai/gemini-2.5-pro",
        "gemini-2.5-pro",
        "sagemaker/x",
        "azure_ai/x",
        "replicate/x",
        "auto_router/x",
        "nobody/x",
        "llama-3",
    ] {
        let import = import(&entry(&format!("model: {model}, api_key: k, temperature: 1")));
        assert_eq!(verdict(&import.report, "model_list[0]"), Verdict::NotPossible, "{model}");
        assert!(told(&import.report, "model_list[0]")[0].contains(model), "{model}");
        assert_eq!(verdict(&import.report, "model_list"), Verdict::NotPossible, "nothing is left to call");
    }
}
