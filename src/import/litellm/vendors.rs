//! Who is behind the first word of `model: vendor/name`? What LiteLLM documents of each, and
//! how it is reached from here.

use super::account::COMPATIBLE;

/// A vendor as LiteLLM names it.
#[derive(Debug)]
pub(super) struct Vendor {
    /// The word before the first slash.
    pub(super) prefix: &'static str,
    pub(super) reached: Reached,
    /// The variables in which LiteLLM looks for a key that the file does not give.
    pub(super) variables: &'static [&'static str],
    /// Whether nobody is served there without a key.
    pub(super) needs_key: bool,
    /// What differs from what LiteLLM does there; nothing if empty.
    pub(super) differs: &'static str,
}

/// How a vendor is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reached {
    /// As the provider of this id in the catalogue.
    Known(&'static str),
    /// Azure OpenAI, whose address is the customer's own.
    Azure,
    /// Any server with OpenAI's protocol, at this address if the file gives none.
    Compatible {
        /// What such a provider is called.
        name: &'static str,
        base_url: Option<&'static str>,
        /// The variable in which LiteLLM looks for the address; empty if in none.
        variable: &'static str,
    },
    /// Ollama, whose own protocol LiteLLM speaks.
    Ollama,
    /// Not at all: why, and what to do.
    Not { why: &'static str, instead: &'static str },
}

const fn known(prefix: &'static str, id: &'static str, variables: &'static [&'static str]) -> Vendor {
    Vendor { prefix, reached: Reached::Known(id), variables, needs_key: true, differs: "" }
}

const fn differing(vendor: Vendor, differs: &'static str) -> Vendor {
    Vendor { differs, ..vendor }
}

/// A server of the customer's own.
const fn server(
    prefix: &'static str,
    name: &'static str,
    base_url: Option<&'static str>,
    variable: &'static str,
    variables: &'static [&'static str],
) -> Vendor {
    Vendor {
        prefix,
        reached: Reached::Compatible { name, base_url, variable },
        variables,
        needs_key: false,
        differs: "",
    }
}

/// A public service that is not in the catalogue.
const fn service(prefix: &'static str, base_url: &'static str, variables: &'static [&'static str]) -> Vendor {
    Vendor { needs_key: true, ..server(prefix, prefix, Some(base_url), "", variables) }
}

const fn not(prefix: &'static str, why: &'static str, instead: &'static str) -> Vendor {
    Vendor { prefix, reached: Reached::Not { why, instead }, variables: &[], needs_key: true, differs: "" }
}

const AWS: &str = "requests to AWS have to be signed, which this version does not do";
const AWS_INSTEAD: &str =
    "Bedrock's OpenAI-compatible address with a Bedrock API key, as a provider with protocol = \"openai\"";
const VERTEX: &str = "Vertex AI wants tokens of a Google account, which this version does not fetch";
const VERTEX_INSTEAD: &str = "Google's Gemini API with a key (provider \"google\"), or the model's vendor itself";
const OWN: &str = "it has a protocol of its own, which is not spoken here";
const OWN_INSTEAD: &str =
    "its OpenAI-compatible address, if it has one, as a provider with protocol = \"openai\" and base_url";
const ROUTER: &str = "it is a router of LiteLLM's that looks into requests, not a model";
const ROUTER_INSTEAD: &str = "an alias over the models that it chooses from, with one of the strategies";

const OPENAI: &[&str] = &["OPENAI_API_KEY"];

/// All that are known. Those with the catalogue's own name come first of those that share it.
pub(super) const VENDORS: &[Vendor] = &[
    known("openai", "openai", OPENAI),
    known("text-completion-openai", "openai", OPENAI),
    known("anthropic", "anthropic", &["ANTHROPIC_API_KEY"]),
    known("gemini", "google", &["GEMINI_API_KEY", "GOOGLE_API_KEY"]),
    known("mistral", "mistral", &["MISTRAL_API_KEY"]),
    known("groq", "groq", &["GROQ_API_KEY"]),
    differing(
        known("deepseek", "deepseek", &["DEEPSEEK_API_KEY"]),
        "at DeepSeek's ordinary address, where LiteLLM takes the one for beta features",
    ),
    known("xai", "xai", &["XAI_API_KEY"]),
    known("together_ai", "together", &["TOGETHER_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHERAI_API_KEY"]),
    known("fireworks_ai", "fireworks", &["FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY", "FIREWORKSAI_API_KEY"]),
    known("cerebras", "cerebras", &["CEREBRAS_API_KEY"]),
    differing(
        known("cohere", "cohere", &["COHERE_API_KEY", "CO_API_KEY"]),
        "through Cohere's OpenAI-compatible interface instead of its own",
    ),
    differing(
        known("cohere_chat", "cohere", &["COHERE_API_KEY", "CO_API_KEY"]),
        "through Cohere's OpenAI-compatible interface instead of its own",
    ),
    known("perplexity", "perplexity", &["PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"]),
    known("moonshot", "moonshot", &["MOONSHOT_API_KEY"]),
    known("dashscope", "alibaba", &["DASHSCOPE_API_KEY"]),
    known("zai", "zai", &["ZAI_API_KEY"]),
    known("nvidia_nim", "nvidia", &["NVIDIA_NIM_API_KEY"]),
    known("deepinfra", "deepinfra", &["DEEPINFRA_API_KEY"]),
    differing(
        known("nebius", "nebius", &["NEBIUS_API_KEY"]),
        "at the address of Nebius's Token Factory, where LiteLLM takes the one of its Studio",
    ),
    known("openrouter", "openrouter", &["OPENROUTER_API_KEY", "OR_API_KEY"]),
    Vendor { prefix: "azure", reached: Reached::Azure, variables: &["AZURE_API_KEY"], needs_key: true, differs: "" },
    Vendor {
        prefix: "ollama",
        reached: Reached::Ollama,
        variables: &["OLLAMA_API_KEY"],
        needs_key: false,
        differs: "through Ollama's OpenAI-compatible interface instead of its own",
    },
    Vendor {
        prefix: "ollama_chat",
        reached: Reached::Ollama,
        variables: &["OLLAMA_API_KEY"],
        needs_key: false,
        differs: "through Ollama's OpenAI-compatible interface instead of its own",
    },
    server("hosted_vllm", "vllm", None, "HOSTED_VLLM_API_BASE", &["HOSTED_VLLM_API_KEY"]),
    server("custom_openai", COMPATIBLE, None, "", &[]),
    server("openai_like", COMPATIBLE, None, "OPENAI_LIKE_API_BASE", &["OPENAI_LIKE_API_KEY"]),
    server("aiohttp_openai", COMPATIBLE, None, "", &[]),
    server("lm_studio", "lm-studio", None, "LM_STUDIO_API_BASE", &["LM_STUDIO_API_KEY"]),
    server("llamafile", "llamafile", Some("http://127.0.0.1:8080/v1"), "LLAMAFILE_API_BASE", &["LLAMAFILE_API_KEY"]),
    server(
        "xinference",
        "xinference",
        Some("http://127.0.0.1:9997/v1"),
        "XINFERENCE_API_BASE",
        &["XINFERENCE_API_KEY"],
    ),
    server("litellm_proxy", "litellm", None, "LITELLM_PROXY_API_BASE", &["LITELLM_PROXY_API_KEY"]),
    service("sambanova", "https://api.sambanova.ai/v1", &["SAMBANOVA_API_KEY"]),
    service("github", "https://models.inference.ai.azure.com", &["GITHUB_API_KEY"]),
    service("novita", "https://api.novita.ai/v3/openai", &["NOVITA_API_KEY"]),
    service("friendliai", "https://api.friendli.ai/serverless/v1", &["FRIENDLIAI_API_KEY", "FRIENDLI_TOKEN"]),
    service("baseten", "https://inference.baseten.co/v1", &["BASETEN_API_KEY"]),
    service("volcengine", "https://ark.cn-beijing.volces.com/api/v3", &["VOLCENGINE_API_KEY"]),
    service("codestral", "https://codestral.mistral.ai/v1", &["CODESTRAL_API_KEY"]),
    service("wandb", "https://api.inference.wandb.ai/v1", &["WANDB_API_KEY"]),
    service("meta_llama", "https://api.llama.com/compat/v1", &["LLAMA_API_KEY"]),
    service("ai21_chat", "https://api.ai21.com/studio/v1", &["AI21_API_KEY"]),
    service("hyperbolic", "https://api.hyperbolic.xyz/v1", &["HYPERBOLIC_API_KEY"]),
    service("lambda_ai", "https://api.lambda.ai/v1", &["LAMBDA_API_KEY"]),
    service("vercel_ai_gateway", "https://ai-gateway.vercel.sh/v1", &["VERCEL_AI_GATEWAY_API_KEY"]),
    service("featherless_ai", "https://api.featherless.ai/v1", &["FEATHERLESS_AI_API_KEY"]),
    not("bedrock", AWS, AWS_INSTEAD),
    not("bedrock_converse", AWS, AWS_INSTEAD),
    not("bedrock_mantle", AWS, AWS_INSTEAD),
    not("amazon_nova", AWS, AWS_INSTEAD),
    not("sagemaker", AWS, "a gateway in front of the endpoint that speaks OpenAI's protocol"),
    not("sagemaker_chat", AWS, "a gateway in front of the endpoint that speaks OpenAI's protocol"),
    not("vertex_ai", VERTEX, VERTEX_INSTEAD),
    not("vertex_ai_beta", VERTEX, VERTEX_INSTEAD),
    not(
        "azure_ai",
        "an Azure AI resource serves models at several addresses, and which is meant is not said",
        "its address that ends in /openai/v1, as a provider with protocol = \"openai\" and auth = { header = \"api-key\" }",
    ),
    not("azure_text", "text completions of old Azure deployments are not part of this version", "a chat deployment"),
    not(
        "anthropic_text",
        "Anthropic's old text completions are not part of this version",
        "anthropic/ and a newer model",
    ),
    not("watsonx", "watsonx wants tokens of an IBM account, which this version does not fetch", OWN_INSTEAD),
    not("watsonx_text", "watsonx wants tokens of an IBM account, which this version does not fetch", OWN_INSTEAD),
    not("oci", "requests to Oracle's cloud have to be signed, which this version does not do", OWN_INSTEAD),
    not("huggingface", OWN, "https://router.huggingface.co/v1, as a provider with protocol = \"openai\""),
    not("replicate", OWN, OWN_INSTEAD),
    not("predibase", OWN, OWN_INSTEAD),
    not("databricks", OWN, OWN_INSTEAD),
    not("snowflake", OWN, OWN_INSTEAD),
    not("triton", OWN, OWN_INSTEAD),
    not("petals", OWN, OWN_INSTEAD),
    not("nlp_cloud", OWN, OWN_INSTEAD),
    not("cloudflare", OWN, OWN_INSTEAD),
    not("sap", OWN, OWN_INSTEAD),
    not("voyage", OWN, OWN_INSTEAD),
    not("jina_ai", OWN, OWN_INSTEAD),
    not("custom", OWN, OWN_INSTEAD),
    not("github_copilot", "it signs in with an account, not a key", OWN_INSTEAD),
    not("chatgpt", "it signs in with an account, not a key", "provider \"openai\" with a key"),
    not("vllm", "it runs the model within LiteLLM's own process", "vLLM as a server, as with hosted_vllm/"),
    not("auto_router", ROUTER, ROUTER_INSTEAD),
    not("complexity_router", ROUTER, ROUTER_INSTEAD),
];

/// Vendors whose models are known by how their names begin, where LiteLLM knows them without
/// a prefix too. Names that begin with `gemini` are Vertex AI's to LiteLLM.
const BY_NAME: &[(&str, &str)] = &[
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("ft:gpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("codex-", "openai"),
    ("text-embedding-", "openai"),
    ("omni-moderation", "openai"),
    ("text-moderation", "openai"),
    ("dall-e", "openai"),
    ("whisper-", "openai"),
    ("tts-", "openai"),
    ("claude-", "anthropic"),
    ("command", "cohere"),
    ("gemini-", "vertex_ai"),
];

/// The vendor of that name.
pub(super) fn vendor(prefix: &str) -> Option<&'static Vendor> {
    VENDORS.iter().find(|vendor| vendor.prefix == prefix)
}

/// The vendor that LiteLLM takes a name without a prefix for.
pub(super) fn vendor_by_name(model: &str) -> Option<&'static Vendor> {
    let (_, prefix) = BY_NAME.iter().find(|(beginning, _)| model.starts_with(beginning))?;
    vendor(prefix)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::catalogue::catalogue;

    #[test]
    fn the_table_is_whole() {
        let mut seen = HashSet::new();
        for vendor in VENDORS {
            assert!(seen.insert(vendor.prefix), "{} twice", vendor.prefix);
            if let Reached::Known(id) = vendor.reached {
                assert!(catalogue().provider(id).is_some(), "{id} is not in the catalogue");
                assert!(!vendor.variables.is_empty(), "{id}");
            }
            if let Reached::Compatible { base_url: Some(url), .. } = vendor.reached {
                assert!(crate::config::is_base_url(url), "{url}");
            }
        }
        for (beginning, prefix) in BY_NAME {
            assert!(vendor(prefix).is_some(), "{beginning}");
        }
    }

    #[test]
    fn every_provider_of_the_catalogue_is_reached() {
        for provider in &catalogue().providers {
            assert!(VENDORS.iter().any(|vendor| vendor.reached == Reached::Known(&provider.id)), "{}", provider.id);
        }
    }
}
