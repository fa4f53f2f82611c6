//! Every kind of mistake, with the words in which it is told.

use super::*;

/// One provider and one model, for what comes behind them.
pub(super) const BASE: &str = r#"
[[providers]]
id = "openai"
"#;

fn refused_as(text: &str, expected: &str) {
    assert_eq!(refuse(text), [expected], "{text}");
}

/// The only problem of `text`, behind [`BASE`] (3 lines).
pub(super) fn behind_base(text: &str, expected: &str) {
    refused_as(&format!("{BASE}{text}"), expected);
}

fn alias_of(targets: &str, expected: &str) {
    behind_base(&format!("[[aliases]]\nname = \"x\"\nstrategy = \"priority\"\ntargets = {targets}"), expected);
}

fn provider_of(fields: &str, expected: &str) {
    refused_as(
        &format!("[[providers]]\nid = \"p\"\nprotocol = \"openai\"\nbase_url = \"https://x/v1\"\n{fields}"),
        expected,
    );
}

#[test]
fn of_the_server() {
    let server = |fields: &str, expected: &str| refused_as(&format!("[server]\n{fields}"), expected);
    server(
        "listen = \"localhost:80\"",
        "2:10: server.listen: \"localhost:80\" is not an address; expected an IP address and a port \
         such as \"127.0.0.1:8080\" or \"[::1]:8080\"; did you mean \"127.0.0.1:80\"?",
    );
    server(
        "listen = 8080",
        "2:10: server.listen: \":8080\" is not an address; expected an IP address and a port \
         such as \"127.0.0.1:8080\" or \"[::1]:8080\"; did you mean \"127.0.0.1:8080\"?",
    );
    server("listen = true", "2:10: server.listen: is a boolean; expected a string");
    server("listn = \"1.1.1.1:1\"", "2:1: server.listn: unknown field \"listn\"; did you mean \"listen\"?");
    server(
        "admin_listen = \"127.0.0.1:8080\"",
        "2:16: server.admin_listen: 127.0.0.1:8080 is the callers' address too",
    );
    server(
        "listen = \"0.0.0.0:80\"\nopen = true",
        "3:8: server.open: anyone who reaches 0.0.0.0:80 could spend your providers' money; \
         expected a loopback address in \"listen\", or open_on_all_addresses = true as well",
    );
    assert!(read("server = { open = true, open_on_all_addresses = true, listen = \"[::]:1\" }").is_ok());
    server(
        "limits = { max_body_bytes = \"32 apples\" }",
        "2:29: server.limits.max_body_bytes: \"32 apples\" is not a size; \
         expected a number of bytes or a size such as \"32MiB\" or \"1MB\"",
    );
    server(
        "limits = { max_header_bytes = 10 }",
        "2:31: server.limits.max_header_bytes: is out of range; expected 8KiB to 1GiB",
    );
    server(
        "limits = { head_timeout = \"soon\" }",
        "2:27: server.limits.head_timeout: \"soon\" is not a length of time; \
         expected a number of seconds or a time such as \"30s\", \"500ms\" or \"2m\"",
    );
    server(
        "limits = { body_timeout = -1.5 }",
        "2:27: server.limits.body_timeout: is out of range; expected 1ms to 24h",
    );
    server(
        "limits = { max_connections = 0 }",
        "2:30: server.limits.max_connections: 0 is out of range; expected 1 to 1000000",
    );
    assert_eq!(
        refuse("[server]\ntls = { cert_file = \"c\" }"),
        [
            "2:7: server.tls: field \"key_file\" is missing",
            "2:21: server.tls.cert_file: file \"c\" cannot be read: no c",
        ]
    );
}

#[test]
fn of_the_environment() {
    let env = |name: &str| (name == "POINTSMAN_LISTEN").then(|| "nowhere".to_owned());
    let problems = parse("", &env, &no_files).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "env POINTSMAN_LISTEN: \"nowhere\" is not an address; \
         expected an IP address and a port such as \"127.0.0.1:8080\" or \"[::1]:8080\""
    );
}

#[test]
fn of_the_store() {}

#[test]
fn of_providers() {
    refused_as("[[providers]]", "1:1: providers[0]: field \"id\" is missing");
    refused_as("providers = 3", "1:13: providers: is an integer; expected a list");
    refused_as(
        "providers = [{ id = \"a@b\", protocol = \"openai\", base_url = \"https://x\" }]",
        "1:21: providers.\"a@b\".id: \"a@b\" cannot be a name; \
         expected at most 200 of the letters a to z, digits and -_., not beginning with - . /",
    );
    refused_as(
        "[[providers]]\nid = \"opneai\"",
        "1:1: providers.opneai: provider \"opneai\" is not in the catalogue and needs protocol and base_url; \
         did you mean \"openai\"?",
    );
    behind_base("[[providers]]\nid = \"openai\"", "5:6: providers.openai.id: there is a provider \"openai\" already");
    refused_as(
        "providers = [{ id = \"openai\", protocol = \"open-ai\" }]",
        "1:42: providers.openai.protocol: \"open-ai\" is unknown; \
         expected \"openai\", \"anthropic\" or \"gemini\"; did you mean \"openai\"?",
    );
    refused_as(
        "providers = [{ id = \"openai\", base_url = \"https://u:hidden@x\" }]",
        "1:42: providers.openai.base_url: has a user name or password in it; \
         expected api_key_env or api_key_file for the credential",
    );
    provider_of(
        "api_key_env = \"A_API_KEY\"\napi_key = \"k\"",
        "6:11: providers.p.api_key: is a second source of the same key; expected one of them",
    );
    provider_of(
        "api_key = \"a\\nb\"",
        "5:11: providers.p.api_key: the key has blanks, control characters or letters outside ASCII in it",
    );
    provider_of(
        "auth = \"bearer\"",
        "5:8: providers.p.auth: has no key to send; expected api_key_env or api_key_file as well",
    );
    provider_of(
        "auth = \"basic\"",
        "5:8: providers.p.auth: \"basic\" is unknown; expected \"bearer\", \"none\" or { header = \"…\" }",
    );
    provider_of(
        "auth = \"none\"\napi_key_env = \"A_API_KEY\"",
        "6:15: providers.p.api_key_env: has no use with auth = \"none\"",
    );
    provider_of(
        "headers = { Host = \"x\" }",
        "5:20: providers.p.headers.Host: header host belongs to the connection and cannot be set",
    );
    provider_of("headers = { \"a b\" = \"x\" }", "5:21: providers.p.headers.\"a b\": \"a b\" is not a header name");
    provider_of(
        "headers = { a = \"x\\ny\" }",
        "5:17: providers.p.headers.a: is not a header value; expected visible ASCII characters",
    );
    provider_of(
        "requests_per_minute = 0",
        "5:23: providers.p.requests_per_minute: 0 is out of range; expected 1 to 4294967295",
    );
    provider_of(
        "azure_api_version = \"v 1\"",
        "5:21: providers.p.azure_api_version: \"v 1\" is not a version; expected a date such as \"2024-10-21\"",
    );
}

#[test]
fn of_models() {
    behind_base("[[models]]\nid = \"m\"", "4:1: models.m: field \"endpoints\" is missing");
    behind_base(
        "[[models]]\nid = \"m\"\nendpoints = []",
        "6:13: models.m.endpoints: is empty; expected at least one { provider = …, upstream_model = … }",
    );
    let endpoint = |fields: &str, expected: &str| {
        behind_base(&format!("[[models]]\nid = \"m.1\"\nendpoints = [{{ {fields} }}]"), expected);
    };
    endpoint(
        "provider = \"opanai\", upstream_model = \"x\"",
        "6:27: models.\"m.1\".endpoints[0].provider: no provider \"opanai\"; did you mean \"openai\"?",
    );
    endpoint(
        "provider = \"groq\", upstream_model = \"x\"",
        "6:27: models.\"m.1\".endpoints[0].provider: provider \"groq\" is not configured; \
         expected [[providers]] with id = \"groq\" as well",
    );
    endpoint("provider = \"openai\"", "6:14: models.\"m.1\".endpoints[0]: field \"upstream_model\" is missing");
    endpoint(
        "provider = \"openai\", upstream_model = \"x\", usd_per_mtok = { input = -1, output = 2 }",
        "6:84: models.\"m.1\".endpoints[0].usd_per_mtok.input: -1 is out of range; expected 0 to 1000000",
    );
    endpoint(
        "provider = \"openai\", upstream_model = \"x\", usd_per_mtok = { input = 1, output = nan }",
        "6:96: models.\"m.1\".endpoints[0].usd_per_mtok.output: NaN is out of range; \
         expected 0 to 1000000",
    );
    endpoint(
        "provider = \"openai\", upstream_model = \"x\", tokens_per_minute = 0",
        "6:79: models.\"m.1\".endpoints[0].tokens_per_minute: 0 is out of range; expected at least 1",
    );
    endpoint(
        "provider = \"openai\", upstream_model = \"x\" }, { provider = \"openai\", upstream_model = \"y\"",
        "6:74: models.\"m.1\".endpoints[1].provider: there is an endpoint at \"openai\" already",
    );
    behind_base(
        "[[models]]\nid = \"openai/gpt-4o\"\n[[models]]\nid = \"openai/GPT-4o\"",
        "7:6: models.openai/GPT-4o.id: there is a model \"openai/gpt-4o\" already",
    );
    behind_base(
        "[[models]]\nid = \"openai/gpt-4o\"\ninput_modalities = [\"text\", \"pictures\"]",
        "6:29: models.openai/gpt-4o.input_modalities[1]: \"pictures\" is unknown; \
         expected \"text\", \"image\", \"audio\", \"video\" or \"pdf\"",
    );
}

#[test]
fn of_aliases() {
    let alias = |fields: &str, expected: &str| {
        let targets = "targets = [{ model = \"gpt-4o\" }]";
        behind_base(&format!("[[aliases]]\n{targets}\n{fields}"), expected);
    };
    alias("strategy = \"priority\"", "4:1: aliases[0]: field \"name\" is missing");
    alias("name = \"x\"", "4:1: aliases.x: field \"strategy\" is missing");
    alias(
        "name = \"x\"\nstrategy = \"prioity\"",
        &format!(
            "7:12: aliases.x.strategy: no strategy \"prioity\"; expected {STRATEGIES}; did you mean \"priority\"?"
        ),
    );
    alias(
        "name = \"pointsman/x\"\nstrategy = \"priority\"",
        "6:8: aliases.pointsman/x.name: \"pointsman/x\" is reserved; expected another name",
    );
    alias(
        "name = \"my chat\"\nstrategy = \"priority\"",
        "6:8: aliases.\"my chat\".name: \"my chat\" cannot be a name; \
         expected at most 200 of the letters a to z, digits and -_./:~, not beginning with - . /",
    );
    alias(
        "name = \"x\"\nstrategy = \"priority\"\n[[aliases]]\nname = \"x\"\nstrategy = \"priority\"\n\
         targets = [{ model = \"gpt-4o\" }]",
        "9:8: aliases.x.name: there is an alias \"x\" already",
    );
    alias(
        "name = \"x\"\nstrategy = \"priority\"\nmax_attempts = 0",
        "8:16: aliases.x.max_attempts: 0 is out of range; expected 1 to 20",
    );
    alias(
        "name = \"x\"\nstrategy = \"priority\"\nfallback = { any_eror = true }",
        "8:14: aliases.x.fallback.any_eror: unknown field \"any_eror\"; did you mean \"any_error\"?",
    );
}

const STRATEGIES: &str = "\"priority\", \"random-shuffle\", \"lowest-latency\", \"highest-throughput\", \
                          \"lowest-usage\", \"lowest-price\" or \"category\"";

#[test]
fn of_targets() {
    alias_of("[]", "7:11: aliases.x.targets: is empty; expected at least one { model = … }");
    alias_of("[{ weight = 1 }]", "7:12: aliases.x.targets[0]: field \"model\" is missing");
    alias_of("[\"openai/gpt-5.5\"]", "7:12: aliases.x.targets[0]: is a string; expected a table");
    alias_of(
        "[{ model = \"openai/gpt-5.7\" }]",
        "7:22: aliases.x.targets[0].model: no model \"openai/gpt-5.7\"; \
         did you mean \"openai/gpt-5.5\", \"openai/gpt-5.4\" or \"openai/gpt-5.2\"?",
    );
    alias_of(
        "[{ model = \"anthropic/claude-opus-4.8\" }]",
        "7:22: aliases.x.targets[0].model: nothing serves model \"anthropic/claude-opus-4-8\": \
         provider \"anthropic\" is not configured; expected [[providers]] with id = \"anthropic\" as well",
    );
    alias_of(
        "[{ model = \"gpt-oss-120b\" }]",
        "7:22: aliases.x.targets[0].model: \"gpt-oss-120b\" may mean several models; \
         expected \"cerebras/gpt-oss-120b\" or \"openai/gpt-oss-120b\"",
    );
    alias_of(
        "[{ model = \"gpt-4o\", weight = -1 }]",
        "7:41: aliases.x.targets[0].weight: -1 is out of range; expected 0 to 1000000",
    );
    alias_of(
        "[{ model = \"gpt-4o\", weight = inf }]",
        "7:41: aliases.x.targets[0].weight: inf is out of range; expected 0 to 1000000",
    );
    alias_of(
        "[{ model = \"gpt-4o\", weight = 0 }, { model = \"o3\", weight = 0.0 }]",
        "7:11: aliases.x.targets: every target has weight 0, so none is ever chosen; \
         expected a weight above 0, or last_resort = true, in one of them",
    );
    alias_of(
        "[{ model = \"gpt-4o\", params = { model = \"x\" } }]",
        "7:51: aliases.x.targets[0].params.model: \"model\" is not a target's to change",
    );
    alias_of(
        "[{ model = \"gpt-4o\", params = { a = 1979-05-27 } }]",
        "7:47: aliases.x.targets[0].params.a: is a date, which JSON does not have; expected a string",
    );
    alias_of(
        "[{ model = \"gpt-4o\", params = { a = [nan] } }]",
        "7:48: aliases.x.targets[0].params.a[0]: NaN cannot be said in JSON",
    );
    alias_of(
        "[{ model = \"gpt-4o\", params = { a = 1 }, drop_params = [\"a\"] }]",
        "7:67: aliases.x.targets[0].drop_params[0]: \"a\" is set in params as well",
    );
}

#[test]
fn of_a_targets_providers() {
    let chosen = |providers: &str, expected: &str| {
        let groq = "[[providers]]\nid = \"groq\"\n";
        let targets = format!("targets = [{{ model = \"openai/gpt-4o\", providers = {providers} }}]");
        behind_base(&format!("{groq}[[aliases]]\nname = \"x\"\nstrategy = \"priority\"\n{targets}"), expected);
    };
    chosen(
        "{ only = [\"opanai\"] }",
        "9:61: aliases.x.targets[0].providers.only[0]: no provider \"opanai\"; did you mean \"openai\"?",
    );
    chosen(
        "{ order = [\"groq\"] }",
        "9:62: aliases.x.targets[0].providers.order[0]: provider \"groq\" does not serve \"openai/gpt-4o\"; \
         expected \"openai\"",
    );
    chosen(
        "{ only = [\"groq\"] }",
        "9:61: aliases.x.targets[0].providers.only[0]: provider \"groq\" does not serve \"openai/gpt-4o\"; \
         expected \"openai\"",
    );
    chosen(
        "{ ignore = [\"openai\"] }",
        "9:51: aliases.x.targets[0].providers: no endpoint of \"openai/gpt-4o\" is left; expected one of \"openai\"",
    );
    chosen(
        "{ only = [] }",
        "9:51: aliases.x.targets[0].providers: no endpoint of \"openai/gpt-4o\" is left; expected one of \"openai\"",
    );
}

#[test]
fn of_keys() {
    let key = |fields: &str, expected: &str| behind_base(&format!("[[keys]]\nname = \"k\"\n{fields}"), expected);
    key("", "4:1: keys.k: there is no key; expected one of \"hash\", \"key_env\" and \"key_file\"");
    key("hash = \"hunter2\"", "6:8: keys.k.hash: is not a digest; expected \"sha256:\" and 64 hexadecimal digits");
    let hash = format!("hash = \"sha256:{}\"", "0".repeat(64));
    key(
        &format!("{hash}\nkey_env = \"X\""),
        "7:11: keys.k.key_env: is a second source of the same key; expected one of them",
    );
    key(
        &format!("{hash}\naliases = [\"gpt-4oo\"]"),
        "7:12: keys.k.aliases[0]: no alias or model \"gpt-4oo\"; \
         did you mean \"openai/gpt-4o\", \"openai/gpt-4.1\" or \"openai/gpt-4\"?",
    );
    key(
        &format!("{hash}\n[[keys]]\nname = \"k\"\nhash = \"sha256:{}\"", "1".repeat(64)),
        "8:8: keys.k.name: there is a key \"k\" already",
    );
}

#[test]
fn of_scopes_limits_and_budgets() {
    let project =
        |fields: &str, expected: &str| behind_base(&format!("[[projects]]\nname = \"x\"\n{fields}"), expected);
    let form = "expected an amount and a period such as \"$50/day\", \"$300/week\" or \"$1000/month\"";
    project("budget = 50", "6:10: projects.x.budget: is an integer; expected a string");
    project(
        "budget = \"50/day\"",
        &format!("6:10: projects.x.budget: a budget begins with \"$\", as in \"$50/day\"; {form}"),
    );
    project("budget = [\"$5/day\", \"$6/day\"]", "6:21: projects.x.budget[1]: there is a budget for the day already");
    project(
        "models = [\"gpt-4oo\"]",
        "6:11: projects.x.models[0]: no model that is served \"gpt-4oo\"; did you mean \"openai/gpt-4o\", \"openai/gpt-4.1\" or \"openai/gpt-4\"?",
    );
    project(
        "providers = [\"opneai\"]",
        "6:14: projects.x.providers[0]: no provider \"opneai\"; did you mean \"openai\"?",
    );
    project(
        "requests_per_minute = 0",
        "6:23: projects.x.requests_per_minute: 0 is out of range; expected 1 to 4294967295",
    );
    let hash = format!("hash = \"sha256:{}\"", "0".repeat(64));
    let key = |fields: &str, expected: &str| {
        behind_base(
            &format!(
                "[[projects]]\nname = \"x\"\nmax_in_flight = 2\nbudget = \"$5/day\"\n[[keys]]\nname = \"k\"\nproject = \"x\"\n{hash}\n{fields}"
            ),
            expected,
        );
    };
    let above = "is above that of its project \"x\"; expected at most the project's, or a higher one there";
    key("max_in_flight = 3", &format!("12:17: keys.k.max_in_flight: {above}"));
    key("budget = \"$5.01/day\"", &format!("12:10: keys.k.budget: {above}"));
    key(
        "expires = \"soon\"",
        "12:11: keys.k.expires: \"soon\" is not a moment; expected a moment such as \"2027-01-31T12:00:00Z\" or a day such as \"2027-01-31\"",
    );
}

#[test]
fn of_addresses() {
    let provider = |url: &str, expected: &str| {
        behind_base(
            &format!("[[providers]]\nid = \"x\"\nprotocol = \"openai\"\nauth = \"none\"\nbase_url = \"{url}\"\n"),
            expected,
        );
    };
    provider(
        "http://169.254.169.254/v1",
        "8:12: providers.x.base_url: leads to an address of the link, where clouds keep credentials; expected private_addresses = true, if that is meant",
    );
}

#[test]
fn of_syntax_beside_all_others() {
    let problems = refuse("[server]\nlisten = \n[[providers]]\nid = \"opneai\"\nid = \"x\"\n");
    assert_eq!(problems[0].split(": ").next(), Some("2:10"), "{problems:#?}");
    assert!(problems.iter().any(|problem| problem.starts_with("5:1: duplicate key")), "{problems:#?}");
    assert!(problems.iter().any(|problem| problem.contains("needs protocol and base_url")), "{problems:#?}");
}
